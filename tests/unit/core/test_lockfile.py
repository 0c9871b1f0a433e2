import pytest

from orchestrator.core.lockfile import (
    MANIFEST,
    LockError,
    applicable,
    normal_name,
    parse_lock,
    render_lock,
    requirements_text,
    shape_digest,
)
from orchestrator.core.manifest import Environment
from tests.models import interpreter

A, B = "a" * 64, "b" * 64
BODY = f"""\
numpy==2.2.6 ; python_full_version < '3.11' \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via
    #   -r manifest.in
    #   onnxruntime
numpy==2.4.6 ; python_full_version >= '3.11' \\
    --hash=sha256:{A}
    # via onnxruntime
Ruamel.Yaml==0.18 \\
    --hash=sha256:{A}
    # via -r manifest.in
"""


def lock_text(body=BODY, shape="s" * 64, **keys):
    return render_lock(body, shape=shape, command="mm env lock x", **keys)


def test_reads_back_what_was_written():
    lock = parse_lock(lock_text(notes=("--torch cpu",)))
    assert lock.intact
    assert lock.shape == "s" * 64
    assert lock.notes == ("--torch cpu",)
    assert [(pin.name, pin.version) for pin in lock.pins] == [
        ("numpy", "2.2.6"),
        ("numpy", "2.4.6"),
        ("ruamel-yaml", "0.18"),
    ]
    first = lock.pins[0]
    assert first.marker == "python_full_version < '3.11'"
    assert first.hashes == (f"sha256:{A}", f"sha256:{B}")
    assert first.via == (MANIFEST, "onnxruntime")
    assert lock.pins[1].via == ("onnxruntime",)


def test_the_wheels_of_the_users_own_are_named_without_a_path():
    lock = parse_lock(lock_text(wheels={"own-1.0+x-py3-none-any.whl": A}))
    assert lock.wheels == {"own-1.0+x-py3-none-any.whl": A}
    assert parse_lock(lock_text()).wheels == {}
    assert parse_lock(lock_text(wheels={"../own-1.0-py3-none-any.whl": A})).wheels == {}


def test_an_empty_lock_is_a_lock():
    lock = parse_lock(lock_text(""))
    assert lock.intact
    assert lock.pins == ()


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(A, "c" * 64, 1),
        lambda text: text.replace("Ruamel.Yaml==0.18", "Ruamel.Yaml==0.19"),
        lambda text: text + f"six==1.0 --hash=sha256:{A}\n",
        lambda text: text[: text.index("Ruamel")],
        lambda text: text + "# a comment\n",
    ],
    ids=["hash", "version", "package added", "line missing", "comment"],
)
def test_every_edit_of_the_body_shows(edit):
    assert not parse_lock(edit(lock_text())).intact


def test_another_end_of_line_is_no_edit(tmp_path):
    # Git may check a lock out with CRLF.
    path = tmp_path / "requirements.lock"
    path.write_bytes(lock_text().replace("\n", "\r\n").encode())
    assert parse_lock(path.read_text(encoding="utf-8")).intact


@pytest.mark.parametrize(
    ("body", "problem", "line"),
    [
        ("six>=1.0 --hash=sha256:" + A, "no exact pin", 7),
        ("six @ https://example.org/six.whl --hash=sha256:" + A, "no exact pin", 7),
        ("six==1.0", "no hash", 7),
        ("six==1.0 --hash=md5:00", "no SHA-256", 7),
        (f"six==1.0 \\\n    --hash=sha256:{A}\n-e .", "no exact pin", 9),
        ("--index-url https://example.org/", "no exact pin", 7),
    ],
)
def test_what_is_no_exact_pin_with_hashes_is_refused(body, problem, line):
    with pytest.raises(LockError) as caught:
        parse_lock(lock_text(body))
    assert problem in caught.value.problem
    assert caught.value.line == line


def test_a_requirements_file_of_somebody_else_is_refused():
    with pytest.raises(LockError, match="not a lock that mm has written"):
        parse_lock(BODY)


def test_a_newer_format_is_refused():
    with pytest.raises(LockError, match="has format 2"):
        parse_lock(lock_text().replace("lock-format: 1", "lock-format: 2"))


def test_markers_choose_what_applies():
    pins = parse_lock(lock_text()).pins
    for version, numpy in (("3.10.13", "2.2.6"), ("3.11.0", "2.4.6")):
        chosen = applicable(pins, interpreter(version).markers)
        assert [(pin.name, pin.version) for pin in chosen] == [
            ("numpy", numpy),
            ("ruamel-yaml", "0.18"),
        ]


def test_two_versions_at_once_are_refused():
    body = f"six==1.0 --hash=sha256:{A}\nsix==1.1 --hash=sha256:{A}\n"
    with pytest.raises(LockError, match=r"asks for six 1\.0 and 1\.1 at once"):
        applicable(parse_lock(lock_text(body)).pins, interpreter().markers)


def test_a_marker_that_cannot_be_read_is_named():
    body = f"six==1.0 ; colour == 'red' --hash=sha256:{A}\n"
    with pytest.raises(LockError, match="colour"):
        applicable(parse_lock(lock_text(body)).pins, interpreter().markers)


def test_an_installer_gets_exact_pins_and_no_markers():
    pins = applicable(parse_lock(lock_text()).pins, interpreter("3.10.13").markers)
    text = requirements_text(pins)
    assert "numpy==2.2.6 \\\n    --hash=sha256:" in text
    assert ";" not in text
    assert text.count("--hash=") == 3


def test_names_have_one_spelling():
    assert normal_name("Ruamel.Yaml_clib") == "ruamel-yaml-clib"


def test_the_shape_is_what_shapes_a_lock_and_nothing_else():
    plain = Environment(python=">=3.10", dependencies=("six",), platforms=("linux-x86_64",))
    assert shape_digest(plain) == shape_digest(
        Environment(
            python=">=3.10",
            dependencies=("six",),
            platforms=("linux-x86_64",),
            probe=("six",),
            variables={"A": "1"},
        )
    )
    for change in (
        {"python": ">=3.11"},
        {"dependencies": ("six==1",)},
        {"platforms": ("macos-arm64",)},
        {"overrides": ("six<2",)},
        {"build": ("six",)},
    ):
        keys = {"python": ">=3.10", "dependencies": ("six",), "platforms": ("linux-x86_64",)}
        assert shape_digest(Environment(**{**keys, **change})) != shape_digest(plain)
