"""Environments with arguments, as one name."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

from lvlm2p.envs import UnknownNameError, UserError
from lvlm2p.envs.arguments import check_arguments, split_arguments, value_of, with_arguments
from lvlm2p.envs.minigrid.tasks import LAVA_GAP
from lvlm2p.envs.registry import task_for


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "E-v0"),
        ({"b": False, "a": 4}, "E-v0?a=4&b=false"),
        ({"a": "8x8"}, "E-v0?a=8x8"),
        ({"a": "4"}, 'E-v0?a="4"'),
        ({"a": "true"}, 'E-v0?a="true"'),
        ({"a": "x&b=1%?"}, "E-v0?a=x%26b%3D1%25%3F"),
        ({"a": ["SF", "FG"]}, 'E-v0?a=["SF","FG"]'),
        ({"a": 0.5, "b": None}, "E-v0?a=0.5&b=null"),
    ],
)
def test_a_name_says_its_arguments_and_is_read_back(arguments: Any, name: str) -> None:
    assert with_arguments("E-v0", arguments) == name
    assert split_arguments(name) == ("E-v0", arguments)


def test_arguments_replace_those_in_the_name_and_have_one_order() -> None:
    assert with_arguments("m:E-v0?b=1&a=2", {"b": 3}) == "m:E-v0?a=2&b=3"
    assert with_arguments("E-v0?b=True&a=None", {}) == "E-v0?a=null&b=true"


@pytest.mark.parametrize("text", ["False", "FALSE", "false"])
def test_words_mean_what_they_say(text: str) -> None:
    assert value_of(text) is False
    assert value_of("none") is None
    assert value_of("Infinity") in (float("inf"), "Infinity")


@pytest.mark.parametrize("name", ["E-v0?a", "E-v0?=1", "E-v0?", "E-v0?a=1&a=2", "E-v0?a b=1"])
def test_what_is_no_argument_is_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match="environment"):
        split_arguments(name)


def test_arguments_are_checked_by_name_and_type() -> None:
    lake = gym.spec("FrozenLake-v1")
    check_arguments(lake, {"is_slippery": False, "map_name": "8x8", "desc": ["SG"]})
    check_arguments(lake, {"success_rate": 1, "max_episode_steps": 5})
    with pytest.raises(UnknownNameError, match="did you mean 'is_slippery'"):
        check_arguments(lake, {"is_slipery": False})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"is_slippery": 1}, "is_slippery is true or false"),
        ({"map_name": 8}, "map_name is text"),
        ({"success_rate": "much"}, "success_rate is a number"),
        ({"max_episode_steps": 0}, "above 0"),
        ({"max_episode_steps": True}, "above 0"),
        ({"render_mode": "human"}, "not for you"),
    ]
    for wrong, said in cases:
        with pytest.raises(UserError, match=said):
            check_arguments(lake, wrong)


def test_arguments_that_a_constructor_passes_on_are_known() -> None:
    import minigrid  # noqa: F401

    gap = gym.spec("MiniGrid-LavaGapS5-v0")
    check_arguments(gap, {"size": 7, "max_steps": 9, "see_through_walls": True})
    with pytest.raises(UserError, match="size is a whole number"):
        check_arguments(gap, {"size": 7.5})


def test_a_registered_task_is_the_same_with_arguments() -> None:
    assert task_for("MiniGrid-LavaGapS5-v0?size=7&max_episode_steps=9") is LAVA_GAP
