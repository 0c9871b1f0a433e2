"""What a processor says of itself."""

import pytest

from orchestrator.system.processor import native_dtypes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_tile\n", ("bfloat16",)),
        ("flags\t\t: fpu avx2 f16c\n", ()),
        ("Features\t: fp asimd bf16 i8mm\n", ("bfloat16",)),
        ("", ()),
    ],
)
def test_native_dtypes(tmp_path, text, found):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(text)
    assert native_dtypes(tmp_path) == found


def test_where_there_is_no_such_file(tmp_path):
    assert native_dtypes(tmp_path) == ()
