"""Groups of commands: their help, names that do not exist, options given twice."""

import click
import pytest

from orchestrator.cli.context import Context
from orchestrator.cli.main import COMMANDS, ELSEWHERE, command, take_global_options
from orchestrator.errors import UsageError
from tests.unit.catalog.worlds import write_model


@pytest.mark.parametrize("words", [[], ["run"], ["batch"], ["env"], ["model"], ["pipeline", "run"]])
def test_a_group_alone_prints_its_help_as_a_result(user, words):
    assert user.mm(*words)[0].startswith(" ".join(["Usage: mm", *words]))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("runn", "did you mean run?"),
        ("pull", "did you mean mm model pull?"),
        ("images", "did you mean mm model list?"),
        ("xyzzy", "run: mm --help"),
    ],
)
def test_a_command_that_does_not_exist_is_answered_with_the_nearest(user, name, sentence):
    with pytest.raises(UsageError) as caught:
        user.mm(name)
    assert str(caught.value) == f"there is no command {name!r}; {sentence}"


@pytest.mark.parametrize(("name", "here"), ELSEWHERE.items())
def test_what_is_offered_for_names_of_other_tools_exists(name, here):
    assert name not in COMMANDS
    found, ctx = command, click.Context(command)
    for word in here.split()[1:]:
        found = found.get_command(ctx, word)
    assert found is not None


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run", "one", "--device", "cpu", "--device=cuda"], "--device"),
        (["run", "one", "--text", "a", "--text", "b"], "--text"),
        (["run", "one", "--text", "a", "--model", "one", "--model", "one"], "--model"),
        (["ps", "--json", "--json"], None),
        (["run", "one", "--text", "--text", "--help"], None),
        (["run", "one", "-o", "text=a", "-o", "b", "--help"], None),
        (["doctor", "--python", "a", "--python", "b"], "--python"),
    ],
)
def test_an_option_is_given_once_for_one_value(user, words, option):
    manifests = write_model(user.root / "a", "one")
    variables = {"MM_RUNTIME_DIR": str(user.root / "r")}
    if option is None:
        user.mm(*words, manifests=[manifests], variables=variables)
        return
    with pytest.raises(UsageError, match=f"^{option} is given twice; it takes one value"):
        user.mm(*words, manifests=[manifests], variables=variables)


@pytest.mark.parametrize(
    ("words", "quiet"),
    [
        (["-q", "ps"], True),
        (["ps", "--quiet"], True),
        (["run", "m", "--", "-q"], False),
        (["env", "exec", "m", "pip", "-q"], False),
    ],
)
def test_quiet_leaves_the_notes_out(tmp_path, capsys, words, quiet):
    context = Context(variables={}, cwd=tmp_path)
    rest = take_global_options(words, context)
    assert context.quiet is quiet
    assert rest == (["ps"] if quiet else words)
    context.say("a note")
    context.reporter.progress("m", "half")
    context.reporter.line("a line of a job")
    context.reporter.finish("m", "done")
    assert (capsys.readouterr().err == "") is quiet
