"""200 clients of one `mm serve`: some leave at every state, and workers and servers are killed.

    python tests/manual/soak_serve.py [SECONDS [CLIENTS [PAUSE [SEED]]]]

Each client pauses for PAUSE milliseconds between its requests (0). Each request ends with an answer
of a kind that it may have, the server answers `/healthz` meanwhile, and a server that was killed is
followed by one that finds the workers loaded. Prints memory, descriptors, threads and files of the
server now and then, at last their medians in the quarters of its life, and ends with an error where
they grow, or where anything else was answered.
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.integration.serving import Server, home_with_models

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PORT = 5791
EXPECTED = {
    "speech": {200, 429, 502, 503},
    "sse": {200, 429, 502, 503},
    "ocr": {200, 429, 502, 503},
    "form": {200, 429, 502, 503},
    "listen": {200, 429, 502, 503},
    "later": {202, 429, 503},
    "wrong": {400, 429},
    "missing": {404},
    "fail": {500, 429, 502, 503},
    "files": {200, 413},
    "mcp": {200},
}
REPORT_SECONDS = 20.0

WATCH = """
import http.client, sys, time
from urllib.parse import urlsplit
end = time.monotonic() + float(sys.argv[2])
connection = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc, timeout=30)
while time.monotonic() < end:
    began = time.monotonic()
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    print(time.monotonic() - began, flush=True)
    time.sleep(0.1)
"""

THREADS, FILES = 24, 4
"""What the server may have at rest."""

GROWTH = (1.05, 1.1, 1.1)
"""How much more memory, descriptors and threads the last quarter may have than the second."""


def figures(pid, home):
    """Return memory in MiB, descriptors, threads and files of a server."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    files = sum(len(names) for part in ("jobs", "serve") for *_, names in os.walk(home / part))
    return (
        int(values["VmRSS"].split()[0]) >> 10,
        len(os.listdir(f"/proc/{pid}/fd")),
        int(values["Threads"]),
        files,
    )


def shown(row):
    return "MiB {:.0f}, descriptors {:.0f}, threads {:.0f}, files {:.0f}".format(*row)


def grown(before, after, limit):
    return after > limit * before


