"""What a mission wants: the sentences of MiniGrid and BabyAI, read into a search problem.

    mission  = stage [", then " stage | " after you " stage] [" (" notes ")"]
    stage    = act [" and " act]
    act      = ("go to" | "pick up" | "open") thing | "put" thing ("next to" | "near") thing
    thing    = ("the" | "a") [colour] ("object" | "box" | "ball" | "key" | "door") [where]
    where    = "in front of you" | "behind you" | "on your left" | "on your right"

The notes are ours (:mod:`lvlm2p.envs.babyai.observe`): what the player remembers of the episode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.search.problem import MOVABLE, Problem, Subgoal
from lvlm2p.envs.minigrid.state import BALL, BOX, COLORS, DOOR, EMPTY_CELL, KEY, Snapshot

KINDS = {"box": BOX, "ball": BALL, "key": KEY, "door": DOOR, "object": None}
THING = (
    rf"(?:the|a) (?:(?P<color>{'|'.join(COLORS)}) )?(?P<kind>{'|'.join(KINDS)})"
    r"(?P<where> in front of you| behind you| on your left| on your right)?"
)
A_THING = re.compile(THING)
ACT = re.compile(
    r"(?P<verb>go to|pick up|open|put) (?P<what>(?:the|a) .*?)"
    r"(?: (?P<how>next to|near) (?P<near>(?:the|a) .*))?"
)
NOTES = re.compile(r"^(?P<said>.*?)(?: \((?P<notes>[^()]*)\))?$", re.DOTALL)
DONE_NOTE = "already done: "
MEANT_NOTE = " is meant: "
CARRIED_NOTE = "the one you carry"


class NamedThing(NamedTuple):
    """A description. None: any."""

    kind: int | None
    color: int | None
    where: str | None
    words: str


class Act(NamedTuple):
    """One thing to do."""

    verb: str
    what: NamedThing
    near: NamedThing | None
    diagonal: bool
    words: str


@dataclass(frozen=True)
class Mission:
    """A mission that was understood."""

    acts: tuple[Act, ...]
    """In the order of the sentence."""
    stages: tuple[tuple[int, ...], ...]
    """In the order in which they are to be done."""
    done: int
    """A bit for each act that is done already."""
    meant: tuple[tuple[str, tuple[tuple[int, int], ...], bool], ...]
    """Words of a description -> every (x, y) that it means, and whether what is carried is one."""


@lru_cache(maxsize=4096)
def read_mission(mission: str) -> Mission:
    """What a mission wants.

    Raises:
        UserError: it is none of these sentences.
    """
    parts = NOTES.match(mission)
    said, notes = (parts["said"], parts["notes"] or "") if parts else (mission, "")
    stages, backwards = said.split(", then "), False
    if len(stages) == 1 and " after you " in said:
        stages, backwards = said.split(" after you "), True
    acts: list[Act] = []
    order: list[tuple[int, ...]] = []
    for stage in stages:
        found = [_read_act(words, mission) for words in stage.split(" and ")]
        order.append(tuple(range(len(acts), len(acts) + len(found))))
        acts += found
    if backwards:
        order.reverse()
    done, meant = _read_notes(notes, acts, order)
    return Mission(tuple(acts), tuple(order), done, meant)


def _read_act(words: str, mission: str) -> Act:
    found = ACT.fullmatch(words)
    what = _read_thing(found["what"]) if found else None
    near = _read_thing(found["near"]) if found and found["near"] else None
    if found is None or what is None or (found["verb"] == "put") != (near is not None):
        raise UserError(f"the mission {mission!r} is no sentence that the planner understands.")
    return Act(found["verb"], what, near, found["how"] == "near", words)


def _read_thing(words: str) -> NamedThing | None:
    found = A_THING.fullmatch(words)
    if found is None:
        return None
    color = COLORS.index(found["color"]) if found["color"] else None
    return NamedThing(KINDS[found["kind"]], color, found["where"], words)


def _read_notes(
    notes: str, acts: list[Act], order: list[tuple[int, ...]]
) -> tuple[int, tuple[tuple[str, tuple[tuple[int, int], ...], bool], ...]]:
    done, meant = 0, []
    for note in notes.split("; "):
        if note.startswith(DONE_NOTE):
            for words in note.removeprefix(DONE_NOTE).split(", "):
                fits = [i for i in sum(order, ()) if acts[i].words == words and not done >> i & 1]
                done |= 1 << fits[0] if fits else 0
        elif MEANT_NOTE in note:
            words, places = note.split(MEANT_NOTE, 1)
            found = re.findall(r"row (\d+), column (\d+)", places)
            spots = tuple((int(column), int(row)) for row, column in found)
            meant.append((words, spots, CARRIED_NOTE in places))
    return done, tuple(meant)


class Posed(NamedTuple):
    """A problem and where in it one stands."""

    problem: Problem
    cells: bytes
    """With marks."""
    carried: bytes
    progress: int


VERBS = {"go to": "face", "pick up": "pickup", "open": "open", "put": "put"}


def pose(state: Snapshot, mission: str, actions: tuple[int, ...], **rules: Any) -> Posed:
    """The problem of a mission in a state.

    Args:
        actions: those that may be chosen, by MiniGrid's number.
        rules: fields of :class:`~lvlm2p.envs.minigrid.search.problem.Problem`; ``beside=True``:
            "go to" means to choose done next to the thing.

    Raises:
        UserError: the mission is not understood.
    """
    wanted = read_mission(mission)
    beside = rules.pop("beside", False)
    marked = _Marked(state, wanted)
    subgoals = []
    for act in wanted.acts:
        cells, mark = marked.mark(act.what)
        near_cells, near = marked.mark(act.near) if act.near else (frozenset[int](), 0)
        kind = "beside" if beside and act.verb == "go to" else VERBS[act.verb]
        # `kind` is one of Subgoal's literals: VERBS has no other values
        subgoals.append(Subgoal(kind, cells, mark, near, near_cells, act.diagonal))  # type: ignore[arg-type]
    problem = Problem(state.width, state.height, actions, tuple(subgoals), wanted.stages, **rules)
    return Posed(problem, bytes(marked.cells), bytes(marked.carried), wanted.done)


class _Marked:
    """A grid in which what a mission means gets marks."""

    def __init__(self, state: Snapshot, wanted: Mission) -> None:
        self.height = state.height
        self.cells = bytearray(state.cells)
        self.carried = bytearray(carried_bytes(state))
        self._meant = {words: (spots, carried) for words, spots, carried in wanted.meant}
        self._known: dict[str, tuple[frozenset[int], int]] = {}
        self._next = 1

    def mark(self, thing: NamedThing) -> tuple[frozenset[int], int]:
        """The doors that are meant, and the mark of the movable things that are."""
        if thing.words in self._known:
            return self._known[thing.words]
        bit, self._next = self._next, self._next << 1
        doors = []
        spots, in_hand = self._meant.get(thing.words, ((), False))
        for at in range(len(self.cells) // 3):
            kind, color = self.cells[3 * at], self.cells[3 * at + 1]
            if thing.where is not None and divmod(at, self.height) not in spots:
                continue
            if kind == DOOR and _fits(thing, kind, color):
                doors.append(at)
            elif kind in MOVABLE and _fits(thing, kind, color):
                self.cells[3 * at + 2] |= bit
        kind, color = self.carried[0], self.carried[1]
        if _fits(thing, kind, color) and kind in MOVABLE and (thing.where is None or in_hand):
            self.carried[2] |= bit
        found = self._known[thing.words] = frozenset(doors), bit
        return found


def _fits(thing: NamedThing, kind: int, color: int) -> bool:
    return thing.kind in (None, kind) and thing.color in (None, color)


def carried_bytes(state: Snapshot) -> bytes:
    """What is carried, as the three bytes of its cell."""
    kind, color = state.carried
    return bytes((kind, color, 0)) if kind else EMPTY_CELL
