"""The few-shot pools, each example against the planner and the picture of its state."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lvlm2p.envs import ImageStyle, Task, View, task_named
from lvlm2p.prompts import Example, PromptError, load_examples, load_prompt, probabilities_json
from lvlm2p.prompts.examples import POOLS

MARGINS = ImageStyle(tile=32, margins=True)
NAMES = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")
EXAMPLES = {name: load_examples(task_named(name), MARGINS) for name in NAMES}
ALL = [
    pytest.param(example, id=f"{name}-{index:02d}")
    for name, examples in EXAMPLES.items()
    for index, example in enumerate(examples)
]


def scene_of(view: View) -> dict[str, Any]:
    assert view.task.ground_truth is not None
    return dict(view.task.ground_truth(view))


@pytest.mark.parametrize("example", ALL)
def test_an_example_says_what_is_true(example: Example) -> None:
    scene = scene_of(example.view)
    targets = scene.pop("targets")
    said = example.analysis.model_dump()
    assert said == scene
    assert [said["target_row"], said["target_column"]] in targets
    assert len(targets) == 1


@pytest.mark.parametrize("example", ALL)
def test_an_example_prefers_exactly_the_optimal_actions(example: Example) -> None:
    best = example.view.task.plan(example.view).actions
    assert list(example.probabilities) == list(example.view.task.action_names)
    least = min(p for name, p in example.probabilities.items() if name in best)
    worst = max((p for name, p in example.probabilities.items() if name not in best), default=0.0)
    assert least > worst
    assert sum(p for name, p in example.probabilities.items() if name in best) >= 0.9
    assert example.action in best
    cents = [round(100 * p) for p in example.probabilities.values()]
    assert sum(cents) == 100 and min(cents) > 0
    assert json.loads(probabilities_json(example.probabilities)) == example.probabilities


@pytest.mark.parametrize("example", ALL)
def test_an_example_shows_what_its_view_draws(example: Example) -> None:
    shown = np.asarray(Image.open(io.BytesIO(example.png)))
    assert np.array_equal(shown, example.view.image(MARGINS))
    assert len(example.png) < 8_000


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_is_large_and_varied(name: str) -> None:
    examples = EXAMPLES[name]
    assert len(examples) >= 16
    assert len({example.view.key for example in examples}) == len(examples)
    assert {example.analysis.agent_direction for example in examples} == {
        "right", "down", "left", "up",
    }  # fmt: skip
    assert len({example.view.image(ImageStyle(tile=1)).shape for example in examples}) >= 3
    assert any(len(example.view.task.plan(example.view).actions) > 1 for example in examples)
    targets = {example.view.task.target(example.view.mission) for example in examples}
    assert len(targets) >= {"fetch": 8, "go-to-door": 6}.get(name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_shots_favours_an_action(name: str) -> None:
    examples = EXAMPLES[name]
    names = task_named(name).action_names
    for k in range(len(examples) + 1):
        counts = Counter(example.action for example in examples[:k])
        assert max(counts[n] for n in names) - min(counts[n] for n in names) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_actions_is_no_pattern(name: str) -> None:
    actions = [example.action for example in EXAMPLES[name]]
    n = len(task_named(name).actions)
    assert all(actions[i] != actions[i + n] for i in range(len(actions) - n))


def test_another_style_is_drawn_from_the_state() -> None:
    plain = ImageStyle(tile=16)
    example = load_examples(task_named("fetch"), plain, 1)[0]
    shown = np.asarray(Image.open(io.BytesIO(example.png)))
    assert np.array_equal(shown, example.view.image(plain))


def own_pool(tmp_path: Path, name: str = "fetch") -> tuple[Task, Path, dict[str, Any]]:
    folder = tmp_path / "examples" / name
    shutil.copytree(POOLS / name, folder)
    return task_named(name), folder, json.loads((folder / "examples.json").read_text())


def test_a_folder_of_ones_own_takes_the_place_of_ours(tmp_path: Path) -> None:
    task, folder, pool = own_pool(tmp_path)
    pool["examples"].reverse()
    (folder / "examples.json").write_text(json.dumps(pool))
    own = load_examples(task, MARGINS, 2, tmp_path)
    assert [example.view for example in own] == [e.view for e in EXAMPLES["fetch"][:-3:-1]]
    assert load_examples(task_named("lava-gap"), MARGINS, 1, tmp_path) == EXAMPLES["lava-gap"][:1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.update(action="fly"), "not an example of the task 'fetch'"),
        (lambda e: e["view"].update(task="lava-gap"), "not an example of the task 'fetch'"),
        (lambda e: e["view"].update(state="%"), "not a view"),
        (lambda e: e["analysis"].update(agent_direction="north"), "agent_direction"),
        (lambda e: e["probabilities"].pop("forward"), "forward"),
        (lambda e: e["probabilities"].update(left=0.5), "sum to 1"),
        (lambda e: e.update(picture="none.png"), "none.png"),
        (lambda e: e.update(colour="blue"), "colour"),
    ],
)
def test_a_broken_example_is_named(tmp_path: Path, change: Any, words: str) -> None:
    task, folder, pool = own_pool(tmp_path)
    change(pool["examples"][0])
    (folder / "examples.json").write_text(json.dumps(pool))
    with pytest.raises(PromptError, match=words) as caught:
        load_examples(task, MARGINS, 1, tmp_path)
    assert str(folder) in str(caught.value)


def test_a_broken_pool_is_named(tmp_path: Path) -> None:
    task, folder, _ = own_pool(tmp_path)
    (folder / "examples.json").write_bytes(b"{")
    with pytest.raises(PromptError, match=r"examples\.json"):
        load_examples(task, MARGINS, 1, tmp_path)


def test_every_shot_costs_one_picture() -> None:
    for shots in (0, 1, 7, 16):
        prompt = load_prompt("two-turn", task_named("fetch"), shots=shots)
        assert len(prompt.opening) == 1 + 4 * shots
