"""States of 3D worlds as bytes: canonical, and refused where they are none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lvlm2p.envs import UserError, View
from lvlm2p.envs.miniworld.geometry import clear_of_walls, in_sight
from lvlm2p.envs.miniworld.scene import decode_scene
from tests.envs.miniworld.scenes import random_scene, scene, thing, view

RED, BLUE = thing("box", "red", 7.5, 2.5, "wanted"), thing("column", "blue", 3.0, 2.0, "place")


@pytest.mark.parametrize("seed", range(5))
def test_a_scene_is_read_as_it_was_written(seed: int) -> None:
    made = random_scene(seed)
    assert decode_scene(made.encode()) == made
    again = View.from_json(json.loads(json.dumps(view(made).to_json())))
    assert again == view(made) and again.key == view(made).key


def test_the_key_names_all_there_is_to_see_and_what_was_seen() -> None:
    made = scene(RED, BLUE)
    keys = {view(made).key}
    for change in (
        {"x": 1.001},
        {"direction": 0.01},
        {"carrying": 0},
        {"things": (RED.model_copy(update={"color": "green"}), BLUE)},
        {"things": (RED.model_copy(update={"seen": True, "role": "other"}), BLUE)},
        {"door": (1.6, 3.3)},
    ):
        keys.add(view(made.model_copy(update=change)).key)
    assert len(keys) == 7


def damaged(**changes: Any) -> bytes:
    said = json.loads(scene(RED, BLUE).encode())
    said.update(changes)
    return json.dumps(said, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (b"", "no 3D scene"),
        (b"[]", "no 3D scene"),
        (b"{" * 100_000, "no 3D scene"),
        (damaged(x=1e9), "no 3D scene"),
        (damaged(x=float("nan")), "no 3D scene"),
        (damaged(world="../../etc"), "no 3D scene"),
        (damaged(carrying=7), "what is held is no thing"),
        (damaged(door=None), "two rooms have a door"),
        (damaged(door=[1.0, 9.0]), "the door is not in the wall"),
        (damaged(more=1), "no 3D scene"),
        (damaged(x=1) + b" ", "not in the canonical spelling"),
        (json.dumps(json.loads(scene(RED).encode())).encode(), "not in the canonical spelling"),
    ],
)
def test_what_is_no_scene_is_refused(state: bytes, why: str) -> None:
    with pytest.raises(UserError, match=why):
        decode_scene(state)


def test_rooms_that_do_not_lie_side_by_side_are_refused() -> None:
    said = json.loads(scene(RED).encode())
    said["rooms"][1]["left"] += 1
    with pytest.raises(UserError, match="side by side"):
        decode_scene(json.dumps(said, separators=(",", ":")).encode())


def test_walls_stop_the_agent_and_the_doorway_does_not() -> None:
    made = scene()
    at = np.array([[2.5, 2.5], [0.39, 2.5], [2.5, 4.7], [5.0, 2.5], [5.0, 1.8], [4.9, 1.0]])
    assert clear_of_walls(made, at, 0.4).tolist() == [True, False, False, True, False, False]


def test_sight_ends_at_the_picture_s_edge_and_at_walls() -> None:
    ahead, behind = thing("box", "red", 3.0, 2.5), thing("box", "red", 0.4, 2.5)
    beyond_the_door, beyond_the_wall = thing("box", "red", 8.0, 2.5), thing("box", "red", 8.0, 0.5)
    made = scene(ahead, behind, beyond_the_door, beyond_the_wall)
    assert [in_sight(made, i) for i in range(4)] == [True, False, True, False]
    left = scene(ahead, degrees=30), scene(ahead, degrees=45)
    assert [in_sight(one, 0) for one in left] == [True, False]
    at_the_feet = thing("box", "red", 1.5, 2.5)
    assert not in_sight(scene(at_the_feet), 0)
