import pytest

from orchestrator.core.markers import simplified_marker
from orchestrator.core.platforms import marker_values

PLACES = [
    marker_values(platform, minor)
    for platform in ("linux-x86_64", "linux-aarch64", "macos-arm64")
    for minor in ("3.10", "3.11", "3.12")
]
EVERYWHERE = (
    "((platform_machine == 'arm64' and sys_platform == 'darwin') or"
    " (platform_machine == 'aarch64' and sys_platform == 'linux') or"
    " (platform_machine == 'x86_64' and sys_platform == 'linux'))"
)


@pytest.mark.parametrize(
    ("marker", "simple"),
    [
        (EVERYWHERE, ""),
        (f"python_full_version >= '3.10' and python_full_version < '3.13' and {EVERYWHERE}", ""),
        (f"python_full_version >= '3.11' and python_full_version < '3.13' and {EVERYWHERE}",
         "python_full_version >= '3.11'"),
        ("python_full_version < '3.13' and platform_machine == 'x86_64'",
         "platform_machine == 'x86_64'"),
        (f"implementation_name != 'pypy' and {EVERYWHERE}", "implementation_name != 'pypy'"),
        ("sys_platform == 'linux' or python_version < '3.11'",
         "sys_platform == 'linux' or python_version < '3.11'"),
        ("sys_platform == 'linux' or sys_platform == 'darwin'", ""),
    ],
)  # fmt: skip
def test_markers_lose_what_makes_no_difference(marker, simple):
    assert simplified_marker(marker, PLACES) == simple
