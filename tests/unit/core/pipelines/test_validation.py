"""Every mistake in a pipeline is found before it starts, with its file, line and key."""

from graphlib import CycleError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.manifest import Input
from orchestrator.core.pipelines import Kind, Port, Signature, check, read_pipeline
from orchestrator.core.pipelines.graph import topological_order
from orchestrator.core.pipelines.graph_text import draw
from orchestrator.core.pipelines.references import (
    Literal,
    Many,
    Reference,
    Text,
    parse_template,
    references_in,
    value_of,
)
from orchestrator.core.pipelines.step_signatures import mismatch, port_of
from orchestrator.errors import ManifestError, UsageError


def ports(**inputs):
    return {name: port_of(declared) for name, declared in inputs.items()}


SIGNATURES = {
    "ocr": Signature(
        "reader",
        ports(
            image=Input(type="image", required=True),
            score=Input(type="number", minimum=0, maximum=1),
            mode=Input(type="choice", choices=("fast", "good")),
        ),
        {"text": Kind("text"), "boxes": Kind("json")},
        model=True,
    ),
    "tts": Signature(
        "speaker", ports(text=Input(type="text", required=True)), {"audio": Kind("audio")}, True
    ),
    "join": Signature(
        "join", ports(audios=Input(type="audio", list=True, required=True)),
        {"audio": Kind("audio")},
    ),
    "split": Signature(
        "split", ports(files=Input(type="file", list=True, required=True)),
        {"images": Kind("image", many=True)},
    ),
    "keep": Signature("keep", {"value": Port(Kind("any"), True)}, {"file": Kind("file")}),
}  # fmt: skip

GOOD = """\
name: p
inputs:
  images: {type: image, list: true, required: true}
  title: {type: text, default: Page}
steps:
  - id: whole
    run: join
    with: {audios: "${{ steps.speak.audio }}"}
  - id: read
    run: ocr
    foreach: "${{ inputs.images }}"
    with: {image: "${{ item }}", score: 0.5}
  - id: speak
    run: tts
    foreach: "${{ steps.read.text }}"
    with: {text: "${{ inputs.title }} ${{ index }}: ${{ item }}"}
outputs:
  audio: "${{ steps.whole.audio }}"
  texts: "${{ steps.read.text }}"
"""


def signature(step):
    if step.run not in SIGNATURES:
        raise UsageError(f"there is no model or task {step.run!r}")
    return SIGNATURES[step.run]


def look(text):
    declaration, where = read_pipeline(text.encode(), file="p.yaml", stem="p")
    return check(declaration, where, signature)


def problems(text):
    return [str(problem) for problem in look(text)[1]]


def test_a_good_pipeline_becomes_a_graph_in_order():
    graph, found = look(GOOD)
    assert found == []
    assert list(graph.nodes) == ["read", "speak", "whole"]
    assert graph.primary == "audio"
    assert graph.outputs["texts"][1] == Kind("text", many=True)
    assert graph.nodes["speak"].follows == "read"
    assert graph.nodes["whole"].waits_for == {"speak"}


