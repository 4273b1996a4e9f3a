"""Hooks of mkdocs: the site's navigation, its generated pages, its links into the code.

A page of ``docs/`` that no section below names goes into the section *More*, so that none is lost.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from tools import docs_reference

ROOT = Path(__file__).parents[1]
NAV: dict[str, tuple[str, ...]] = {
    "Start": ("index.md", "quickstart.md", "concepts.md"),
    "Teachers": (
        "choosing-a-teacher.md",
        "budget.md",
        "teachers.md",
        "evaluation.md",
        "prompts.md",
        "serving.md",
        "labels.md",
        "batch.md",
        "sharing.md",
        "scaling.md",
    ),
    "Students": ("training.md", "tracking.md"),
    "Extending": (
        "environments.md",
        "three-d.md",
        "habitat.md",
        "writing-a-teacher.md",
        "tasks.md",
        "other-loops.md",
    ),
    "Results": ("performance.md", "results.md", "doorkey.md"),
    "Reference": (
        "reference/command-line.md",
        "reference/schemas.md",
        "reference/envs.md",
        "reference/prompts.md",
        "reference/teachers.md",
        "reference/student.md",
    ),
    "Project": (
        "architecture.md",
        "decisions.md",
        "security.md",
        "dependencies.md",
        "mutants.md",
        "contributing.md",
        "changelog.md",
    ),
}
MORE: dict[str, tuple[str, ...]] = {
    "Teachers": ("plans", "ensemble", "batch", "sharing"),
    "Students": ("recipe", "sweep", "track", "export", "loop", "stable", "reproduc"),
    "Extending": ("environment", "writing"),
    "Results": ("results/", "llm4teach"),
}
"""Where a page goes that no section names, by a part of its name; else to *More*."""

GENERATED: dict[str, Callable[[], str]] = {
    "reference/command-line.md": docs_reference.command_line,
    "reference/schemas.md": docs_reference.schemas,
    "reference/envs.md": lambda: docs_reference.public_names("envs"),
    "reference/prompts.md": lambda: docs_reference.public_names("prompts"),
    "reference/teachers.md": lambda: docs_reference.public_names("teachers"),
    "reference/student.md": lambda: docs_reference.public_names("student"),
    "results.md": lambda: docs_reference.results(ROOT / "docs" / "results"),
    "contributing.md": lambda: (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    "changelog.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
}
CODE = re.compile(r"(?<!\[)`((?:envs|prompts|teachers|student)/[\w/]+\.py)`(?!\])")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r"^\$\$\n(.*?)\n\$\$$|(?<![\\$`\w])\$([^$\n`]+)\$(?![\w$])", re.M | re.S)
FENCE = re.compile(r"^(```.*?^```$)", re.M | re.S)


def navigation(pages: list[str]) -> list[dict[str, list[str]]]:
    """The site's sections, with every page of ``pages`` in one of them."""
    sections = {name: [page for page in named if page in pages] for name, named in NAV.items()}
    for page in sorted(set(pages).difference(*sections.values())):
        if page.startswith("code/"):
            continue
        fits = (name for name, parts in MORE.items() if any(part in page for part in parts))
        sections.setdefault(next(fits, "More"), []).append(page)
    return [{name: found} for name, found in sections.items() if found]


@cache
def named_code() -> tuple[str, ...]:
    """The files of ours that pages name: each gets a page with its source."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")]
    return tuple(sorted({name for text in texts for name in CODE.findall(text)}))


def code_page(name: str) -> str:
    return "code/" + name.removesuffix(".py") + ".md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The generated pages, and the navigation over all of them."""
    for place, content in GENERATED.items():
        files.append(File.generated(config, place, content=content()))
    for name in named_code():
        text = docs_reference.module_page(name)
        hidden = InclusionLevel.NOT_IN_NAV  # reached by links alone
        files.append(File.generated(config, code_page(name), content=text, inclusion=hidden))
    pages = [page.src_uri for page in files.documentation_pages()]
    config.nav = navigation(pages)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, names of files as links to their source, links out of docs/ mended."""
    here = page.file.src_uri

    def outside_fences(change: Callable[[str], str], text: str) -> str:
        parts = FENCE.split(text)
        return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))

    def mend(text: str) -> str:
        text = LINK.sub(lambda found: _mended(found, here, files), text)
        text = CODE.sub(lambda found: _to_code(found[1], here, files), text)
        return FORMULA.sub(_hidden, text)

    return outside_fences(mend, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The formulas, which Markdown has left alone, as MathML."""
    return HIDDEN.sub(_formula, html)


HIDDEN = re.compile(r"(?:<p>)?formula-(inline|block)-([0-9a-f]+)-(?:</p>(?=\n|$))?")


def _hidden(found: re.Match[str]) -> str:
    """A formula as one word: Markdown would take a line that begins with a tag for a block."""
    kind = "block" if found[1] else "inline"
    return f"formula-{kind}-{(found[1] or found[2]).encode().hex()}-"


def _formula(found: re.Match[str]) -> str:
    math: str = convert(bytes.fromhex(found[2]).decode(), display=found[1])
    if found[1] == "inline":
        return found[0].replace(f"formula-inline-{found[2]}-", math)
    return f'<div style="overflow-x: auto; overflow-y: hidden">{math}</div>'


def _to_code(name: str, here: str, files: Files) -> str:
    target = code_page(name)
    if files.get_file_from_path(target) is None or here == target:
        return f"`{name}`"
    return f"[`{name}`]({posixpath.relpath(target, posixpath.dirname(here) or '.')})"


ROOT_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def _mended(found: re.Match[str], here: str, files: Files) -> str:
    """A link of a page as GitHub shows it, as a link of the site; to other files, plain text."""
    text, target, anchor = found[1], found[2], found[3] or ""
    base = "" if here in ("contributing.md", "changelog.md") else "docs"
    place = posixpath.normpath(posixpath.join(base, posixpath.dirname(here), target))
    if place in ROOT_PAGES:
        inside = ROOT_PAGES[place]
    elif place.startswith("docs/"):
        inside = place.removeprefix("docs/")
    else:
        return text if text.startswith("`") else f"{text} (`{place}`)"
    inside = "results.md" if inside == "results" else inside
    if inside.startswith("results/") and files.get_file_from_path(inside) is None:
        return found[0]
    return f"[{text}]({posixpath.relpath(inside, posixpath.dirname(here) or '.')}{anchor})"
