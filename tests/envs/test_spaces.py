"""Observation spaces: what can be learned from, value by value, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from lvlm2p.envs import ObservationSpace, UserError
from lvlm2p.envs.spaces import SpaceReader

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
FRAMES = np.arange(4 * 8 * 9, dtype=np.uint16).astype(np.uint8).reshape(4, 8, 9)
TWO_FLOATS = spaces.Box(-np.inf, np.inf, (2,), np.float64)
BOOL: Any = np.bool_


@pytest.mark.parametrize(
    ("space", "observation", "kind", "expected"),
    [
        (spaces.Box(-1, 1, (3,), np.float32), np.array([0.25, -1, 1]), "vector", [0.25, -1, 1]),
        (TWO_FLOATS, np.array([1e-9, -3.5e5]), "vector", [1e-9, -3.5e5]),
        (spaces.Box(0, 1, (2, 2), np.float32), np.eye(2), "vector", [1, 0, 0, 1]),
        (spaces.Box(0, 1, (2,), BOOL), np.array([True, False]), "vector", [1, 0]),
        (spaces.Box(-9, 9, (2,), np.int64), np.array([-9, 4]), "vector", [-9, 4]),
        (spaces.Box(0, 255, (2, 3, 4), np.uint8), PIXELS, "image", PIXELS),
        (spaces.Box(0, 255, (2, 3, 1), np.uint8), PIXELS[..., :1], "image", PIXELS[..., :1]),
        (spaces.Box(0, 255, (2, 3), np.uint8), PIXELS[..., 0], "image", PIXELS[..., :1]),
        (spaces.Box(0, 255, (4, 8, 9), np.uint8), FRAMES, "image", FRAMES.transpose(1, 2, 0)),
        (
            spaces.Box(0, 255, (3,), np.uint8),
            np.array([0, 9, 255], np.uint8),
            "vector",
            [0, 9, 255],
        ),
        (spaces.Discrete(4), 2, "vector", [0, 0, 1, 0]),
        (spaces.Discrete(3, start=5), 7, "vector", [0, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), "vector", [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(3), np.array([1, 0, 1], np.int8), "vector", [1, 0, 1]),
        (
            spaces.Tuple([spaces.Discrete(2), TWO_FLOATS]),
            (1, np.array([0.5, 7])),
            "vector",
            [0, 1, 0.5, 7],
        ),
        (
            spaces.Dict(at=TWO_FLOATS, mission=spaces.Text(20), open=spaces.Discrete(2)),
            {"at": np.array([3, 4.0]), "mission": "go", "open": 0},
            "vector",
            [3, 4, 1, 0],
        ),
        (
            spaces.Dict(mission=spaces.Text(20), seen=spaces.Box(0, 255, (2, 3, 4), np.uint8)),
            {"mission": "go", "seen": PIXELS},
            "image",
            PIXELS,
        ),
    ],
)
def test_every_value_is_kept(
    space: spaces.Space[Any], observation: Any, kind: str, expected: Any
) -> None:
    read = SpaceReader(space, "it")
    values = read(observation)
    assert (read.space.kind, read.space.shape) == (kind, values.shape)
    assert values.dtype == read.space.dtype == (np.float32 if kind == "vector" else np.uint8)
    np.testing.assert_array_equal(values, np.asarray(expected, values.dtype))


def test_what_was_read_does_not_change_with_the_environments_buffer() -> None:
    for space, buffer in (
        (spaces.Box(-1, 1, (3,), np.float32), np.ones(3, np.float32)),
        (spaces.Box(0, 255, (2, 3, 4), np.uint8), PIXELS.copy()),
    ):
        values = SpaceReader(space, "it")(buffer)
        before = values.copy()
        buffer[:] = 0
        np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    ("space", "named"),
    [
        (spaces.Box(0, 255, (84, 84, 5), np.uint8), "an image is"),
        (spaces.Box(0, 255, (4, 84, 84, 3), np.uint8), "an image is"),
        (spaces.Text(10), "neither numbers nor a picture"),
        (spaces.Sequence(spaces.Discrete(3)), "neither numbers nor a picture"),
        (
            spaces.Graph(spaces.Discrete(3), spaces.Discrete(2)),
            "neither numbers nor a picture",
        ),
        (spaces.Box(-(2**40), 2**40, (2,), np.int64), "float32 can't hold"),
        (spaces.Box(0, 2**24 + 1, (2,), np.int64), "float32 can't hold"),
        (
            spaces.Dict(name=spaces.Text(9), n=spaces.Discrete(2)),
            "neither numbers nor a picture",
        ),
        (
            spaces.Dict(seen=spaces.Box(0, 255, (8, 8, 3), np.uint8), n=spaces.Discrete(2)),
            "only on its own",
        ),
        (spaces.Dict(mission=spaces.Text(9)), "it has 0 values"),
        (spaces.Discrete(2**40), "values"),
    ],
)
def test_whatever_would_lose_values_is_refused(space: spaces.Space[Any], named: str) -> None:
    with pytest.raises(UserError, match=r"Task\.observer") as error:
        SpaceReader(space, "task 'mine'")
    assert "task 'mine'" in str(error.value) and named in str(error.value)
    assert str(space) in str(error.value)


def test_an_observation_that_is_not_of_its_space_is_refused() -> None:
    read = SpaceReader(TWO_FLOATS, "task 'mine'")
    for wrong in (np.array([1.0, np.nan]), np.array([np.inf, 0])):
        with pytest.raises(UserError, match="not finite"):
            read(wrong)
    with pytest.raises(UserError, match=r"shape \(3,\)"):
        read(np.zeros(3))
    for shape, turned in (((4, 8, 9), (8, 9, 4)), ((8, 9), (8, 9, 1)), ((8, 9, 1), (8, 9))):
        box = SpaceReader(spaces.Box(0, 255, shape, np.uint8), "it")  # nothing is turned by guess
        with pytest.raises(UserError, match=re.escape(f"of shape {turned}")):
            box(np.zeros(turned, np.uint8))
    with pytest.raises(UserError, match="float64"):
        SpaceReader(spaces.Box(0, 255, (2, 3, 4), np.uint8), "it")(PIXELS / 255)
    with pytest.raises(UserError, match="not finite"):
        SpaceReader(TWO_FLOATS, "it")(np.array([1e300, 0]))
    small = SpaceReader(spaces.Box(0, 9, (1,), np.int64), "it")
    assert small(np.array([0.5])).tolist() == [0.5]  # wrongly declared, and kept all the same


def test_observations_side_by_side_must_all_be_of_the_space() -> None:
    space = ObservationSpace("vector", (2,), np.dtype(np.float32))
    good = np.array([1, 2], np.float32)
    assert space.stack([], "it").shape == (0, 2)
    stacked = space.stack([good, good + 2], "it")
    good[:] = 0
    assert stacked.tolist() == [[1, 2], [3, 4]] and stacked.dtype == np.float32
    for wrong in (good.astype(np.float64), np.zeros(3, np.float32), np.zeros((1, 2), np.float32)):
        for rows in ([good, wrong], [wrong, good], [wrong, wrong]):
            with pytest.raises(UserError, match="it gave an observation of shape"):
                space.stack(rows, "it")


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [
        ("grid", (4, 4, 1), np.uint8),
        ("grid", (4, 4, 3), np.float32),
        ("image", (4, 4), np.uint8),
        ("image", (4, 4, 5), np.uint8),
        ("vector", (4, 4), np.float32),
        ("vector", (4,), np.float64),
        ("vector", (0,), np.float32),
        ("words", (4,), np.float32),
    ],
)
def test_a_space_must_be_of_its_kind(kind: Any, shape: tuple[int, ...], dtype: Any) -> None:
    with pytest.raises(UserError, match="is no observation space"):
        ObservationSpace(kind, shape, dtype)
    assert ObservationSpace("vector", (4,), np.dtype("float32")).shape == (4,)
