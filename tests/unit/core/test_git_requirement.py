import pytest

from orchestrator.core.git_requirement import read_git_requirement
from orchestrator.errors import UsageError

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"git+https://h.test/o/r.git@{COMMIT}", ("https://h.test/o/r.git", COMMIT, "")),
        (
            f"git+ssh://git@h.test/o/r@{COMMIT}#subdirectory=a/b-c",
            ("ssh://git@h.test/o/r", COMMIT, "a/b-c"),
        ),
        (f"git+file:///a b/r@{COMMIT}", ("file:///a b/r", COMMIT, "")),
    ],
    ids=["https", "ssh", "file"],
)
def test_a_commit_is_read(text, found):
    assert read_git_requirement(text) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("git+https://h.test/r", "no commit is named"),
        ("git+https://h.test/r@feature/x", "'feature/x' may come to mean another commit"),
        ("git+https://h.test/r@v1.0", "git ls-remote https://h.test/r v1.0"),
        (f"git+https://h.test/r@{COMMIT[:12]}", "may come to mean another commit"),
        (f"git+ssh://git@h.test/r#subdirectory=@{COMMIT}", "no commit is named"),
        (f"git+http://h.test/r@{COMMIT}", "git is asked over https, ssh or file"),
        (f"git+ext::sh -c id@{COMMIT}", "git is asked over https, ssh or file"),
        (f"git+https://h.test/r@{COMMIT}#egg=r", "'egg=r' is not subdirectory=FOLDER"),
        (f"git+https://h.test/r@{COMMIT}#subdirectory=../x", "is not subdirectory=FOLDER"),
    ],
    ids=["none", "branch", "tag", "part", "after", "http", "command", "egg", "above"],
)
def test_what_moves_or_is_no_repository_is_refused(text, sentence):
    with pytest.raises(UsageError) as caught:
        read_git_requirement(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("login", ["user:secret", "secret"])
def test_credentials_are_refused_and_not_repeated(login):
    with pytest.raises(UsageError) as caught:
        read_git_requirement(f"git+https://{login}@h.test/r@{COMMIT}")
    assert "h.test holds credentials" in str(caught.value)
    assert "secret" not in str(caught.value)
