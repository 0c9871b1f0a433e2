"""Errors as answers to clients: statuses, OpenAI's object, and no path of the server."""

import errno
import json

import pytest

from orchestrator.cli.serve_command import _origin, _token, needing_extra
from orchestrator.errors import (
    Cancelled,
    Crashed,
    EnvironmentFailure,
    JobFailed,
    MemoryRefused,
    PathRefused,
    Rejected,
    SourceError,
    TimedOut,
    UsageError,
)
from orchestrator.serve.refused import Refused, machine_refused, refused, without_paths


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("a"), 400),
        (Rejected("a"), 400),
        (PathRefused("a"), 503),
        (SourceError("a"), 503),
        (EnvironmentFailure("a"), 503),
        (MemoryRefused("a"), 503),
        (JobFailed("a"), 500),
        (Crashed("a"), 502),
        (TimedOut("a"), 504),
        (Cancelled("a"), 499),
    ],
)
def test_each_error_has_a_status(error, status):
    assert refused(error).status == status


def test_a_load_that_failed_says_when_it_is_tried_again():
    error = JobFailed("no")
    error.retry_after = 3.2
    answer = refused(error).response()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "4")


def test_what_is_short_may_be_there_later():
    assert refused(MemoryRefused("no")).response().headers["retry-after"]
    assert "retry-after" not in refused(Rejected("no")).response().headers


def test_inputs_are_named_and_paths_are_not():
    error = Rejected("/home/me/jobs/1/upload-0.png is not an image", where="/home/me/x.yaml")
    said = refused(error, [("/home/me/jobs/1/upload-0.png", "image")]).message
    assert said == "input 'image' is not an image"
    error = UsageError("is no PDF that can be read", where="/home/me/jobs/1/upload-0#page=2")
    said = refused(error, [("/home/me/jobs/1/upload-0", "document")]).message
    assert said == "input 'document'#page=2: is no PDF that can be read"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/a/b.log says no", "b.log says no"),
        ("see '/opt/x y.txt'", "see 'x y.txt'"),
        ("read http://a.example/b/c", "read http://a.example/b/c"),
        ("take image/png or a/b", "take image/png or a/b"),
        ("at /x alone", "at /x alone"),
    ],
)
def test_the_last_part_of_a_path_stands_for_it(text, shown):
    assert without_paths(text) == shown


def test_what_the_machine_refuses_is_said_without_its_path():
    said = machine_refused(OSError(errno.ENOSPC, "no space", "/home/me/jobs/1/stream"))
    assert (said.status, said.message) == (503, "on the server, the disk is full")
    assert machine_refused(OSError("something else")) is None


def test_a_command_without_its_extra_says_how_to_get_it():
    needed = "mm serve needs the package 'nosuch'"
    with pytest.raises(UsageError, match=needed) as error, needing_extra("mm serve"):
        import nosuch  # noqa: F401
    assert "mm-orchestrator[serve]" in error.value.fix


@pytest.mark.parametrize("text", ["", "two words", "t\u00f6ken", "a\nb"])
def test_a_token_that_no_header_holds_is_refused(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError) as error:
        _token(path)
    assert f"openssl rand -hex 32 > {path}" in error.value.fix


def test_a_token_that_is_not_there_comes_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(UsageError, match="there is no such file") as error:
        _token(tmp_path / "token")
    assert f"openssl rand -hex 32 > {tmp_path / 'token'}" in error.value.fix


def test_an_origin_is_written_as_browsers_send_it():
    assert _origin("https://A.example:8080/") == "https://a.example:8080"
    for given in ("a.example", "*", "https://a.example/page", "http://[a"):
        with pytest.raises(UsageError):
            _origin(given)


def test_the_object_is_openais():
    answer = Refused(401, "no", "invalid_token", headers={"WWW-Authenticate": "Bearer"}).response()
    assert json.loads(answer.body) == {
        "error": {
            "message": "no",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_token",
        }
    }
    assert answer.headers["www-authenticate"] == "Bearer"
