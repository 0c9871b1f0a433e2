from pathlib import Path

from orchestrator.cli.env.built import activated


def test_a_command_sees_the_environment_first_and_nothing_that_misleads_it():
    users = {
        "PATH": "/usr/bin",
        "PYTHONPATH": "/evil",
        "PYTHONHOME": "/evil",
        "CONDA_PREFIX": "/conda",
        "VIRTUAL_ENV": "/other",
        "TOKEN": "kept",
    }
    assert activated(users, Path("/envs/ocr")) == {
        "PATH": "/envs/ocr/bin:/usr/bin",
        "VIRTUAL_ENV": "/envs/ocr",
        "PYTHONNOUSERSITE": "1",
        "TOKEN": "kept",
    }


def test_files_from_archives_are_counted_beside_the_environments(user):
    assert '"archives": 0' in "".join(user.mm("env", "list", "--json"))
    files = user.root / "mm-home" / "archives" / "ab" / "files"
    files.mkdir(parents=True)
    (files / "voice.bin").write_bytes(b"x" * 100_000)
    user.mm("env", "list")
    assert user.notes[-1].startswith("beside them, files of models from archives: 10")
