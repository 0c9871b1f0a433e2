from orchestrator.backends.toolenv import tool_variables

HOSTILE = {
    "UV_NO_VERIFY_HASHES": "1", "UV_PYTHON": "3.9", "UV_SYSTEM_PYTHON": "1", "UV_OVERRIDE": "x",
    "UV_CONSTRAINT": "x", "UV_PRERELEASE": "allow", "UV_RESOLUTION": "lowest", "UV_NO_CACHE": "1",
    "UV_LINK_MODE": "symlink", "UV_TARGET": "/tmp", "UV_COMPILE_BYTECODE": "1",
    "UV_CONFIG_FILE": "/x", "UV_ENV_FILE": "/x", "UV_NO_BINARY": "1", "UV_EXCLUDE_NEWER": "2020",
    "UV_INDEX_URL": "x", "UV_FIND_LINKS": "x", "UV_TORCH_BACKEND": "cpu", "UV_VENV_SEED": "1",
    "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/tmp", "PIP_USER": "1", "PIP_NO_DEPS": "1",
    "PIP_INDEX_URL": "x", "PIP_PREFIX": "/x", "PIP_NO_BINARY": ":all:", "PIP_CONSTRAINT": "x",
    "PIP_CONFIG_FILE": "/x", "VIRTUALENV_SYSTEM_SITE_PACKAGES": "1", "VIRTUALENV_CLEAR": "1",
    "VIRTUAL_ENV": "/venv", "CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base",
    "PYTHONPATH": "/evil", "PYTHONHOME": "/evil", "PYTHONSTARTUP": "/evil",
    "AWS_SECRET_ACCESS_KEY": "secret", "HF_TOKEN": "secret",
}  # fmt: skip


def test_nothing_hostile_reaches_a_tool():
    plain = {"PATH": "/bin", "HOME": "/home/x"}
    assert tool_variables({**plain, **HOSTILE}) == tool_variables(plain)


def test_what_a_download_needs_does():
    wanted = {
        "PATH": "/bin", "HOME": "/home/x", "LC_ALL": "C", "HTTPS_PROXY": "http://p",
        "no_proxy": "x",
        "SSL_CERT_FILE": "/c", "NETRC": "/n", "UV_CACHE_DIR": "/cache", "UV_HTTP_TIMEOUT": "9",
        "UV_INDEX_CORP_USERNAME": "u", "UV_INDEX_CORP_PASSWORD": "p", "UV_LINK_MODE": "copy",
        "PIP_DEFAULT_TIMEOUT": "9", "UV_PYTHON_INSTALL_MIRROR": "http://m",
    }  # fmt: skip
    assert wanted.items() <= tool_variables(wanted).items()


def test_tools_read_no_files_and_fetch_no_python_of_their_own_accord():
    variables = tool_variables({})
    assert variables["UV_NO_CONFIG"] == "1"
    assert variables["UV_PYTHON_DOWNLOADS"] == "never"
    assert variables["PIP_CONFIG_FILE"] == "/dev/null"
