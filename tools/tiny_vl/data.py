"""States to learn from: the four tasks at 5x5 to 8x8, drawn as a teacher sees them.

An environment is reset, and its agent set on free cells in any direction: that covers every state
that random or expert play can reach, near the goal as often as far from it. Truth comes from the
task itself (``Task.ground_truth``, ``Task.planner``), pictures from ``View.image``: each is cut
into 32-pixel tiles, and a state is stored as the numbers of its distinct tiles.

Held out are *layouts* (everything but the agent and the mission), never single states: one in ten
by its hash; of LavaGap, which has few layouts, the gaps that :func:`held_out_gap` names. Because
they are so few that a model would learn them by heart, LavaGap is also practised in rooms that the
environment never makes: other strips, two gaps, scattered lava, other goals (:func:`practice`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs import View, make_env, task_named, view_of
from tools.tiny_vl.tokens import DIRECTIONS, TASKS

SIDES = (5, 6, 7, 8)
SIDE_WEIGHTS = {5: 0.16, 6: 0.44, 7: 0.14, 8: 0.26}
"""How often a batch shows grids of each side."""
TASK_WEIGHTS = {"lava-gap": 0.3, "dynamic-obstacles": 0.24, "fetch": 0.26, "go-to-door": 0.2}
"""How often a batch shows each task."""
PRACTICE = 20_000
"""Practice states of LavaGap of each side."""
PRACTISED = 0.8
"""Share of LavaGap's lessons that are practice rooms."""
SHARES = {"lava-gap": 0.0375, "dynamic-obstacles": 0.3, "fetch": 0.28, "go-to-door": 0.27}
"""How much of the data each task is."""
POSES = 6
"""Agent poses taken from one layout."""
FACTS = (
    "task", "mission", "agent_row", "agent_column", "agent_direction",
    "target_row", "target_column", "ahead", "optimal", "use",
)  # fmt: skip
"""Columns of the table of facts. ``optimal``: a bit for each of the task's actions; ``mission`` and
``ahead`` number the texts in :class:`States`; ``use`` is LEARN, HELD_OUT or PRACTISE."""
LEARN, HELD_OUT, PRACTISE = range(3)


def variants(task: str, side: int) -> list[tuple[str, dict[str, Any]]]:
    """Environment ids and arguments that show ``task`` on ``side`` x ``side`` cells."""
    if task == "lava-gap":
        return [("MiniGrid-LavaGapS7-v0", {"size": side})]
    if task == "go-to-door":
        return [("MiniGrid-GoToDoor-8x8-v0", {"size": side})]
    if task == "fetch":
        usual = {5: 2, 6: 2, 7: 3, 8: 3}[side]
        counts = (usual, usual, usual + 1)
        return [("MiniGrid-Fetch-8x8-N3-v0", {"size": side, "numObjs": n}) for n in counts]
    random = "MiniGrid-Dynamic-Obstacles-Random-6x6-v0"  # the agent, hence the balls, anywhere
    n = {5: 2, 6: 3, 7: 3, 8: 4}[side]
    return [(random, {"size": side, "n_obstacles": n})]


def held_out_gap(side: int, column: int, row: int) -> bool:
    """Whether a LavaGap layout (its gap's place) is kept from training: 1 of 3 layouts at 5x5,
    2 of 8 at 6x6, 3 of 15 at 7x7, 4 of 24 at 8x8."""
    return (side + column + 2 * row) % 5 == 1


def held_out(task: str, base: Any) -> bool:
    """Whether the layout of a MiniGrid environment as it is now is kept from training."""
    if task == "lava-gap":
        column, row = base.gap_pos
        return held_out_gap(base.width, int(column), int(row))
    digest = hashlib.sha256(b"layout" + base.grid.encode().tobytes()).digest()
    return digest[0] < 26


def poses(task: str, side: int, n: int, seed: int) -> Iterator[tuple[View, bool]]:
    """``n`` views of a task, each with whether its layout is held out; the same for a seed."""
    rng = np.random.default_rng([seed, side, TASKS.index(task)])
    envs = [make_env(env_id, **kwargs) for env_id, kwargs in variants(task, side)]
    made = 0
    while made < n:
        env = envs[rng.integers(len(envs))]
        env.reset(seed=int(rng.integers(2**31)))
        kept = held_out(task, env.unwrapped)
        for view in _agent_anywhere(env, min(POSES, n - made), rng):
            yield view, kept
            made += 1


