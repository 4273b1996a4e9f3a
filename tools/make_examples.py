"""Makes the few-shot pools in prompts/examples: `python tools/make_examples.py [TASK ...]`.

Real states of every small size, chosen one by one: the actions take turns in a shuffled order, so
that the first k examples favour none, and each next state is the one least like those before it
(direction, size, distance, target, what is ahead, where the target lies). Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lvlm2p.envs import ImageStyle, Plan, Task, View, covered_ids, make_env, sample_states, task_for
from lvlm2p.prompts import Analysis, Example
from lvlm2p.prompts.examples import POOLS, pool_json

STYLE = ImageStyle(tile=32, margins=True)
LARGEST = 8
"""Cells a side: larger pictures cost more tokens and teach nothing new."""
STATES_AN_ENV = 200
TIE_EVERY = 5
"""Every so many examples one has several best actions, so that sharing is seen too."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", help="names of tasks; all four if none is given")
    parser.add_argument("--n", type=int, default=16, help="examples a task")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=POOLS, help="folder of pools")
    args = parser.parse_args()
    for task, env_ids in _environments().items():
        if not args.tasks or task.name in args.tasks:
            states = _states(env_ids, args.seed)
            chosen = _choose(task, states, args.n, np.random.default_rng(args.seed))
            about = f"{args.n} of {len(states)} states of {', '.join(env_ids)}; seed {args.seed}"
            _write(args.out / task.name, chosen, about)
            print(f"{task.name}: {about}")


def probabilities(task: Task, best: frozenset[str]) -> dict[str, float]:
    """The best actions share what the others leave: at least 0.02 each; in cents, so exact."""
    names = task.action_names
    if len(best) == len(names):
        cents = {name: 100 // len(names) + (i < 100 % len(names)) for i, name in enumerate(names)}
    else:
        others = len(names) - len(best)
        each = next(c for c in range(2, 100) if (100 - c * others) % len(best) == 0)
        shared = (100 - each * others) // len(best)
        cents = {name: shared if name in best else each for name in names}
    return {name: cent / 100 for name, cent in cents.items()}


def png(view: View, style: ImageStyle = STYLE) -> bytes:
    """The picture as a small PNG file."""
    file = io.BytesIO()
    Image.fromarray(view.image(style)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _environments() -> dict[Task, list[str]]:
    """The ids of each task, without those whose grid is too large."""
    found: dict[Task, list[str]] = {}
    for env_id in covered_ids():
        if task_for(env_id).ground_truth is None:
            continue
        base: Any = make_env(env_id).unwrapped
        if max(base.width, base.height) <= LARGEST:
            found.setdefault(task_for(env_id), []).append(env_id)
    return found


def _states(env_ids: list[str], seed: int) -> list[View]:
    """Distinct states in which the target can be reached and there is no second target."""
    found: dict[str, View] = {}
    for env_id in env_ids:
        for view in sample_states(env_id, STATES_AN_ENV, seed, "mixed", stratified=True):
            assert view.task.ground_truth is not None
            if view.task.plan(view).distance and len(view.task.ground_truth(view)["targets"]) == 1:
                found[view.key] = view
    return list(found.values())


def _choose(task: Task, states: list[View], n: int, rng: np.random.Generator) -> list[Example]:
    """``n`` examples in the order in which they are shown."""
    order = [states[i] for i in rng.permutation(len(states))]
    plans = {view.key: task.plan(view) for view in order}
    seen: Counter[tuple[str, Any]] = Counter()
    chosen: list[Example] = []
    for index, action in zip(range(n), _turns(task, rng), strict=False):
        tie = index % TIE_EVERY == TIE_EVERY - 1
        fits = _fitting(order, plans, action, tie) or _fitting(order, plans, action, not tie)
        view = min(fits, key=lambda view: sum(seen[trait] for trait in _traits(view)))
        order.remove(view)
        seen.update(_traits(view))
        scene = _scene(view)
        stated = probabilities(task, plans[view.key].actions)
        chosen.append(Example(view, png(view), Analysis(**scene), stated, action))
    return chosen


def _turns(task: Task, rng: np.random.Generator) -> Iterator[str]:
    """The actions, each once a round; none keeps its place from one round to the next."""
    last = np.full(len(task.actions), -1)
    while True:
        order = rng.permutation(len(task.actions))
        if not (order == last).any():
            last = order
            yield from (task.actions[index].name for index in order)


def _fitting(states: list[View], plans: dict[str, Plan], action: str, tie: bool) -> list[View]:
    """States in which ``action`` is best: one of several (``tie``) or the only one."""

    def fits(best: frozenset[str]) -> bool:
        return action in best and (len(best) > 1) == tie

    return [view for view in states if fits(plans[view.key].actions)]


def _scene(view: View) -> dict[str, Any]:
    assert view.task.ground_truth is not None
    scene = dict(view.task.ground_truth(view))
    del scene["targets"]
    return scene


def _traits(view: View) -> list[tuple[str, Any]]:
    """What should vary from one example to the next."""
    scene = _scene(view)
    down = int(np.sign(scene["target_row"] - scene["agent_row"]))
    right = int(np.sign(scene["target_column"] - scene["agent_column"]))
    distance = view.task.plan(view).distance or 0
    colour, _, kind = (view.task.target(view.mission) or "").partition(" ")
    return [
        ("direction", scene["agent_direction"]),
        ("size", view.image(ImageStyle(tile=1)).shape),
        ("distance", min(distance, 10) // 2),
        ("colour", colour),
        ("kind", kind),
        ("ahead", scene["ahead"].rpartition(" ")[2]),
        ("bearing", (down, right)),
        ("column", scene["agent_column"]),
        ("row", scene["agent_row"]),
    ]


def _write(folder: Path, examples: list[Example], about: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    names = [f"{index:02d}.png" for index in range(len(examples))]
    for name, example in zip(names, examples, strict=True):
        (folder / name).write_bytes(example.png)
    (folder / "examples.json").write_text(pool_json(about, STYLE, examples, names), "utf-8")


if __name__ == "__main__":
    main()
