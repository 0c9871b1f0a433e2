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
