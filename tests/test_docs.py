"""What the documentation names is there: files, public names, pages."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "teachers").rglob("README.md")]
OURS = (
    "envs",
    "prompts",
    "teachers",
    "student",
    "lvlm2p",
    "tests",
    "tools",
    "benchmarks",
    "docs",
    "examples",
)
FILE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(OURS)})/[\w/-]*(?:\.\w+)?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = {name.rstrip("/.") for name in FILE.findall(page.read_text(encoding="utf-8"))}
    named = {name for name in named if not re.search(r"-v\d+$", name)}  # ids of data sets
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_that_a_page_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_an_example_imports_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lvlm2p"):
                module = importlib.import_module(node.module or "")
                missing = [a.name for a in node.names if not hasattr(module, a.name)]
                assert missing == [], f"from {node.module}"
