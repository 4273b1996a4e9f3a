"""At least how many actions a search still has ahead of it, nearly always exactly that many.

What is counted is a simpler game, in which nothing is in the way that could have been moved before
and whatever was held once is at hand for ever. It is solved backwards from success for all poses at
once: a set of places is one integer, a bit each, so that a step of the search is a few shifts.

A layer of the simpler game is what has been done (``progress``), which kinds of things were held
(``held``: keys by colour, things that the mission means), whether the hand is full, and whether
anything else was moved out of the way. A closed door costs one action in the first layer that can
open it, where no shortest path uses it twice, and nothing in those that follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvlm2p.envs.minigrid.search.places import Poses
from lvlm2p.envs.minigrid.search.problem import Problem
from lvlm2p.envs.minigrid.search.simpler_game import Edges, SimplerGame
from lvlm2p.envs.minigrid.search.things import Layer, Things

NEVER = 1 << 30


class LowerBound:
    """The simpler game of one grid, solved as far as anybody has asked.

    Args:
        cells: the grid in which the search begins, but with its doors as they are now.
    """

    def __init__(self, problem: Problem, things: Things, cells: bytes, progress: int) -> None:
        self._complete = problem.complete
        game = SimplerGame(problem, things, cells, progress)
        self._back = game.map.back
        self._layers = sorted(game.layers(), key=lambda layer: -layer.progress.bit_count())
        self._edges = [game.leave(layer) for layer in self._layers]
        self._index = {layer: i for i, layer in enumerate(self._layers)}
        nothing: Poses = (0, 0, 0, 0)
        self._everything: Poses = game.map.anywhere
        self._history: list[list[Poses]] = [[nothing] * len(self._layers)]
        self._history.append(self._earlier(0))
        self._still = 0
        self._known: dict[tuple[Layer, int, int], int] = {}

    def __call__(self, layer: Layer, at: int, direction: int) -> int:
        """Actions until success, at least; ``NEVER`` where it is out of reach."""
        asked = layer, at, direction
        known = self._known.get(asked)
        if known is None:
            known = self._known[asked] = self._look_up(self._index[layer], at, direction)
        return known

    def _look_up(self, layer: int, at: int, direction: int) -> int:
        history = self._history
        while not history[-1][layer][direction] >> at & 1:
            if self._still == 2:
                return NEVER
            history.append(self._earlier(len(history) - 1))
            self._still = self._still + 1 if history[-1] == history[-2] else 0
        low, high = 0, len(history) - 1
        while low < high:
            middle = (low + high) // 2
            if history[middle][layer][direction] >> at & 1:
                high = middle
            else:
                low = middle + 1
        return low - 1

    def _earlier(self, last: int) -> list[Poses]:
        """From where success is at most ``last`` actions away; ``history[0]`` is nowhere."""
        now = self._history[last]
        before = self._history[max(0, last - 1)]
        back = self._back
        found: list[Poses] = []
        for i, edges in enumerate(self._edges):
            here, earlier = now[i], before[i]
            if self._layers[i].progress == self._complete:
                found.append(self._everything)
                continue
            sets = [
                here[d] | here[d - 1] | here[(d + 1) % 4] | back(here[d] & edges.free, d)
                for d in range(4)
            ]
            if edges.doors:
                for d in range(4):
                    sets[d] |= back(earlier[d] & edges.doors, d)
            for cost, (poses, layer) in _each(edges):
                there = (found, now, before)[cost][self._index[layer]]
                for d in range(4):
                    sets[d] |= there[d] & poses[d]
            found.append((sets[0], sets[1], sets[2], sets[3]))
        return found


def _each(edges: Edges) -> Iterator[tuple[int, tuple[Poses, Layer]]]:
    for cost, leaving in enumerate(edges.costs):
        for edge in leaving:
            yield cost, edge
