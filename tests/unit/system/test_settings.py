"""Settings are kept whole, and a damaged file counts as empty."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import EnvironmentFailure
from orchestrator.system.home import Home
from orchestrator.system.settings import Settings, load_settings, update_settings


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_nothing_is_settled_at_first(home):
    assert load_settings(home) == Settings()
    assert not home.root.exists()


def test_what_is_settled_is_read_back(home):
    update_settings(home, lambda settings: settings.using("ocr", "a").using("tts", "b"))
    update_settings(home, lambda settings: settings.trusting("/x", "1", {"a.yaml": "2"}))
    update_settings(home, lambda settings: settings.trusting("/y", "2", {}))
    settings = load_settings(home)
    assert settings.uses == {"ocr": "a", "tts": "b"}
    assert settings.trusted == {"/x": "1", "/y": "2"}


def test_what_is_taken_back_is_gone(home):
    update_settings(home, lambda settings: settings.using("ocr", "a").trusting("/x", "1", {}))
    update_settings(home, lambda settings: settings.using("ocr", None).distrusting("/x"))
    assert load_settings(home) == Settings()


def test_only_the_user_may_read_the_file(home):
    update_settings(home, lambda settings: settings)
    assert home.settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"trusted": 3}', '{"uses": {"ocr": 1}}', "\xff", '{"uses": null}']
)
def test_a_damaged_file_counts_as_empty_and_is_told(home, text):
    home.root.mkdir()
    home.settings.write_bytes(text.encode("latin-1"))
    settings = load_settings(home)
    assert (settings.trusted, settings.uses) == ({}, {})
    assert "damaged" in settings.notes[0]
    update_settings(home, lambda settings: settings.using("ocr", "a"))
    assert load_settings(home) == Settings(uses={"ocr": "a"})


def test_notes_are_not_kept(home):
    home.root.mkdir()
    home.settings.write_text('{"notes": ["forged"]}')
    assert load_settings(home).notes == ()
    update_settings(home, lambda settings: settings)
    assert set(json.loads(home.settings.read_text())) == {"trusted", "contents", "uses"}


def test_updates_at_once_lose_nothing(home):
    tasks = [f"task-{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        for each in [
            pool.submit(update_settings, home, lambda settings, t=task: settings.using(t, "m"))
            for task in tasks
        ]:
            each.result()
    assert set(load_settings(home).uses) == set(tasks)


def test_a_home_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="cannot be written"):
        update_settings(Home(tmp_path / "file"), lambda settings: settings)


def test_settings_that_cannot_be_read_are_not_overwritten(home):
    home.root.mkdir()
    os.mkfifo(home.settings)
    assert "Not a regular file" in load_settings(home).notes[0]
    with pytest.raises(EnvironmentFailure, match="Not a regular file"):
        update_settings(home, lambda settings: settings.using("ocr", "a"))
    assert home.settings.is_fifo()
