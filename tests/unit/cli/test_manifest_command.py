"""`mm manifest`: check, schema, trust."""

import json

import pytest

from orchestrator.errors import ManifestError
from tests.unit.catalog.worlds import write_model


def test_a_broken_table_of_the_doctor_is_a_problem(user):
    given = user.root / "given"
    (given / "doctor").mkdir(parents=True)
    (given / "doctor" / "mine.yaml").write_text("name: yours\n")
    with pytest.raises(ManifestError, match="1 problem in"):
        user.mm("manifest", "check", manifests=[given])
    (said,) = user.out
    assert said.startswith(f"{given}/doctor/mine.yaml:1: name: 'yours' is not the file's name")


def test_manifests_without_a_problem(user):
    write_model(user.root / "a", "a")
    assert user.mm("manifest", "check", manifests=[user.root / "a" / "manifests"]) == []
    assert user.notes[-1].endswith(", no problem")


def test_a_runner_is_checked_with_its_manifest(user):
    write_model(user.root / "project" / "sub", "one")
    runner = user.root / "project" / "sub" / "envs" / "one" / "runner.py"
    runner.write_text("def load(context): pass\ndef run(model, job, *, wrong): pass\n")
    with pytest.raises(ManifestError, match="2 problems in 1 manifest"):
        user.mm("manifest", "check", "sub/manifests/one.yaml")
    assert user.out[0].startswith("sub/envs/one/runner.py:2: run does not take the input 'text'")
    runner.unlink()
    user.mm("manifest", "check", "sub/manifests/one.yaml")


def test_every_problem_of_every_file_in_use_is_printed(user):
    manifests = write_model(user.root / "a", "one", more="x: 1\ny: 2\n")
    write_model(user.root / "a", "two", more="keep_alive: soon\n")
    with pytest.raises(ManifestError, match="3 problems in ") as caught:
        user.mm("manifest", "check", manifests=[manifests])
    assert caught.value.exit_code == 2
    assert [line.partition(": ")[0] for line in user.out] == [
        f"{manifests}/one.yaml:12",
        f"{manifests}/one.yaml:13",
        f"{manifests}/two.yaml:12",
    ]


def test_one_file_wherever_it_is(user):
    write_model(user.root / "project" / "sub", "one", more="x: 1\n")
    with pytest.raises(ManifestError, match="2 problems in 2 manifests"):
        user.mm("manifest", "check", "sub/manifests/one.yaml", "sub/manifests/two.yaml")
    assert user.out[0].startswith("sub/manifests/one.yaml:12: x: unknown key")
    assert user.out[1] == "sub/manifests/two.yaml: no such file"


def test_what_only_the_other_manifests_show_is_found_too(user):
    manifests = write_model(user.root / "a", "one", task="two")
    write_model(user.root / "a", "two")
    with pytest.raises(ManifestError, match=r"1 problem in 1 manifest$"):
        user.mm("manifest", "check", str(manifests / "two.yaml"), manifests=[manifests])
    assert "has a task of that name" in user.out[0]


def test_manifests_that_wait_to_be_trusted_are_checked_too(user):
    write_model(user.root / "project", "mine", more="x: 1\n")
    with pytest.raises(ManifestError, match="1 problem in "):
        user.mm("manifest", "check")
    assert user.out[0].startswith("manifests/mine.yaml:12: x: unknown key")
    assert "it is not trusted" in user.notes[0]


def test_the_schema_is_printed_as_json(user):
    assert json.loads("\n".join(user.mm("manifest", "schema")))["title"] == "A model's manifest"


class TestTrust:
    @pytest.fixture
    def found(self, user):
        return write_model(user.root / "project", "mine")

    @pytest.mark.parametrize("argument", ["manifests", "."])
    def test_a_trusted_directory_is_in_use(self, user, found, argument):
        assert "mine" not in "\n".join(user.mm("model", "list"))
        assert user.mm("manifest", "trust", argument) == [
            f"{user.root}/project/envs/mine/runner.py",
            f"{user.root}/project/manifests/mine.yaml",
        ]
        assert "trusted 2 files as they are now, sha256 " in user.notes[-1]
        assert "mine" in "\n".join(user.mm("model", "list"))

    def test_trust_ends_with_a_change_and_can_be_given_again(self, user, found):
        user.mm("manifest", "trust", "manifests")
        write_model(user.root / "project", "other")
        user.mm("model", "list")
        assert "it has changed since it was trusted" in user.notes[0]
        user.mm("manifest", "trust", "manifests")
        assert "other" in "\n".join(user.mm("model", "list"))

    def test_trust_can_be_taken_back(self, user, found):
        user.mm("manifest", "trust", "manifests")
        user.mm("manifest", "trust", "manifests", "--revoke")
        user.mm("model", "list")
        assert "it is not trusted" in user.notes[0]

    @pytest.mark.parametrize(
        ("name", "message"),
        [("missing", "missing: no such directory"), ("empty", "empty: no manifest in it")],
    )
    def test_what_is_no_directory_of_manifests(self, user, name, message):
        (user.root / "project" / "empty").mkdir()
        with pytest.raises(ManifestError) as caught:
            user.mm("manifest", "trust", name)
        assert str(caught.value) == message

    def test_nothing_is_trusted_that_holds_a_link(self, user, found):
        (found.parent / "envs" / "mine" / "link").symlink_to("/")
        with pytest.raises(ManifestError, match="a link"):
            user.mm("manifest", "trust", "manifests")
        assert not (user.root / "mm-home").exists()
