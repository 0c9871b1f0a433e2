"""Pages as tests see them: the document alone, or headless Chromium with all that it shows.

Chromium is spoken to in Chrome's DevTools Protocol, over a pair of pipes.
"""

import fcntl
import json
import os
import select
import subprocess

from bs4 import BeautifulSoup

PATIENCE = 120
"""Seconds until a browser that says nothing counts as stuck."""


def _higher(descriptor):
    """Return a copy of a descriptor that is none of the first ten, and close the first."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy


class Document:
    """A page as its text says it, for what a browser need not be asked."""

    def __init__(self, path):
        text = path.read_text(encoding="utf-8")
        self._soup = BeautifulSoup(text, "html.parser", multi_valued_attributes=None)

    def texts(self, selector):
        """Return the text of each element that a CSS selector finds."""
        return [each.get_text() for each in self._soup.select(selector)]

    def attributes(self, selector, name):
        """Return an attribute of each element that a CSS selector finds."""
        return [each.get(name) for each in self._soup.select(selector)]


class Browser:
    """One browser with one page; it answers what a document does."""

    def __init__(self, program, profile, *more):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The browser's ends of the pipes become its descriptors 3 and 4, and must be neither yet.
        to_browser, from_browser = _higher(to_browser), _higher(from_browser)
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self._process = subprocess.Popen(
            [
                "/bin/bash", "-c", script, "browser", program, "--headless", "--no-sandbox",
                "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--disable-dev-shm-usage", "--remote-debugging-pipe",
                f"--user-data-dir={profile}", *more,
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._rest, self.events = 0, b"", []
        self._session = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def open(self, path):
        """Open a page in a file and wait until it is there."""
        self.go(path.absolute().as_uri())

    def go(self, url):
        """Open a page and wait until it is there."""
        self.events.clear()
        self._call("Page.navigate", url=url)
        while not self._heard("Page.loadEventFired"):
            self._next()

    def value(self, expression):
        """Return what an expression gives; a promise is waited for, and sounds may be played."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def texts(self, selector):
        """Return the text of each element that a CSS selector finds."""
        return self._each(selector, "textContent")

    def attributes(self, selector, name):
        """Return an attribute of each element that a CSS selector finds."""
        return self._each(selector, f"getAttribute({name!r})")

    def _each(self, selector, what):
        found = f"document.querySelectorAll({json.dumps(selector)})"
        return self.value(f"[...{found}].map(each => each.{what})")

    def requests(self):
        """Return the addresses that the page has asked for, without what is inside it."""
        urls = [each["request"]["url"] for each in self._heard("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:")]

    def complaints(self):
        """Return what the browser or the page has said on the console, errors among it."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [each for kind in kinds for each in self._heard(kind)]

    def give(self, selector, *paths):
        """Choose files in a file input."""
        found = f"document.querySelector({json.dumps(selector)})"
        element = self._call("Runtime.evaluate", expression=found)["result"]["objectId"]
        files = [str(path) for path in paths]
        self._call("DOM.setFileInputFiles", files=files, objectId=element)

    def press(self, key, modifiers=0):
        """Press a key, and let it go."""
        code = {"Enter": 13, "Escape": 27, "Tab": 9}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self._call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=modifiers,
                windowsVirtualKeyCode=code,
            )  # fmt: skip

    def screenshot(self, path, width=1200, height=1600, scheme="light"):
        """Write what the page looks like, as PNG."""
        import base64

        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=media)
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        data = self._call("Page.captureScreenshot")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        """End the browser."""
        os.close(self._write)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def _heard(self, method):
        return [each["params"] for each in self.events if each.get("method") == method]

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], PATIENCE)[0], "the browser says nothing"
            found = os.read(self._read, 1 << 20)
            assert found, "the browser has ended"
            self._rest += found
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message