def practice(side: int, n: int, seed: int) -> Iterator[tuple[View, bool]]:
    """``n`` views of LavaGap in rooms that are none of its layouts, as :func:`poses` gives them."""
    rng = np.random.default_rng([seed, side])
    env_id, kwargs = variants("lava-gap", side)[0]
    env = make_env(env_id, **kwargs)
    made = 0
    while made < n:
        env.reset(seed=0)
        if not _rebuild(env.unwrapped, rng):
            continue
        for view in _agent_anywhere(env, min(POSES, n - made), rng):
            yield view, False
            made += 1


def _rebuild(base: Any, rng: np.random.Generator) -> bool:
    """Another room: a goal, and lava in a strip with one or two gaps or scattered. False where it
    is one of LavaGap's own."""
    from minigrid.core.world_object import Goal, Lava

    side = base.width
    inside = range(1, side - 1)
    for x in inside:
        for y in inside:
            base.grid.set(x, y, None)
    corner = (side - 2, side - 2)
    goal = corner if rng.random() < 0.6 else tuple(int(v) for v in rng.integers(1, side - 1, 2))
    line = int(rng.integers(1, side - 1))
    upright = rng.random() < 0.6
    if rng.random() < 0.7:
        gaps = rng.choice(side - 2, int(rng.integers(1, 3)), replace=False) + 1
        cells = {(line, y) if upright else (y, line) for y in inside if y not in gaps}
    else:
        gaps = np.zeros(0, np.int64)
        cells = {(int(x), int(y)) for x, y in rng.integers(1, side - 1, (side - 1, 2))}
    for cell in cells - {goal}:
        base.grid.set(*cell, Lava())
    base.grid.set(*goal, Goal())
    return not (goal == corner and upright and len(gaps) == 1)


def _agent_anywhere(env: Any, n: int, rng: np.random.Generator) -> Iterator[View]:
    """Up to ``n`` views of the room with the agent on a free cell, where success is in reach."""
    base = env.unwrapped
    inside = range(1, base.width - 1)
    cells = [(x, y) for x in inside for y in inside if base.grid.get(x, y) is None]
    for _ in range(n if cells else 0):
        base.agent_pos = np.array(cells[rng.integers(len(cells))])
        base.agent_dir = int(rng.integers(4))
        view = view_of(env)
        if view.task.plan(view).distance is not None:
            yield view


def cut(picture: NDArray[np.uint8], tile: int = 32) -> NDArray[np.uint8]:
    """A picture (H * tile, W * tile, 3) as its tiles, (H, W, tile, tile, 3)."""
    height, width = picture.shape[0] // tile, picture.shape[1] // tile
    return picture.reshape(height, tile, width, tile, 3).swapaxes(1, 2)


