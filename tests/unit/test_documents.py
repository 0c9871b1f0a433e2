"""Documents in two languages, and what they quote."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "zh" / "deepseek-ocr-2-cpu.md"
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def code(path, language):
    """Return the lines of the blocks of code in one language, without their comments."""
    blocks = [text for kind, text in CODE.findall(path.read_text("utf-8")) if kind == language]
    lines = [re.sub(r"\s+# .*", "", line) for text in blocks for line in text.splitlines()]
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize("language", ["sh", "text", "python"])
def test_both_readmes_have_the_same_code(language):
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    assert code(chinese, language) == code(english, language)
    assert code(english, language)


def test_both_readmes_have_the_same_models():
    names = re.compile(r"^\| `([\w.-]+)` \| `", re.MULTILINE)
    english, chinese = (
        names.findall((ROOT / name).read_text("utf-8")) for name in ("README.md", "README.zh-CN.md")
    )
    assert chinese == english
    assert "deepseek-ocr-2" in english


def test_the_chinese_readme_leads_wherever_the_english_one_does():
    english, chinese = (
        {link.partition("#")[0] for link in LINK.findall((ROOT / name).read_text("utf-8"))}
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english - {"README.zh-CN.md"} - chinese == set()


def test_every_message_that_the_guide_quotes_is_one_that_the_doctor_knows():
    table = yaml.safe_load((ROOT / "manifests" / "doctor" / "known-failures.yaml").read_text())
    patterns = [re.compile(each["pattern"], re.MULTILINE) for each in table["failures"]]
    quoted = code(GUIDE, "text")
    unknown = [line for line in quoted if not any(each.search(line) for each in patterns)]
    assert unknown == []
    assert len(quoted) > 15


def anchors(path):
    """Return what GitHub calls the headings of a document."""
    headings = HEADING.findall(path.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/zh/deepseek-ocr-2-cpu.md"])
def test_every_link_leads_somewhere(name):
    path = ROOT / name
    for link in LINK.findall(path.read_text("utf-8")):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = path.parent / file if file else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link
