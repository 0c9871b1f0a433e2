"""A person's way through the page of `mm serve`, in Chromium: in English, Chinese, by keyboard."""

import contextlib
import time

import pytest

from tests.integration.browser import Browser
from tests.integration.serving import PATIENCE, Server, home_with_models
from tests.integration.test_report import CHROMIUM
from tests.integration.test_serve import PIXEL
from tests.machine import only_where

CONTROL = 2
"""Chrome's bit for the key."""


@pytest.fixture(scope="module")
def world():
    with home_with_models() as variables:
        yield variables


@pytest.fixture(scope="module")
def server(world):
    with contextlib.closing(Server(world)) as one:
        yield one


def opened(server, tmp_path, language):
    return Browser(
        CHROMIUM, tmp_path, f"--lang={language}", f"--accept-lang={language}",
        "--autoplay-policy=no-user-gesture-required",
    )  # fmt: skip


class Person:
    """What somebody does on the page, and sees."""

    def __init__(self, browser, url=None):
        self.browser = browser
        if url is not None:
            browser.go(url)
        self.sees("document.querySelectorAll('#model option').length > 2")

    def sees(self, condition):
        end = time.monotonic() + PATIENCE
        while not self.browser.value(f"Boolean({condition})"):
            assert time.monotonic() < end, (condition, self.browser.texts("#status"))
            time.sleep(0.02)

    def chooses(self, model):
        self.browser.value(
            f"(() => {{ const select = document.getElementById('model'); select.value = '{model}';"
            " select.dispatchEvent(new Event('change')); })()"
        )

    def types(self, name, text):
        self.browser.value(f"document.getElementById('input-{name}').value = {text!r}")
        self.browser.value(f"document.getElementById('input-{name}').focus()")

    def clicks(self, selector):
        self.browser.value(f"document.querySelector({selector!r}).click()")

    def status(self):
        return self.browser.texts("#status")[0]


@only_where(CHROMIUM)
def test_a_persons_way_through_the_page(server, tmp_path):
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    with contextlib.closing(opened(server, tmp_path / "profile", "en-US")) as browser:
        person = Person(browser, server.url)

        # 1. Sees which models there are, and what one lacks.
        assert "hibari (not ready)" in browser.texts("#model option")
        person.chooses("hibari")
        assert "mm env sync hibari" in browser.texts("#summary code")
        assert browser.value("document.getElementById('run').disabled")

        # 2. Forgets the file, and is reminded.
        person.chooses("reader")
        person.clicks("#run")
        assert person.status() == "image is needed"

        # 3. Gives it, and sees the text beside the image.
        browser.give("#input-image", picture)
        person.types("prompt", "what is it")
        person.clicks("#run")
        person.sees("document.querySelector('.lines span')")
        assert browser.texts(".lines span") == [f"{len(PIXEL)} bytes"]
        person.sees("document.querySelector('.page img').naturalWidth === 1")

        # 4. Points at a line, and sees where it stands.
        browser.value(
            "document.querySelector('.lines span').dispatchEvent(new MouseEvent('mouseenter'))"
        )
        assert browser.attributes(".page polygon", "class") == ["on"]

        # 5. Has it spoken with one click.
        person.clicks("#speak")
        person.sees("document.querySelector('audio')")
        assert browser.attributes("audio", "src")[0].startswith("data:audio/wav;base64,")

        # 6. Looks at an earlier job again.
        assert len(browser.texts("#jobs tr")) == 2
        browser.value("[...document.querySelectorAll('#jobs button')].at(-1).click()")
        assert browser.texts(".lines span") == [f"{len(PIXEL)} bytes"]

        # 7. Starts another by keyboard, and stops it.
        person.chooses("speaker")
        person.types("text", "wait")
        browser.press("Enter", CONTROL)
        person.sees("!document.getElementById('cancel').disabled")
        person.sees("document.getElementById('status').textContent === 'Running'")
        browser.press("Escape")
        person.sees("document.getElementById('status').textContent === 'Cancelled'")

        # 8. Frees the memory of a model.
        person.sees("document.querySelector('#workers button')")
        person.sees(
            "[...document.querySelectorAll('#workers td')].some(e => e.textContent === 'idle')"
        )
        before = len(browser.texts("#workers tr"))
        person.clicks('#workers button[aria-label="Stop reader"]')
        person.sees(f"document.querySelectorAll('#workers tr').length < {before}")

        assert browser.complaints() == []
        assert [
            url for url in browser.requests() if not url.startswith((server.url, "blob:"))
        ] == []