def test_a_drawing_shows_each_step_once_after_what_it_takes():
    lines = draw(look(GOOD)[0])
    text = "\n".join(lines)
    assert text.index("read: ocr → reader") < text.index("speak: tts → speaker")
    assert text.index("speak: tts") < text.index("whole: join")
    assert sum("read: ocr" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("steps.read.text }}\"\n    with", "steps.raed.text }}\"\n    with",
         "p.yaml:15: steps[2].foreach: there is no step 'raed'; did you mean read?"),
        ("steps.speak.audio", "steps.speak.sound",
         ("p.yaml:8: steps[0].with.audios: the step 'speak' (speaker) has no output 'sound'; "
         "its outputs are audio")),
        ("${{ item }}\", score", "${{ inputs.title }}\", score",
         "p.yaml:12: steps[1].with.image: inputs.title: text does not fit into image"),
        ("steps.speak.audio", "steps.read.text",
         ("p.yaml:8: steps[0].with.audios: steps.read.text: a list of text does not fit into "
         "a list of audio")),
        ("image: \"${{ item }}\", ", "",
         "p.yaml:12: steps[1].with: reader needs the input 'image'"),
        ("score: 0.5", "scoer: 0.5",
         "p.yaml:12: steps[1].with.scoer: reader has no input 'scoer'; did you mean score?"),
        ("score: 0.5", "score: 2",
         "p.yaml:12: steps[1].with.score: 2 is above the maximum, 1"),
        ("score: 0.5", "mode: best",
         "p.yaml:12: steps[1].with.mode: 'best' is not one of fast, good"),
        ("score: 0.5", "score: [0.5]", "p.yaml:12: steps[1].with.score: must be one value"),
        ("\"${{ item }}\", score: 0.5", "x.png",
         ("p.yaml:12: steps[1].with.image: a file is not named in a pipeline; declare an input of "
         "the pipeline and refer to it")),
        ("run: tts", "run: ttts",
         "p.yaml:14: steps[2].run: there is no model or task 'ttts'"),
        ("    foreach: \"${{ inputs.images }}\"\n", "",
         "p.yaml:11: steps[1].with.image: item is known only in a step with foreach"),
        ("required: true}", "help: x}",
         ("p.yaml:11: steps[1].foreach: inputs.images is needed here and may be left out; give it "
         "required: true, or a default")),
        ("id: speak", "id: read", "p.yaml:13: steps[2].id: 'read' is the id of an earlier step"),
        ("id: speak", "id: 2nd",
         "p.yaml:13: steps[2].id: '2nd' is not letters, digits, _ and -, beginning with a letter"),
        ("run: tts", "workers: 0\n    run: tts",
         "p.yaml:14: steps[2].workers: must be from 1 to 256"),
        ("${{ inputs.title }} ${{", "${{ inputs.title ${{",
         ("p.yaml:16: steps[2].with.text: 'inputs.title ${{ index' is no reference; a reference is "
         "inputs.NAME, steps.ID.OUTPUT, item or index")),
        ("${{ inputs.title }} ${{", "${{ inputs.images }} ${{",
         ("p.yaml:16: steps[2].with.text: inputs.images is a list of image, which cannot stand "
         "inside text")),
        ("title: {", "json: {", "p.yaml:4: inputs.json: mm itself has 'json'; rename the input"),
        ("  texts: \"${{ steps.read.text }}\"", "  texts: \"${{ inputs.title }}\"",
         "p.yaml:19: outputs.texts: an output is the output of a step: steps.ID.OUTPUT"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_key(before, after, sentence):
    assert before in GOOD
    assert sentence in problems(GOOD.replace(before, after, 1))


@pytest.mark.parametrize(
    ("name", "required", "sentences"),
    [
        ("text?", False, []),
        ("pages?", False, []),
        ("pages", False, ["has no output 'pages'"]),
        ("text?", True, ["steps.read.text is needed here and may be left out; remove the ?"]),
    ],
)
def test_an_output_that_a_model_may_lack_goes_to_what_is_not_required(name, required, sentences):
    take = Signature(
        "take", ports(texts=Input(type="text", list=True, required=required)), {"out": Kind("text")}
    )
    text = f"""\
name: p
inputs:
  images: {{type: image, list: true, required: true}}
steps:
  - {{id: read, run: ocr, foreach: "${{{{ inputs.images }}}}", with: {{image: "${{{{ item }}}}"}}}}
  - {{id: take, run: take, with: {{texts: "${{{{ steps.read.{name} }}}}"}}}}
outputs: {{out: "${{{{ steps.take.out }}}}"}}
"""
    declaration, where = read_pipeline(text.encode(), file="p.yaml", stem="p")
    _, found = check(declaration, where, lambda step: {**SIGNATURES, "take": take}[step.run])
    assert len(found) == len(sentences)
    for problem, sentence in zip(found, sentences, strict=True):
        assert sentence in str(problem)


def test_all_mistakes_are_told_at_once():
    text = GOOD.replace("score: 0.5", "score: 2").replace("run: tts", "run: nothing")
    assert len(problems(text)) == 2


def test_steps_that_wait_for_each_other_are_named():
    text = GOOD.replace('${{ steps.read.text }}"\n    with', '${{ steps.other.text }}"\n    with')
    text = text.replace(
        "outputs:",
        "  - {id: other, run: ocr, foreach: \"${{ steps.more.images }}\", "
        "with: {image: \"${{ item }}\"}}\n"
        "  - {id: more, run: split, with: {files: \"${{ steps.speak.audio }}\"}}\noutputs:",
        1,
    )  # fmt: skip
    (problem,) = problems(text)
    chain = problem.partition("wait for each other: ")[2].split(" needs ")
    assert chain[0] == chain[-1]
    assert {*pairwise(chain)} == {("speak", "other"), ("other", "more"), ("more", "speak")}
    assert problem.startswith("p.yaml:")


def test_a_step_that_returns_a_list_does_not_run_over_one():
    text = GOOD.replace("run: ocr\n    foreach", "run: split\n    foreach")
    assert any("returns a list and cannot run over one" in each for each in problems(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: q\nsteps: []\noutputs: {}\n",
         "p.yaml:1: name: 'q' is not the file's name; write name: p, or rename the file to q.yaml"),
        ("name: p\nstep: []\noutputs: {}\n",
         "p.yaml:2: step: unknown key; did you mean steps?"),
        ("name: p\nsteps:\n  - {id: a, run: b, wiht: {}}\noutputs: {}\n",
         "p.yaml:3: steps[0].wiht: unknown key; did you mean with?"),
        ("name: p\nsteps:\n  - {id: a}\noutputs: {}\n",
         "p.yaml:3: steps[0].run: this key is missing"),
        ("name: p\nsteps: [\n", "p.yaml:3: not YAML: did not find expected node content"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_pipeline_is_refused(text, sentence):
    with pytest.raises(ManifestError) as caught:
        read_pipeline(text.encode(), file="p.yaml", stem="p")
    assert str(caught.value).startswith(sentence.partition("content")[0])


def test_templates():
    one = parse_template("${{ steps.a.text }}")
    assert one == Reference("steps", "text", "a")
    assert parse_template("plain $ { text }") == Literal("plain $ { text }")
    mixed = parse_template("Page ${{index}}: ${{ item }}!")
    assert mixed == Text(
        ("Page ", Reference("index", "index"), ": ", Reference("item", "item"), "!")
    )
    many = parse_template(["${{ steps.a.x }}", "b"])
    assert many == Many((Reference("steps", "x", "a"), Literal("b")))
    values = {"index": 3, "item": True}
    assert value_of(mixed, lambda reference: values[reference.name]) == "Page 3: true!"
    for wrong in (
        "${{ a.b }}",
        "${{ inputs.x",
        "x ${{ }}",
        {"a": "${{ item }}"},
        [["${{ item }}"]],
    ):
        with pytest.raises(ValueError, match="reference"):
            parse_template(wrong)


@given(st.recursive(st.text() | st.integers() | st.booleans(), st.lists, max_leaves=5))
def test_any_value_is_a_template_or_refused(value):
    try:
        template = parse_template(value)
    except ValueError:
        assert "${{" in str(value)
        return
    if not references_in(template):
        assert value_of(template, {}.__getitem__) == value


def test_types_that_fit():
    assert mismatch(Kind("audio"), Kind("file")) == ""
    assert mismatch(Kind("integer"), Kind("number")) == ""
    assert mismatch(Kind("text", many=True), Kind("json")) == ""
    assert mismatch(Kind("image"), Kind("any")) == ""
    for pair in ("audio image", "file audio", "number integer", "text integer", "image json"):
        one, other = pair.split()
        assert mismatch(Kind(one), Kind(other)) != ""
    assert mismatch(Kind("text", many=True), Kind("text")) != ""
    assert mismatch(Kind("text"), Kind("text", many=True)) != ""


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
def test_either_an_order_or_a_cycle(before):
    try:
        order = topological_order(before)
    except CycleError as error:
        around = error.args[1]
        assert around[0] == around[-1]
        for needed, name in pairwise(around):
            assert needed in before[name]
    else:
        assert sorted(order) == sorted(before)
        for name, needs in before.items():
            assert all(order.index(need) < order.index(name) for need in needs if need in before)


def test_the_order_is_the_given_one_where_nothing_is_needed():
    needs = {"d": (), "a": ("c", "elsewhere"), "b": ("a",), "c": ()}
    assert topological_order(needs) == ["d", "c", "a", "b"]
    assert topological_order({"c": ("a",), "a": (), "b": ()}) == ["a", "c", "b"]
