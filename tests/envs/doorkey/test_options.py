"""Options do what they say, on random maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lvlm2p.envs import Option
from lvlm2p.envs.doorkey.environment import MapDoorKeyEnv
from lvlm2p.envs.doorkey.layouts import LayoutSpec, draw_layout
from lvlm2p.envs.doorkey.options import next_action
from lvlm2p.envs.doorkey.sentence import Naming, Thing, things_seen
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.envs.minigrid.state import DOOR, EMPTY, KEY, STEPS, UNSEEN, Snapshot
from tests.envs.doorkey.rooms import room, staged

NUMBERS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
EXPLORE = Option("explore")


@st.composite
def rooms(draw: st.DrawFn, unseen: bool = False) -> Snapshot:
    """A room with walls, lava, keys and a door anywhere in it, and the agent somewhere."""
    width, height = draw(st.integers(4, 8)), draw(st.integers(4, 8))
    inner = "......#~b r" if unseen else "......#~br."
    rows = [["#"] * width for _ in range(height)]
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            rows[y][x] = draw(st.sampled_from(inner))
    x, y = draw(st.integers(1, width - 2)), draw(st.integers(1, height - 2))
    rows[y][x] = draw(st.sampled_from(">v<^"))
    across, side = draw(st.integers(1, height - 2)), draw(st.sampled_from([0, width - 1]))
    rows[across][side] = draw(st.sampled_from("BR"))
    return room("\n".join("".join(row) for row in rows), draw(st.sampled_from(["", "b", "r"])))


def walkable(state: Snapshot) -> set[tuple[int, int]]:
    """The free cells that can be walked to, by flooding."""
    found = {(state.x, state.y)}
    todo = [*found]
    while todo:
        x, y = todo.pop()
        for dx, dy in STEPS:
            at = (x + dx, y + dy)
            inside = 0 <= at[0] < state.width and 0 <= at[1] < state.height
            if inside and at not in found and state.cell(*at).kind == EMPTY:
                found.add(at)
                todo.append(at)
    return found


def beside(cells: set[tuple[int, int]], at: tuple[int, int]) -> bool:
    return any((at[0] + dx, at[1] + dy) in cells for dx, dy in STEPS)


def carry_out(
    env: MapDoorKeyEnv, verb: str, thing: Thing | None, naming: Naming, limit: int = 2000
) -> int:
    """Until the option gives no action; every step must change something. Returns the steps.

    What the thing is called may change under way: the nearest of its kind is named first.
    """
    for steps in range(limit):
        before = env.true_state()
        assert env.known is not None
        named = None if thing is None else called(thing, env.known.state, naming)
        action = next_action(Option(verb, named), env.known.state, naming)
        if action is None:
            return steps
        _, reward, terminated, _, _ = env.step(NUMBERS.index(action))
        assert env.true_state() != before, f"{action} does nothing"
        assert not terminated or float(reward) > 0, "walked into lava"
        if terminated:
            return steps + 1
    raise AssertionError(f"{verb} {thing} never ends")


def called(thing: Thing, state: Snapshot, naming: Naming) -> str:
    """The name of a thing in a later state; as it was, where it is no more."""
    alike = [
        other.name
        for other in things_seen(state, naming)
        if (other.kind, other.color) == (thing.kind, thing.color)
    ]
    return alike[0] if alike else thing.name


def everything_known(state: Snapshot) -> MapDoorKeyEnv:
    """An environment in which every cell was seen."""
    env = staged(state)
    assert env.known is not None
    env.known._cells[:] = state.cells
    env.known.look(state)
    return env


@settings(max_examples=150, deadline=None)
@given(rooms(), st.data())
def test_go_to_reaches_whatever_can_be_reached_and_nothing_else(
    state: Snapshot, data: st.DataObject
) -> None:
    lying = [thing for thing in things_seen(state, "color") if thing.place is not None]
    thing = data.draw(st.sampled_from(lying))
    env = everything_known(state)
    carry_out(env, "go to", thing, "color", 200)
    places = {other.place for other in lying if other.name == thing.name}
    reached = tuple(int(at) for at in env.front_pos) in places
    assert reached == any(beside(walkable(state), place) for place in places if place)


@settings(max_examples=150, deadline=None)
@given(rooms(), st.data())
def test_pick_up_takes_and_open_opens_where_they_can(state: Snapshot, data: st.DataObject) -> None:
    lying = [thing for thing in things_seen(state, "color") if thing.place is not None]
    thing = data.draw(st.sampled_from(lying))
    env = everything_known(state)
    carry_out(env, "go to", thing, "color", 200)
    now = env.true_state()
    place = tuple(int(at) for at in env.front_pos)
    there = place in {other.place for other in lying if other.name == thing.name}
    taken = carry_out(env, "pick up", thing, "color", 2)
    assert taken == (there and thing.kind == KEY and state.carried == (0, 0))
    if taken:
        assert env.true_state().carried == (KEY, thing.color)
        assert env.true_state().cell(place[0], place[1]).kind == EMPTY
    opened = carry_out(env, "open", thing, "color", 2)
    assert opened == (there and thing.kind == DOOR and now.carried == (KEY, thing.color))


@settings(max_examples=150, deadline=None)
@given(rooms())
def test_drop_puts_the_key_down_beside_no_door(state: Snapshot) -> None:
    env = everything_known(state)
    held = [thing for thing in things_seen(state, "color") if thing.place is None]
    absent = Thing("color1 key", KEY, 0, None)
    carry_out(env, "drop", held[0] if held else absent, "color", 200)
    after = env.true_state()
    doors = set(state.where(DOOR))
    there = walkable(state)
    room_left = {at for at in state.where(EMPTY) if beside(there, at) and not beside(doors, at)}
    if held and room_left:
        assert after.carried == (0, 0)
        place = tuple(int(at) for at in env.front_pos)
        assert after.cell(place[0], place[1])[:2] == state.carried
        assert not beside(doors, (place[0], place[1]))
    elif held and after.carried == (0, 0):
        raise AssertionError("put down where it should not lie")
    else:
        assert after.carried == state.carried


TURNED_TO_AND_FRO = room(
    """
