"""The families of BabyAI (Chevalier-Boisvert et al., ICLR 2019), by what their missions ask for."""

from __future__ import annotations

from typing import Any

from lvlm2p.envs.babyai.observe import observe_babyai
from lvlm2p.envs.minigrid.families import (
    ALL,
    ALL_AND_BOXES,
    CARRY,
    DOORS,
    HANDS,
    HIDDEN,
    MOVES,
    NOTHING,
    TOGGLE,
    grid_task,
)
from lvlm2p.envs.minigrid.search.planner import MissionPlanner, Said
from lvlm2p.envs.minigrid.state import observe_minigrid
from lvlm2p.envs.task import Action, Task

FEW = "in as few actions as you can. "
GO = (
    "Go to what the mission names, " + FEW + 'To "go to" a thing is to stand in a cell next to it '
    "and face it. "
)
OPEN = "Open the door that the mission names, " + FEW + "Opening it is enough. "
PICK = "Pick up what the mission names, " + FEW
PUT = (
    "Pick up the object that the mission names first and drop it into an empty cell that shares a "
    "side with the cell of the other one, " + FEW
)
ANY = 'If the mission says "a", any such thing will do. '
OBJECTS = "You can't walk through keys, balls or boxes. "
ORDER = (
    'Where the mission has several parts, "A, then B" and "B after you A" mean A first and then '
    'B; "A and B" may be done in either order. What is done already is said behind the mission. '
)
SIDES = (
    '"On your left" and the like mean as you stood when the episode began, in the same room; what '
    "that was is said behind the mission. "
)
WORDS = (
    'To "go to" a thing is to stand in a cell next to it and face it; to "put" a thing next to '
    "another is to drop it into an empty cell that shares a side with the other's. Use as few "
    "actions as you can. "
)


def _task(name: str, ids: str, actions: tuple[Action, ...], rules: str, **more: Any) -> Task:
    """``ids``: what follows ``BabyAI-``, as shell patterns. ``planner=False``: none."""
    patterns = tuple(f"BabyAI-{one}-v*" for one in ids.split())
    hidden = {
        key: more.pop(key) for key in list(more) if key in ("boxes_hide_keys", "only_targets")
    }
    strict = more.pop("strict", False)
    if strict:
        hidden["only_target_doors"] = True
    planner = MissionPlanner(Said(**hidden)) if more.pop("planner", True) else None
    remembers = more.pop("remembers", False)
    return grid_task(
        f"babyai-{name}",
        patterns,
        actions,
        rules + NOTHING,
        planner=planner,
        observe=observe_babyai if remembers else observe_minigrid,
        **more,
    )


DOORS_TOO = (*MOVES, TOGGLE)

FAMILIES = (
    _task(
        "go-to-object",
        "GoToRedBall GoToRedBallGrey GoToRedBallNoDists GoToRedBlueBall GoToObj GoToObjS? "
        "GoToLocal GoToLocalS???",
        MOVES,
        GO + ANY + OBJECTS,
    ),
    _task("go-to-door", "GoToDoor GoToObjDoor", DOORS_TOO, GO + ANY + OBJECTS + DOORS),
    _task(
        "go-to-in-maze",
        "GoTo GoToOpen GoToObjMaze GoToObjMazeOpen GoToObjMazeS?R? GoToObjMazeS?",
        DOORS_TOO,
        GO + ANY + OBJECTS + DOORS,
    ),
    _task(
        "go-to-in-order",
        "GoToSeq GoToSeqS5R2",
        DOORS_TOO,
        GO + ORDER + ANY + OBJECTS + DOORS,
        remembers=True,
    ),
    _task("go-to-behind-lock", "GoToImpUnlock", ALL, GO + ANY + DOORS + CARRY),
    _task("open", "Open OpenRedDoor OpenDoorColor", DOORS_TOO, OPEN + ANY + OBJECTS + DOORS),
    _task(
        "open-by-place",
        "OpenDoor OpenDoorLoc",
        DOORS_TOO,
        OPEN + ANY + SIDES + OBJECTS + DOORS,
        remembers=True,
    ),
    _task(
        "open-in-order",
        "OpenTwoDoors OpenRedBlueDoors OpenDoorsOrderN?",
        DOORS_TOO,
        OPEN + ORDER + OBJECTS + DOORS,
        remembers=True,
    ),
    _task(
        "open-strictly",
        "OpenDoorDebug OpenRedBlueDoorsDebug",
        DOORS_TOO,
        OPEN + "Opening or closing another door ends the episode in failure. " + ORDER + SIDES
        + OBJECTS + DOORS,
        remembers=True,
        strict=True,
    ),
    _task(
        "open-in-order-strictly",
        "OpenDoorsOrderN?Debug",
        DOORS_TOO,
        OPEN + "Opening or closing another door ends the episode in failure. " + ORDER + OBJECTS
        + DOORS,
        remembers=True,
        planner=False,  # MiniGrid ends these in failure as soon as the first door of two is open
    ),
    _task("pickup-in-room", "PickupDist OneRoomS*", HANDS, PICK + ANY + CARRY),
    _task(
        "pickup-by-place", "PickupLoc", HANDS, PICK + ANY + SIDES + CARRY, remembers=True
    ),
    _task(
        "pickup-strictly",
        "PickupDistDebug",
        HANDS,
        PICK + "Picking up anything else ends the episode in failure. " + ANY + CARRY,
        only_targets=True,
    ),
    _task("pickup", "Pickup UnblockPickup PickupAbove FindObjS?", ALL, PICK + ANY + DOORS + CARRY),
    _task("unlock", "UnlockLocal UnlockLocalDist", ALL, OPEN + ANY + DOORS + CARRY),
    _task("unlock-in-maze", "Unlock", ALL, OPEN + ANY + DOORS + CARRY, planner=False),
    _task(
        "key-in-box",
        "KeyInBox",
        ALL_AND_BOXES,
        OPEN + HIDDEN + DOORS + CARRY,
        boxes_hide_keys=True,
    ),
    _task(
        "unlock-pickup",
        "UnlockPickup UnlockPickupDist BlockedUnlockPickup UnlockToUnlock KeyCorridor "
        "KeyCorridorS?R?",
        ALL,
        PICK + ANY + DOORS + CARRY,
    ),
    _task("put-next", "PutNextLocal PutNextLocalS?N? PutNextS?N? PutNextS?N?Carrying", HANDS,
          PUT + CARRY),
    _task(
        "move-two-across",
        "MoveTwoAcrossS5N2",
        HANDS,
        PUT + ORDER + CARRY,
        remembers=True,
    ),
    _task(
        "move-two-across-large",
        "MoveTwoAcrossS8N9",
        HANDS,
        PUT + ORDER + CARRY,
        remembers=True,
        planner=False,
    ),
    _task("action-on-object-or-door", "ActionObjDoor", ALL, WORDS + ANY + DOORS + CARRY),
    _task(
        "synthetic",
        "Synth SynthS5R2",
        ALL,
        WORDS + ANY + DOORS + CARRY,
        planner=False,
    ),
    _task(
        "boss",
        "SynthLoc SynthSeq MiniBossLevel BossLevel BossLevelNoUnlock",
        ALL,
        WORDS + ORDER + ANY + SIDES + DOORS + CARRY,
        remembers=True,
        planner=False,
    ),
)  # fmt: skip
