"""The simpler game of a lower bound: its layers, and what leads from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lvlm2p.envs.minigrid.search.places import Places, Poses
from lvlm2p.envs.minigrid.search.problem import DROP, PICKUP, TOGGLE, Problem, Subgoal
from lvlm2p.envs.minigrid.search.things import Layer, Things
from lvlm2p.envs.minigrid.state import BOX, EMPTY_CELL, KEY


@dataclass
class Edges:
    """How a layer is left, and what it costs to go through what."""

    free: int
    """Places that can be entered."""
    doors: int
    """Places that can be entered after a toggle."""
    costs: tuple[list[tuple[Poses, Layer]], ...] = field(default_factory=lambda: ([], [], []))
    """By cost, 0 to 2: in these poses, to that layer."""


class SimplerGame:
    """The simpler game of one grid.

    Args:
        things: those of the grid in which the search begins.
        cells: that grid, but with its doors as they are now.
        progress: what is done when the search begins.
    """

    def __init__(self, problem: Problem, things: Things, cells: bytes, progress: int) -> None:
        self.problem, self.things, self.progress = problem, things, progress
        self.map = Places(problem, cells)

    def layers(self) -> Iterator[Layer]:
        """All there are."""
        things, problem = self.things, self.problem
        handles = PICKUP in problem.actions
        for progress in _progresses(problem, self.progress):
            for held in range(1 << things.n_items):
                if held & things.first != things.first:
                    continue
                for full in (False, True):
                    for moved in (False, True):
                        if full and not handles and things.carried == EMPTY_CELL:
                            continue
                        yield Layer(progress, held, full, moved)

    def leave(self, layer: Layer) -> Edges:
        """What can be done in a layer."""
        edges = self._passable(layer)
        if layer.progress == self.problem.complete:
            return edges
        for i in self.problem.active(layer.progress):
            self._add_goal(edges, layer, i, self.problem.subgoals[i])
        self._add_boxes(edges, layer)
        free, one = self.map, edges.costs[1]
        if PICKUP in self.problem.actions and not layer.full:
            for items, places in self._things_by_items().items():
                held = layer.held | items
                moved = layer.moved or not items
                one.append((free.facing(places), Layer(layer.progress, held, True, moved)))
            if layer.held or layer.moved or self.things.loose_marks or self.things.loose_colors:
                one.append((free.anywhere, layer._replace(full=True)))
        if DROP in self.problem.actions and layer.full:
            one.append((free.anywhere, layer._replace(full=False)))
        return edges

    def _things_by_items(self) -> dict[int, int]:
        """The movable things: bits of ``held`` -> places, those that may be picked up."""
        found: dict[int, int] = {}
        meant = 0
        for goal in self.problem.subgoals:
            meant |= goal.mark
        for at, thing in self.things.objects.items():
            if not self.problem.only_targets or thing[2] & meant:
                items = self.things.items_of(thing)
                found[items] = found.get(items, 0) | 1 << at
        return found

    def _passable(self, layer: Layer) -> Edges:
        things, grid = self.things, self.map
        free, charged = grid.free, 0
        gained = layer.held & ~things.first
        first = layer.progress == self.progress and not layer.moved
        if TOGGLE in self.problem.actions:
            if first and layer.held == things.first and layer.full == self._starts_full:
                charged |= grid.closed
            else:
                free |= grid.closed
            for color, places in grid.locked.items():
                if not things.holds_color(layer.held, color):
                    continue
                if first and self._opens_first(layer, color):
                    charged |= places
                else:
                    free |= places
        for i in range(len(self.problem.subgoals)):
            if layer.progress >> i & 1 and self.problem.subgoals[i].kind == "open":
                free |= grid.bits(self.problem.subgoals[i].cells)
        for at, thing in things.objects.items():
            hidden = thing[0] == BOX and any(things.holds_color(gained, c) for c in things.hidden)
            if layer.moved or things.items_of(thing) & gained or hidden:
                free |= 1 << at
        return Edges(free, charged & ~free)

    @property
    def _starts_full(self) -> bool:
        return self.things.carried != EMPTY_CELL

    def _opens_first(self, layer: Layer, color: int) -> bool:
        """Whether this is the one layer in which locked doors of this colour cost an action."""
        things = self.things
        if color not in things.colors:
            return False
        own = 1 << things.colors.index(color)
        if things.first & own:
            return layer.held == things.first and layer.full == self._starts_full
        return layer.held & ~own == things.first and layer.full and color not in things.hidden

    def _add_boxes(self, edges: Edges, layer: Layer) -> None:
        if TOGGLE not in self.problem.actions:
            return
        for at, thing in self.things.objects.items():
            if thing[0] == BOX:
                facing, items = self.map.facing(1 << at), self.things.items_of(thing)
                held, moved = layer.held | items, layer.moved or not items
                edges.costs[1].append((facing, layer._replace(held=held, moved=moved)))
                for color in self.things.hidden:
                    key = self.things.items_of(bytes((KEY, color, 0)))
                    edges.costs[1].append((facing, layer._replace(held=held | key)))

    def _add_goal(self, edges: Edges, layer: Layer, i: int, goal: Subgoal) -> None:
        things, grid = self.things, self.map
        later = layer._replace(progress=layer.progress | 1 << i)
        lying = sum(1 << at for at, thing in things.objects.items() if thing[2] & goal.mark)
        anywhere = bool(goal.mark) and things.holds_mark(layer.held, goal.mark)
        if anywhere and goal.kind in ("face", "beside"):
            edges.costs[0].append((grid.anywhere, later))
        elif goal.kind == "reach":
            edges.costs[0].append(((grid.bits(goal.cells),) * 4, later))
        elif goal.kind == "face":
            edges.costs[0].append((grid.facing(lying | grid.bits(goal.cells)), later))
        elif goal.kind == "beside":
            edges.costs[1].append((grid.beside(lying | grid.bits(goal.cells), False), later))
        elif goal.kind == "pickup" and not layer.full and PICKUP in self.problem.actions:
            items = 0
            for thing in things.objects.values():
                items |= things.items_of(thing) if thing[2] & goal.mark else 0
            poses = grid.anywhere if anywhere else grid.facing(lying)
            moved = layer.moved or not items
            taken = later._replace(held=layer.held | items, full=True, moved=moved)
            edges.costs[1].append((poses, taken))
        elif goal.kind == "open":
            doors = grid.bits(goal.cells)
            edges.costs[1].append((grid.facing(self._openable(layer) & doors), later))
            closing = 2 if len(self.problem.subgoals) == 1 else 1
            edges.costs[closing].append((grid.facing(grid.opened & doors), later))
        elif goal.kind == "put" and layer.full and things.holds_mark(layer.held, goal.mark):
            near = sum(1 << at for at, thing in things.objects.items() if thing[2] & goal.near)
            near |= grid.bits(goal.near_cells)
            moved = bool(goal.near) and things.holds_mark(layer.held, goal.near)
            poses = grid.anywhere if moved else grid.facing_beside(near, goal.diagonal)
            edges.costs[1].append((poses, later._replace(full=False)))

    def _openable(self, layer: Layer) -> int:
        places = self.map.closed
        for color, locked in self.map.locked.items():
            if self.things.holds_color(layer.held, color):
                places |= locked
        return places


def _progresses(problem: Problem, first: int) -> list[int]:
    """All that can still come."""
    found, todo = {first}, [first]
    while todo:
        progress = todo.pop()
        for i in problem.active(progress):
            later = progress | 1 << i
            if later not in found:
                found.add(later)
                todo.append(later)
    return sorted(found)
