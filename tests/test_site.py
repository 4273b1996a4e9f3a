"""The documentation site: every page is in it, it builds strictly, its reference is the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from lvlm2p.cli import COMMANDS
from tools import docs_reference, docs_site

ROOT = Path(__file__).parents[1]


def test_every_page_is_in_the_navigation() -> None:
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    pages += docs_site.GENERATED
    shown = [
        page for part in docs_site.navigation(pages) for found in part.values() for page in found
    ]
    assert sorted(shown) == sorted(pages)
    named = [page for found in docs_site.NAV.values() for page in found]
    assert sorted(set(named) - set(pages)) == [], "NAV names a page that is not there"


def test_a_page_that_nobody_placed_is_shown_all_the_same() -> None:
    placed = docs_site.navigation(["index.md", "sweeps.md", "strange.md", "code/x.md"])
    assert placed == [
        {"Start": ["index.md"]},
        {"Students": ["sweeps.md"]},
        {"More": ["strange.md"]},
    ]


def test_the_reference_lists_every_command_and_subcommand() -> None:
    found = [" ".join(command) for command in docs_reference.commands()]
    assert set(COMMANDS) <= set(found) and "labels export" in found
    assert "--frames" in docs_reference.help_of("train")


def test_a_schema_as_a_table() -> None:
    schema = {
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "description": "First | of :class:`two`.\n\nMore."},
            "b": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/C"}], "default": None},
            "c": {"type": "array", "items": {"enum": ["x", "y"]}, "default": ["x"]},
        },
    }
    rows = docs_reference._fields(schema).splitlines()[2:]
    assert rows == [
        "| `a` | integer |  | First \\| of `two`. |",
        "| `b` | null or C | `null` |  |",
        '| `c` | list of `x` `y` | `["x"]` |  |',
    ]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strictly: a link or an anchor that leads nowhere ends the build."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    known = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    concepts = (tmp_path / "concepts.html").read_text(encoding="utf-8")
    assert concepts.count("<math") > 10 and "$$" not in concepts and "formula-" not in concepts
    assert re.search(r"The student\s<math[^\n]*</math>\s*minimises", concepts), "within its line"
    assert 'href="code/student/learn/losses.html"' in concepts
    loss = (tmp_path / "code/student/learn/losses.html").read_text(encoding="utf-8")
    assert "distillation_loss" in loss
    api = (tmp_path / "reference/teachers.html").read_text(encoding="utf-8")
    assert 'id="lvlm2p.teachers.registry.load_teacher"' in api
    outside = re.compile(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"')
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")]
    assert not any(outside.search(page) for page in pages), "something is fetched from elsewhere"
