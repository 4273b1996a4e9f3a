"""Options on the known map: explore, go to, pick up, drop, open; each gives its next action.

There are two executors. The careful one never walks into lava, and says that an option can't be
executed where it would do nothing. The blind one does as the published one (LLM4Teach): lava counts
as free, and pick up, drop and open are one action each, whether it can succeed or not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lvlm2p.envs.doorkey.exact import split
from lvlm2p.envs.doorkey.explore_blindly import explore_blindly
from lvlm2p.envs.doorkey.explorer import clear_the_way, look_around
from lvlm2p.envs.doorkey.known_map import Place
from lvlm2p.envs.doorkey.sentence import Naming, things_seen
from lvlm2p.envs.doorkey.walking import (
    FREE,
    FREE_TO_THE_BLIND,
    ahead_of,
    pose_of,
    put_down,
    steps_to_face,
)
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import KEY, Snapshot

Verb = Literal["explore", "go to", "pick up", "drop", "open"]
IDLE = "done"
"""The action that does nothing: what is left where no option can be executed."""


@dataclass(frozen=True)
class Option:
    """One step of a plan."""

    verb: Verb
    thing: str | None = None
    """As the sentence names it; ``explore`` needs none."""

    def __str__(self) -> str:
        return self.verb if self.thing is None else f"{self.verb} <{self.thing}>"

    @classmethod
    def parse(cls, text: str) -> Option:
        """The option that this says: "explore", "go to <key>", "pick up color1 key".

        Raises:
            UserError: it says none.
        """
        words = " ".join(text.replace("<", " ").replace(">", " ").split())
        for verb in get_args(Verb):
            rest = words.removeprefix(verb)
            if rest != words and bool(rest.strip()) == (verb != "explore"):
                return cls(verb, rest.strip() or None)
        raise UserError(
            f"{text!r} is no option: there are explore, and go to, pick up, drop and open with "
            "the name of a thing."
        )


def next_action(
    option: Option, known: Snapshot, naming: Naming, *, blind: bool = False
) -> str | None:
    """The primitive action with which an option begins or goes on, on the known map.

    None: it can't be executed here, or it is already done.
    """
    if option.verb == "explore":
        return explore_blindly(known) if blind else _explore_carefully(known)
    things = [thing for thing in things_seen(known, naming) if thing.name == option.thing]
    if not things:
        return None
    lying = [thing.place for thing in things if thing.place is not None]
    if option.verb == "go to":
        return _one(steps_to_face(known, lying, FREE_TO_THE_BLIND if blind else FREE))
    if blind:
        return {"pick up": "pickup", "drop": "drop", "open": "toggle"}[option.verb]
    if option.verb == "pick up":
        return _pick_up(known, lying)
    if option.verb == "open":
        return _open(known, lying)
    return None if len(lying) == len(things) else _one(put_down(known))


def plan_action(
    plan: Sequence[Option], known: Snapshot, naming: Naming, *, blind: bool = False
) -> str:
    """The next action of the first option that can be executed; ``IDLE`` where none can."""
    for option in plan:
        action = next_action(option, known, naming, blind=blind)
        if action is not None:
            return action
    return IDLE


def _pick_up(known: Snapshot, lying: Collection[Place]) -> str | None:
    """Where one of them is directly ahead, is a key, and the hands are empty."""
    faced = ahead_of(pose_of(known)) in lying
    can = known.carried == (0, 0) and faced and known.ahead.kind == KEY
    return "pickup" if can else None


def _open(known: Snapshot, lying: Collection[Place]) -> str | None:
    """Where one of them is directly ahead, and what is held opens it."""
    room, now = split(known)
    at = ahead_of(pose_of(known))
    return "toggle" if at in lying and room.opens(at, now.carried) else None


def _explore_carefully(known: Snapshot) -> str | None:
    """A first step of the explorer; None where nothing unseen can be reached."""
    return _one(look_around(known) or clear_the_way(known))


def _one(actions: Collection[str]) -> str | None:
    """One of several equally good actions, always the same; None of none."""
    return min(actions) if actions else None
