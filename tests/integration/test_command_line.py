"""The command line as a user meets it: where results go, and what wrong use is told."""

import json
import os
import stat
import subprocess
import sys
import wave

import pytest

from tests.integration.conftest import MM
from tests.machine import has_full_device, only_where

MANIFEST = """\
name: {name}
task: try-{name}
summary: Say it, and hum
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  text: {{type: text, required: true, help: What to say}}
  times: {{type: integer, default: 1, minimum: 1, maximum: 5, help: How often}}
  loud: {{type: boolean, default: false, help: In capitals}}
  tone: {{type: choice, choices: [high, low], help: How it hums}}
  extra: {{type: json, help: Anything}}
  image: {{type: image, help: A picture}}
  words: {{type: text, list: true, help: More to say}}
outputs:
  text: {{type: text, primary: true}}
  sound: {{type: audio}}
  seen: {{type: json}}
  copy: {{type: file}}
"""

RUNNER = """
    import array, os

    def load(context):
        return None

    def run(model, job, *, text, times, loud, tone=None, extra=None, image=None, words=()):
        said = " ".join([text] * times + list(words))
        samples = array.array("h", [0, 1000, -1000] * 80)
        path = os.path.join(job.directory, "copy.txt")
        with open(path, "w") as stream:
            stream.write(said)
        seen = {"tone": tone, "extra": extra}
        if image is not None:
            seen["image"] = {"type": type(image).__name__, "bytes": len(image.read_bytes())}
        return {
            "text": said.upper() if loud else said,
            "sound": (samples, 8000),
            "seen": seen,
            "copy": path,
        }
"""


@pytest.fixture(scope="module")
def manifests(declare):
    """A directory with the one model `parrot`."""
    return declare({"parrot": RUNNER}, MANIFEST)


@pytest.fixture
def parrot(mm, manifests):
    """Return a function that runs `parrot`."""

    def run(*arguments, **keywords):
        return mm("run", "parrot", *arguments, "--manifests", manifests, **keywords)

    return run


def test_inputs_are_options_with_their_help_and_defaults(parrot):
    shown = parrot("--help").out
    for part in (
        "--text",
        "What to say",
        "--times",
        "default: 1",
        "--loud / --no-loud",
        "high|low",
    ):
        assert part in shown


def test_every_type_of_input_arrives(parrot, tmp_path):
    picture = tmp_path / "p.png"
    picture.write_bytes(b"12345")
    ended = parrot(
        "--text", "ha", "--times", "2", "--loud", "--tone", "low", "--extra", '{"a": [1, null]}',
        "--image", picture, "--words", "one", "--words", "two", "-o", "seen=seen.json",
    )  # fmt: skip
    assert (ended.code, ended.out) == (0, "HA HA ONE TWO\n"), ended
    assert json.loads((tmp_path / "seen.json").read_text()) == {
        "tone": "low",
        "extra": {"a": [1, None]},
        "image": {"type": "PosixPath", "bytes": 5},
    }


def test_text_and_files_come_on_standard_input(parrot):
    assert parrot("--text", "-", stdin="größer\n".encode()).out == "größer\n"
    ended = parrot("--text", "x", "--image", "-", "-o", "seen=-", "-o", "text.txt", stdin=b"abc")
    assert json.loads(ended.out)["image"]["bytes"] == 3


def test_standard_input_can_be_read_once(parrot):
    ended = parrot("--text", "-", "--image", "-")
    assert ended.code == 2
    assert "both --text and --image read standard input" in ended.sentence


SAID = "\x1b[31mgr\u00fcn\x9b\x07 \u202eover\rwritten\r\n\x00end"


def test_a_text_is_the_same_bytes_everywhere(parrot, tmp_path):
    given = {"stdin": SAID.encode(), "binary": True}
    expected = f"{SAID}\n".encode()
    assert parrot("--text", "-", **given).out == expected
    assert parrot("--text", "-", "-o", "-", **given).out == expected
    assert parrot("--text", "-", "-o", "text.txt", **given).code == 0
    assert (tmp_path / "text.txt").read_bytes() == expected
    shown = json.loads(parrot("--text", "-", "--json", "-o", "sound=a.wav", **given).out)
    assert shown["outputs"]["text"] == SAID


@pytest.mark.parametrize("more", [(), ("-o", "-")], ids=["at once", "streamed"])
def test_a_terminal_gets_a_text_that_does_not_steer_it(manifests, workplace, tmp_path, more):
    ours, theirs = os.openpty()
    (tmp_path / "said.txt").write_text(SAID, newline="")
    with (tmp_path / "said.txt").open("rb") as said, os.fdopen(ours, "rb", buffering=0) as terminal:
        ran = subprocess.run(
            [*MM, "run", "parrot", "--text", "-", *more, "--manifests", manifests],
            env={**os.environ, **workplace},
            stdin=said,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=120,
            check=True,
        )
        os.close(theirs)
        shown = terminal.read(4096).decode()
    assert ran.returncode == 0
    escaped = r"\u001b[31mgr|n\u009b\u0007 \u202eover\u000dwritten".replace("|", "\u00fc")
    assert shown.replace("\r\r\n", "\r\n") == f"{escaped}\r\n\\u0000end\r\n"