@dataclass
class States:
    """What one file of training data holds."""

    pictures: NDArray[np.uint8]
    """(T, 32, 32, 3): the distinct tiles."""
    missions: list[str]
    ahead: list[str]
    grids: dict[int, NDArray[np.uint8]]
    """Side -> (N, side, side) numbers of tiles."""
    facts: dict[int, NDArray[np.int16]]
    """Side -> (N, columns of :data:`FACTS`)."""

    def __post_init__(self) -> None:
        self.actions = {name: task_named(name).action_names for name in TASKS}
        self._rows = {
            (side, task, use): np.flatnonzero((f[:, 0] == task) & (f[:, 9] == use))
            for side, f in self.facts.items()
            for task in range(len(TASKS))
            for use in (LEARN, HELD_OUT, PRACTISE)
        }

    def learnt(self, side: int, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Rows of ``n`` states to learn from, tasks mixed by their weights; most of LavaGap's are
        practice rooms."""
        weights = np.array([TASK_WEIGHTS[task] for task in TASKS])
        tasks = rng.choice(len(TASKS), n, p=weights / weights.sum())
        practised = (tasks == TASKS.index("lava-gap")) & (rng.random(n) < PRACTISED)
        uses = np.where(practised, PRACTISE, LEARN)
        pairs = zip(tasks.tolist(), uses.tolist(), strict=True)
        return np.array([rng.choice(self._rows[side, task, use]) for task, use in pairs])

    def held(self, side: int, task: int) -> NDArray[np.intp]:
        """Rows of the held-out states of one task."""
        return self._rows[side, task, HELD_OUT]

    def save(self, path: Path) -> None:
        """Write everything to one ``.npz`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"grids{s}": g for s, g in self.grids.items()}
        arrays |= {f"facts{s}": f for s, f in self.facts.items()}
        texts = np.array(json.dumps([self.missions, self.ahead]))
        np.savez_compressed(path, pictures=self.pictures, texts=texts, **arrays)

    @classmethod
    def load(cls, path: Path) -> States:
        """Read what :meth:`save` wrote."""
        with np.load(path) as file:
            missions, ahead = json.loads(str(file["texts"]))
            sides = [s for s in SIDES if f"grids{s}" in file]
            return cls(
                file["pictures"],
                missions,
                ahead,
                {s: file[f"grids{s}"] for s in sides},
                {s: file[f"facts{s}"] for s in sides},
            )


class Numbers(dict[Any, int]):
    """Numbers things in the order in which they are first met."""

    def __missing__(self, thing: Any) -> int:
        self[thing] = len(self)
        return self[thing]


def facts_of(view: View, missions: Numbers, ahead: Numbers, use: int) -> list[int]:
    """A row of :data:`FACTS`."""
    task = view.task
    assert task.ground_truth is not None
    scene = task.ground_truth(view)
    best = task.plan(view).actions
    return [
        TASKS.index(task.name),
        missions[view.mission],
        scene["agent_row"],
        scene["agent_column"],
        DIRECTIONS.index(scene["agent_direction"]),
        scene["target_row"],
        scene["target_column"],
        ahead[scene["ahead"]],
        sum(1 << i for i, name in enumerate(task.action_names) if name in best),
        use,
    ]


def collect(
    job: tuple[str, int, int, int, bool],
) -> tuple[list[bytes], list[str], list[str], Any, Any]:
    """States of one (task, side, n, seed, practice), with the tiles and texts that they number."""
    task, side, n, seed, practised = job
    tiles, missions, ahead = Numbers(), Numbers(), Numbers()
    grids, facts = [], []
    states = practice(side, n, seed) if practised else poses(task, side, n, seed)
    for view, kept in states:
        blocks = cut(view.image()).reshape(side * side, -1)
        grids.append([tiles[block.tobytes()] for block in blocks])
        use = PRACTISE if practised else HELD_OUT if kept else LEARN
        facts.append(facts_of(view, missions, ahead, use))
    shape = (len(grids), side, side)
    return (
        list(tiles),
        list(missions),
        list(ahead),
        np.array(grids, np.uint8).reshape(shape),
        np.array(facts, np.int16),
    )


def make_states(n: int, seed: int, workers: int = 1) -> States:
    """About ``n`` states of all tasks and sides.

    LavaGap gets few, since it has few: 384 at 6x6; and practice beside them.
    """
    jobs = [
        (
            task,
            side,
            int(n / len(SIDES) * SHARES[task]),
            seed,
            False,
        )
        for side in SIDES
        for task in TASKS
    ]
    jobs += [("lava-gap", side, PRACTICE, seed, True) for side in SIDES]
    tiles, missions, ahead = Numbers(), Numbers(), Numbers()
    grids: dict[int, list[Any]] = {side: [] for side in SIDES}
    facts: dict[int, list[Any]] = {side: [] for side in SIDES}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for (_, side, _, _, _), part in zip(jobs, pool.map(collect, jobs), strict=True):
            part_tiles, part_missions, part_ahead, part_grids, part_facts = part
            grids[side].append(np.array([tiles[t] for t in part_tiles], np.uint8)[part_grids])
            part_facts[:, 1] = np.array([missions[m] for m in part_missions])[part_facts[:, 1]]
            part_facts[:, 7] = np.array([ahead[a] for a in part_ahead])[part_facts[:, 7]]
            facts[side].append(part_facts)
    pictures = np.stack([np.frombuffer(t, np.uint8).reshape(32, 32, 3) for t in tiles])
    return States(
        pictures,
        list(missions),
        list(ahead),
        {side: np.concatenate(parts) for side, parts in grids.items()},
        {side: np.concatenate(parts) for side, parts in facts.items()},
    )
