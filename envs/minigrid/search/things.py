"""The kinds of things that a lower bound tells apart, and what is known of them."""

from __future__ import annotations

from typing import NamedTuple

from lvlm2p.envs.minigrid.search.problem import LOCKED, MOVABLE, PICKUP, TOGGLE, Problem
from lvlm2p.envs.minigrid.state import BOX, DOOR, EMPTY_CELL, KEY

MOST_ITEMS = 4
"""Kinds of things that are told apart: each doubles the layers. The others count as held."""


class Layer(NamedTuple):
    """A part of the simpler game (see :mod:`lvlm2p.envs.minigrid.search.lower_bound`)."""

    progress: int
    held: int
    full: bool
    moved: bool


class Things:
    """The kinds of things of a grid that the simpler game tells apart.

    Args:
        problem: what is to be done.
        cells: the grid in which a search begins, with marks.
        carried: what is carried then.
    """

    def __init__(self, problem: Problem, cells: bytes, carried: bytes) -> None:
        n = problem.width * problem.height
        self.objects = {
            at: cells[3 * at : 3 * at + 3] for at in range(n) if cells[3 * at] in MOVABLE
        }
        locked = {
            cells[3 * at + 1]
            for at in range(n)
            if cells[3 * at] == DOOR and cells[3 * at + 2] == LOCKED
        }
        things = [*self.objects.values(), carried]
        keys = {thing[1] for thing in things if thing[0] == KEY} & locked
        boxes = any(thing[0] == BOX for thing in self.objects.values())
        hides = problem.boxes_hide_keys and boxes and TOGGLE in problem.actions
        self.hidden = locked - keys if hides else set()
        """Colours of keys that boxes may hold."""
        marks = _marks(problem) if PICKUP in problem.actions else []
        self.colors = sorted(keys | self.hidden)[:MOST_ITEMS]
        self.marks = marks[: MOST_ITEMS - len(self.colors)]
        self.loose_colors = (keys | self.hidden) - set(self.colors)
        self.loose_marks = set(marks) - set(self.marks)
        self.carried = carried
        self.first = self.items_of(carried)

    @property
    def n_items(self) -> int:
        """How many bits ``held`` has."""
        return len(self.colors) + len(self.marks)

    def items_of(self, thing: bytes) -> int:
        """The bits of ``held`` that such a thing sets."""
        if thing[0] not in MOVABLE:
            return 0
        mask = 0
        if thing[0] == KEY and thing[1] in self.colors:
            mask |= 1 << self.colors.index(thing[1])
        for i, mark in enumerate(self.marks):
            if thing[2] & mark:
                mask |= 1 << len(self.colors) + i
        return mask

    def holds_color(self, held: int, color: int) -> bool:
        """Whether a key of this colour was held."""
        return color in self.loose_colors or (
            color in self.colors and bool(held >> self.colors.index(color) & 1)
        )

    def holds_mark(self, held: int, mark: int) -> bool:
        """Whether a thing with this mark was held."""
        return mark in self.loose_marks or (
            mark in self.marks and bool(held >> len(self.colors) + self.marks.index(mark) & 1)
        )

    def layer_of(self, progress: int, cells: bytes, carried: bytes) -> Layer:
        """Where a later grid of the search belongs."""
        held, moved, boxes = self.first, False, 0
        for at, thing in self.objects.items():
            now = cells[3 * at : 3 * at + 3]
            if now == thing:
                continue
            items = self.items_of(thing)
            held |= items
            if self.hidden and thing[0] == BOX and not items:
                boxes += 1
            else:
                moved = moved or not items
        if boxes:
            found = self._found(cells, carried)
            held |= sum({self.items_of(bytes((KEY, color, 0))) for color in found})
            moved = moved or boxes > len(found)
        return Layer(progress, held, carried != EMPTY_CELL, moved)

    def _found(self, cells: bytes, carried: bytes) -> list[int]:
        """The colours of all keys that have come out of boxes."""
        kinds, colors = cells[::3], cells[1::3]
        found = [c for k, c in zip(kinds, colors, strict=True) if k == KEY and c in self.hidden]
        return found + [carried[1]] * (carried[0] == KEY and carried[1] in self.hidden)


def _marks(problem: Problem) -> list[int]:
    """The marks of things that may have to be followed when they are moved."""
    marks: list[int] = []
    several = len(problem.subgoals) > 1
    for goal in problem.subgoals:
        if goal.kind == "put":
            marks += [goal.mark, goal.near]
        elif several:
            marks.append(goal.mark)
    return sorted({mark for mark in marks if mark})