def test_standard_input_that_is_not_text_or_is_empty_is_said(parrot):
    assert "not UTF-8" in parrot("--text", "-", stdin=b"\xff\xfe").sentence
    assert "standard input was empty" in parrot("--text", "x", "--image", "-").sentence


def test_outputs_go_where_they_are_sent(parrot, tmp_path):
    ended = parrot("--text", "hi", "-o", "said.txt", "-o", "sound=hum.wav", "-o", "copy=c.txt")
    assert (ended.code, ended.out) == (0, ""), ended
    assert (tmp_path / "said.txt").read_text() == "hi\n"
    assert (tmp_path / "c.txt").read_text() == "hi"
    with wave.open(str(tmp_path / "hum.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (8000, 1, 240)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "said.txt").stat().st_mode) == 0o666 & ~umask


def test_binary_results_go_into_a_pipe(parrot):
    ended = parrot("--text", "hi", "-o", "sound=-", "-o", "text=t.txt", binary=True)
    assert ended.out[:4] == b"RIFF"


def test_json_names_the_files_of_binary_outputs(parrot, tmp_path):
    shown = json.loads(parrot("--text", "hi", "--json", "-o", "sound=hum.wav").out)
    assert "input" not in shown  # no file was named
    assert shown["outputs"]["sound"] == {"path": "hum.wav", "media_type": "audio/wav"}
    assert shown["outputs"]["text"] == "hi"
    assert (tmp_path / "hum.wav").is_file()


def test_the_receipt_is_the_same_for_the_same_work(parrot, tmp_path):
    for name in ("a.json", "b.json"):
        assert parrot("--text", "hi", "--receipt", name).code == 0
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert first["identity"] == second["identity"]
    assert first["inputs"] == {"text": "hi", "times": 1, "loud": False}
    assert len(first["produced_by"]["environment"]) == 64
    assert first["timings"]["run"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "'text'"),
        (("--text", "x", "--times", "9"), "1<=x<=5"),
        (("--text", "x", "--tone", "middle"), "'high', 'low'"),
        (("--text", "x", "--extra", "{"), "--extra is not JSON"),
        (("--text", "x", "--extra", "[" * 50_000), "--extra is not JSON"),
        (("--text", "x", "--extra", "[" * 201 + "]" * 201), "nested more than 200 deep"),
        (("--text", "x", "--colour", "red"), "--colour"),
        (("--text", "x", "--image", "missing.png"), "missing.png: there is no such file"),
        (("--text", "x", "--image", "."), "is a directory"),
        (("--text", "x", "-o", "no/such/place.txt"), "its directory does not exist"),
        (("--text", "x", "-o", "."), "is a directory"),
        (("--text", "x", "-o", "a", "-o", "b"), "two places for the output 'text'"),
        (("--text", "x", "-o", "sound=hum.aiff"), "written as .wav, .mp3"),
        (("--text", "x", "--device", "cuda"), "does not run on cuda"),
        (("--text", "x", "--dtype", "int4"), "int4"),
        (("--text", "x", "--timeout", "0"), "time-out"),
        (("--text", "x", "--timeout", "1e18"), "time-out"),
        (("--text", "x", "--keep-alive", "1e300"), "--keep-alive"),
        (("--text", "x", "--receipt", "no/such/receipt.json"), "its directory does not exist"),
    ],
)
def test_wrong_use_is_told_in_one_sentence_before_the_model_runs(parrot, arguments, said):
    ended = parrot(*arguments)
    assert ended.code == 2, ended
    assert said in ended.sentence
    assert len(ended.err.splitlines()) == 1, ended


