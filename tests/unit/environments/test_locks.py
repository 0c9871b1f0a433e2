from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.indexes import IndexSettings
from orchestrator.core.lockfile import parse_lock, render_lock
from orchestrator.environments.locks import UserLockOptions, absolute_places, user_lock_options
from orchestrator.errors import EnvironmentFailure, UsageError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)


def kept(options):
    text = render_lock("", shape="s", command="mm env lock --mine x", notes=options.notes())
    return user_lock_options(parse_lock(text))


@given(st.builds(UserLockOptions, torch=WORDS, find_links=st.tuples(WORDS), python=WORDS))
def test_a_lock_keeps_where_its_packages_come_from(options):
    assert kept(options) == options


def test_several_places_and_spaces_are_kept():
    options = UserLockOptions(
        find_links=("/a b/c", "https://w.test/"),
        indexes=("https://i.test/",),
        overrides=("torch==2.6.0 ; sys_platform == 'linux'",),
        python="3.11",
    )
    assert kept(options) == options


def test_these_places_are_asked_before_the_users_own():
    settings = IndexSettings(extra=("https://a.test",), find_links=("/w",))
    options = UserLockOptions(find_links=("/mine",), indexes=("https://mine.test",))
    found = options.added_to(settings, {})
    assert found.extra == ("https://mine.test", "https://a.test")
    assert found.find_links == ("/mine", "/w")


def test_paths_are_kept_absolute_and_urls_as_they_are():
    found = absolute_places(("wheels", "/opt/wheels", "https://w.test/"), Path("/somewhere"))
    assert found == ("/somewhere/wheels", "/opt/wheels", "https://w.test/")


def test_the_resolver_is_told_the_torch_backend():
    assert UserLockOptions(torch="cpu").resolver_arguments() == ("--torch-backend", "cpu")


def test_a_variable_stands_for_a_place_that_holds_credentials():
    places = absolute_places(("$MY_INDEX",), Path("/somewhere"))
    options = kept(UserLockOptions(find_links=("/w",), indexes=places))
    assert options.indexes == ("$MY_INDEX",)
    found = options.added_to(IndexSettings(), {"MY_INDEX": "https://u:p@mine.test"})
    assert found.extra == ("https://u:p@mine.test",)
    with pytest.raises(EnvironmentFailure, match=r"\$MY_INDEX, which is not set"):
        options.added_to(IndexSettings(), {})


@pytest.mark.parametrize("place", ["https://u:hunter2@w.test", "https://w.test/?token=hunter2"])
def test_a_lock_keeps_no_credentials(place):
    with pytest.raises(UsageError, match="holds credentials") as caught:
        absolute_places((place,), Path("/somewhere"))
    assert "hunter2" not in str(caught.value)
