"""What a worker sees of the user's environment."""

import pytest

from orchestrator.core.worker_variables import wanted_threads, worker_variables

USER = {
    "PATH": "/bin", "LANG": "C", "LC_ALL": "C.UTF-8", "CUDA_VISIBLE_DEVICES": "0",
    "OMP_SCHEDULE": "static", "OMP_NUM_THREADS": "3", "PYTORCH_CUDA_ALLOC_CONF": "x",
    "HF_TOKEN": "s", "AWS_SECRET_ACCESS_KEY": "s", "OPENAI_API_KEY": "s", "PYTHONPATH": "/p",
    "PYTORCH_HUB_TOKEN": "s", "OMP_LICENSE_KEY": "s", "LD_PRELOAD": "/x.so", "HOME": "/home/u",
    "GITHUB_TOKEN": "s", "SSH_AUTH_SOCK": "/s", "HTTPS_PROXY": "http://u:p@h",
}  # fmt: skip


def test_only_what_is_allowed_passes_and_no_secret_does():
    seen = worker_variables(USER, {}, (), "/h")
    assert not [name for name, value in seen.items() if value in ("s", "/p", "/x.so", "/s")]
    assert seen["PATH"] == "/bin"
    assert seen["LC_ALL"] == "C.UTF-8"
    assert seen["CUDA_VISIBLE_DEVICES"] == "0"
    assert seen["PYTORCH_CUDA_ALLOC_CONF"] == "x"
    assert "HTTPS_PROXY" not in seen


def test_a_secret_passes_when_the_manifest_names_it_and_only_then():
    seen = worker_variables(USER, {}, ("OPENAI_API_KEY", "NOT_SET"), "/h")
    assert seen["OPENAI_API_KEY"] == "s"
    assert "GITHUB_TOKEN" not in seen
    assert "NOT_SET" not in seen


def test_home_and_caches_are_the_workers_own():
    seen = worker_variables(USER, {"HOME": "/elsewhere"}, ("HOME",), "/h")
    assert seen["HOME"] == "/h"
    assert seen["HF_HOME"].startswith("/h/")
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_what_the_manifest_declares_beats_the_users_but_for_openmp():
    seen = worker_variables(USER, {"LANG": "de", "OMP_SCHEDULE": "dynamic"}, (), "/h")
    assert seen["LANG"] == "de"
    assert seen["OMP_SCHEDULE"] == "static"


@pytest.mark.parametrize(
    ("user", "declared", "threads"),
    [
        ("3", "2", 3),
        (None, "2", 2),
        (None, None, None),
        ("4,2", None, 4),
        ("all", "2", 2),
        ("0", None, None),
        ("-1", None, None),
    ],
)
def test_the_users_number_of_threads_beats_the_manifests(user, declared, threads):
    def variables(value):
        return {} if value is None else {"OMP_NUM_THREADS": value}

    assert wanted_threads(variables(user), variables(declared)) == threads


def test_the_number_of_threads_is_no_part_of_the_environment():
    seen = worker_variables(USER, {"OMP_NUM_THREADS": "9"}, ("OMP_NUM_THREADS",), "/h")
    assert "OMP_NUM_THREADS" not in seen
