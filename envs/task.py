"""What a teacher must know of a family of environments, and one state as a teacher sees it.

A :class:`Task` is plain data plus a few functions (docs/tasks.md). A :class:`View` is made at each
step, so it holds four references: the key is hashed and the picture drawn when somebody asks.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lvlm2p.envs.deprecated import accept_old_keywords
from lvlm2p.envs.episode import Episode, positive_return
from lvlm2p.envs.errors import UnknownNameError, UserError
from lvlm2p.envs.planning import Planning
from lvlm2p.envs.saved import parts_of_view

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np
    from numpy.typing import NDArray

    from lvlm2p.envs.spaces import ObservationSpace

DRAWING_VERSION = 1
"""Part of every key: raise it when any view's picture or description changes."""


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
    """Actions until success (where the environment moves by itself: at least); None: never."""
    gave_up: str | None = None
    """A sentence, where the planner looked for too long: the actions mean nothing then."""


@dataclass(frozen=True)
class ImageStyle:
    """How a view is drawn. The prompt chooses it and counts it into its fingerprint."""

    tile: int = 32
    """Pixels a cell."""
    margins: bool = False
    """Row numbers at the left and column numbers on top, in margins one cell wide."""


PLAIN = ImageStyle()


@dataclass(frozen=True)
class View:
    """A snapshot: it stays what it is when the environment moves on."""

    task: Task
    state: bytes
    """All there is to see, in the task's own canonical bytes: equal pictures, equal bytes."""
    mission: str
    carrying: str | None = None
    """``"purple key"``."""
    blank: bool = False
    """Its picture is left empty: another question, which shows whether a teacher looks."""

    @cached_property
    def key(self) -> str:
        """Names the content: sha256 over all that a teacher could react to, and nothing else."""
        said: tuple[object, ...] = (self.task.name, self.mission, self.carrying, DRAWING_VERSION)
        if self.blank:
            said = (*said, "blank")
        state = self.state if self.task.identity is None else self.task.identity(self.state)
        return hashlib.sha256(repr(said).encode() + state).hexdigest()

    @property
    def text(self) -> str | None:
        """The state in words; None where the task has none."""
        return None if self.task.describe is None else self.task.describe(self)

    def image(self, style: ImageStyle = PLAIN) -> NDArray[np.uint8]:
        """The picture, (height, width, 3) RGB, drawn now.

        Raises:
            UserError: the task has no picture.
        """
        import numpy as np

        if self.task.draw is None:
            raise UserError(
                f"task {self.task.name!r} has no picture: give it one (Task.draw), "
                "or ask a teacher that reads text."
            )
        picture = self.task.draw(self, style)
        if self.blank:
            picture = np.full_like(picture, 128)
        return picture

    def png(self, style: ImageStyle = PLAIN) -> bytes:
        """The picture as a PNG file."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.image(style)).save(file, "PNG")
        return file.getvalue()

    def to_json(self) -> dict[str, Any]:
        """The view as JSON values, for stores and state sets."""
        data = {
            "task": self.task.name,
            "state": base64.b64encode(self.state).decode(),
            "mission": self.mission,
            "carrying": self.carrying,
        }
        return {**data, "blank": True} if self.blank else data

    find_task: ClassVar[Callable[[str], Task]]
    """How a saved view finds its task; the registry, which knows all tasks, puts it here."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> View:
        """The view that :meth:`to_json` wrote.

        Raises:
            UnknownNameError: nobody has registered its task.
            UserError: the data are not a view's, or its state is none of its task's.
        """
        task, state, mission, carrying, blank = parts_of_view(data)
        view = cls(cls.find_task(task), state, mission, carrying, blank)
        if view.task.check_state is not None:
            view.task.check_state(state)
        return view


@dataclass(frozen=True)
class Symmetry:
    """Whatever is optimal in a view is, translated by ``actions``, optimal in its image."""

    name: str
    apply: Callable[[View], View]
    actions: Mapping[str, str] = field(default_factory=dict)
    """Action in the view -> action in its image; those not named stay themselves."""

    def action(self, name: str) -> str:
        """What action ``name`` of a view is called in the image."""
        return self.actions.get(name, name)


