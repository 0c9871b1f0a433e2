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
from tests.integration.serving import PATIENCE, PLAIN, TOKEN, Server, home_with_models
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
def command(world):
    with contextlib.closing(Server(world)) as one:
        yield one


@pytest.fixture(scope="module", params=["mm serve", "uvicorn and a token"])
def server(request, world):
    if request.param == "mm serve":
        yield request.getfixturevalue("command")
        return
    with contextlib.closing(Server(world, command=PLAIN)) as one:
        yield one


def client(server):
    return httpx.Client(base_url=server.url, headers=server.headers, timeout=PATIENCE)


@pytest.fixture
def http(server):
    with client(server) as one:
        yield one


@pytest.fixture
def command_http(command):
    with client(command) as one:
        yield one


@pytest.fixture
def openai(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0)


@pytest.fixture
def mistral(server):
    return Mistral(api_key=TOKEN, server_url=server.url)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


def asking(server, path, length):
    """Return a connection that has sent the header of a request."""
    url = httpx.URL(server.url)
    raw = socket.create_connection((url.host, url.port), PATIENCE)
    headers = {"Host": "localhost", "Content-Length": length, **server.headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    raw.sendall("\r\n".join([*lines, "", ""]).encode())
    return raw


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


def test_the_screen_says_where_what_and_how(command):
    said = command.said()
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
        ({"ref_audio": "AAAA", "model": "speaker"}, 400, "speaks with voices of its own"),
        ({"ref_audio": "AAAA"}, 400, "input 'reference' is no recording"),
        ({"ref_audio": "no base64"}, 400, "ref_audio is not base64"),
        ({"model": "cloner"}, 400, "reference"),
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
    counted = create(
        model="ocr", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    assert [each.usage and each.usage.total_tokens for each in counted] == [None, None, None, 0]
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
    assert openai.responses.create(model="ocr", input=given).usage.total_tokens == 0
    with openai.responses.stream(model="ocr", input=given) as streamed:
        kinds = [each.type.removeprefix("response.") for each in streamed]
        assert streamed.get_final_response().output_text == "read so"
    assert kinds == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
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


def test_a_voice_is_that_of_a_recording_and_its_words(http):
    recording = base64.b64encode(b"RIFF").decode()
    body = {"input": "a", "ref_audio": recording, "ref_text": "seven", "response_format": "pcm"}
    answer = http.post("/v1/audio/speech", json={"model": None, **body}).json()
    assert base64.b64decode(answer["audio_data"]) == b"\5\0" * 50


def test_speech_by_mistrals_client(mistral):
    complete = mistral.audio.speech.complete
    whole = complete(model="tts", input="one two", voice_id="bert", response_format="wav")
    with wave.open(io.BytesIO(base64.b64decode(whole.audio_data))) as sound:
        assert sound.getnframes() == 2 * FRAMES
    given = {"model": "tts", "input": "a", "voice_id": "anna", "response_format": "pcm"}
    parts = [each.data for each in complete(**given, stream=True)]
    assert [part.type for part in parts] == ["speech.audio.delta", "speech.audio.done"]
    recording = base64.b64encode(b"RIFF").decode()
    for given in (recording, f"data:audio/wav;base64,{recording}"):
        cloned = complete(input="a", ref_audio=given, response_format="pcm")
        assert base64.b64decode(cloned.audio_data) == bytes(100)


def test_models_by_openais_client(openai):
    names = {each.id for each in openai.models.list()}
    assert {"reader", "speaker", "ocr", "tts", "tts-1", "whisper-1"} <= names
    assert "hibari" not in names
    assert openai.models.retrieve("speaker").id == "speaker"


def test_n8n_asks_with_fields_that_are_not_known_here(http):
    content = [
        {"type": "input_text", "text": "so"},
        {"type": "input_image", "detail": "auto", "image_url": PNG},
    ]
    body = {"model": "ocr", "input": [{"role": "user", "content": content}]}
    answer = http.post("/v1/responses", json={**body, "max_output_tokens": 300}).json()
    assert answer["output"][0]["content"][0]["text"] == "read so"


def test_dify_speaks_and_listens(http):
    body = {"model": "tts", "input": "Test.", "voice": "alloy", "response_format": "mp3"}
    assert http.post("/v1/audio/speech", json=body).is_success
    form = {"model": "asr", "language": "en", "prompt": "convert the audio to text"}
    files = [("file", ("audio.mp3", b"four"))]
    answer = http.post("/v1/audio/transcriptions", data=form, files=files)
    assert answer.json() == {"text": "4 bytes"}


@pytest.mark.parametrize("voice", ["en_paul_neutral", "gb_jane_sarcasm"])
def test_litellm_asks_for_mistrals_voices(http, voice):
    body = {"model": "tts", "input": "one", "voice_id": voice, "response_format": "wav"}
    sound = base64.b64decode(http.post("/v1/audio/speech", json=body).json()["audio_data"])
    assert sound.startswith(b"RIFF")


def test_open_webui_reads_a_document(http, tmp_path):
    content = make_pdf(tmp_path / "a.pdf", (100, 50)).read_bytes()
    files = {"file": ("a.pdf", content, "application/pdf")}
    file = http.post("/v1/files", files=files, data={"purpose": "ocr"}).json()["id"]
    signed = http.get(f"/v1/files/{file}/url", params={"expiry": 1}).json()["url"]
    document = {"type": "document_url", "document_url": signed}
    body = {"model": "mistral-ocr-latest", "document": document, "include_image_base64": False}
    assert [page["index"] for page in http.post("/v1/ocr", json=body).json()["pages"]] == [0]
    assert http.delete(f"/v1/files/{file}").is_success


def test_open_webui_finds_models_and_voices(http):
    assert {"id": "speaker", "name": "speaker"} in http.get("/v1/audio/models").json()["models"]
    voices = http.get("/v1/audio/voices").json()["voices"]
    assert [each["id"] for each in voices] == ["anna", "bert"]


def test_a_line_is_logged_for_each_request(world):
    with contextlib.closing(Server(world, "--log", "json")) as server:
        with client(server) as http:
            http.post("/models/ocr", json={"image": PNG})
            http.post("/models/nosuch?token=secret", json={})
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    assert [(each["path"], each["status"], each["model"]) for each in lines] == [
        ("/models/ocr", 200, "reader"),
        ("/models/nosuch", 404, ""),
    ]
    assert all(each["bytes"] > 0 and each["seconds"] >= 0 for each in lines)


def test_documents_by_mistrals_client(mistral, http, tmp_path):
    process = mistral.ocr.process
    one = process(model="mistral-ocr-latest", document={"type": "image_url", "image_url": PNG})
    assert one.pages[0].markdown == "read nothing asked"
    assert (one.pages[0].dimensions.width, one.pages[0].dimensions.height) == (1, 1)
    content = make_pdf(tmp_path / "a.pdf", *[(100, 50)] * 3).read_bytes()
    file = mistral.files.upload(
        file={"file_name": "../../a.pdf", "content": content}, purpose="ocr"
    )
    signed = mistral.files.get_signed_url(file_id=file.id).url
    fetched = http.get(signed)
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
    called = {"Accept": "audio/wav", "Content-Type": "application/x-www-form-urlencoded"}
    object_by_d = http.post("/models/tts", content=b' {"text": "one", "speed": 2}', headers=called)
    assert object_by_d.content == form.content
    assert "speed" in str(http.get("/openapi.json").json()["paths"]["/models/speaker"])
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
        ({"data": {"text": ["x", "y"]}}, "input 'text' is given twice"),
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
    with asking(server, "/v1/audio/speech", len(text)) as raw:
        raw.sendall(text.encode())
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


def test_a_client_that_leaves_a_stopped_worker_frees_its_place(http, world):
    assert http.post("/models/tts", json={"text": "one"}).is_success
    pid = worker_of(world, "speaker")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            http.post("/models/tts", json={"text": "one"}, timeout=1)
        until(lambda: not in_flight(http))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert http.post("/models/tts", json={"text": "one"}).is_success


def test_agents_use_models_as_tools(command, world):
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
            async with McpClient(f"{command.url}/mcp", mode=mode) as client:
                yield await use(client, PNG)
            program = StdioServerParameters(command=MM[0], args=[*MM[1:], "mcp"], env=environment)
            async with McpClient(stdio_client(program), mode=mode) as client:
                yield await use(client, str(picture))

    async def all_of_them():
        return [each async for each in main()]

    environment = {**os.environ, **world}
    picture = os.path.join(world["MM_HOME"], "pixel.png")
    with open(picture, "wb") as stream:
        stream.write(PIXEL)
    found = asyncio.run(all_of_them())
    assert found == [(True, "audio", True, "read so", True)] * 4


def test_edits_are_seen_without_a_restart(command_http, world):
    http = command_http
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
            odd = {**ping, "id": "\ud800"}
            lines = [json.dumps(ping).encode(), b"no json", json.dumps(odd).encode()]
            server.stdin.write(b"".join(line + b"\n" for line in lines))
            server.stdin.flush()
            answers = [json.loads(server.stdout.readline()) for _ in lines]
            assert {each.get("id") for each in answers} == {1, None, "\ud800"}
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
    assert http.options("/v1/files").headers["allow"] == "GET, HEAD, POST"


def test_a_body_of_50_gb_is_refused_by_its_header(server):
    with asking(server, "/models/tts", 50 << 30) as raw:
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_token_is_needed_for_everything_but_the_page_and_the_health(world, tmp_path):
    secret = tmp_path / "my token"
    secret.write_text(f"{TOKEN}\n")
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
            for given in ("Bearer wrong", f"Basic {TOKEN}", TOKEN):
                assert http.get("/v1/models", headers={"Authorization": given}).status_code == 401
        line = next(line for line in server.said().splitlines() if "curl" in line)
        command = line.split("try: ")[1].replace(
            "-o hello.mp3", "-s -w '%{http_code}' -o /dev/null"
        )
        assert subprocess.check_output(command, shell=True) == b"200"
        client = OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN)
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
        client(server) as http,
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
        client(server) as http,
    ):
        answer = threads.submit(http.post, "/models/tts", json={"text": "slow"})
        with client(server) as other:
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
        client(server) as http,
    ):
        done = begin(http, "one two")
        until(lambda: http.get(done).json()["state"] == "done")
        running = begin(http, "wait" if end is Server.kill else "slow")
        until(lambda: http.get(running).json()["state"] == "running")
        queued = begin(http, "three")
        end(server)
    with (
        contextlib.closing(Server(world, port=port)) as server,
        client(server) as http,
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


def test_a_port_that_is_taken_is_a_sentence(world, command):
    port = httpx.URL(command.url).port
    refused = subprocess.run(
        [*MM, "serve", "--port", str(port)],
        env={**os.environ, **world}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "--port 0" in refused.stderr


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "home").write_text("")
    refused = subprocess.run(
        [*MM, "serve", "--port", "0"],
        env={**os.environ, "MM_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "set MM_HOME to a directory of yours" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "listening" not in refused.stderr
