"""The options of the 3D tasks: explore, go to, pick up, drop at; each gives its next action."""

from __future__ import annotations

import math

import numpy as np

from lvlm2p.envs.miniworld.field import GetTo
from lvlm2p.envs.miniworld.geometry import (
    ahead,
    bearing,
    can_drop,
    distance,
    hold_distance,
    in_sight,
    taken,
)
from lvlm2p.envs.miniworld.navigate import next_move
from lvlm2p.envs.miniworld.scene import Item, Scene, decode_scene
from lvlm2p.envs.planning import Option, Planning, Verb
from lvlm2p.envs.task import Plan, View

EXPLORE, GO_TO, PICK_UP, DROP_AT, DROP = "explore", "go to", "pick up", "drop at", "drop"
IDLE = "left"
"""What is left where no option can be executed: it shows the agent something new."""

VERBS = (
    Verb(EXPLORE, "look for what is needed next, where nothing was seen yet", takes=False),
    Verb(GO_TO, "walk up to an object or place, until it is within reach"),
    Verb(PICK_UP, "take the object within reach, with empty hands"),
    Verb(DROP_AT, "put what is held down next to the object or place within reach"),
    Verb(DROP, "put what is held down wherever the agent is", takes=False),
)
NAMES = {"wanted": "wanted object", "place": "named place", "other": "other object"}
"""How the sentence names things, whatever they are: an answer serves all missions alike."""
NOTHING = "nothing"
DOORWAY = 1.5
"""Metres round the middle of the doorway that are kept free."""


def things_known(scene: Scene) -> dict[str, list[int]]:
    """What options can name -> the things of that name, the nearest first. An object that the
    mission does not name is mentioned only when it is held."""
    known: dict[str, list[int]] = {}
    for role in ("wanted", "place"):
        seen = [index for index in scene.lying(role) if scene.things[index].seen]
        if seen:
            known[NAMES[role]] = sorted(seen, key=lambda i: distance(scene, scene.things[i].at))
    if scene.carrying is not None:
        known.setdefault(NAMES[scene.things[scene.carrying].role], []).append(scene.carrying)
    return known


def sentence(view: View, coordinates: bool) -> str:
    """``Agent sees <wanted object>, <named place>, holds <nothing>.``: what it has seen in this
    episode. With ``coordinates``, how far each is and on which side."""
    scene = decode_scene(view.state)
    seen = []
    for name, found in things_known(scene).items():
        lying = [scene.things[index] for index in found if index != scene.carrying]
        if lying:
            where = f" {place_in_words(scene, lying[0])}" if coordinates else ""
            seen.append(f"<{name}>{where}")
    held = scene.held
    holds = NOTHING if held is None else NAMES[held.role]
    return f"Agent sees {', '.join(seen) or f'<{NOTHING}>'}, holds <{holds}>."


def place_in_words(scene: Scene, thing: Item) -> str:
    """``at 2.5 metres, 30 degrees to the left``."""
    degrees = round(np.degrees(bearing(scene, thing.at)))
    side = "straight ahead" if degrees == 0 else f"{abs(degrees)} degrees to the "
    side += "" if degrees == 0 else "left" if degrees > 0 else "right"
    return f"at {distance(scene, thing.at):.1f} metres, {side}"


def execute(view: View, option: Option, executor: str) -> str | None:
    """The action with which an option begins or goes on; None: it can't be executed, or is done."""
    return next_action(decode_scene(view.state), option)


def next_action(scene: Scene, option: Option) -> str | None:
    """As :func:`execute`, from the scene."""
    if option.verb == EXPLORE:
        return _explore(scene)
    here, turned = np.array([scene.at]), np.array([scene.direction])
    if option.verb == DROP:
        return _put_down(scene)
    found = things_known(scene).get(option.thing or "", [])
    lying = tuple(index for index in found if index != scene.carrying)
    if not lying:
        return None
    if option.verb == GO_TO:
        return next_move(scene, _goal(scene, lying))
    if option.verb == PICK_UP:
        can = scene.carrying is None and taken(scene, here, turned, lying)[0]
        return "pickup" if can else None
    can = scene.carrying is not None and GetTo("drop", lying).done(scene, here, turned)[0]
    return "drop" if can else None


