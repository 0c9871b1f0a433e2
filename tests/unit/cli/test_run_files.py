"""Several files for `mm run`: what is refused before anything runs, and settings of pipelines."""

import pytest
from msgspec.structs import replace

from orchestrator.cli.run import file_input
from orchestrator.cli.run_files import check_several
from orchestrator.core.manifest import Input, Output
from orchestrator.errors import ManifestError, UsageError
from tests.models import model


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no image given; run: mm run rapidocr FILE"),
        ("a.png -", "- is one of several files; name it alone"),
        ("--image a.png b.png --receipt r.json", "--receipt is for one file or page; add --json"),
        ("a.png b.png -o b.png", "b.png: is one of the inputs"),
        ("*.png -o b.png", "b.png: is one of the inputs"),
        ("a.png missing.png", "missing.png: there is no such file; check the path"),
        ("*.jpg", "nothing there fits"),
    ],
)
def test_what_cannot_be_had_of_several_files_is_refused(user, words, said):
    for name in ("a.png", "b.png"):
        (user.root / "project" / name).write_bytes(b"pixels")
    with pytest.raises(UsageError, match=said):
        user.mm("run", "rapidocr", *words.split())


def test_a_file_of_several_is_a_batch(tmp_path):
    manifest = model(tmp_path, "m").manifest
    manifest = replace(manifest, outputs={"copy": Output(type="file")})
    with pytest.raises(UsageError, match=r"run: mm batch m FILES -o OUT\.jsonl"):
        check_several(manifest, {"copy": "x.png"}, {"receipt": None})


@pytest.mark.parametrize(
    ("inputs", "filled"),
    [
        ({"image": Input(type="image", required=True)}, "image"),
        (
            {"image": Input(type="image", required=True), "q": Input(type="text", required=True)},
            "image",
        ),
        ({"audio": Input(type="audio", required=True), "image": Input(type="image")}, "audio"),
        ({"a": Input(type="file", required=True), "b": Input(type="file", required=True)}, ""),
        ({"images": Input(type="image", list=True, required=True)}, ""),
        ({"text": Input(type="text", required=True)}, ""),
    ],
    ids=["one", "beside text", "audio", "two", "list", "text"],
)
def test_files_fill_the_one_required_input_that_is_a_file(tmp_path, inputs, filled):
    manifest = model(tmp_path, "m").manifest
    assert file_input(replace(manifest, inputs=inputs)) == filled


@pytest.mark.parametrize(
    "setting", ["read.model=nosuch", "read.workers=0", "speak.device=cuda", "read.colour=red"]
)
@pytest.mark.parametrize("command", ["run read-aloud --image x.png", "show read-aloud"])
def test_a_setting_that_is_wrong_is_named_and_not_the_file(user, command, setting):
    with pytest.raises(ManifestError) as caught:
        user.mm("pipeline", *command.split(), "--set", setting)
    assert caught.value.where == f"--set {setting}"
