"""`mm uninstall`: what it lists."""


def test_the_users_own_files_are_listed_and_stay(user):
    own = user.root / "home" / ".config" / "mm"
    (own / "manifests").mkdir(parents=True)
    variables = {"MM_RUNTIME_DIR": str(user.root / "r")}
    assert any(
        line.endswith(f"{own}  your own files, which stay")
        for line in user.mm("uninstall", "--yes", variables=variables)
    )
    assert own.is_dir()


def test_no_directory_is_listed_that_is_not_there(user):
    variables = {"MM_RUNTIME_DIR": str(user.root / "r")}
    assert ".config" not in "\n".join(user.mm("uninstall", "--yes", variables=variables))


def test_sockets_in_the_home_are_no_foreign_files(user):
    home = user.root / "kept"
    (home / "run").mkdir(parents=True, mode=0o700)
    user.mm(
        "uninstall", "--yes", variables={"MM_HOME": str(home), "MM_RUNTIME_DIR": str(home / "run")}
    )
    assert not home.exists()