@only_where(CHROMIUM)
def test_the_page_is_chinese_for_a_chinese_browser(server, tmp_path):
    with contextlib.closing(opened(server, tmp_path, "zh-CN")) as browser:
        person = Person(browser, server.url)
        assert browser.attributes("html", "lang") == ["zh-CN"]
        assert "本机的模型" in browser.texts("header p")[0]
        person.chooses("speaker")
        person.clicks("#run")
        assert person.status() == "缺少 text"


@only_where(CHROMIUM)
def test_a_job_that_failed_says_why_and_back_leads_to_the_model_before(server, tmp_path):
    with contextlib.closing(opened(server, tmp_path, "en-US")) as browser:
        person = Person(browser, server.url)
        person.chooses("speaker")
        person.types("text", "fail")
        person.clicks("#run")
        person.sees("document.querySelector('#status.bad')")
        assert browser.texts("#jobs td p") == ["speaker failed while running: ValueError: as asked"]
        person.chooses("reader")
        browser.value("window.history.back()")
        person.sees("document.getElementById('input-speed')")
        assert browser.value("document.getElementById('model').value") == "speaker"
        assert browser.complaints() == []


@only_where(CHROMIUM)
def test_sound_that_was_stopped_is_not_heard_again(server, tmp_path):
    with contextlib.closing(opened(server, tmp_path, "en-US")) as browser:
        person = Person(browser, server.url)
        person.chooses("speaker")
        for text in ("one two three", "four"):
            person.types("text", text)
            person.clicks("#run")
            person.sees("document.querySelector('audio')")
        silent = browser.value(
            """(async () => { const one = new Playing(); one.stop();
            one.add(document.querySelector('audio').src); await one.order;
            return one.context === null; })()"""
        )
        assert silent
        assert browser.complaints() == []


@only_where(CHROMIUM)
def test_what_a_model_answers_runs_nothing_in_the_page(server, tmp_path):
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    with contextlib.closing(opened(server, tmp_path / "profile", "en-US")) as browser:
        person = Person(browser, server.url)
        person.chooses("reader")
        browser.give("#input-image", picture)
        person.types("prompt", "<img src=x onerror=\"document.title='taken'\">")
        person.clicks("#run")
        person.sees("document.querySelector('.lines span')")
        assert browser.value("document.title") == "mm"


@only_where(CHROMIUM)
def test_a_person_gives_the_token_and_sees_that_the_server_has_gone(world, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("a-long-word")
    secret.chmod(0o600)
    with (
        contextlib.closing(Server(world, "--token-file", secret)) as server,
        contextlib.closing(opened(server, tmp_path / "profile", "en-US")) as browser,
    ):
        browser.go(server.url)
        for given in ("wrong", "a-long-word"):
            while browser.value("document.getElementById('token-form').hidden"):
                time.sleep(0.02)
            browser.value(f"document.getElementById('token').value = {given!r}")
            browser.value("document.getElementById('token-form').requestSubmit()")
        person = Person(browser)
        person.chooses("speaker")
        person.types("text", "one " * 25_000)
        server.stop()
        person.clicks("#run")
        person.sees("document.querySelector('#status.bad')")
        assert person.status() == "The connection was lost"


@only_where(CHROMIUM)
def test_markdown_and_tables_are_shown(server, tmp_path):
    with contextlib.closing(opened(server, tmp_path / "profile", "en-US")) as browser:
        Person(browser, server.url)
        browser.value(
            r"""show({name: "m", primary: "text"}, {outputs: {text: "so",
            markdown: "#1\n# Head\n\none\\\ntwo **three**\n\n| a | b |\n| --- | --- |\n| c | d |",
            tables: [{head: true, rows: [[{text: "x"}], [{text: "y", colspan: 2}]]}]}}, null)"""
        )
        assert browser.texts("#output-markdown h1") == ["Head"]
        assert browser.texts("#output-markdown p") == ["#1", "onetwo three"]
        assert len(browser.texts("#output-markdown br")) == 1
        assert browser.texts("#output-markdown td") == ["c", "d"]
        assert browser.texts("#output-tables th") == ["x"]
        assert browser.attributes("#output-tables td", "colspan") == ["2"]


def test_the_page_asks_for_nothing_from_elsewhere():
    from orchestrator.serve.page import PAGE

    text = PAGE.read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
