"""The small parts of the server: places, spools, pages, guards, schemas, the protocol of tools."""

import asyncio
import contextlib
import errno
import signal

import pytest
import uvicorn

from orchestrator.core.manifest import Input
from orchestrator.errors import SourceError
from orchestrator.serve import security
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.mcp import (
    META,
    MODERN,
    RpcError,
    Tools,
    check_envelope,
    is_modern,
    progress_token,
    tool_name,
)
from orchestrator.serve.mcp_http import _with_progress
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.ocr import page_numbers
from orchestrator.serve.refused import Refused
from orchestrator.serve.schemas import input_schema
from orchestrator.serve.security import Guard, host_name
from orchestrator.serve.serve_settings import ServeSettings
from orchestrator.serve.server import _Server
from orchestrator.serve.spool import Spool
from orchestrator.serve.uploaded_files import UploadedFiles
from orchestrator.serve.uploads import from_form, save_data_url
from tests.models import model


def test_a_model_has_so_many_places_and_all_have_so_many():
    lanes = Lanes(each=2, total=3)
    with contextlib.ExitStack() as stack:
        for name in ("a", "a", "b"):
            stack.enter_context(lanes.place(name))
        with pytest.raises(Refused, match="the server has") as full:
            lanes.check("b")
        assert full.value.status == 429
        with pytest.raises(Refused, match="a has"):
            lanes.check("a")
    lanes.check("a")
    assert not lanes.jobs


def test_a_spool_is_read_while_it_is_written(tmp_path):
    async def main():
        spool = Spool(tmp_path / "spool")
        assert spool.size == 0
        read = asyncio.create_task(everything(spool))
        late = asyncio.create_task(spool.begun())
        await asyncio.sleep(0)
        for part in (b"one ", b"two"):
            spool.write(part)
            await asyncio.sleep(0)
        assert await late
        again = asyncio.create_task(everything(spool))
        spool.end()
        assert await read == await again == b"one two"
        with Spool(tmp_path / "spool", again=True) as more:
            more.write(b" three")
        assert await everything(more) == b"one two three"

    async def everything(spool):
        return b"".join([part async for part in spool.read()])

    asyncio.run(main())


def test_an_empty_spool_ends(tmp_path):
    async def main():
        spool = Spool(tmp_path / "spool")
        waiting = asyncio.create_task(spool.begun())
        await asyncio.sleep(0)
        spool.end()
        assert not await waiting

    asyncio.run(main())


@pytest.mark.parametrize(
    ("chosen", "pages"),
    [(None, [0, 1, 2, 3]), ([2, 0], [2, 0]), ("0-1,3", [0, 1, 3]), (" 2 ", [2])],
)
def test_pages_are_counted_from_0(chosen, pages):
    assert page_numbers(chosen, 4) == pages


@pytest.mark.parametrize(
    "chosen",
    [[4], [-1], "0-4", "a", "1-", "-", "0-99999999999", "3-1", "6-9", "9" * 5000, "0-3," * 300],
)
def test_pages_that_are_not_there_are_refused(chosen):
    with pytest.raises(Refused):
        page_numbers(chosen, 4)


def test_a_short_text_for_many_pages_is_refused_before_they_are_listed():
    with pytest.raises(Refused, match="1000 pages"):
        page_numbers("0-999,0,x", 1000)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://[", None),
        ("https://a.example/x.pdf", None),
        ("/v1/files/a/content?expires=9&signature=\u00e9", "wrong"),
        ("/v1/files/a/content?expires=" + "9" * 4000, "wrong"),
    ],
)
def test_an_address_that_we_did_not_sign_names_no_file(tmp_path, url, says):
    files = UploadedFiles(tmp_path)
    if says is None:
        assert files.signed(url) is None
    else:
        with pytest.raises(Refused, match=says):
            files.signed(url)


@pytest.mark.parametrize(("kind", "text"), [("integer", "9" * 5000), ("number", "fast")])
def test_a_field_that_is_no_number_is_a_sentence(tmp_path, kind, text):
    declared = model(tmp_path, "m").manifest
    declared.inputs["n"] = Input(type=kind)
    with pytest.raises(Refused, match=f"^input 'n': this is no {kind}$"):
        asyncio.run(from_form(declared, "n", text, tmp_path))


class Broken:
    """Models that cannot be looked at, or not in the way that they raise."""

    def __init__(self, error):
        self.error = error

    async def all(self):
        raise self.error


def test_an_agent_gets_an_answer_where_the_machine_refuses():
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"_meta": [1]}}
    for error in (OSError(errno.ENOSPC, "no", "/home/me/x"), SourceError("no such weights")):
        answer = asyncio.run(Tools(Broken(error), None).answer(ask))
        assert answer["error"]["code"] == -32603
        assert "/home" not in answer["error"]["message"]


