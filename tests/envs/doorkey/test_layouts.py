"""The four layouts are what the paper's environments are drawn from; the rules of an episode."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from lvlm2p.envs import UserError, make_env
from lvlm2p.envs.doorkey import environment
from lvlm2p.envs.doorkey.environment import MapDoorKeyEnv, grid_of
from lvlm2p.envs.doorkey.layouts import LayoutSpec, draw_layout
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.envs.minigrid.state import (
    COLORS,
    DOOR,
    EMPTY,
    KEY,
    LAVA,
    WALL,
    Snapshot,
    encode_cells,
)
from tests.envs.doorkey.rooms import room, staged

N = 2000
SIMPLE, LAVA_ROOM, COLORED, DIVERGED = (LayoutSpec(**kwargs) for kwargs in SETTINGS.values())


def layouts(spec: LayoutSpec, n: int = N) -> list[Snapshot]:
    rng = np.random.default_rng(7)
    return [draw_layout(spec, lambda low, high: int(rng.integers(low, high))) for _ in range(n)]


def room_size(state: Snapshot) -> tuple[int, int]:
    """Columns and rows of the room, walls included, by the walls that stand there."""
    solid = [
        (x, y)
        for x in range(state.width)
        for y in range(state.height)
        if state.cell(x, y).kind in (WALL, DOOR)
    ]
    return max(x for x, _ in solid) + 1, max(y for _, y in solid) + 1


def front(state: Snapshot, door: tuple[int, int]) -> tuple[int, int]:
    """The cell inside the room that is right beside a door, worked out from the walls."""
    (width, height), (x, y) = room_size(state), door
    if x in (0, width - 1):
        return (1 if x == 0 else width - 2), y
    return x, (1 if y == 0 else height - 2)


def uniform(counts: Counter[Any], values: list[Any]) -> None:
    """Each as often as the others, within five standard errors."""
    assert set(counts) == set(values)
    total, share = sum(counts.values()), 1 / len(values)
    for value in values:
        error = (total * share * (1 - share)) ** 0.5
        assert abs(counts[value] - total * share) < 5 * error, (value, counts)


@pytest.mark.parametrize("spec", [SIMPLE, LAVA_ROOM, COLORED], ids=["simple", "lava", "colored"])
def test_one_room_in_the_corner_with_a_locked_door(spec: LayoutSpec) -> None:
    walls: Counter[int] = Counter()
    widths: Counter[int] = Counter()
    heights: Counter[int] = Counter()
    for state in layouts(spec):
        assert (state.width, state.height) == (10, 10)
        width, height = room_size(state)
        widths[width] += 1
        heights[height] += 1
        edge = {(x, y) for x in range(width) for y in range(height)} - {
            (x, y) for x in range(1, width - 1) for y in range(1, height - 1)
        }
        (door,) = state.where(DOOR)
        assert set(state.where(WALL)) == edge - {door}
        assert state.cell(*door).state == 2
        on = (door[0] == width - 1, door[1] == height - 1, door[0] == 0, door[1] == 0)
        assert sum(on) == 1, "in a corner"
        walls[on.index(True)] += 1
        assert 0 < state.x < width - 1 and 0 < state.y < height - 1
        assert state.cell(state.x, state.y).kind == EMPTY
        assert state.carried == (0, 0)
    uniform(widths, [5, 6, 7, 8, 9, 10])
    uniform(heights, [5, 6, 7, 8, 9, 10])
    uniform(walls, [0, 1, 2, 3])


def test_everything_else_is_anywhere() -> None:
    """In rooms of 5 x 5: nine cells, of which the door, agent and key leave none out."""
    states = layouts(LayoutSpec(max_room=5))
    inside = [(x, y) for x in range(1, 4) for y in range(1, 4)]
    uniform(Counter((state.x, state.y) for state in states), inside)
    uniform(Counter(state.where(KEY)[0] for state in states), inside)
    uniform(Counter(state.direction for state in states), [0, 1, 2, 3])
    doors = [(x, y) for x, y in ((i, j) for i in range(5) for j in range(5))]
    doors = [(x, y) for x, y in doors if (x in (0, 4)) != (y in (0, 4))]
    uniform(Counter(state.where(DOOR)[0] for state in states), doors)


@pytest.mark.parametrize("spec", [SIMPLE, LAVA_ROOM], ids=["simple", "lava"])
def test_one_key_of_the_doors_colour(spec: LayoutSpec) -> None:
    colors: Counter[int] = Counter()
    before_door = 0
    for state in layouts(spec):
        (key,), (door,) = state.where(KEY), state.where(DOOR)
        assert state.cell(*key).color == state.cell(*door).color
        colors[state.cell(*key).color] += 1
        before_door += key == front(state, door)
        lava = state.where(LAVA)
        assert len(lava) == spec.lava
        assert front(state, door) not in lava
    uniform(colors, list(range(6)))
    assert before_door > 20, "nothing keeps the key from lying in front of the door"


def test_a_blue_door_a_blue_and_a_red_key() -> None:
    for state in layouts(COLORED):
        (door,) = state.where(DOOR)
        assert COLORS[state.cell(*door).color] == "blue"
        keys = state.where(KEY)
        assert sorted(COLORS[state.cell(*key).color] for key in keys) == ["blue", "red"]
        assert front(state, door) not in keys
    three = layouts(LayoutSpec(colored=True, n_keys=3), 50)
    assert all(len(state.where(KEY)) == 3 for state in three)


def test_two_doors_of_one_colour_in_opposite_walls_and_the_key_in_the_middle() -> None:
    sides: Counter[str] = Counter()
    keys: Counter[tuple[int, int]] = Counter()
    colors: Counter[int] = Counter()
    for state in layouts(DIVERGED):
        assert room_size(state) == (state.width, state.height) == (20, 20)
        first, second = state.where(DOOR)
        assert state.cell(*first) == state.cell(*second)
        assert state.cell(*first).state == 2
        if first[0] == 0:
            assert second[0] == 19 and 0 < first[1] < 19 and 0 < second[1] < 19
            sides["left and right"] += 1
        else:
            assert {first[1], second[1]} == {0, 19}
            sides["above and below"] += 1
        (key,) = state.where(KEY)
        keys[key] += 1
        colors[state.cell(*key).color] += state.cell(*key).color == state.cell(*first).color
    uniform(sides, ["left and right", "above and below"])
    uniform(keys, [(9, 9), (9, 10), (10, 9), (10, 10)])
    assert sum(colors.values()) == N
    uniform(colors, list(range(6)))


def test_the_environments_are_drawn_so() -> None:
    for env_id, kwargs in SETTINGS.items():
        base: Any = make_env(env_id).unwrapped
        assert base.layout == LayoutSpec(**kwargs)
        assert (base.agent_view_size, base.max_steps) == (3, 150)
        for seed in range(20):
            base.reset(seed=seed)
            drawn = draw_layout(base.layout, _roller(seed))
            assert base.true_state() == drawn
            assert encode_cells(base.grid) == drawn.cells == encode_cells(grid_of(drawn))


def _roller(seed: int) -> Any:
    from gymnasium.utils import seeding

    rng = seeding.np_random(seed)[0]
    return lambda low, high: int(rng.integers(low, high))


@pytest.mark.parametrize(
    ("kwargs", "why"),
    [
        ({"min_room": 4}, "5 <= min_room"),
        ({"min_room": 8, "max_room": 7}, "min_room <= max_room"),
        ({"n_keys": 2}, "from 1 to 1"),
        ({"colored": True, "n_keys": 0}, "from 1 to 7"),
        ({"colored": True, "n_keys": 8}, "from 1 to 7"),
    ],
)
def test_settings_that_make_no_room_are_refused(kwargs: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        make_env("LVLM2P-SimpleDoorKey-v0", **kwargs)


def play(env: MapDoorKeyEnv, actions: str) -> tuple[float, bool, bool]:
    """Reward, terminated and truncated of the last of these actions, by their first letters."""
    result = (0.0, False, False)
    for letter in actions:
        _, reward, terminated, truncated, _ = env.step("lrfpdt.".index(letter))
        result = (float(reward), terminated, truncated)
    return result


CROSSING = "#####\n#.b.#\n#.{}.R\n#.~.#\n#####"
"""The agent in the middle, a blue key above, lava below, a red door at the right."""


def crossing(agent: str, carried: str = "", **kwargs: Any) -> MapDoorKeyEnv:
    return staged(room(CROSSING.format(agent), carried), **kwargs)


def test_an_opened_door_is_success_and_a_wrong_key_opens_none() -> None:
    env = crossing(">", "r", max_steps=10)
    assert play(env, "f") == (0, False, False)
    reward, terminated, truncated = play(env, "t")
    assert reward == pytest.approx(1 - 0.9 * 2 / 10)
    assert (terminated, truncated) == (True, False)
    assert play(crossing(">", "b"), "ft") == (0, False, False)
    assert play(crossing(">", max_steps=10), "ft........") == (0, False, True)


def test_lava_ends_the_episode_in_failure() -> None:
    assert play(crossing("v"), "f") == (0, True, False)


def test_toggling_beside_a_door_that_is_not_ahead_ends_nothing() -> None:
    assert play(crossing(">", "r"), "flt") == (0, False, False)


def test_one_key_at_a_time_is_carried_and_put_down() -> None:
    env = crossing("^")
    play(env, "p")
    assert env.true_state().carried == (KEY, COLORS.index("blue"))
    play(env, "rd")
    assert env.true_state().carried == (0, 0)
    assert env.true_state().cell(3, 2)[:2] == (KEY, COLORS.index("blue"))


def test_layouts_without_a_solution_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one cell of lava every layout has one, so the planner is told to find none in some."""
    monkeypatch.setattr(
        environment, "shortest_plan", lambda state: None if state.direction == 3 else ()
    )
    found = {True: set[int](), False: set[int]()}
    for solvable_only, directions in found.items():
        env = MapDoorKeyEnv(solvable_only=solvable_only)
        for seed in range(60):
            env.reset(seed=seed)
            directions.add(env.true_state().direction)
    assert found == {True: {0, 1, 2}, False: {0, 1, 2, 3}}
