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
