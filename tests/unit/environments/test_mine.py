from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.indexes import IndexSettings
from orchestrator.core.lockfile import parse_lock, render_lock
from orchestrator.environments.mine import Places, absolute_places, places_of

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)


def kept(places):
    text = render_lock("", shape="s", command="mm env lock --mine x", notes=places.notes())
    return places_of(parse_lock(text))


@given(st.builds(Places, torch=WORDS, find_links=st.tuples(WORDS), python=WORDS))
def test_a_lock_keeps_where_its_packages_come_from(places):
    assert kept(places) == places


def test_several_places_and_spaces_are_kept():
    places = Places(
        find_links=("/a b/c", "https://w.test/"),
        indexes=("https://i.test/",),
        overrides=("torch==2.6.0 ; sys_platform == 'linux'",),
        python="3.11",
    )
    assert kept(places) == places


def test_these_places_are_asked_before_the_users_own():
    settings = IndexSettings(extra=("https://a.test",), find_links=("/w",))
    places = Places(find_links=("/mine",), indexes=("https://mine.test",))
    found = places.added_to(settings)
    assert found.extra == ("https://mine.test", "https://a.test")
    assert found.find_links == ("/mine", "/w")


def test_paths_are_kept_absolute_and_urls_as_they_are():
    found = absolute_places(("wheels", "/opt/wheels", "https://w.test/"), Path("/somewhere"))
    assert found == ("/somewhere/wheels", "/opt/wheels", "https://w.test/")


def test_the_resolver_is_told_the_torch_backend():
    assert Places(torch="cpu").resolver_arguments() == ("--torch-backend", "cpu")
