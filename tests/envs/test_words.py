"""States in words: what is seen and held, with or without coordinates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvlm2p.envs import View, in_words, make_env, task_named, view_of
from lvlm2p.prompts import load_prompt
from tests.envs.doorkey.rooms import room


def seen(drawn: str, task: str, carried: str = "", carrying: str | None = None) -> View:
    state = room(drawn, carried).encode()
    return View(task_named(task), state, "get a red key", carrying)


def test_minigrid_in_short() -> None:
    view = seen("#####\n#.>r#\n#.~b#\n#####", "fetch", "b", "blue key")
    assert in_words(view) == (
        "Directly ahead of you: red key; to your left: wall; to your right: lava.\n"
        "You see: red key, lava, blue key.\n"
        "You carry: blue key."
    )
    assert in_words(view, coordinates=True) == view.text
    assert "red key at row 1, column 3" in (view.text or "")


def test_what_was_not_seen_is_not_told() -> None:
    view = seen("#####\n#>  #\n#####", "fetch")
    words = in_words(view) or ""
    assert "Directly ahead of you: not seen yet" in words and "You see: nothing." in words


def test_door_key_says_its_sentence() -> None:
    view = seen("######\n#..>b#\n######", "simple-door-key")
    assert in_words(view) == "Agent sees <key>, holds <nothing>."
    assert "Directly ahead of you: blue key" in (in_words(view, coordinates=True) or "")


def test_a_task_with_one_description_says_that() -> None:
    task = replace(task_named("fetch"), brief=None)
    view = replace(seen("####\n#>.#\n####", "fetch"), task=task)
    assert in_words(view) == in_words(view, coordinates=True) == view.text
    assert in_words(replace(view, task=replace(task, describe=None))) is None


@pytest.mark.parametrize("shown", ["image", "text", "both"])
def test_the_prompt_shows_what_was_asked_for(shown: str) -> None:
    env = make_env("MiniGrid-GoToDoor-6x6-v0")
    env.reset(seed=0)
    view = view_of(env)
    prints = set()
    for coordinates in (False, True):
        prompt = load_prompt("direct", view.task, shots=1, shown=shown, coordinates=coordinates)  # type: ignore[arg-type]
        prints.add(prompt.fingerprint)
        for message in prompt.conversation(view).messages()[1::2]:  # the example's, and the view's
            said = str(message["content"])
            assert ("data:image/png" in said) == (shown != "text")
            assert ("Directly ahead of you:" in said) == (shown != "image")
            assert ("row 0, column 0" in said) == (shown != "image" and coordinates)
    assert len(prints) == (1 if shown == "image" else 2)