def test_a_stream_of_progress_ends_where_its_call_fails():
    async def main():
        tools = Tools(Broken(ValueError("a fault")), None)
        ask = {"id": 1, "method": "tools/list", "params": {"_meta": {"progressToken": 1}}}
        stream = _with_progress(tools, ask, {})
        with pytest.raises(ValueError, match="a fault"):
            await asyncio.wait_for(stream({}, asyncio.Event().wait, sink), 20)

    async def sink(message):
        pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:80", "localhost"),
        ("[::1]:80", "::1"),
        ("A.example", "a.example"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_a_host_is_named_without_its_port(host, name):
    assert host_name(host) == name


def answered(headers, **given):
    """Return the status that a guard answers with; 200 where the request went through."""
    return first_message(headers, **given)["status"]


def first_message(
    headers, *, path="/v1/models", method="POST", messages=(), idle=20, busy=0, **settings
):
    """Return what a guard sends first."""
    sent = []
    given = iter(messages or [{"type": "http.request", "body": b"", "more_body": False}])

    async def app(scope, receive, send):
        await asyncio.sleep(busy)
        try:
            while (await receive()).get("more_body"):
                pass
        except Refused as refused:
            await refused.response()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200})

    async def receive():
        one = next(given)
        if one == "never":
            await asyncio.sleep(60)
        return one

    async def send(message):
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(Guard(app, ServeSettings(**settings), idle)(scope, receive, send))
    return sent[0]


@pytest.mark.parametrize(
    ("headers", "settings", "status"),
    [
        ({"host": "127.0.0.1:1"}, {}, 200),
        ({"host": "[::1]:1"}, {}, 200),
        ({"host": "evil.example"}, {}, 421),
        ({}, {}, 421),
        ({"host": "box.lan:1"}, {"allow_hosts": ("box.lan",)}, 200),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, {}, 200),
        ({"host": "localhost:1", "origin": "http://localhost:2"}, {}, 403),
        ({"host": "localhost", "origin": "null"}, {}, 403),
        ({"host": "localhost", "origin": "http://a.b"}, {"allow_origins": ("http://a.b",)}, 200),
        ({"host": "localhost"}, {"token": "t"}, 401),
        ({"host": "localhost", "authorization": "Bearer t"}, {"token": "t"}, 200),
        ({"host": "localhost", "authorization": "bearer  t "}, {"token": "t"}, 200),
        ({"host": "localhost", "authorization": "Bearer tt"}, {"token": "t"}, 401),
        ({"host": "localhost", "authorization": "Bearer t\u00fc"}, {"token": "t"}, 401),
        ({"host": "localhost", "origin": "http://[a"}, {}, 403),
        ({"host": "localhost", "content-length": "11"}, {"max_body": 10}, 413),
    ],
)
def test_who_may_ask(headers, settings, status):
    assert answered(headers, **settings) == status


@pytest.mark.parametrize("path", security.OPEN_PATHS)
def test_the_page_and_the_health_need_no_token(path):
    assert answered({"host": "localhost"}, path=path, token="t") == 200


def test_an_allowed_page_may_ask_before_it_has_a_token():
    given = {
        "host": "localhost", "origin": "https://A.example",
        "access-control-request-method": "POST", "access-control-request-headers": "authorization",
    }  # fmt: skip
    settings = {"allow_origins": ("https://a.example",), "token": "t"}
    asked = first_message(given, method="OPTIONS", **settings)
    headers = dict(asked["headers"])
    assert asked["status"] == 204
    assert headers[b"access-control-allow-origin"] == b"https://A.example"
    assert headers[b"access-control-allow-headers"] == b"authorization"
    refused = first_message(given, **settings)
    assert refused["status"] == 401
    assert (b"access-control-allow-origin", b"https://A.example") in refused["headers"]
    foreign = first_message({**given, "origin": "https://b.example"}, method="OPTIONS", **settings)
    assert foreign["status"] == 403
    assert b"access-control-allow-origin" not in dict(foreign["headers"])


def test_nothing_that_is_answered_runs_in_a_browser():
    headers = dict(first_message({"host": "evil.example"})["headers"])
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"sandbox" in headers[b"content-security-policy"]


def test_a_body_is_counted_whatever_its_header_says():
    part = {"type": "http.request", "body": b"123456", "more_body": True}
    assert answered({"host": "localhost"}, messages=[part, part], max_body=10) == 413


def test_a_body_that_does_not_come_is_given_up():
    assert answered({"host": "localhost"}, messages=["never"], idle=0.01) == 408


def test_what_the_server_takes_before_it_reads_a_body_is_not_the_clients_time():
    assert answered({"host": "localhost"}, idle=0.5, busy=0.6) == 200