def quarters(rows):
    """Return the medians of the figures in each quarter of some rows."""
    size = max(1, len(rows) // 4)
    parts = [rows[begin : begin + size] for begin in range(0, 4 * size, size)]
    return [tuple(map(statistics.median, zip(*part, strict=True))) for part in parts if part]


class Soak:
    """The clients, what they were answered, and who disturbs them."""

    def __init__(self, variables, seconds, clients, pause, seed):
        self.variables = variables
        self.home = Path(variables["MM_HOME"])
        self.random = random.Random(seed)
        self.end = time.monotonic() + seconds
        self.clients = clients
        self.pause = pause
        self.rows = []
        self.answers = Counter()
        self.surprises = []
        self.health = []
        self.server = Server(variables, port=PORT)
        self.expected_down = False

    async def request(self, http, kind):  # noqa: C901 - a table
        """Make one request, and return its status."""
        text = " ".join(["word"] * self.random.randrange(1, 30))
        image = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
        if kind == "speech":
            made = self.random.choice(["mp3", "opus", "wav", "pcm"])
            body = {"input": text, "response_format": made}
            answer = await http.post("/v1/audio/speech", json=body)
        elif kind == "sse":
            answer = await http.post(
                "/v1/audio/speech", json={"input": text, "stream_format": "sse"}
            )
        elif kind == "ocr":
            body = {"model": "ocr", "document": {"type": "image_url", "image_url": image}}
            answer = await http.post("/v1/ocr", json=body)
        elif kind == "form":
            answer = await http.post("/models/ocr", files={"image": PIXEL})
        elif kind == "listen":
            files = {"file": ("a.wav", b"RIFF" + bytes(2_000_000))}
            answer = await http.post("/v1/audio/transcriptions", files=files)
        elif kind == "later":
            headers = {"Prefer": "respond-async"}
            answer = await http.post("/models/tts", json={"text": text}, headers=headers)
            if answer.status_code == 202 and self.random.random() < 0.9:
                if self.random.random() < 0.5:
                    await http.get(answer.headers["location"] + "/events")
                await http.delete(answer.headers["location"])
        elif kind == "wrong":
            answer = await http.post("/models/tts", content=b"[" * 100_000)
        elif kind == "missing":
            answer = await http.post("/models/nosuch", json={})
        elif kind == "fail":
            answer = await http.post("/v1/audio/speech", json={"input": "fail"})
        elif kind == "files":
            answer = await http.post("/v1/files", files={"file": PIXEL})
            if answer.is_success:
                await http.delete(f"/v1/files/{answer.json()['id']}")
        else:
            params = {"name": "reader", "arguments": {"image": image}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = await http.post("/mcp", json=message)
        return answer.status_code

    async def client(self):
        """Ask again and again; leave one request in four at any moment."""
        async with httpx.AsyncClient(base_url=self.server.url, timeout=120) as http:
            while time.monotonic() < self.end:
                kind = self.random.choice(list(EXPECTED))
                leaves = self.random.random() < 0.25
                patience = self.random.random() ** 3 * 3 if leaves else 120
                began = time.monotonic()
                try:
                    status = await asyncio.wait_for(self.request(http, kind), patience)
                except (asyncio.TimeoutError, httpx.HTTPError) as error:
                    if leaves or self.expected_down:
                        self.answers[kind, "left"] += 1
                    elif isinstance(error, httpx.RemoteProtocolError):
                        self.answers[kind, "broken off"] += 1
                    else:
                        waited = time.monotonic() - began
                        self.surprises.append((kind, repr(error), round(waited, 1)))
                    await asyncio.sleep(0.2)
                    continue
                self.answers[kind, status] += 1
                if status not in EXPECTED[kind]:
                    self.surprises.append((kind, status))
                if status in (429, 503):
                    await asyncio.sleep(self.random.random() * 2)
                await asyncio.sleep(self.random.random() * 2 * self.pause)

    async def watch_health(self):
        """Measure how long `/healthz` takes, in a process that does nothing else."""
        while (left := self.end - time.monotonic()) > 0:
            watching = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                WATCH,
                self.server.url,
                str(min(left, 10)),
                stdout=-1,
                stderr=-3,
            )
            said, _ = await watching.communicate()
            if not self.expected_down:
                self.health += [float(each) for each in said.split()]

    async def workers(self):
        async with httpx.AsyncClient(base_url=self.server.url, timeout=60) as http:
            return (await http.get("/workers")).json()["workers"]

    async def disturb(self):
        """Kill or stop a worker; once, early, kill the server."""
        early = time.monotonic() + (self.end - time.monotonic()) / 10
        killed = False
        while time.monotonic() < self.end - 20:
            await asyncio.sleep(5)
            if not killed and time.monotonic() > early:
                killed = True
                await self.kill_server()
                continue
            with contextlib.suppress(httpx.HTTPError, ProcessLookupError):
                pids = [each["pid"] for each in await self.workers() if each["pid"]]
                if not pids:
                    continue
                pid = self.random.choice(pids)
                if self.random.random() < 0.5:
                    os.kill(pid, signal.SIGKILL)
                else:
                    os.kill(pid, signal.SIGSTOP)
                    await asyncio.sleep(2)
                    os.kill(pid, signal.SIGCONT)

    async def kill_server(self):
        self.expected_down = True
        before = {each["pid"] for each in await self.workers()}
        self.server.kill()
        await asyncio.sleep(1)
        self.server.close()
        self.server = await asyncio.to_thread(Server, self.variables, port=PORT)
        after = {each["pid"] for each in await self.workers()}
        print(f"server killed: workers {sorted(before)} before, {sorted(after)} after", flush=True)
        if before and not before & after:
            self.surprises.append(("workers were lost", before, after))
        await asyncio.sleep(1)
        self.rows.clear()
        self.expected_down = False

    async def report(self):
        """Print the figures, and keep those of the server that lives to the end."""
        while time.monotonic() < self.end:
            await asyncio.sleep(REPORT_SECONDS)
            if self.expected_down:
                continue
            self.rows.append(figures(self.server.process.pid, self.home))
            print(shown(self.rows[-1]), flush=True)

    async def run(self):
        tasks = [asyncio.create_task(self.client()) for _ in range(self.clients)]
        others = [
            asyncio.create_task(each()) for each in (self.watch_health, self.disturb, self.report)
        ]
        await asyncio.gather(*tasks, *others)
        async with httpx.AsyncClient(base_url=self.server.url, timeout=60) as http:
            for _ in range(300):
                if "in_flight{" not in (await http.get("/metrics")).text:
                    break
                await asyncio.sleep(0.1)
            else:
                self.surprises.append("jobs are in flight though no client is left")
            for file in (await http.get("/v1/files")).json()["data"]:
                await http.delete(f"/v1/files/{file['id']}")
            for job in (await http.get("/jobs")).json()["jobs"]:
                await http.delete(f"/jobs/{job['id']}")
        await asyncio.sleep(35)  # idle connections end, files are swept
        last = figures(self.server.process.pid, self.home)
        print("at rest:", shown(last))
        parts = quarters(self.rows)
        for number, part in enumerate(parts, 1):
            print(f"quarter {number}:", shown(part))
        if len(parts) == 4 and any(map(grown, parts[1], parts[3], GROWTH)):
            self.surprises.append("memory, descriptors or threads grow")
        if last[2] > THREADS or last[3] > FILES:
            self.surprises.append(f"{last[2]} threads and {last[3]} files are left")
        print("server's exit status:", self.server.stop())


def main():
    given = [int(each) for each in sys.argv[1:]]
    defaults = [300, 200, 0, time.time_ns() % 10_000]
    seconds, clients, pause, seed = [*given, *defaults[len(given) :]]
    print(f"{seconds} s, {clients} clients, pauses of {pause} ms, seed {seed}", flush=True)
    with home_with_models() as variables:
        soak = Soak(variables, seconds, clients, pause / 1000, seed)
        try:
            asyncio.run(soak.run())
        finally:
            said = [line for line in soak.server.said().splitlines() if not line.startswith("mm:")]
            print("\n".join(each for each in said if "bytes" not in each)[-3000:])
            soak.server.close()
    health = sorted(soak.health)
    print(
        json.dumps({f"{kind} {how}": n for (kind, how), n in sorted(soak.answers.items(), key=str)})
    )
    median, most, worst = (health[int(len(health) * part)] for part in (0.5, 0.99, 0.9999))
    print(f"healthz: median {median:.3f} s, 99% {most:.3f} s, worst {worst:.3f} s")
    if soak.surprises:
        sys.exit(f"{len(soak.surprises)} surprises: {soak.surprises[:10]}")


if __name__ == "__main__":
    main()
