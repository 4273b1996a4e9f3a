"""Options on the known map: explore, go to, pick up, drop, open; each gives its next action.

There are two executors. The careful one never walks into lava, and says that an option can't be
executed where it would do nothing. The blind one does as the published one (LLM4Teach): lava counts
as free, and pick up, drop and open are one action each, whether it can succeed or not.
"""

from __future__ import annotations

from collections.abc import Collection

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
from lvlm2p.envs.minigrid.state import KEY, Snapshot
from lvlm2p.envs.planning import Option, Verb

EXPLORE, GO_TO, PICK_UP, DROP, OPEN = "explore", "go to", "pick up", "drop", "open"
WAIT = "done"
"""The action that does nothing: what is left where no option can be executed."""

VERBS = (
    Verb(EXPLORE, "look round where nothing was seen yet", takes=False),
    Verb(GO_TO, "walk up to an object, until it is directly in front of the agent"),
    Verb(PICK_UP, "take the key directly in front of the agent, with empty hands"),
    Verb(DROP, "put down what is held"),
    Verb(OPEN, "open the door directly in front of the agent, with its key in hand"),
)


def next_action(
    option: Option, known: Snapshot, naming: Naming, *, blind: bool = False
) -> str | None:
    """The primitive action with which an option begins or goes on, on the known map.

    None: it can't be executed here, or it is already done.
    """
    if option.verb == EXPLORE:
        return explore_blindly(known) if blind else _explore_carefully(known)
    things = [thing for thing in things_seen(known, naming) if thing.name == option.thing]
    if not things:
        return None
    lying = [thing.place for thing in things if thing.place is not None]
    if option.verb == GO_TO:
        return _one(steps_to_face(known, lying, FREE_TO_THE_BLIND if blind else FREE))
    if blind:
        return {PICK_UP: "pickup", DROP: "drop", OPEN: "toggle"}[option.verb]
    if option.verb == PICK_UP:
        return _pick_up(known, lying)
    if option.verb == OPEN:
        return _open(known, lying)
    return None if len(lying) == len(things) else _one(put_down(known))


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