@pytest.mark.parametrize(
    ("url", "data", "suffix"),
    [
        ("data:image/png;base64,QUI=", b"AB", ".png"),
        ("data:text/plain;charset=utf-8,A%20B", b"A B", ".txt"),
        ("data:image/png;base64," + "QUJD" * 700_000, b"ABC" * 700_000, ".png"),
        ("data:;base64,QUI=", b"AB", ""),
        ("data:application/x-unknown;base64,QUI=", b"AB", ""),
    ],
)
def test_a_data_url_becomes_a_file(tmp_path, url, data, suffix):
    path = save_data_url(url, "image", tmp_path)
    assert (path.read_bytes(), path.suffix, path.parent) == (data, suffix, tmp_path)


def test_a_long_data_url_without_base64_is_decoded_in_parts(tmp_path):
    url = "data:," + "%41" * 1_000_000 + "%"
    assert save_data_url(url, "image", tmp_path).read_bytes() == b"A" * 1_000_000 + b"%"


@pytest.mark.parametrize(
    "url", ["/etc/passwd", "http://a.example/b.png", "data:x", None, 3, "data:;base64,%%"]
)
def test_nothing_else_is_followed(tmp_path, url):
    with pytest.raises(Refused):
        save_data_url(url, "image", tmp_path)
    assert not list(tmp_path.iterdir())


def test_inputs_are_described_as_json_schema(tmp_path):
    declared = model(tmp_path, "m").manifest
    declared.inputs.clear()
    declared.inputs.update(
        image=Input(type="image", required=True, help="A picture"),
        how=Input(type="choice", choices=("a", "b"), default="a"),
        pages=Input(type="integer", list=True, minimum=0),
    )
    schema = input_schema(declared)
    assert schema["required"] == ["image"]
    assert schema["properties"]["image"] == {
        "description": "A picture; a data: URL", "type": "string", "format": "uri",
    }  # fmt: skip
    assert schema["properties"]["how"]["enum"] == ["a", "b"]
    assert schema["properties"]["pages"]["items"] == {"type": "integer", "minimum": 0}
    assert "a path" in input_schema(declared, paths=True)["properties"]["image"]["description"]


def message(method="tools/call", name="t", **meta):
    keys = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}, **meta}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": name, "_meta": keys}}


HEADERS = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "t"}


def test_both_kinds_of_revisions_are_told_apart():
    assert is_modern(message(), HEADERS)
    assert not is_modern({"method": "initialize", "params": {}}, {})
    assert not is_modern({"method": "tools/list"}, {"mcp-protocol-version": "2025-06-18"})
    assert is_modern({"method": "tools/list"}, {"mcp-protocol-version": "2031-01-01"})
    check_envelope(message(), HEADERS)
    check_envelope(message(), None)


@pytest.mark.parametrize(
    ("headers", "meta", "code"),
    [
        ({**HEADERS, "mcp-name": "other"}, {}, -32020),
        ({**HEADERS, "mcp-method": "tools/list"}, {}, -32020),
        ({}, {}, -32020),
        (None, {f"{META}protocolVersion": "2031-01-01"}, -32022),
        (None, {f"{META}protocolVersion": 3}, -32602),
    ],
)
def test_an_envelope_that_is_wrong_is_an_error(headers, meta, code):
    with pytest.raises(RpcError) as error:
        check_envelope(message(**meta), headers)
    assert error.value.code == code


def test_progress_is_asked_for_by_an_object():
    assert progress_token({"_meta": {"progressToken": 0}}) == 0
    assert progress_token({"_meta": [1]}) is None


def test_a_tools_name_is_one_that_every_client_takes():
    assert tool_name("qwen3-tts-1.7b") == "qwen3-tts-1_7b"


def test_counters_are_printed_for_prometheus():
    metrics = Metrics()
    metrics.count("m", "done", {"wait": 1.5, "all": 2.0})
    metrics.bytes["in"] += 7
    text = metrics.text({"m": 3}, {"m": 1}, [("m", 7, 1024)])
    assert 'mm_jobs_total{model="m",outcome="done"} 1' in text
    assert 'mm_job_seconds_total{model="m",part="wait"} 1.500000' in text
    assert 'mm_jobs_in_flight{model="m"} 3' in text
    assert 'mm_jobs_queued{model="m"} 1' in text
    assert 'mm_bytes_total{direction="in"} 7' in text
    assert 'mm_worker_memory_bytes{model="m",pid="7"} 1024' in text


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cancels_what_runs(sent):
    class App:
        cancelled = asyncio.Event()

        async def drain(self, seconds=None):
            if seconds == 0:
                self.cancelled.set()
            await self.cancelled.wait()

    async def main():
        app = App()
        server = _Server(uvicorn.Config(app), app)
        server.servers = []
        server.handle_exit(sent, None)
        assert not server.force_exit
        server.handle_exit(sent, None)
        await asyncio.wait_for(server.shutdown([]), 20)

    asyncio.run(main())
