"""No credentials leave: not in errors, notes, logs of tools or locks."""

import io

import pytest

from orchestrator.cli.progress import TerminalReporter
from orchestrator.errors import MMError
from orchestrator.redaction import has_credentials, redacted

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://user:hunter2@host/simple", "https://***@host/simple"),
        ("https://hunter2@host", "https://***@host"),
        ("https://:hunter2@host:8080/x", "https://***@host:8080/x"),
        ("name=https://u:hunter2@host/x", "name=https://***@host/x"),
        ("https://u:hun@ter2@host/x", "https://***@host/x"),
        ("https://u:hunter2/with/slash@host/x", "https://***@host/x"),
        ("https://a.b/x,https://u:hunter2@c/y", "https://a.b/x,https://***@c/y"),
        ("socks5h://u:hunter2@proxy:1 failed", "socks5h://***@proxy:1 failed"),
        ("https://h/f?token=hunter2&page=3", "https://h/f?token=***&page=3"),
        ("https://h/f?X-Amz-Signature=hunter2", "https://h/f?X-Amz-Signature=***"),
        ("https://h/f?a=1&api_key=hunter2#x", "https://h/f?a=1&api_key=***#x"),
        ("token hf_hunter2hunter2hunter2 refused", "token *** refused"),
        ("npm_hunter2hunter2hunter2", "***"),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ('["https://u:hunter2@h", "x@y"]', '["https://***@h", "x@y"]'),
    ],
)
def test_credentials_are_taken_out_and_the_rest_stays(given, kept):
    assert redacted(given) == kept
    assert redacted(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "https://host/simple",
        "https://host:8080/p@1.0/x",
        "git+https://github.com/o/r@v1",
        "ssh://git@github.com/o/r",
        "file:///home/me/a@b",
        "me@example.org",
        "https://a/x me@example.org",
        "the bearer of news, token=abc",
        "NPM_CONFIG_USERCONFIG",
        '["https://a", "x@b"]',
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text
    assert not has_credentials(text)


URL = f"https://user:{SECRET}@host/simple"


def test_no_part_of_an_error_holds_any():
    error = MMError(URL, where=URL, fix=URL, detail=f"tool: {URL}")
    assert SECRET not in repr((str(error), error.args, vars(error)))


def test_neither_do_notes_and_progress():
    stream = io.StringIO()
    reporter = TerminalReporter(stream)
    reporter.note(f"left out: {URL}")
    reporter.progress("a", f"fetching {URL}")
    reporter.finish("a", f"fetched {URL}")
    assert stream.getvalue().count("***@host") == 3
    assert SECRET not in stream.getvalue()
