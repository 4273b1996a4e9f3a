"""Saved views that somebody else wrote: what is no state is one sentence, and the rest is safe."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvlm2p.envs import (
    ImageStyle,
    Lvlm2pError,
    UnknownNameError,
    UserError,
    View,
    canonical,
    make_env,
    task_named,
    tasks,
    view_of,
)
from lvlm2p.envs.minigrid.state import decode_state
from tests.support.hostile import ESCAPES, FUZZ, anything, changed, returns_or_is_a_sentence


def saved() -> dict[str, Any]:
    env = make_env("MiniGrid-Fetch-5x5-N2-v0")
    env.reset(seed=0)
    return view_of(env).to_json()


SAVED = saved()


def with_state(state: bytes) -> dict[str, Any]:
    return {**SAVED, "state": base64.b64encode(state).decode()}


GOOD = base64.b64decode(SAVED["state"])


def edited(at: int, byte: int) -> bytes:
    return GOOD[:at] + bytes([byte]) + GOOD[at + 1 :] if at >= 0 else edited(len(GOOD) + at, byte)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\x00\x00" + bytes(5),
        GOOD[:-1],
        GOOD + b"\x00",
        edited(2, 255),  # object
        edited(2, 11),
        edited(3, 6),  # colour
        edited(4, 3),  # state of a door
        edited(-5, 5),  # x
        edited(-4, 5),  # y
        edited(-3, 4),  # direction
        edited(-2, 11),  # what is carried
        edited(-1, 6),  # and its colour
    ],
)
def test_bytes_that_are_no_state_are_one_sentence(state: bytes) -> None:
    for read in (lambda: View.from_json(with_state(state)), lambda: decode_state(state)):
        with pytest.raises(UserError, match="not a MiniGrid state") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_the_last_good_values_are_taken() -> None:
    for at, byte in ((2, 10), (3, 5), (4, 2), (-5, 4), (-4, 4), (-3, 3), (-2, 10), (-1, 5)):
        assert View.from_json(with_state(edited(at, byte))).state == edited(at, byte)
    assert View.from_json(SAVED).to_json() == SAVED


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_all_tasks_of_ours_check_the_bytes(task: Any) -> None:
    with pytest.raises(UserError, match=r"not a MiniGrid state|no 3D scene"):
        View.from_json({**SAVED, "task": task.name, "state": "AAAA"})


def test_a_task_without_a_check_takes_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(task_named("fetch"), name="odd", check_state=None)
    monkeypatch.setattr(View, "find_task", staticmethod(lambda name: odd))
    assert View.from_json({**with_state(b"\xff"), "task": "odd"}).state == b"\xff"


@pytest.mark.parametrize(
    "change",
    [
        {"task": 5},
        {"task": "chess" * 5_000},
        {"mission": None},
        {"mission": "x" * 10_001},
        {"mission": "\ud800"},
        {"carrying": "\ud800"},
        {"carrying": 1.5},
        {"state": 7},
        {"state": "ü"},
        {"state": ["AAAA"]},
    ],
)
def test_other_parts_have_their_own_types(change: dict[str, Any]) -> None:
    with pytest.raises((UserError, UnknownNameError)) as caught:
        View.from_json({**SAVED, **change})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@FUZZ
@given(changed(SAVED) | anything)
def test_any_value_as_a_view(data: Any) -> None:
    returns_or_is_a_sentence(lambda: View.from_json(data))


MISSIONS = (
    "",
    "x",
    "red",
    "a b",
    "get a red key",
    "go to the red door",
    "get a pink frog",
    ESCAPES,
)


@st.composite
def odd_states(draw: st.DrawFn) -> bytes:
    """Bytes that pass for a state, of a room that no environment builds."""
    width, height = draw(st.sampled_from([(1, 1), (1, 4), (3, 5), (5, 3), (5, 5)]))
    byte = st.integers
    cell = st.tuples(byte(0, 10), byte(0, 5), byte(0, 2)).map(bytes)
    cells = b"".join(draw(st.lists(cell, min_size=width * height, max_size=width * height)))
    end = (byte(0, width - 1), byte(0, height - 1), byte(0, 3), byte(0, 10), byte(0, 5))
    return bytes((width, height)) + cells + bytes(draw(st.tuples(*end)))


@FUZZ
@given(odd_states(), st.sampled_from(tasks()), st.sampled_from(MISSIONS))
def test_whatever_passes_for_a_state_can_be_drawn_described_and_planned(
    state: bytes, task: Any, mission: str
) -> None:
    view = View(task, state, mission)
    uses: list[Any] = [lambda: view.image(ImageStyle(8)), lambda: view.text, lambda: view.key]
    uses += [lambda: canonical(view), lambda: task.target(mission), lambda: task.plan(view)]
    uses += [lambda: task.ground_truth and task.ground_truth(view)]
    uses += [lambda sym=sym: sym.apply(view) for sym in task.symmetries]
    for use in uses:
        returns_or_is_a_sentence(use)
    assert canonical(view)[1].keys() == set(task.action_names)


def test_no_picture_is_larger_than_memory() -> None:
    state = b"\xff\xff" + b"\x01\x00\x00" * 255**2 + b"\x01\x01\x00\x00\x00"
    view = View.from_json({**with_state(state), "mission": "get a red key"})
    with pytest.raises(Lvlm2pError, match="not drawn"):
        view.image(ImageStyle(tile=256))
