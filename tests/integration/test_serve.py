"""`mm serve`, spoken to by the clients that applications use, by hand, and by bad ones."""

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import pytest
from mcp.client.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters, stdio_client
from mistralai.client import Mistral
from openai import APIStatusError, OpenAI

from tests.integration.conftest import MM
from tests.integration.serving import PATIENCE, Server, home_with_models
from tests.pdf_files import make_pdf

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
FRAMES = 2400
"""Of a word that the speaker says, at 24 kHz."""


@pytest.fixture(scope="module")
def world():
    with home_with_models() as variables:
        yield variables


@pytest.fixture(scope="module")
def server(world):
    one = Server(world)
    yield one
    one.close()


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def openai(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


@pytest.fixture
def mistral(server):
    return Mistral(api_key="none", server_url=server.url)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


def connected(server):
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port), PATIENCE)


def in_flight(http):
    """Return how many jobs of each model the server has."""
    lines = http.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("mm_jobs_in_flight{")]


def events(text):
    """Return the kinds and the data of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        found.append((lines.get("event"), lines["data"]))
    return found


def test_the_screen_says_where_what_and_how(server):
    said = server.said()
    assert "tts: speaker, chinese" in said
    assert "ocr: reader" in said
    assert "not ready: hibari has no environment yet (mm env sync hibari)" in said
    line = next(line for line in said.splitlines() if "curl" in line).split("try: ")[1]
    completed = subprocess.run(
        line.replace("hello.mp3", "-"), shell=True, check=True, capture_output=True
    )
    assert completed.stdout


def test_speech_by_openais_client(openai):
    speak = openai.audio.speech
    whole = speak.create(model="tts-1", voice="alloy", input="one two three", response_format="wav")
    with wave.open(io.BytesIO(whole.content)) as sound:
        assert sound.getnframes() == 3 * FRAMES  # the length in the header is true
    with speak.with_streaming_response.create(
        model="speaker", voice="bert", input="one two", response_format="pcm"
    ) as streamed:
        assert sum(map(len, streamed.iter_bytes())) == 2 * 2 * FRAMES
    with speak.with_streaming_response.create(
        model="tts", voice="nova", input="a b", response_format="pcm", stream_format="sse"
    ) as streamed:
        found = events("".join(streamed.iter_text()))
    assert [kind for kind, _ in found] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac"])
def test_speech_in_every_format_can_be_decoded(openai, kind):
    given = {"model": "tts", "voice": "anna", "input": "word " * 20, "response_format": kind}
    answer = openai.audio.speech.create(**given)
    with av.open(io.BytesIO(answer.content)) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert 1.95 < seconds < 2.2  # 20 words of a tenth of a second, and an encoder's padding


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "nosuch"}, 404, "there is no model 'nosuch'"),
        ({"model": "reader"}, 400, "reader does ocr, not tts"),
        ({"model": "hibari"}, 503, "mm env sync hibari"),
        ({"voice": "zorro"}, 400, "no voice 'zorro'; its voices are anna, bert"),
        ({"input": "fail"}, 500, "as asked"),
        ({"input": "crash"}, 502, "exit"),
        ({"input": ["no text"]}, 400, "input"),
        ({"response_format": "midi"}, 400, "midi"),
        ({"speed": 7}, 400, "speed"),
    ],
)
def test_what_goes_wrong_is_openais_error(http, change, status, says):
    body = {"model": "tts", "input": "one", "response_format": "wav", **change}
    answer = http.post("/v1/audio/speech", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert says in error["message"]
    assert {"message", "type", "code", "param"} == set(error)
    assert "Traceback" not in answer.text
    assert os.sep + "runner.py" not in answer.text


def test_a_sound_that_breaks_off_is_not_taken_for_whole(http):
    body = {"model": "tts", "input": "one two break", "response_format": "pcm"}
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/audio/speech", json=body)
    found = events(http.post("/v1/audio/speech", json={**body, "stream_format": "sse"}).text)
    assert [kind for kind, _ in found][-1] == "error"
    assert "in the middle" in found[-1][1]


def test_chat_and_responses_by_openais_client(openai):
    content = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]
    messages = [{"role": "user", "content": content}]
    create = openai.chat.completions.create
    assert create(model="ocr", messages=messages).choices[0].message.content == "read what is it"
    parts = [
        each.choices[0].delta.content
        for each in create(model="ocr", messages=messages, stream=True)
    ]
    assert parts == ["read ", "what is it", None]
    given = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "so"},
                {"type": "input_image", "image_url": PNG},
            ],
        }
    ]
    assert openai.responses.create(model="ocr", input=given).output_text == "read so"
    streamed = list(openai.responses.create(model="ocr", input=given, stream=True))
    assert streamed[0].type == "response.created"
    assert streamed[-1].response.output_text == "read so"
    with pytest.raises(APIStatusError, match="takes one image"):
        create(model="ocr", messages=[{"role": "user", "content": "and no image"}])


def test_transcriptions_by_openais_client(openai):
    create = openai.audio.transcriptions.create
    file = ("a.wav", b"RIFF" + bytes(40))
    assert create(model="whisper-1", file=file).text == "44 bytes"
    verbose = create(model="asr", file=file, response_format="verbose_json")
    assert (verbose.duration, verbose.language) == (1.5, "en")
    assert verbose.segments[0].text == " 44 bytes"
    subtitles = create(model="asr", file=file, response_format="srt")
    assert subtitles == "1\n00:00:00,000 --> 00:00:01,500\n44 bytes\n"
    streamed = list(create(model="asr", file=file, stream=True))
    assert [each.type for each in streamed] == ["transcript.text.delta", "transcript.text.done"]


def test_a_text_is_spoken_by_a_model_of_its_language(http):
    for text, frames in (("one", FRAMES), ("\u4f60\u597d", 100)):
        body = {"model": "tts", "voice": "alloy", "input": text, "response_format": "wav"}
        with wave.open(io.BytesIO(http.post("/v1/audio/speech", json=body).content)) as sound:
            assert sound.getnframes() == frames
    asked = http.post("/models/tts", json={"text": "\u4f60\u597d"})
    assert asked.json()["model"] == "chinese"
    refused = http.post("/models/tts", json={"text": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"})
    assert refused.status_code == 400
    assert "Thai" in refused.text


def test_speech_by_mistrals_client(mistral):
    complete = mistral.audio.speech.complete
    whole = complete(model="tts", input="one two", voice_id="bert", response_format="wav")
    with wave.open(io.BytesIO(base64.b64decode(whole.audio_data))) as sound:
        assert sound.getnframes() == 2 * FRAMES
    given = {"model": "tts", "input": "a", "voice_id": "anna", "response_format": "pcm"}
    parts = [each.data for each in complete(**given, stream=True)]
    assert [part.type for part in parts] == ["speech.audio.delta", "speech.audio.done"]


def test_models_by_openais_client(openai):
    names = {each.id for each in openai.models.list()}
    assert {"reader", "speaker", "ocr", "tts", "tts-1", "whisper-1"} <= names
    assert "hibari" not in names
    assert openai.models.retrieve("speaker").id == "speaker"


def test_open_webui_finds_models_and_voices(http):
    assert {"id": "speaker", "name": "speaker"} in http.get("/v1/audio/models").json()["models"]
    voices = http.get("/v1/audio/voices").json()["voices"]
    assert [each["id"] for each in voices] == ["anna", "bert"]


def test_a_line_is_logged_for_each_request(world):
    with contextlib.closing(Server(world, "--log", "json")) as server:
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
            http.post("/models/ocr", json={"image": PNG})
            http.post("/models/nosuch?token=secret", json={})
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    assert [(each["path"], each["status"], each["model"]) for each in lines] == [
        ("/models/ocr", 200, "reader"),
        ("/models/nosuch", 404, ""),
    ]
    assert all(each["bytes"] > 0 and each["seconds"] >= 0 for each in lines)


def test_documents_by_mistrals_client(mistral, tmp_path):
    process = mistral.ocr.process
    one = process(model="mistral-ocr-latest", document={"type": "image_url", "image_url": PNG})
    assert one.pages[0].markdown == "read nothing asked"
    assert (one.pages[0].dimensions.width, one.pages[0].dimensions.height) == (1, 1)
    content = make_pdf(tmp_path / "a.pdf", *[(100, 50)] * 3).read_bytes()
    file = mistral.files.upload(
        file={"file_name": "../../a.pdf", "content": content}, purpose="ocr"
    )
    signed = mistral.files.get_signed_url(file_id=file.id).url
    fetched = httpx.get(signed)
    assert fetched.content == content
    assert fetched.headers["content-disposition"].startswith("attachment; ")
    for document in (
        {"type": "document_url", "document_url": signed},
        {"type": "file", "file_id": file.id},
    ):
        pages = process(model="ocr", document=document, pages="0-1").pages
        assert [page.index for page in pages] == [0, 1]
    assert mistral.files.list().total == 1
    assert mistral.files.delete(file_id=file.id).deleted


@pytest.mark.parametrize(
    ("document", "pages", "says"),
    [
        ({"type": "document_url", "document_url": "file:///etc/passwd"}, None, "data: URL"),
        ({"type": "document_url", "document_url": "http://127.0.0.1:1/x.pdf"}, None, "data: URL"),
        ({"type": "file", "file_id": "file-none"}, None, "no file"),
        ({"type": "image_url", "image_url": "data:image/png;base64,AAAA"}, None, "is no picture"),
        ({"type": "image_url", "image_url": "data:image/png;base64,!"}, None, "base64"),
        ({"type": "document_url", "document_url": "PDF"}, [7], "there is no page 7"),
    ],
)
def test_a_document_that_cannot_be_had_is_refused(http, document, pages, says, tmp_path):
    if document.get("document_url") == "PDF":
        encoded = base64.b64encode(make_pdf(tmp_path / "a.pdf", (100, 50)).read_bytes()).decode()
        document = {**document, "document_url": f"data:application/pdf;base64,{encoded}"}
    answer = http.post("/v1/ocr", json={"model": "ocr", "document": document, "pages": pages})
    assert answer.status_code in (400, 404)
    assert says in answer.text
    assert "/tmp" not in answer.text


def test_any_model_by_curls_ways(http):
    as_json = http.post("/models/ocr", json={"image": PNG, "prompt": "so"}).json()
    assert as_json["outputs"]["text"] == "read so"
    assert as_json["outputs"]["boxes"][0]["text"] == f"{len(PIXEL)} bytes"
    assert as_json["receipt"]["produced_by"]["model"] == "reader"
    plain = http.post("/models/reader", files={"image": PIXEL}, headers={"Accept": "text/plain"})
    assert (plain.text, plain.headers["mm-model"]) == ("read nothing asked", "reader")
    form = http.post(
        "/models/tts", data={"text": "one", "speed": "2"}, headers={"Accept": "audio/wav"}
    )
    assert form.content[:4] == b"RIFF"
    told = http.post("/models/tts", json={"text": "a b"}, headers={"Accept": "text/event-stream"})
    kinds = [kind for kind, _ in events(told.text)]
    assert [kind for kind in kinds if kind in ("queued", "started", "chunk", "done")] == [
        "queued", "started", "chunk", "chunk", "done",
    ]  # fmt: skip
    assert {"progress", "log"} <= set(kinds)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"json": {"txt": "x"}}, "no input 'txt'"),
        ({"json": {}}, "needs the input 'text'"),
        ({"json": {"text": 3}}, "takes text"),
        ({"data": {"text": "x", "speed": "fast"}}, "speed"),
        ({"content": b"[" * 100_000}, "not JSON"),
        ({"content": b"\xff"}, "not JSON"),
    ],
)
def test_a_request_that_says_nothing_a_model_knows_is_refused(http, given, says):
    answer = http.post("/models/tts", **given)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_a_job_that_is_asked_for_and_fetched_later(http):
    headers = {"Prefer": "respond-async"}
    begun = http.post("/models/tts", json={"text": "one two"}, headers=headers)
    assert begun.status_code == 202
    address = begun.headers["location"]
    job = until(lambda: (found := http.get(address).json())["state"] == "done" and found)
    sound = http.get(job["outputs"]["audio"])
    assert sound.headers["content-type"] == "audio/wav"
    kinds = [kind for kind, _ in events(http.get(f"{address}/events").text)]
    assert kinds[0] == "queued"
    assert kinds[-1] == "done"
    assert http.delete(address).status_code == 204
    assert http.get(address).status_code == 404


def test_a_running_job_is_cancelled_by_delete(http):
    begun = http.post("/models/tts", json={"text": "wait"}, headers={"Prefer": "respond-async"})
    address = begun.headers["location"]
    until(lambda: http.get(address).json()["state"] == "running")
    assert http.get(f"{address}/outputs/audio").status_code == 409
    assert http.delete(address).status_code == 204
    until(lambda: not in_flight(http))


@pytest.mark.parametrize(
    "body", [{"input": "wait"}, {"input": "wait", "response_format": "pcm", "stream_format": "sse"}]
)
def test_the_work_of_a_client_that_leaves_ends(server, http, body):
    text = json.dumps({"model": "tts", **body})
    with connected(server) as raw:
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}"
        raw.sendall(f"{head}\r\n\r\n{text}".encode())
        until(lambda: in_flight(http))
    until(lambda: not in_flight(http))


def test_twelve_at_once_each_get_their_answer(http):
    def one(number):
        return http.post("/models/ocr", json={"image": PNG, "prompt": str(number)}).json()

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(one, range(12)))
    assert [each["outputs"]["text"] for each in answers] == [f"read {n}" for n in range(12)]


def worker_of(world, model):
    """Return the process of the worker that has a model."""
    listed = subprocess.run(
        [*MM, "ps", "--json"], env={**os.environ, **world}, capture_output=True, check=True
    )
    return next(
        each["pid"] for each in json.loads(listed.stdout)["workers"] if each["model"] == model
    )


def test_a_worker_that_is_killed_is_a_bad_gateway(http, world):
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(http.post, "/models/tts", json={"text": "wait"})
        begun = 'mm_jobs_in_flight{model="speaker"} 1'
        until(lambda: begun in in_flight(http))
        until(
            lambda: any(each["state"] == "busy" for each in http.get("/workers").json()["workers"])
        )
        os.kill(worker_of(world, "speaker"), signal.SIGKILL)
    assert answer.result().status_code == 502
    assert "SIGKILL" in answer.result().json()["error"]["message"]
    assert http.post("/models/tts", json={"text": "one"}).is_success


def test_a_client_that_leaves_a_stopped_worker_frees_its_place(server, http, world):
    assert http.post("/models/tts", json={"text": "one"}).is_success
    pid = worker_of(world, "speaker")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/models/tts", json={"text": "one"}, timeout=1)
        until(lambda: not in_flight(http))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert http.post("/models/tts", json={"text": "one"}).is_success


def test_agents_use_models_as_tools(server, world):
    async def use(client, image):
        names = {tool.name for tool in (await client.list_tools()).tools}
        progress = []

        async def on_progress(*one):
            progress.append(one)

        spoken = await client.call_tool("speaker", {"text": "a b"}, progress_callback=on_progress)
        read = await client.call_tool("reader", {"image": image, "prompt": "so"})
        failed = await client.call_tool("speaker", {"text": "fail"})
        return (
            {"reader", "speaker", "listener"} <= names,
            spoken.content[0].type,
            len(progress) > 0,
            read.content[0].text,
            failed.is_error,
        )

    async def main():
        for mode in ("legacy", "auto"):
            async with McpClient(f"{server.url}/mcp", mode=mode) as client:
                yield await use(client, PNG)
            command = StdioServerParameters(command=MM[0], args=[*MM[1:], "mcp"], env=environment)
            async with McpClient(stdio_client(command), mode=mode) as client:
                yield await use(client, str(picture))

    async def all_of_them():
        return [each async for each in main()]

    environment = {**os.environ, **world}
    picture = os.path.join(world["MM_HOME"], "pixel.png")
    with open(picture, "wb") as stream:
        stream.write(PIXEL)
    found = asyncio.run(all_of_them())
    assert found == [(True, "audio", True, "read so", True)] * 4


def test_edits_are_seen_without_a_restart(http, world):
    manifests = Path(world["MM_MANIFESTS"])
    runner = manifests.parent / "envs" / "chinese" / "runner.py"
    before = runner.read_text()
    ask = {"json": {"text": "\u4f60\u597d"}}

    def names():
        return {
            each["id"]: each.get("stands_for") for each in http.get("/v1/models").json()["data"]
        }

    def use(*arguments):
        subprocess.run([*MM, "use", "tts", *arguments], env={**os.environ, **world}, check=True)

    try:
        # A load that fails is not tried again by each request.
        runner.write_text(before.replace("def load(context): ...", "def load(context): 1 / 0"))
        failed = [http.post("/models/chinese", **ask) for _ in range(2)]
        assert [each.status_code for each in failed] == [503, 503]
        assert all(int(each.headers["retry-after"]) >= 1 for each in failed)
        assert "division" in failed[1].json()["error"]["message"]
    finally:
        runner.write_text(before)
    assert http.post("/models/chinese", **ask).is_success
    # A new model, of an environment that is there.
    added = manifests / "another.yaml"
    try:
        text = (manifests / "chinese.yaml").read_text().replace("name: chinese", "name: another")
        shutil.copytree(runner.parent, runner.parent.with_name("another"))
        added.write_text(text)
        until(lambda: "another" in names())
        assert http.post("/models/another", **ask).is_success
    finally:
        added.unlink()
        shutil.rmtree(runner.parent.with_name("another"))
    until(lambda: "another" not in names())
    use("chinese")
    try:
        until(lambda: names()["tts-1"] == "chinese")
    finally:
        use("--clear")
    until(lambda: names()["tts-1"] == "speaker")


def test_an_agent_that_is_interrupted_or_leaves_ends_the_server(world):
    restored = (  # jobs in the background of a shell ignore it
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    for end in ("leaves", "is interrupted"):
        with subprocess.Popen(
            [sys.executable, "-c", restored, *MM, "mcp"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **world},
        ) as server:  # fmt: skip
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            server.stdin.write(json.dumps(ping).encode() + b"\nno json\n")
            server.stdin.flush()
            answers = [json.loads(server.stdout.readline()) for _ in range(2)]
            assert {each.get("id") for each in answers} == {1, None}
            if end == "leaves":
                server.stdin.close()
            else:
                server.send_signal(signal.SIGINT)
            assert server.wait(PATIENCE) == (0 if end == "leaves" else 130)
            assert server.stdout.read() == b""


def test_a_stranger_is_refused(http):
    assert http.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
    foreign = {"Origin": "http://evil.example"}
    assert http.post("/models/tts", json={"text": "a"}, headers=foreign).status_code == 403
    assert http.get("/v1/models", headers={"Origin": str(http.base_url).rstrip("/")}).is_success
    assert http.get("/nosuch").json()["error"]["code"] == "not_found"
    assert http.get("/v1/ocr").status_code == 405


def test_a_body_of_50_gb_is_refused_by_its_header(server):
    with connected(server) as raw:
        head = "POST /models/tts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 53687091200\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_token_is_needed_for_everything_but_the_page_and_the_health(world, tmp_path):
    secret = tmp_path / "my token"
    secret.write_text("a-long-word\n")
    secret.chmod(0o644)
    refused = subprocess.run(
        [*MM, "serve", "--port", "0", "--token-file", secret],
        env={**os.environ, **world}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert f"chmod 600 '{secret}'" in refused.stderr
    secret.chmod(0o600)
    with contextlib.closing(Server(world, "--token-file", secret)) as server:
        with httpx.Client(base_url=server.url) as http:
            assert http.get("/healthz").is_success
            assert http.get("/v1/models").status_code == 401
            for given in ("Bearer wrong", "Basic a-long-word", "a-long-word"):
                assert http.get("/v1/models", headers={"Authorization": given}).status_code == 401
        line = next(line for line in server.said().splitlines() if "curl" in line)
        command = line.split("try: ")[1].replace(
            "-o hello.mp3", "-s -w '%{http_code}' -o /dev/null"
        )
        assert subprocess.check_output(command, shell=True) == b"200"
        client = OpenAI(base_url=f"{server.url}/v1", api_key="a-long-word")
        assert any(each.id == "speaker" for each in client.models.list())


def test_others_are_let_in_with_a_token_alone(world):
    refused = subprocess.run(
        [*MM, "serve", "--host", "0.0.0.0", "--port", "0"],
        env={**os.environ, **world}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "--token-file" in refused.stderr


def test_jobs_beyond_the_queue_are_refused_at_once(world):
    with (
        contextlib.closing(Server(world, "--queue", "2")) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as http,
    ):
        later = {"Prefer": "respond-async"}
        addresses = []
        for _ in range(3):
            begun = http.post("/models/tts", json={"text": "wait"}, headers=later)
            assert begun.status_code == 202
            addresses.append(begun.headers["location"])
        full = http.post("/models/tts", json={"text": "one"})
        assert full.status_code == 429
        assert int(full.headers["retry-after"]) > 0
        assert http.post("/models/ocr", json={"image": PNG}).is_success
        for address in addresses:
            http.delete(address)
        assert server.stop() == 0


def test_a_server_that_is_stopped_lets_what_runs_end_and_leaves_the_workers(world):
    with (
        contextlib.closing(Server(world)) as server,
        ThreadPoolExecutor(1) as threads,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as http,
    ):
        answer = threads.submit(http.post, "/models/tts", json={"text": "slow"})
        with httpx.Client(base_url=server.url) as other:
            until(lambda: in_flight(other))
        assert server.stop() == 0
        assert answer.result().is_success
    listed = subprocess.run(
        [*MM, "ps", "--json"], env={**os.environ, **world}, capture_output=True, check=True
    )
    workers = json.loads(listed.stdout)["workers"]
    assert [each["state"] for each in workers if each["model"] == "speaker"] == ["idle"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize("end", [Server.kill, Server.stop])
def test_jobs_that_were_asked_for_outlive_the_server(world, end):
    port = free_port()
    later = {"Prefer": "respond-async"}

    def begin(http, text):
        return http.post("/models/tts", json={"text": text}, headers=later).headers["location"]

    with (
        contextlib.closing(Server(world, port=port)) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as http,
    ):
        done = begin(http, "one two")
        until(lambda: http.get(done).json()["state"] == "done")
        running = begin(http, "wait" if end is Server.kill else "slow")
        until(lambda: http.get(running).json()["state"] == "running")
        queued = begin(http, "three")
        end(server)
    with (
        contextlib.closing(Server(world, port=port)) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as http,
    ):
        assert http.get(f"{done}/outputs/audio").content[:4] == b"RIFF"
        assert events(http.get(f"{done}/events").text)[-1][0] == "done"
        until(lambda: http.get(queued).json()["state"] == "done")
        state = http.get(running).json()["state"]
        assert state == ("cancelled" if end is Server.kill else "done")
        for address in (done, running, queued):
            assert http.delete(address).status_code == 204
        assert server.stop() == 0
    assert os.listdir(os.path.join(world["MM_HOME"], "serve", str(port))) == []


def test_a_port_that_is_taken_is_a_sentence(world, server):
    port = httpx.URL(server.url).port
    refused = subprocess.run(
        [*MM, "serve", "--port", str(port)],
        env={**os.environ, **world}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "--port 0" in refused.stderr
