from pathlib import Path

import pytest

from orchestrator.backends.indexes import read_settings
from orchestrator.errors import UsageError

HOME = "/home/somebody"
PIP_CONF = f"{HOME}/.config/pip/pip.conf"
UV_TOML = f"{HOME}/.config/uv/uv.toml"


def settings(files=None, **variables):
    texts = {Path(name): text for name, text in (files or {}).items()}
    return read_settings({"HOME": HOME, **variables}, texts.get)


def test_nothing_said_is_nothing_set():
    found = settings()
    assert not found.named_anything
    assert found.uv_variables(hashed=True) == {}
    assert found.pip_variables({}) == {}


def test_pips_settings_count_where_uv_has_none():
    found = settings(
        {PIP_CONF: "[global]\nindex-url = https://mirror.test/simple\nfind_links = /wheels\n"},
        PIP_EXTRA_INDEX_URL="https://a.test/ https://b.test/",
        PIP_CERT="/certs.pem",
    )
    assert found.uv_variables(hashed=True) == {
        "UV_DEFAULT_INDEX": "https://mirror.test/simple",
        "UV_INDEX": "https://a.test/ https://b.test/",
        "UV_FIND_LINKS": "file:///wheels",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/certs.pem",
    }
    assert found.pip_variables({}) == {
        "PIP_INDEX_URL": "https://mirror.test/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.test/ https://b.test/",
        "PIP_FIND_LINKS": "file:///wheels",
        "PIP_CERT": "/certs.pem",
    }


def test_uvs_settings_beat_pips_altogether():
    found = settings(
        {PIP_CONF: "[global]\nindex-url = https://pip.test/simple\nfind-links = /wheels\n"},
        UV_DEFAULT_INDEX="https://uv.test/simple",
    )
    assert found.default == "https://uv.test/simple"
    assert found.find_links == ()


def test_a_certificate_named_for_pip_counts_for_uv_too():
    found = settings(PIP_CERT="/certs.pem", UV_DEFAULT_INDEX="https://uv.test/simple")
    assert found.uv_variables(hashed=True)["SSL_CERT_FILE"] == "/certs.pem"


@pytest.mark.parametrize(
    ("variables", "default", "extra"),
    [
        ({"UV_INDEX_URL": "https://a.test"}, "https://a.test", ()),
        ({"UV_INDEX_URL": "https://a.test", "UV_DEFAULT_INDEX": "https://b.test"},
         "https://b.test", ()),
        ({"UV_EXTRA_INDEX_URL": "https://a.test"}, "", ("https://a.test",)),
        ({"UV_INDEX": "corp=https://c.test", "UV_EXTRA_INDEX_URL": "https://a.test"},
         "", ("corp=https://c.test", "https://a.test")),
    ],
)  # fmt: skip
def test_every_spelling_of_uvs_variables(variables, default, extra):
    found = settings(**variables)
    assert (found.default, found.extra) == (default, extra)


def test_the_users_file_beats_the_systems_and_variables_beat_both():
    files = {
        "/etc/pip.conf": "[global]\nindex-url = https://system.test\ncert = /system.pem\n",
        PIP_CONF: "[global]\nindex-url = https://user.test\n",
    }
    assert settings(files).default == "https://user.test"
    assert settings(files).certificate == "/system.pem"
    assert settings(files, PIP_INDEX_URL="https://variable.test").default == "https://variable.test"
    assert settings(files, PIP_CONFIG_FILE="/dev/null").default == ""


def test_a_pip_conf_that_cannot_be_read_is_named():
    with pytest.raises(UsageError) as caught:
        settings({PIP_CONF: "index-url = x\n"})
    assert caught.value.where == PIP_CONF


def test_without_hashes_uvs_own_order_guards_private_names():
    found = settings(PIP_EXTRA_INDEX_URL="https://a.test/")
    assert "UV_INDEX_STRATEGY" not in found.uv_variables(hashed=False)


def test_what_only_this_machine_has_stays_out_of_a_shared_lock():
    found = settings(
        PIP_INDEX_URL="https://mirror.test/simple",
        PIP_EXTRA_INDEX_URL="file:///opt/simple https://a.test/",
        PIP_FIND_LINKS="/wheels",
    ).shared()
    assert found.default == "https://mirror.test/simple"
    assert found.extra == ("https://a.test/",)
    assert found.find_links == ()


def test_a_models_own_folder_comes_first_where_it_is_there(tmp_path):
    found = settings(UV_FIND_LINKS="/wheels")
    own, absent = str(tmp_path), tmp_path / "absent"
    assert found.with_own(tmp_path, absent).find_links == (own, "/wheels")
    assert found.shared(tmp_path, tmp_path, absent).find_links == (own,)


def test_places_with_spaces_and_commas_stay_one_place():
    found = settings(UV_FIND_LINKS="/a b/wheels")
    assert found.uv_variables(hashed=True)["UV_FIND_LINKS"] == "file:///a%20b/wheels"
    assert found.pip_variables({})["PIP_FIND_LINKS"] == "file:///a%20b/wheels"


def test_a_named_index_gives_pip_the_credentials_set_for_its_name():
    variables = {
        "UV_INDEX": "my-corp=https://c.test/simple",
        "UV_INDEX_MY_CORP_USERNAME": "user",
        "UV_INDEX_MY_CORP_PASSWORD": "p@ss",
    }
    found = settings(**variables).pip_variables(variables)
    assert found["PIP_EXTRA_INDEX_URL"] == "https://user:p%40ss@c.test/simple"


def test_uvs_file_is_read():
    text = """
    cache-dir = "/cache"
    link-mode = "symlink"
    keyring-provider = "subprocess"
    [[index]]
    name = "corp"
    url = "https://c.test/simple"
    [[index]]
    url = "https://mirror.test/simple"
    default = true
    [[index]]
    name = "only-for-torch"
    url = "https://torch.test"
    explicit = true
    [pip]
    find-links = ["https://wheels.test/"]
    no-verify-hashes = true
    """
    found = settings({UV_TOML: text})
    assert found.uv_variables(hashed=True) == {
        "UV_CACHE_DIR": "/cache",
        "UV_DEFAULT_INDEX": "https://mirror.test/simple",
        "UV_INDEX": "corp=https://c.test/simple",
        "UV_FIND_LINKS": "https://wheels.test/",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_a_uv_toml_that_cannot_be_read_is_named():
    with pytest.raises(UsageError) as caught:
        settings({UV_TOML: "index-url = \n"})
    assert caught.value.where == UV_TOML


def test_uvs_file_is_left_alone_when_the_user_says_so():
    files = {UV_TOML: 'index-url = "https://a.test"\n', "/mine.toml": "# nothing\n"}
    assert not settings(files, UV_NO_CONFIG="1").named_anything
    assert not settings(files, UV_CONFIG_FILE="/mine.toml").named_anything
