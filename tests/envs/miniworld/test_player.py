"""The options of the 3D tasks and their player, in worlds that no simulator draws."""

from __future__ import annotations

import pytest

from lvlm2p.envs import Option
from lvlm2p.envs.miniworld.options import next_action, plan_of, player_plan
from lvlm2p.envs.miniworld.scene import Scene
from lvlm2p.envs.miniworld.tasks import NAV_PICK
from tests.envs.miniworld.scenes import after, brought, random_scene, scene, thing, view

GO, TAKE = Option("go to", "wanted object"), Option("pick up", "wanted object")
THERE, DROP_AT = Option("go to", "named place"), Option("drop at", "named place")
EXPLORE, DROP = Option("explore"), Option("drop")
RED, BLUE = thing("box", "red", 7.5, 2.5, "wanted"), thing("column", "blue", 3.0, 1.5, "place")
GREEN = thing("box", "green", 8.5, 4.0)


def carry_out(made: Scene, option: Option, limit: int = 60) -> Scene:
    """Until it is done, or can't be executed."""
    for _ in range(limit):
        action = next_action(made, option)
        if action is None:
            return made
        made = after(made, action)
    raise AssertionError(f"{option} does not come to an end")


@pytest.mark.parametrize("seed", range(120))
def test_the_player_brings_the_box_to_the_column(seed: int) -> None:
    made, states = random_scene(seed), set()
    for _ in range(150):
        if brought(made):
            return
        (action,) = player_plan(view(made)).actions
        state = made.encode()
        assert state not in states, "it goes to and fro"
        states.add(state)
        made = after(made, action)
    raise AssertionError("it did not get there in 150 actions")


@pytest.mark.parametrize("seed", range(10))
def test_the_player_mends_what_another_did_wrong(seed: int) -> None:
    made = random_scene(seed)
    wrong = next(
        i for i, one in enumerate(made.things) if one.name.endswith("box") and one.role == "other"
    )
    made = made.model_copy(update={"carrying": wrong})
    for _ in range(170):
        made = after(made, min(player_plan(view(made)).actions))
        if brought(made):
            return
    raise AssertionError("it did not get there")


def test_options_follow_each_other_to_the_end() -> None:
    made = scene(RED, BLUE, GREEN, degrees=180)
    assert next_action(made, GO) is None, "it was not seen yet"
    assert next_action(made, EXPLORE) is not None
    while not made.things[0].seen:
        made = after(made, next_action(made, EXPLORE) or "")
    assert next_action(made, TAKE) is None, "it is too far away"
    made = carry_out(made, GO)
    assert next_action(made, TAKE) == "pickup"
    made = after(made, "pickup")
    assert made.carrying == 0 and next_action(made, TAKE) is None
    assert next_action(made, DROP_AT) is None
    made = carry_out(made, THERE)
    assert next_action(made, DROP_AT) == "drop"
    assert brought(after(made, "drop"))


def test_an_option_names_what_was_seen_alone() -> None:
    made = scene(RED, BLUE, degrees=180)
    assert next_action(made, Option("go to", "red box")) is None
    assert next_action(made, THERE) is None
    assert next_action(made, DROP) is None, "nothing is held"


def test_what_was_seen_is_remembered_and_looked_for_no_more() -> None:
    made = scene(RED, BLUE)
    assert made.things[0].seen
    behind = after(after(after(made, "left"), "left"), "left")
    assert next_action(behind, GO) in ("left", "right", "forward")


def test_towards_what_is_out_of_the_picture_the_agent_turns_left() -> None:
    near = thing("box", "red", 2.5, 2.5, "wanted").model_copy(update={"seen": True})
    for degrees in (120, 150, 180, 210, 240, 270):
        assert next_action(scene(near, degrees=degrees), GO) == "left", degrees
    assert next_action(scene(near, degrees=30), GO) == "right"
    assert next_action(scene(near, degrees=-30), GO) == "left"


def test_the_sentence_says_what_was_seen_and_is_held() -> None:
    planning = NAV_PICK.planning
    assert planning is not None
    made = scene(RED, BLUE, GREEN, degrees=180)
    assert planning.sentence(view(made), False) == "Agent sees <nothing>, holds <nothing>."
    made = scene(RED, BLUE, GREEN)
    said = "Agent sees <wanted object>, <named place>, holds <nothing>."
    assert planning.sentence(view(made), False) == said
    assert "<named place> at 2.2 metres, 27 degrees to the left" in planning.sentence(
        view(made), True
    )
    assert planning.aliases(view(made)) == {
        "red box": "wanted object",
        "blue column": "named place",
    }
    held = made.model_copy(update={"carrying": 2})
    assert planning.sentence(view(held), False).endswith("holds <other object>.")
    assert plan_of(held) == (DROP,)
    assert planning.pursued is not None
    assert planning.pursued(view(made)) == {GO, TAKE}


def test_a_state_in_words() -> None:
    said = view(scene(RED, BLUE, GREEN)).text
    assert said is not None
    assert "blue column at 2.2 metres, 27 degrees to the left" in said
    assert "Held: nothing." in said