#####
#...#
#.b.#
#..b#
#b<b#
#.#b#
Rb.##
#####
""",
    "r",
)
"""Two ways are as short; which was taken once hung on where the agent faced."""


@settings(max_examples=120, deadline=None)
@example(TURNED_TO_AND_FRO)
@given(rooms())
def test_explore_leaves_nothing_unseen_that_could_be_seen(state: Snapshot) -> None:
    env = staged(state)
    carry_out(env, "explore", None, "kind")
    assert env.known is not None
    known = env.known.state
    reached = walkable(known)
    assert reached == walkable(env.true_state())
    for x in range(known.width):
        for y in range(known.height):
            if beside(reached, (x, y)):
                assert known.cell(x, y).kind != UNSEEN


@settings(max_examples=200, deadline=None)
@given(rooms(unseen=True), st.booleans(), st.data())
def test_no_option_walks_against_anything_and_the_careful_never_into_lava(
    state: Snapshot, blind: bool, data: st.DataObject
) -> None:
    things = [thing.name for thing in things_seen(state, "numbered doors")]
    verb = data.draw(st.sampled_from(["go to", "pick up", "drop", "open"]))
    option = Option(verb, data.draw(st.sampled_from([*things, "ball"])))
    action = next_action(option, state, "numbered doors", blind=blind)
    assert action is None or action in NUMBERS
    if action == "forward":
        assert state.ahead.kind == EMPTY or (blind and state.ahead.words == "lava")
    careful = next_action(EXPLORE, state, "kind")
    assert careful != "forward" or state.ahead.kind == EMPTY


@pytest.mark.parametrize("kwargs", SETTINGS.values(), ids=[id_[7:-10] for id_ in SETTINGS])
def test_the_blind_executor_never_walks_against_the_walls_of_the_published_rooms(
    kwargs: dict[str, int],
) -> None:
    rng = np.random.default_rng(0)
    free = {"empty", "lava"}
    for _ in range(25):
        start = draw_layout(LayoutSpec(**kwargs), lambda low, high: int(rng.integers(low, high)))  # type: ignore[arg-type]
        env = staged(start)
        assert env.known is not None
        for _ in range(60):
            action = next_action(EXPLORE, env.known.state, "kind", blind=True)
            if action is None:
                break
            assert action != "forward" or env.true_state().ahead.words in free
            _, _, terminated, _, _ = env.step(NUMBERS.index(action))
            if terminated:
                break


@pytest.mark.parametrize(
    ("drawn", "action"),
    [
        ("#####\n#>. #\n#...#\n#####", "forward"),  # unseen ahead
        ("######\n#....#\n#.>..#\n#....#\n#  ..#\n######", "right"),
        ("######\n#  ..#\n#....#\n#.>..#\n#....#\n######", "left"),
        ("#####\n# ..#\n#>..#\n#...#\n#####", None),  # beside it is not further away
        ("######\n#  ..#\n#  .>#\n#  ..#\n######", "left"),  # behind it: about
        ("######\n#....#\n#.>b #\n#....#\n######", "left"),  # round the key
        ("######\n#.b..#\n#.>b #\n#....#\n######", "right"),
        ("######\n#....#\n#.>~ #\n#....#\n######", "forward"),  # lava is nothing to it
    ],
)
def test_the_published_exploring(drawn: str, action: str | None) -> None:
    assert next_action(EXPLORE, room(drawn), "kind", blind=True) == action


def test_the_blind_go_through_lava_and_act_in_vain() -> None:
    known = room("######\n#>~.b#\n######")
    go, take = Option("go to", "key"), Option("pick up", "key")
    assert next_action(go, known, "kind", blind=True) == "forward"
    assert next_action(go, known, "kind") is None
    assert next_action(take, known, "kind", blind=True) == "pickup"
    assert next_action(take, known, "kind") is None
