"""A task of your own, complete: Gymnasium's FrozenLake, without slipping.

What is needed is `name`, `env_ids`, `actions`, `rules` and `observe`; the others add to it.
"""

from functools import partial
from typing import Any

import numpy as np

from lvlm2p.envs import Action, GridObserver, Plan, Task, View, register_task

MOVES = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}
COLORS = {"S": (200, 220, 255), "F": (200, 220, 255), "H": (0, 0, 120), "G": (0, 200, 0)}


def observe(env: Any, task: Task) -> View:
    """What names the state: the lake and the place on it."""
    lake = env.unwrapped
    rows = b"/".join(b"".join(row) for row in lake.desc)
    return View(task, rows + b"@%d" % lake.s, "cross the ice to the green cell")


def read(view: View) -> tuple[list[str], tuple[int, int]]:
    """The lake's rows, and the row and column of the place."""
    rows, at = view.state.decode().split("@")
    lake = rows.split("/")
    return lake, divmod(int(at), len(lake[0]))


def draw(view: View, style: Any) -> Any:
    """What a teacher sees."""
    lake, here = read(view)
    cells = np.array([[COLORS[cell] for cell in row] for row in lake], np.uint8)
    cells[here] = (255, 0, 0)
    return cells.repeat(style.tile, 0).repeat(style.tile, 1)


def planner(view: View) -> Plan:
    """The best actions: the steps to the goal are counted backwards, from the goal."""
    lake, here = read(view)
    steps = {(y, x): 0 for y, row in enumerate(lake) for x, cell in enumerate(row) if cell == "G"}
    for y, x in (wave := list(steps)):
        for dy, dx in MOVES.values():
            at = (y - dy, x - dx)
            inside = min(at) >= 0 and at[0] < len(lake) and at[1] < len(lake[0])
            if inside and lake[at[0]][at[1]] != "H" and at not in steps:
                steps[at] = steps[y, x] + 1
                wave.append(at)
    after = {name: steps.get((here[0] + dy, here[1] + dx), 999) for name, (dy, dx) in MOVES.items()}
    best = min(after.values())
    return Plan(frozenset(name for name in after if after[name] == best), best + 1)


def symbols(env: Any) -> Any:
    """What a student sees: a grid of symbols, as MiniGrid has them."""
    lake = env.unwrapped
    grid = np.zeros((*lake.desc.shape, 3), np.uint8)
    grid[..., 0] = np.searchsorted(np.array([b"F", b"G", b"H", b"S"]), lake.desc)
    grid[divmod(lake.s, lake.ncol)] = 10, 0, 0
    return grid


task = register_task(
    Task(
        name="frozen-lake",
        env_ids=("FrozenLake*",),
        actions=tuple(Action(name, i, f"move one cell {name}") for i, name in enumerate(MOVES)),
        rules="You are the red cell on a frozen lake. Reach the green cell; dark blue is water.",
        observe=observe,
        draw=draw,
        planner=planner,
        observer=partial(GridObserver, symbols=symbols),
    )
)