def _put_down(scene: Scene) -> str | None:
    """Anywhere but in the doorway, where it would shut the agent in."""
    here, turned = np.array([scene.at]), np.array([scene.direction])
    if scene.carrying is None:
        return None
    if scene.door is not None:
        middle = scene.rooms[0].right, sum(scene.door) / 2
        (x, z), *_ = here + hold_distance(scene) * ahead(turned)
        if math.dist((x, z), middle) < DOORWAY < distance(scene, middle) + hold_distance(scene):
            return IDLE
    return "drop" if can_drop(scene, here, turned)[0] else IDLE


def _goal(scene: Scene, things: tuple[int, ...]) -> GetTo:
    """Where to stand to use these things as they can be used now."""
    if scene.carrying is not None:
        return GetTo("drop", things)
    fixed = any(scene.things[index].kind == "column" for index in things)
    return GetTo("face" if fixed else "take", things)


def _explore(scene: Scene) -> str | None:
    """Look round in the room that is most likely to hold what is needed, and go there first.

    Objects lie in the last room, the place is in the first.
    """
    held = scene.held
    likely = 0 if held is not None and held.role == "wanted" else len(scene.rooms) - 1
    rooms = [likely, *(i for i in range(len(scene.rooms)) if i != likely)]
    # looked round in all, each direction from another place: so once more, from one
    room = next((i for i in rooms if not scene.rooms[i].scanned), likely)
    move = next_move(scene, GetTo("room", room=room)) if room != scene.room else None
    return move or IDLE


def plan_of(scene: Scene) -> tuple[Option, ...]:
    """What a sound player would do, as options: the first that can be executed counts."""
    held = scene.held
    if held is None:
        wanted = NAMES["wanted"]
        return Option(GO_TO, wanted), Option(PICK_UP, wanted), Option(EXPLORE)
    if held.role == "wanted":
        place = NAMES["place"]
        return Option(GO_TO, place), Option(DROP_AT, place), Option(EXPLORE)
    return (Option(DROP),)


def player_plan(view: View) -> Plan:
    """The scripted player's next action. ``distance`` is None: nobody knows how far it is."""
    scene = decode_scene(view.state)
    actions = (next_action(scene, option) for option in plan_of(scene))
    return Plan(frozenset([next((a for a in actions if a is not None), IDLE)]), None)


def pursued(view: View) -> frozenset[Option]:
    """What the scripted player is about: the thing that it uses next, or to explore."""
    scene = decode_scene(view.state)
    named = frozenset(option for option in plan_of(scene) if option.thing in things_known(scene))
    return named or frozenset(plan_of(scene)[-1:])


def aliases(view: View) -> dict[str, str]:
    """ "red box" -> "wanted object": what one would say who sees the picture."""
    scene = decode_scene(view.state)
    names = things_known(scene)
    return {scene.things[i].name: name for name, found in names.items() for i in reversed(found)}


def describe(view: View) -> str:
    """The state in words: what is in the picture, what was seen earlier, what is held."""
    scene = decode_scene(view.state)
    now, earlier = [], []
    for index, thing in enumerate(scene.things):
        words = f"{thing.name} {place_in_words(scene, thing)}"
        if index != scene.carrying and in_sight(scene, index):
            now.append(words)
        elif index != scene.carrying and thing.seen:
            earlier.append(words)
    held = scene.held
    if scene.door is not None:
        middle = scene.rooms[0].right, sum(scene.door) / 2
        degrees = round(np.degrees(bearing(scene, middle)))
        side = "left" if degrees > 0 else "right"
        now.append(
            f"(the doorway is at {distance(scene, middle):.1f} metres, {abs(degrees)} degrees to "
            f"the {side})"
        )
    return (
        f"In sight: {'; '.join(now) or NOTHING}.\n"
        f"Seen before: {'; '.join(earlier) or NOTHING}.\n"
        f"Held: {NOTHING if held is None else held.name}."
    )


def planning(rules: str) -> Planning[View]:
    """The options of a task with these rules."""
    return Planning(
        verbs=VERBS,
        rules=rules,
        sentence=sentence,
        things=lambda view: list(things_known(decode_scene(view.state))),
        execute=execute,
        idle=IDLE,
        aliases=aliases,
        pursued=pursued,
    )
