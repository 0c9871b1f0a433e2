"""What a step takes and returns that runs on one of several models."""

from dataclasses import replace

from orchestrator.core.pipelines import Kind, Port, Signature, signature_of_models

TEXT, SPEED = Port(Kind("text"), True), Port(Kind("number"))
ONE = Signature(
    "one",
    {"text": TEXT, "speed": SPEED},
    {"audio": Kind("audio"), "words": Kind("json"), "marks": Kind("json")},
    model=True,
)


def candidates(*others, given=("text",)):
    return signature_of_models(ONE, others, set(given)).candidates


def test_a_model_is_a_candidate_where_it_takes_what_the_step_gives():
    plain = replace(ONE, name="plain", inputs={"text": TEXT})
    fast = replace(ONE, name="fast", inputs={"text": TEXT, "speed": Port(Kind("integer"))})
    needy = replace(ONE, name="needy", inputs={**ONE.inputs, "voice": Port(Kind("audio"), True)})
    assert candidates(plain, fast, needy) == ("one", "plain", "fast")
    assert candidates(plain, fast, needy, given=("text", "speed")) == ("one",)


def test_a_model_is_a_candidate_where_it_returns_the_primary_output():
    silent = replace(ONE, name="silent", outputs={"words": Kind("json"), "audio": Kind("file")})
    assert candidates(silent) == ("one",)


def test_the_outputs_are_those_that_all_return():
    other = replace(ONE, name="b", outputs={"audio": Kind("audio"), "words": Kind("text")})
    more = replace(ONE, name="c", outputs={**ONE.outputs, "more": Kind("text")})
    assert list(signature_of_models(ONE, [more], {"text"}).outputs) == ["audio", "words", "marks"]
    assert list(signature_of_models(ONE, [other, more], {"text"}).outputs) == ["audio"]
