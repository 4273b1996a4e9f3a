"""The optimal actions for any mission in a MiniGrid that is seen whole.

Exact: an A* search over (grid, agent, what is carried, what of the mission is done) with a bound
that never says too much, so that all shortest ways are found and with them the *set* of optimal
actions, not only of the state that was asked about but of every state on those ways. They are
remembered for the other states of the same layout.

A mission that has one door opened twice is the exception: a tie may be missed there.

Two assumptions: a door that is open is not closed again unless the mission wants it opened, which
never helps; and where the key of a locked door is nowhere to be seen and boxes may hide keys, the
next box to be opened holds it. Nobody can see what is in a box, so the plan is made anew when one
is open.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from lvlm2p.envs.minigrid.search.lower_bound import NEVER, LowerBound
from lvlm2p.envs.minigrid.search.problem import (
    OPEN,
    TOGGLE,
    Moment,
    Problem,
    after,
    ahead_of,
    ends_badly,
    progress_after,
)
from lvlm2p.envs.minigrid.search.things import Layer, Things
from lvlm2p.envs.minigrid.state import BOX, DOOR, EMPTY_CELL, KEY

MOST_NODES = 20_000
"""States that one search looks at before it gives up: about two seconds."""
MOST_LAYOUTS = 512
MOST_REMEMBERED = 200_000
"""Plans, over all layouts."""

GAVE_UP = -1


class Solved(NamedTuple):
    """Optimal actions, a bit each by MiniGrid's number; and how many are needed.

    No actions: success is out of reach (distance None), or the search was given up (``GAVE_UP``).
    """

    actions: int
    distance: int | None


Node = tuple[int, int, int, int]
"""(number of the grid, place, direction, progress)."""

SUCCESS: Node = (-1, 0, 0, 0)


class Layouts:
    """What is known of the layouts that were asked about last."""

    def __init__(self) -> None:
        self._known: OrderedDict[Problem, dict[tuple[Moment, int], Solved]] = OrderedDict()
        self._count = 0

    def solve(self, problem: Problem, moment: Moment, progress: int) -> Solved:
        """The optimal actions of one state."""
        known = self._known.get(problem)
        if known is None:
            known = self._known[problem] = {}
        self._known.move_to_end(problem)
        found = known.get((moment, progress))
        if found is None:
            before = len(known)
            found = Search(problem, moment, progress, known).run()
            known[moment, progress] = found
            self._count += len(known) - before
            while self._count > MOST_REMEMBERED or len(self._known) > MOST_LAYOUTS:
                _, dropped = self._known.popitem(last=False)
                self._count -= len(dropped)
        return found


class Search:
    """One search.

    Args:
        problem: what is to be done.
        moment: from where.
        progress: what of it is done.
        known: what earlier searches found; what this one finds is added.
    """

    def __init__(
        self,
        problem: Problem,
        moment: Moment,
        progress: int,
        known: dict[tuple[Moment, int], Solved],
    ) -> None:
        self.problem, self.known = problem, known
        self._root = progress
        self._things = Things(problem, moment.cells, moment.carried)
        self._doors = [at for at, kind in enumerate(moment.cells[::3]) if kind == DOOR]
        self._cells = moment.cells
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._grids: list[tuple[bytes, bytes, Layer, LowerBound]] = []
        self._bounds: dict[bytes, LowerBound] = {}
        self._toggles = {
            at for goal in problem.subgoals if goal.kind == "open" for at in goal.cells
        }
        self._start = self._node(moment, progress)

    def run(self) -> Solved:
        """Look until all shortest ways are found."""
        cost: dict[Node, int] = {self._start: 0}
        queue = [(self._bound(self._start), 0, self._start)]
        ways: dict[Node, list[tuple[int, Node]]] = {}
        best: int | None = None
        while queue:
            total, so_far, node = heapq.heappop(queue)
            if total >= NEVER or (best is not None and total > best):
                break
            if node in ways or cost[node] < so_far:
                continue
            if node == SUCCESS or (so_far and self._solved(node) is not None):
                best = total
                continue
            if len(ways) >= MOST_NODES:
                return Solved(0, GAVE_UP)
            ways[node] = list(self._leave(node))
            for _, later in ways[node]:
                if so_far + 1 < cost.get(later, NEVER):
                    cost[later] = so_far + 1
                    heapq.heappush(queue, (so_far + 1 + self._ahead(later), so_far + 1, later))
        return Solved(0, None) if best is None else self._read(ways, cost, best)

    def _read(
        self, ways: dict[Node, list[tuple[int, Node]]], cost: dict[Node, int], best: int
    ) -> Solved:
        """What the ways say of every state on one of the shortest."""
        left: dict[Node, int] = {SUCCESS: 0}
        for node in sorted(ways, key=lambda node: -cost[node]):
            actions = 0
            for action, later in ways[node]:
                rest = left.get(later)
                if rest is None and later not in ways:
                    rest = self._solved(later)
                if rest is not None and cost[node] + 1 + rest == best:
                    actions |= 1 << action
            if actions:
                left[node] = best - cost[node]
                moment = self._moment(node)
                self.known[moment, node[3]] = Solved(actions, left[node])
        return self.known[self._moment(self._start), self._root]

    def _solved(self, node: Node) -> int | None:
        found = self.known.get((self._moment(node), node[3])) if node != SUCCESS else None
        if found is None or not found.actions:
            return None
        return found.distance

    def _ahead(self, node: Node) -> int:
        """Actions until success, exactly where that is known, else at least."""
        if node == SUCCESS:
            return 0
        solved = self._solved(node)
        return self._bound(node) if solved is None else solved

    def _leave(self, node: Node) -> Iterator[tuple[int, Node]]:
        """Where each action leads that changes anything."""
        problem, moment, progress = self.problem, self._moment(node), node[3]
        front = ahead_of(moment.at, moment.direction, problem.width, problem.height)
        for action in problem.actions:
            for inside in self._contents(moment, action, front):
                then = after(moment, action, front, inside)
                now = progress_after(problem, progress, moment, action, then)
                if now == problem.complete:
                    yield action, SUCCESS
                elif now != progress or (
                    then is not moment
                    and not self._closes(moment, action, front)
                    and not ends_badly(problem, progress, moment, action, then)
                ):
                    yield action, self._node(then, now)

    def _closes(self, moment: Moment, action: int, front: int | None) -> bool:
        if action != TOGGLE or front is None or front in self._toggles:
            return False
        return moment.cells[3 * front] == DOOR and moment.cells[3 * front + 2] == OPEN

    def _contents(self, moment: Moment, action: int, front: int | None) -> list[bytes]:
        """What a box ahead may hold: a key that is missing, if there is one, else nothing."""
        if action != TOGGLE or front is None or moment.cells[3 * front] != BOX:
            return [EMPTY_CELL]
        if not self._things.hidden:
            return [EMPTY_CELL]
        present = {moment.carried[1]} if moment.carried[0] == KEY else set()
        for kind, color in zip(moment.cells[::3], moment.cells[1::3], strict=True):
            if kind == KEY:
                present.add(color)
        missing = sorted(self._things.hidden - present)
        return [bytes((KEY, color, 0)) for color in missing] or [EMPTY_CELL]

    def _node(self, moment: Moment, progress: int) -> Node:
        grid = moment.cells, moment.carried
        number = self._numbers.get(grid)
        if number is None:
            number = self._numbers[grid] = len(self._grids)
            layer = self._things.layer_of(0, *grid)
            self._grids.append((*grid, layer, self._bound_of(moment.cells)))
        return number, moment.at, moment.direction, progress

    def _moment(self, node: Node) -> Moment:
        cells, carried, _, _ = self._grids[node[0]]
        return Moment(cells, carried, node[1], node[2])

    def _bound(self, node: Node) -> int:
        _, _, layer, bound = self._grids[node[0]]
        return bound(layer._replace(progress=node[3]), node[1], node[2])

    def _bound_of(self, cells: bytes) -> LowerBound:
        """The bound of the first grid, with its doors as they are in ``cells``."""
        doors = bytes(cells[3 * at + 2] for at in self._doors)
        if doors not in self._bounds:
            first = bytearray(self._cells)
            for at, state in zip(self._doors, doors, strict=True):
                first[3 * at + 2] = state
            self._bounds[doors] = LowerBound(self.problem, self._things, bytes(first), self._root)
        return self._bounds[doors]
