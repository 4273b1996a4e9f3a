"""Every command in the documentation is one that our parser takes; the quick start runs."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lvlm2p import cli, flags

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"""(?:\]\(|<img src=")([^)"]+\.(?:png|gif|jpg))[)"]""")
ENV = "MiniGrid-GoToDoor-6x6-v0"
YOURS = re.compile(r"\.\.\.|my_\w+:[\w-]+")
"""What stands for an environment of the reader's."""
OURS = ("lvlm2p", "python", "make", "pip")


def commands(page: Path, kinds: tuple[str, ...] = ("sh", "")) -> Iterator[list[str]]:
    """The words of each command in a page's blocks of code."""
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind in kinds:
            for line in text.replace("\\\n", " ").splitlines():
                first = line.strip().partition(" ")[0].rpartition("/")[2]
                if first in OURS:
                    yield [first, *shlex.split(line.partition(" && ")[0], comments=True)[1:]]


class Parsed(Exception):
    """The options are fine."""


def check_lvlm2p(words: list[str], folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Parse the options as the command does, and stop there."""

    def parse(*given: Any) -> Any:
        original(*given)
        raise Parsed

    original: Callable[..., Any] = flags.parse
    config = folder / "config.yaml"
    config.write_text(f"env: {ENV}\n")
    words = [str(config) if word.endswith("config.yaml") else word for word in words]
    words = [ENV if YOURS.fullmatch(word) else word for word in words]
    with patch.context() as inside:
        inside.setattr(cli, "parse", parse)
        if words[0] in ("--version", "--help"):
            return
        with pytest.raises(Parsed):
            command, rest = cli.pick("lvlm2p", dict.fromkeys(cli.COMMANDS, ""), words)
            cli.COMMANDS[command](rest)


def check_python(words: list[str]) -> None:
    """The script is there, and knows each of the options by name."""
    if words[:2] == ["-m", "pip"] or words[:2] == ["-m", "venv"]:
        return
    name = words[1].replace(".", "/") if words[0] == "-m" else words[0]
    name = name.removeprefix("lvlm2p/")
    places = [ROOT / name, (ROOT / name).with_suffix(".py"), ROOT / name / "__main__.py"]
    (script, *_) = [place for place in places if place.is_file()]
    source = script.read_text(encoding="utf-8")
    for option in (word for word in words if word.startswith("--")):
        name = option[2:].partition("=")[0]
        assert name in source or name.replace("-", "_") in source, f"{script} has no {option}"


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [word for word in words if "=" not in word and word not in targets] == []


def check_pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= {*project["optional-dependencies"], "data"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checks = {"python": check_python, "make": check_make, "pip": check_pip}
    for program, *words in commands(page):
        try:
            if program == "lvlm2p":
                check_lvlm2p(words, tmp_path, monkeypatch)
            else:
                checks[program](words)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{page.name}: {shlex.join([program, *words])}: {error!r}")
    said = re.findall(r"`lvlm2p ([a-z][\w-]+)", page.read_text(encoding="utf-8"))
    assert set(said) <= set(cli.COMMANDS), f"{page.name} speaks of a command that is none"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_figure_names_the_command_that_made_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in FIGURE.findall(text):
        at = text.index(name)
        near = text[max(0, at - 2000) : at + 1500]
        assert re.search(r"`[^`]*\b(?:lvlm2p|python|make) [^`]+`", near), f"{name}: made how?"


SMALL = {"--frames": "128", "--states": "5", "--episodes": "1"}
FEW = "--n-envs 4 --n-steps 16 --eval-every 0 --final-episodes 1 --kl-schedule constant"


def test_the_quick_start_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page that needs no key, in its order, with less to do."""
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "quickstart.md"
    for program, *words in commands(page, ("sh",)):
        if program != "lvlm2p" or "gemini" in words:
            continue
        for option, value in SMALL.items():
            if option in words:
                words[words.index(option) + 1] = value
        words += FEW.split() if words[0] == "train" else []
        words += ["--probes", "1"] if words[0] == "evaluate" else []
        assert cli.main(words) == 0, words
    for made in ("report/index.html", "compare/curves.png", "episode.gif"):
        assert (tmp_path / made).stat().st_size > 1_000


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_training_example_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    (code,) = [code for kind, code in BLOCK.findall(text) if kind == "python" and "train(" in code]
    assert len(code.splitlines()) <= 10
    exec(re.sub(r"frames=[\d_]+", "frames=64", code), {})  # noqa: S102 - it is our own page
    assert "fresh episodes" in capsys.readouterr().out
