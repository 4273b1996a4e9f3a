"""The release: one version, a lock that agrees with the pins, a workflow that is `.ci/run`."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tools import release

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w.-]+)==([\w.!+-]+)", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall((ROOT / name).read_text(encoding="utf-8")):
        found.setdefault(re.sub(r"[-_.]+", "-", package).lower(), set()).add(version)
    return found


def test_the_version_stands_in_one_place() -> None:
    version = release.version()
    places = [
        "README.md",
        "CITATION.cff",
        "docs/index.md",
        "docs/quickstart.md",
        "tools/release.py",
    ]
    sources = [ROOT / place for place in places] + list((ROOT / "lvlm2p").glob("*.py"))
    assert [path for path in sources if version in path.read_text(encoding="utf-8")] == []


def test_the_changelog_has_a_version_or_not() -> None:
    text = "# Changelog\n## [Unreleased]\n## [1.2.0] - 2026-12-01\n"
    assert release.changelog_has("1.2.0", text)
    assert not release.changelog_has("1.2", text) and not release.changelog_has("1x2x0", text)


def test_the_lock_has_the_pinned_versions_and_their_hashes() -> None:
    locked, pinned = pins("requirements-ci.txt"), pins("constraints.txt")
    differing = {name for name in locked.keys() & pinned.keys() if not locked[name] <= pinned[name]}
    assert differing == set(), "run make lock"
    assert {"torch", "litellm", "pytest", "mkdocs", "gymnasium"} <= locked.keys()
    text = (ROOT / "requirements-ci.txt").read_text(encoding="utf-8")
    for entry in re.split(r"\n(?=[\w.-]+==)", text)[1:]:
        assert "--hash=sha256:" in entry, entry.partition("\n")[0]


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    test = workflow["jobs"]["test"]
    assert [step["run"] for step in test["steps"] if "run" in step] == ["bash .ci/run"]
    assert test["strategy"]["matrix"] == {
        "os": ["ubuntu-latest", "macos-latest"],
        "python": ["3.11", "3.12", "3.13"],
    }


def test_citation_and_templates_are_whole() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["preferred-citation"]["url"].endswith("2505.11221")
    assert citation["references"][0]["url"].endswith("2311.13373")
    for template in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(template.read_text(encoding="utf-8"))
        assert template.name == "config.yml" or {"name", "description", "body"} <= form.keys()
