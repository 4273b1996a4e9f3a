"""What a teacher must know of a family of environments: the :class:`Task`.

A task is plain data plus a few functions on views; MiniGrid or not makes no difference to anybody
above this floor. How to write one: docs/tasks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.errors import UnknownNameError, UserError

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np
    from numpy.typing import NDArray

    from lvlm2p.envs.view import View


@dataclass(frozen=True)
class Action:
    """One action that a teacher may choose."""

    name: str
    index: int
    """The environment's number for it."""
    meaning: str
    """What it does, as a teacher is told."""


@dataclass(frozen=True)
class Plan:
    """What the planner knows of one state."""

    actions: frozenset[str]
    """The set of optimal actions, by name: never empty. Where success is out of reach, those that
    do not end the episode in failure."""
    distance: int | None
    """Actions until success when acting optimally; None where it can't be reached.
    Where the environment moves by itself: the fewest that could suffice."""


@dataclass(frozen=True)
class ImageStyle:
    """How a view is drawn. The prompt chooses it and counts it into its fingerprint."""

    tile: int = 32
    """Pixels a cell."""
    margins: bool = False
    """Row numbers at the left and column numbers on top, in margins one cell wide."""


@dataclass(frozen=True)
class Symmetry:
    """An exchange of one question for an equivalent one.

    Whatever is optimal in a view is, translated by ``actions``, optimal in its image.
    """

    name: str
    apply: Callable[[View], View]
    actions: Mapping[str, str] = field(default_factory=dict)
    """Action in the view -> action in its image; those not named stay themselves."""

    def action(self, name: str) -> str:
        """What action ``name`` of a view is called in the image."""
        return self.actions.get(name, name)


Canonical = Callable[["View"], "tuple[View, Mapping[str, str]]"]


@dataclass(frozen=True, eq=False)
class Task:
    """A family of environments as a teacher must understand it. Compared by identity."""

    name: str
    env_ids: tuple[str, ...]
    """Gymnasium ids, as shell patterns (``MiniGrid-Fetch-*``)."""
    actions: tuple[Action, ...]
    """Those a teacher may choose: a subset of the environment's."""
    rules: str
    """In words: what is seen, what is to be done, what ends the episode."""
    look: Callable[[gym.Env[Any, Any]], View]
    """A snapshot of an environment's current state."""
    draw: Callable[[View, ImageStyle], NDArray[np.uint8]] | None = None
    """The picture for a teacher: (height, width, 3) RGB."""
    target: Callable[[str], str | None] = lambda mission: None
    """What a mission string names as the target (``"red door"``); None where it names none."""
    scene: Callable[[View], dict[str, Any]] | None = None
    """The true analysis, in the fields of ``prompts.Analysis``; ``targets`` beside them lists
    every [row, column] that is a right answer for the target."""
    describe: Callable[[View], str] | None = None
    """The state in words, for teachers that read."""
    planner: Callable[[View], Plan] | None = None
    still: bool = True
    """Nothing changes but by the agent's actions, so that all reachable states can be listed."""
    symmetries: tuple[Symmetry, ...] = ()
    """Each maps real states to real states; together they generate the group."""
    canonical: Canonical | None = None
    """A representative of all symmetric views, and for each of its actions the action in the
    view. Left out, it is searched among the images under ``symmetries``."""
    symbols: Callable[[gym.Env[Any, Any]], NDArray[np.uint8]] | None = None
    """What a student sees where the environment is not a MiniGrid: (width, height, 3) symbols,
    each below 256, of a constant shape."""

    def plan(self, view: View) -> Plan:
        """The set of optimal actions.

        Raises:
            UserError: the task has no planner.
        """
        if self.planner is None:
            raise UserError(
                f"task {self.name!r} has no planner, so nobody knows the optimal actions: "
                "give it one (Task.planner) or choose another teacher and measure."
            )
        return self.planner(view)

    def action_named(self, name: str) -> Action:
        """The action called ``name``.

        Raises:
            UnknownNameError: the task has no such action.
        """
        for action in self.actions:
            if action.name == name:
                return action
        raise UnknownNameError(f"action of {self.name}", name, [a.name for a in self.actions])

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """The names, in the task's order."""
        return tuple(action.name for action in self.actions)