Canonical = Callable[["View"], "tuple[View, Mapping[str, str]]"]


class Observer(Protocol):
    """What is seen of one environment, by its teacher and its student, from the same place.

    There is one for each environment object; it is told of every reset and step, so it may
    remember what was seen earlier in the episode.
    """

    @property
    def space(self) -> ObservationSpace:
        """What :attr:`values` look like; the same for all environments of one id."""
        ...

    def reset(self, observation: Any) -> None:
        """``env.reset()`` gave this observation: an episode begins."""

    def step(self, action: int, observation: Any) -> None:
        """``env.step(action)`` gave this observation."""

    def view(self) -> View:
        """What a teacher sees now."""
        ...

    @property
    def values(self) -> NDArray[Any]:
        """What a student sees now, of the :attr:`space`'s shape and type."""
        ...

    @property
    def carrying(self) -> tuple[int, int]:
        """Object and colour of what is carried, in MiniGrid's numbers; (0, 0): nothing."""
        return 0, 0

    @property
    def mission(self) -> str:
        """What the student reads."""
        return self.view().mission


@accept_old_keywords
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
    observe: Callable[[gym.Env[Any, Any], Task], View] | None = None
    """A snapshot of an environment's current state; the task to say in the View is this one. Not
    needed where there is an ``observer``."""
    draw: Callable[[View, ImageStyle], NDArray[np.uint8]] | None = None
    """The picture for a teacher: (height, width, 3) RGB."""
    target: Callable[[str], str | None] = lambda mission: None
    """What a mission string names as the target (``"red door"``); None where it names none."""
    ground_truth: Callable[[View], dict[str, Any]] | None = None
    """The true analysis, in the fields of ``prompts.Analysis``; ``targets`` beside them lists
    every [row, column] that is a right answer for the target."""
    describe: Callable[[View], str] | None = None
    """The state in words, for teachers that read."""
    brief: Callable[[View], str] | None = None  # the same without coordinates
    planner: Callable[[View], Plan] | None = None
    planning: Planning[View] | None = None
    """The options that a teacher may plan with (``--elicit plans``)."""
    deterministic: bool = True
    """Nothing changes but by the agent's actions, so that all reachable states can be listed."""
    symmetries: tuple[Symmetry, ...] = ()
    """Each maps real states to real states; together they generate the group."""
    canonical: Canonical | None = None
    """A representative of all symmetric views, and for each of its actions the action in the
    view. Left out, it is searched among the images under ``symmetries``."""
    success: Callable[[Episode], bool] = positive_return
    """Whether an episode that has ended is counted as a success."""
    success_meaning: str | None = None
    """``success`` in words, for reports; None: a return above 0, or else what the task says."""
    observer: Callable[[gym.Env[Any, Any], Task], Observer] | None = None
    """Makes the :class:`Observer` of one environment object. Left out, ``observe`` gives the View
    and the environment's own observation is what a student sees."""
    check_state: Callable[[bytes], object] | None = None
    """Raises UserError where a saved view's state is none of this task's. Left out, any bytes are
    taken for one."""
    identity: Callable[[bytes], bytes] | None = None
    """The part of a state that names it, where equal states may be written in several ways. Left
    out, it is the whole."""
    symbols: Callable[[gym.Env[Any, Any]], NDArray[np.uint8]] | None = None
    """Deprecated: the symbols of a :class:`~lvlm2p.envs.GridObserver`."""

    @property
    def success_words(self) -> str:
        """What is counted as a success, in words."""
        if self.success_meaning is not None:
            return self.success_meaning
        own = self.success is not positive_return
        return f"what task {self.name} calls a success" if own else "a return above 0"

    @property
    def scene(self) -> Callable[[View], dict[str, Any]] | None:
        """``ground_truth``, as prompt files call it: their text is in fingerprints and stays."""
        return self.ground_truth

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
