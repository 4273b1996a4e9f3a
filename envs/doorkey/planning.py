"""The options of the DoorKey tasks, and the options that their explorer pursues."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lvlm2p.envs.doorkey.exact import shortest_plan
from lvlm2p.envs.doorkey.known_map import Place
from lvlm2p.envs.doorkey.options import (
    DROP,
    EXPLORE,
    GO_TO,
    OPEN,
    PICK_UP,
    VERBS,
    WAIT,
    next_action,
)
from lvlm2p.envs.doorkey.sentence import Naming, sentence, things_seen
from lvlm2p.envs.doorkey.walking import ahead_of, moves, pose_of
from lvlm2p.envs.minigrid.planner import plan_facing
from lvlm2p.envs.minigrid.state import COLORS, DOOR, KEY, OBJECTS, Snapshot, decode_state
from lvlm2p.envs.planning import Option, Planning
from lvlm2p.envs.task import View

RULES = (
    "The agent is in a locked room and has to open {door}. It opens only with {key} in hand, when "
    "the agent stands directly in front of it and faces it. The agent sees three cells far and "
    "wide, and remembers what it has seen; it can carry one key at a time. What was not seen yet "
    "has to be found by exploring.{more}"
)


def door_key_planning(rules: str, naming: Naming) -> Planning[View]:
    """Options that name things as ``naming`` says, with the published executor beside ours."""
    return Planning(
        verbs=VERBS,
        rules=rules,
        sentence=partial(_sentence, naming),
        things=partial(_things, naming),
        execute=partial(_execute, naming),
        idle=WAIT,
        aliases=partial(_aliases, naming),
        executors=("careful", "blind"),
        pursued=partial(_pursued, naming),
    )


def _sentence(naming: Naming, view: View, coordinates: bool) -> str:
    return sentence(decode_state(view.state), naming, coordinates=coordinates)


def _things(naming: Naming, view: View) -> list[str]:
    return [thing.name for thing in things_seen(decode_state(view.state), naming)]


def _aliases(naming: Naming, view: View) -> dict[str, str]:
    """Colour and kind, for each thing the first that is called so."""
    things = things_seen(decode_state(view.state), naming)
    return {
        f"{COLORS[thing.color]} {OBJECTS[thing.kind]}": thing.name for thing in reversed(things)
    }


def _execute(naming: Naming, view: View, option: Option, executor: str) -> str | None:
    return next_action(option, decode_state(view.state), naming, blind=executor == "blind")


def _pursued(naming: Naming, view: View) -> frozenset[Option]:
    """What the explorer is about: the thing that it picks up, puts down or opens next, or to
    explore."""
    known = decode_state(view.state)
    way = shortest_plan(known)
    if way is not None:
        return _next_use(known, way, naming)
    if known.carried == (0, 0) and not known.where(DOOR):
        keys = known.where(KEY)
        if plan_facing(known, keys, "pickup").distance is not None:
            return _named(known, naming, keys, GO_TO, PICK_UP)
    return frozenset([Option(EXPLORE)])


def _next_use(known: Snapshot, way: tuple[str, ...], naming: Naming) -> frozenset[Option]:
    """The options behind the first action of ``way`` that is not a move."""
    node = pose_of(known)
    for action in way:
        at = ahead_of(node)
        if action == "pickup":
            return _named(known, naming, [at], GO_TO, PICK_UP)
        if action == "toggle":
            return _named(known, naming, [at], GO_TO, OPEN)
        if action == "drop":
            return _named(known, naming, [None], DROP)
        node = dict(moves(known, node, range(256)))[action]
    return frozenset()


def _named(
    known: Snapshot, naming: Naming, places: Sequence[Place | None], *verbs: str
) -> frozenset[Option]:
    """These verbs with the things that are at ``places``; None: in hand."""
    names = [thing.name for thing in things_seen(known, naming) if thing.place in places]
    return frozenset(Option(verb, name) for verb in verbs for name in names)
