"""Views: exact keys, exact pictures, exact round trips."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import gymnasium as gym
import minigrid.core.constants as minigrid_constants
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvlm2p.envs import (
    ImageStyle,
    UserError,
    View,
    make_env,
    task_named,
    tasks,
    view_of,
)
from lvlm2p.envs.minigrid import state as snap
from lvlm2p.envs.minigrid.state import Snapshot, decode_state, in_words
from tests.support.shipped import WHOLE_GRID_IDS

SMALL = ImageStyle(tile=8)


@st.composite
def cells(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([snap.EMPTY, *range(snap.WALL, snap.AGENT)]))
    color = {snap.EMPTY: 0, snap.LAVA: 0}.get(kind, draw(st.integers(0, 5)))
    return bytes((kind, color, draw(st.integers(0, 2)) if kind == snap.DOOR else 0))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    width, height = draw(st.integers(3, 5)), draw(st.integers(3, 5))
    grid = draw(st.lists(cells(), min_size=width * height, max_size=width * height))
    carried = (draw(st.integers(5, 7)), draw(st.integers(0, 5))) if draw(st.booleans()) else (0, 0)
    return Snapshot(
        width,
        height,
        b"".join(grid),
        draw(st.integers(0, width - 1)),
        draw(st.integers(0, height - 1)),
        draw(st.integers(0, 3)),
        carried,
    )


def as_view(state: Snapshot, mission: str = "go", task: str = "fetch") -> View:
    return View(task_named(task), state.encode(), mission, in_words(state.carried))


@given(snapshots())
def test_a_state_comes_back_from_its_bytes(state: Snapshot) -> None:
    assert decode_state(state.encode()) == state


@given(snapshots(), st.text(max_size=20))
def test_a_view_comes_back_from_json(state: Snapshot, mission: str) -> None:
    view = as_view(state, mission)
    back = View.from_json(json.loads(json.dumps(view.to_json())))
    assert back == view
    assert back.key == view.key


@st.composite
def changed(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """A state, and the same with one visible thing changed."""
    state = draw(snapshots())
    what = draw(st.sampled_from(["cell", "place", "direction", "carried"]))
    if what == "cell":
        at = 3 * draw(st.integers(0, state.width * state.height - 1))
        new = draw(cells().filter(lambda cell: cell != state.cells[at : at + 3]))
        return state, replace(state, cells=state.cells[:at] + new + state.cells[at + 3 :])
    if what == "place":
        place = st.tuples(st.integers(0, state.width - 1), st.integers(0, state.height - 1))
        x, y = draw(place.filter(lambda at: at != (state.x, state.y)))
        return state, replace(state, x=x, y=y)
    if what == "direction":
        return state, replace(state, direction=(state.direction + draw(st.integers(1, 3))) % 4)
    carried = st.tuples(st.integers(5, 7), st.integers(0, 5)) | st.just((0, 0))
    return state, replace(state, carried=draw(carried.filter(lambda c: c != state.carried)))


@given(changed())
@settings(max_examples=150, deadline=None)
def test_any_visible_change_changes_the_key(pair: tuple[Snapshot, Snapshot]) -> None:
    before, after = (as_view(state) for state in pair)
    assert before.key != after.key
    assert before.text != after.text or not np.array_equal(before.image(SMALL), after.image(SMALL))


@given(snapshots(), snapshots())
@settings(deadline=None)  # the first drawing of a cell is slow
def test_equal_keys_mean_equal_pictures_and_unequal_pictures_unequal_keys(
    one: Snapshot, other: Snapshot
) -> None:
    a, b = as_view(one), as_view(other)
    assert (a.key == b.key) == (one == other)
    if not np.array_equal(a.image(SMALL), b.image(SMALL)):
        assert a.key != b.key


@given(snapshots())
def test_a_blank_picture_is_another_question(state: Snapshot) -> None:
    view = as_view(state)
    blank = replace(view, blank=True)
    assert blank.key != view.key
    assert View.from_json(blank.to_json()) == blank
    starts_so = replace(view, state=b"blank" + view.state)
    assert len({view.key, blank.key, starts_so.key}) == 3


@given(snapshots(), st.text(max_size=12), st.text(max_size=12))
def test_mission_and_task_are_in_the_key(state: Snapshot, mission: str, other: str) -> None:
    assert (as_view(state, mission).key == as_view(state, other).key) == (mission == other)
    assert as_view(state, mission).key != as_view(state, mission, "go-to-door").key
    moved = replace(as_view(state, mission), carrying="purple box")
    assert (moved.key == as_view(state, mission).key) == (in_words(state.carried) == "purple box")


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_what_nobody_sees_is_not_in_the_key(env_id: str) -> None:
    env = make_env(env_id)
    env.reset(seed=5)
    view = view_of(env)
    base: Any = env.unwrapped
    base.step_count += 17
    base.max_steps += 1
    base.np_random.random(3)
    base.grid = base.grid.copy()
    for obj in base.grid.grid:
        if obj is not None:
            obj.init_pos = obj.cur_pos = (1, 1)
    base.agent_pos = np.array(base.agent_pos)
    assert view_of(env).key == view.key
    unseen = {"max_steps": 9, "tile_size": 8, "render_mode": "rgb_array", "agent_view_size": 3}
    other = make_env(env_id, **unseen)
    other.reset(seed=5)
    assert view_of(other) == view
    # The mission space is free to have sampled another mission before; the episode's one counts.
    raw = gym.make(env_id)
    raw.reset(seed=5)
    assert view_of(raw) == view


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_every_state_has_minigrids_own_picture_even_after_the_environment_moved_on(
    env_id: str,
) -> None:
    env = make_env(env_id)
    rng = np.random.default_rng(0)
    expected: list[tuple[View, Any]] = []
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(4):
            base: Any = env.unwrapped
            expected.append((view_of(env), base.get_frame(highlight=False, tile_size=32)))
            if env.step(rng.integers(env.action_space.n))[2]:  # type: ignore[attr-defined]
                break
    for view, picture in expected:
        if view.carrying is None:
            np.testing.assert_array_equal(view.image(), picture)
        else:
            np.testing.assert_array_equal(view.image()[:-32], picture)


def test_what_is_carried_is_shown() -> None:
    env = make_env("MiniGrid-Fetch-6x6-N2-v0")
    env.reset(seed=0)
    while True:
        view = view_of(env)
        action = view.task.action_named(min(view.task.plan(view).actions))
        if env.step(action.index)[2]:
            break
    after = view_of(env)
    assert after.carrying == view.task.target(view.mission)
    assert after.image().shape == (7 * 32, 6 * 32, 3)
    assert after.image()[-32:, :32].any() and not after.image()[-32:, 40:].any()
    assert after.text is not None and f"You carry a {after.carrying}." in after.text


def test_margins_number_rows_and_columns_and_leave_the_grid_alone() -> None:
    env = make_env("MiniGrid-Dynamic-Obstacles-16x16-v0")
    env.reset(seed=0)
    view = view_of(env)
    framed = view.image(ImageStyle(margins=True))
    np.testing.assert_array_equal(framed[32:, 32:], view.image())
    labels = [framed[:32, 32 * i : 32 * (i + 1)] for i in range(1, 17)]
    assert len({label.tobytes() for label in labels}) == 16
    for i, label in enumerate(labels):
        np.testing.assert_array_equal(framed[32 * (i + 1) : 32 * (i + 2), :32], label)
        assert not label[:2].min() < 255, "digits stay inside their cell"


def test_png_holds_the_picture() -> None:
    import io

    from PIL import Image

    env = make_env("MiniGrid-LavaGapS5-v0")
    env.reset(seed=0)
    view = view_of(env)
    with Image.open(io.BytesIO(view.png())) as picture:
        np.testing.assert_array_equal(np.asarray(picture), view.image())
    assert view.png(ImageStyle(tile=16, margins=True))[:4] == b"\x89PNG"


def test_the_numbers_are_minigrids() -> None:
    objects = {name: index for index, name in enumerate(snap.OBJECTS)}
    assert objects == minigrid_constants.OBJECT_TO_IDX
    colors = {name: index for index, name in enumerate(snap.COLORS)}
    assert colors == minigrid_constants.COLOR_TO_IDX
    states = {name: index for index, name in enumerate(snap.DOOR_STATES)}
    assert states == minigrid_constants.STATE_TO_IDX
    assert [tuple(step) for step in minigrid_constants.DIR_TO_VEC] == list(snap.STEPS)
    assert snap.OBJECTS[snap.AGENT] == "agent" and snap.OBJECTS[snap.LAVA] == "lava"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"task": "fetch", "state": "!", "mission": "m", "carrying": None},
        {"task": "fetch", "state": "", "mission": 3, "carrying": None},
        {"task": "fetch", "state": "", "mission": "m", "carrying": 4},
        {"task": "nobody", "state": "", "mission": "m", "carrying": None},
    ],
)
def test_broken_view_json_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        View.from_json(data)


def test_a_state_of_another_kind_is_refused() -> None:
    view = View(task_named("fetch"), b"abc", "get a red key")
    with pytest.raises(UserError, match="not a MiniGrid state"):
        view.image()


def test_every_task_says_what_it_needs_to() -> None:
    for task in tasks():
        assert task.rules and all(action.meaning for action in task.actions)
