"""A prompt's fingerprint: every byte that reaches the model, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import (
    task_named,
)
from lvlm2p.prompts import (
    Analysis,
    load_prompt,
    prompt_names,
)
from lvlm2p.prompts.answer_format import FORMATS
from tests.support.prompts import copied
from tests.support.shipped import PAPER_TASKS

ELICITS = tuple(FORMATS)
FETCH = task_named("fetch")


def test_the_fingerprint_stays_while_nothing_changes(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    assert (
        load_prompt("two-turn", FETCH).fingerprint
        == load_prompt("two-turn", FETCH).fingerprint
        == load_prompt(str(folder), FETCH).fingerprint
    )
    # What does not reach the model does not count: later examples, other tasks' pools, notes.
    pool = folder / "examples" / "fetch" / "examples.json"
    data = json.loads(pool.read_text())
    data["about"] = "mine"
    data["examples"][9]["action"] = "forward"
    pool.write_text(json.dumps(data))
    shutil.rmtree(folder / "examples" / "lava-gap")
    (folder / "notes.txt").write_text("mine")
    assert load_prompt(str(folder), FETCH).fingerprint == load_prompt("two-turn", FETCH).fingerprint


def test_every_setting_has_a_fingerprint_of_its_own() -> None:
    seen = {
        load_prompt(name, task, shots=shots, elicit=elicit).fingerprint
        for name in ("two-turn", "direct")
        for task in PAPER_TASKS
        for shots in (0, 2)
        for elicit in ELICITS
    }
    assert len(seen) == 2 * 4 * 2 * 4


@pytest.mark.parametrize("file", ["system.md", "analysis.md", "action.md", "judge.md", "state.md"])
def test_a_byte_of_any_text_changes_the_fingerprint(tmp_path: Path, file: str) -> None:
    folder = copied(tmp_path)
    path = folder / file
    path.write_bytes(path.read_bytes() + b" ")
    assert (
        load_prompt(str(folder), FETCH, shots=0).fingerprint
        != load_prompt("two-turn", FETCH, shots=0).fingerprint
    )


def change_pool(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        pool = folder / "examples" / "fetch" / "examples.json"
        data = json.loads(pool.read_text())
        change(data["examples"][1])
        pool.write_text(json.dumps(data))

    return apply


def swap_pictures(folder: Path) -> None:
    first, second = (folder / "examples" / "fetch" / name for name in ("00.png", "01.png"))
    second.write_bytes(first.read_bytes())


def wider_tiles(folder: Path) -> None:
    path = folder / "prompt.yaml"
    path.write_text(path.read_text().replace("tile: 32", "tile: 48"))


@pytest.mark.parametrize(
    "change",
    [
        change_pool(lambda example: example["analysis"].update(agent_row=7)),
        change_pool(lambda example: example["view"].update(mission="get a red ball")),
        change_pool(
            lambda example: example["probabilities"].update(dict.fromkeys(FETCH.action_names, 0.25))
        ),
        swap_pictures,
        wider_tiles,
    ],
)
def test_an_example_a_picture_or_the_style_changes_the_fingerprint(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = copied(tmp_path)
    change(folder)
    changed, ours = (load_prompt(name, FETCH, shots=2) for name in (str(folder), "two-turn"))
    assert changed.fingerprint != ours.fingerprint


def test_a_drawing_style_counts_without_examples_too(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    wider_tiles(folder)
    prints = {load_prompt(n, FETCH, shots=0).fingerprint for n in (str(folder), "two-turn")}
    assert len(prints) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"rules": FETCH.rules + "!"},
        {"actions": (replace(FETCH.actions[0], meaning="spin"), *FETCH.actions[1:])},
    ],
)
def test_the_tasks_own_words_change_the_fingerprint(more: dict[str, Any]) -> None:
    for name in prompt_names():
        for elicit in ELICITS:  # a letter has no schema that would say an action's meaning too
            changed = load_prompt(name, replace(FETCH, **more), shots=0, elicit=elicit)
            ours = load_prompt(name, FETCH, shots=0, elicit=elicit)
            assert changed.fingerprint != ours.fingerprint


def test_the_schema_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_prompt("two-turn", FETCH).fingerprint

    class Longer(Analysis):
        carrying: str

    monkeypatch.setattr("lvlm2p.prompts.prompt.Analysis", Longer)
    assert load_prompt("two-turn", FETCH).fingerprint != before


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "from lvlm2p.envs import task_named; from lvlm2p.prompts import load_prompt\n"
        "print(load_prompt('two-turn', task_named('fetch'), shots=16).fingerprint)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "7"},
    )
    assert said.stdout.strip() == load_prompt("two-turn", FETCH, shots=16).fingerprint
