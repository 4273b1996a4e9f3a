"""Options: what a teacher that plans may tell an agent to do, beyond single actions.

A plan is a list of options. In each state the first of them that can be executed gives the next
action; a task that offers options says how, from the View alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from lvlm2p.envs.errors import UserError

StateT = TypeVar("StateT")
"""A View. Not named here, since the module of Task and View imports this one."""


@dataclass(frozen=True)
class Option:
    """One step of a plan."""

    verb: str
    thing: str | None = None
    """As the sentence names it; None where the verb takes nothing."""

    def __str__(self) -> str:
        return self.verb if self.thing is None else f"{self.verb} <{self.thing}>"


@dataclass(frozen=True)
class Verb:
    """One kind of option."""

    name: str
    """``"go to"``, in lower case."""
    meaning: str
    """What it does, as a teacher is told."""
    takes: bool = True
    """Whether it names a thing."""


class NextStep(NamedTuple):
    """What a plan does in one state."""

    option: Option
    """The first one that can be executed."""
    action: str


@dataclass(frozen=True)
class Planning(Generic[StateT]):
    """The options that a task offers, and what becomes of them in a state."""

    verbs: tuple[Verb, ...]
    rules: str
    """The task in words, for a teacher that reads the sentence and answers with a plan."""
    sentence: Callable[[StateT, bool], str]
    """What was seen and is held, in one sentence; with coordinates, if the flag says so. States
    with the same sentence are one question, so it names things alike wherever they are alike."""
    things: Callable[[StateT], Collection[str]]
    """What options can name in a state: the things that the sentence names."""
    execute: Callable[[StateT, Option, str], str | None]
    """(state, option, executor) -> the action with which the option begins or goes on; None: it
    can't be executed there, or is done."""
    idle: str
    """The action that is left where nothing can be executed."""
    aliases: Callable[[StateT], Mapping[str, str]] = lambda state: {}
    """Other names of the things in a state, as one who sees its picture would say: "blue key"."""
    executors: tuple[str, ...] = ("careful",)
    """The first is the usual one. It gives no action where none would help."""
    pursued: Callable[[StateT], frozenset[Option]] | None = None
    """The options that the task's own planner would be pursuing; empty where it has no opinion."""

    def parse(self, text: str) -> Option:
        """The option that this says: "explore", "go to <key>", "Pick up the color1 key".

        Raises:
            UserError: it says none that the task offers.
        """
        words = " ".join(re.sub(r"[<>()\[\]{}\"'`*_]", " ", text).casefold().split()).strip(" .,;:")
        for verb in self._longest_first:
            if words == verb.name or words.startswith(f"{verb.name} "):
                thing = re.sub(r"^(?:an?|the) ", "", words[len(verb.name) :].strip())
                if bool(thing) == verb.takes:
                    return Option(verb.name, thing or None)
        raise UserError(f"{text!r} is no option: there are {self.listed}.")

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """How the options are written: ``explore``, ``go to <object>``."""
        return tuple(f"{verb.name} <object>" if verb.takes else verb.name for verb in self.verbs)

    @property
    def listed(self) -> str:
        """The forms in a sentence."""
        return ", ".join(self.forms)

    def offers(self, option: Option) -> bool:
        """Whether the task has such an option, be its thing there or not."""
        return any(
            verb.name == option.verb and verb.takes == (option.thing is not None)
            for verb in self.verbs
        )

    @cached_property
    def _longest_first(self) -> list[Verb]:
        return sorted(self.verbs, key=lambda verb: -len(verb.name))

    def next_step(self, view: StateT, plan: Sequence[Option], executor: str) -> NextStep | None:
        """What ``plan`` does in this state; None where none of its options can be executed."""
        for option in plan:
            action = self.execute(view, option, executor) if self.offers(option) else None
            if action is not None:
                return NextStep(option, action)
        return None

    def check_executor(self, executor: str) -> None:
        """Whether the task has this executor.

        Raises:
            UserError: it has not.
        """
        if executor not in self.executors:
            raise UserError(
                f"there is no executor {executor!r}: choose {' or '.join(self.executors)}."
            )
