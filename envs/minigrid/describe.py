"""What is true of a MiniGrid state, in the words of the analysis turn; and the state as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lvlm2p.envs.minigrid.state import DIRECTIONS, EMPTY, UNSEEN, WALL, Cell, Snapshot, decode_state
from lvlm2p.envs.task import View

Targets = Callable[[Snapshot, str], Sequence[tuple[int, int]]]
"""(state, mission) -> every (x, y) that counts as the target, the best first."""


def ground_truth_of(view: View, targets: Targets) -> dict[str, Any]:
    """The true analysis: rows are y and columns x, from 0 at the outer wall."""
    state = decode_state(view.state)
    found = targets(state, view.mission)
    x, y = found[0] if found else (None, None)
    return {
        "agent_row": state.y,
        "agent_column": state.x,
        "agent_direction": DIRECTIONS[state.direction],
        "target_row": y,
        "target_column": x,
        "ahead": state.ahead.words,
        "targets": [[y, x] for x, y in found],
    }


def describe_minigrid(view: View) -> str:
    """The state in words: size, agent, what is ahead, every object that is not a wall."""
    state = decode_state(view.state)
    lines = [
        f"The grid has {state.height} rows and {state.width} columns; "
        "row 0, column 0 is the top left corner.",
        f"You are at row {state.y}, column {state.x}, facing {DIRECTIONS[state.direction]}.",
        f"Directly ahead of you: {state.ahead.words}.",
    ]
    things, walls = [], []
    for y in range(state.height):
        for x in range(state.width):
            cell = state.cell(x, y)
            if cell.kind == WALL:
                walls.append(f"({y}, {x})")
            elif cell.kind > EMPTY:
                things.append(f"{cell.words} at row {y}, column {x}")
    lines.append(f"Objects: {'; '.join(things) or 'none'}.")
    lines.append(f"Walls at (row, column): {', '.join(walls) or 'none'}.")
    if view.carrying:
        lines.append(f"You carry a {view.carrying}.")
    return "\n".join(lines)


def _seen_words(cell: Cell) -> str:
    return cell.words if cell.kind != UNSEEN else "not seen yet"


def list_minigrid(view: View) -> str:
    """What is seen and held without coordinates: what is ahead and to both sides, and each thing
    that is not a wall, in the order of reading. What was not seen is not told."""
    state = decode_state(view.state)
    things = [
        cell.words
        for y in range(state.height)
        for x in range(state.width)
        if (cell := state.cell(x, y)).kind > EMPTY and cell.kind != WALL
    ]
    beside = {
        side: _seen_words(replace(state, direction=(state.direction + turn) % 4).ahead)
        for side, turn in (("ahead", 0), ("left", 3), ("right", 1))
    }
    return (
        f"Directly ahead of you: {beside['ahead']}; to your left: {beside['left']}; "
        f"to your right: {beside['right']}.\n"
        f"You see: {', '.join(things) or 'nothing'}.\n"
        f"You carry: {view.carrying or 'nothing'}."
    )