def test_an_output_in_a_read_only_directory_is_refused_before_the_model_runs(parrot, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    ended = parrot("--text", "x", "-o", locked / "out.txt", unprivileged=True)
    assert ended.code == 2
    assert "cannot be written to" in ended.sentence


def test_an_unreadable_file_is_refused(parrot, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    secret.chmod(0)
    ended = parrot("--text", "x", "--image", secret, unprivileged=True)
    assert ended.code == 2
    assert "secret.png: cannot be read (Permission denied)" in ended.sentence


def test_an_unknown_model_offers_the_nearest(mm, manifests):
    ended = mm("run", "parot", "--manifests", manifests)
    assert ended.code == 2
    assert "did you mean parrot or try-parrot?" in ended.sentence


def test_an_unknown_command_offers_the_nearest(mm):
    ended = mm("manifets")
    assert ended.code == 2
    assert "did you mean manifest?" in ended.sentence


def test_a_cloned_repository_cannot_bring_a_model_until_it_is_trusted(mm, manifests):
    inside = manifests.parent
    ended = mm("run", "parrot", "--text", "hi", cwd=inside)
    assert ended.code == 2
    assert "is not trusted" in ended.err
    assert f"run: mm manifest trust {manifests}" in ended.sentence

    other = mm("manifest", "schema", cwd=inside)
    assert other.code == 0

    assert mm("manifest", "trust", manifests, cwd=inside).code == 0
    assert mm("run", "parrot", "--text", "hi", cwd=inside).out == "hi\n"


def test_mm_manifests_names_directories(mm, manifests):
    ended = mm("run", "parrot", "--text", "hi", variables={"MM_MANIFESTS": str(manifests)})
    assert ended.out == "hi\n"


def test_a_lock_that_no_longer_fits_stops_with_the_command_that_mends_it(mm, declare):
    directory = declare({"parrot": RUNNER}, MANIFEST)
    manifest = directory / "parrot.yaml"
    manifest.write_text(manifest.read_text().replace("dependencies: []", "dependencies: [six]"))
    ended = mm("run", "parrot", "--text", "hi", "--manifests", directory)
    assert ended.code == 3
    assert f"run: mm --manifests={directory} env lock parrot" in ended.sentence


def test_a_missing_runner_is_said(mm, declare):
    directory = declare({"parrot": RUNNER}, MANIFEST)
    (directory.parent / "envs" / "parrot" / "runner.py").unlink()
    ended = mm("run", "parrot", "--text", "hi", "--manifests", directory)
    assert ended.code == 2
    assert "runner.py" in ended.sentence


def test_use_settles_the_model_of_a_task(mm, manifests, tmp_path):
    home = {"MM_HOME": str(tmp_path / "home")}
    assert mm("use", "try-parrot", "parrot", "--manifests", manifests, variables=home).code == 0
    ended = mm("run", "try-parrot", "--text", "hi", "--manifests", manifests, variables=home)
    assert ended.out == "hi\n"
    assert "chosen with mm use" in ended.err


def test_completion_knows_commands_models_and_inputs(mm, manifests):
    assert "_MM_COMPLETE=bash_complete" in mm("completion", "bash").out
    for shell in ("zsh", "fish"):
        assert "_MM_COMPLETE" in mm("completion", shell).out

    def complete(words):
        variables = {
            "_MM_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "MM_MANIFESTS": str(manifests),
        }
        return mm(variables=variables).out

    assert "plain,manifest" in complete("mm man")
    assert "plain,parrot" in complete("mm run par")
    assert "plain,--times" in complete("mm run parrot --ti")


def test_a_newer_format_of_the_home_stops_mm(mm, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "format.json").write_text('{"format": 999}')
    ended = mm("env", "list", variables={"MM_HOME": str(tmp_path / "home")})
    assert ended.code == 3
    assert "newer mm" in ended.sentence


def test_uninstall_lists_everything_and_removes_it(mm, manifests, tmp_path):
    variables = {"MM_HOME": str(tmp_path / "home"), "MM_RUNTIME_DIR": str(tmp_path / "run")}
    mm("run", "parrot", "--text", "hi", "--manifests", manifests, variables=variables)
    listed = mm("uninstall", variables=variables)
    assert listed.code == 0
    assert "built environments" in listed.out
    assert (tmp_path / "home").is_dir()
    assert mm("uninstall", "--yes", variables=variables).code == 0
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "run").exists()


def test_uninstall_removes_nothing_that_mm_did_not_make(mm, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    ended = mm("uninstall", "--yes", variables={"MM_HOME": str(tmp_path)})
    assert ended.code == 2
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_runtime_directory_open_to_others_is_refused(parrot, tmp_path):
    shared = tmp_path / "run"
    shared.mkdir()
    shared.chmod(0o755)
    ended = parrot("--text", "x", variables={"MM_RUNTIME_DIR": str(shared)})
    assert ended.code == 2
    assert f"chmod 700 {shared}" in ended.sentence


@only_where(has_full_device())
@pytest.mark.parametrize(
    "more", [(), ("--json",), ("-o", "-"), ("-o", "sound=-", "-o", "text.txt")]
)
def test_a_full_disk_is_said_in_one_sentence(manifests, workplace, tmp_path, more):
    command = [*MM, "--manifests", str(manifests), "run", "parrot", "--text", "x", *more]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            command, check=False, cwd=tmp_path, env={**os.environ, **workplace},
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr == (
        "mm: standard output: cannot be written (No space left on device); "
        "make room, or choose another place\n"
    )


def test_a_closed_standard_output_is_no_fault(manifests, workplace):
    program = "import os, sys; os.close(1); os.execv(sys.argv[1], sys.argv[1:])"
    command = [*MM, "--manifests", str(manifests), "run", "parrot", "--text", "x"]
    ended = subprocess.run(
        [sys.executable, "-c", program, *command], check=False,
        env={**os.environ, **workplace}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["run", "ocr", "--help"], ["pipeline", "list"]]
)
def test_what_few_commands_need_is_imported_by_them(arguments, workplace):
    program = (
        "import sys\nfrom orchestrator.cli import main\ntry:\n    main()\nfinally:\n"
        "    print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True,
        env={**os.environ, **workplace}, capture_output=True, text=True,
    )  # fmt: skip
    modules = set(ended.stderr.split())
    assert "orchestrator.cli.main" in modules
    assert not modules & {
        "PIL", "asyncio", "jinja2", "markdown_it", "pypdfium2", "rich", "huggingface_hub",
        "starlette", "uvicorn", "orchestrator.serve",
    }  # fmt: skip
