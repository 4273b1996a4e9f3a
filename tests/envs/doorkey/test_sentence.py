"""The sentence says what was seen and is held, and nothing else."""

from __future__ import annotations

import pytest

from lvlm2p.envs import make_env, view_of
from lvlm2p.envs.doorkey.sentence import Naming, sentence, things_seen
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.envs.minigrid.state import decode_state
from tests.envs.doorkey.rooms import room


@pytest.mark.parametrize(
    ("drawn", "carried", "naming", "said"),
    [
        ("####\n#> \n#.  ", "", "kind", "Agent sees <nothing>, holds <nothing>."),
        ("####\n#>b\n#..B", "", "kind", "Agent sees <key>, <door>, holds <nothing>."),
        ("####\n#>~\n#..B", "b", "kind", "Agent sees <door>, holds <key>."),
        # colours in the order in which they are mentioned: keys, the nearest first, doors, the hand
        (
            "#####\n#>.b#\n#r..B\n#####",
            "",
            "color",
            "Agent sees <color1 key>, <color2 key>, <color2 door>, holds <nothing>.",
        ),
        (
            "#####\n#.rb#\n#..^B\n#####",
            "",
            "color",
            "Agent sees <color1 key>, <color2 key>, <color1 door>, holds <nothing>.",
        ),
        (
            "#####\n#>..#\n#...B\n#####",
            "r",
            "color",
            "Agent sees <color1 door>, holds <color2 key>.",
        ),
        ("#####\n#>.r#\n", "r", "color", "Agent sees <color1 key>, holds <color1 key>."),
        (
            "##B##\nB>.b#",
            "",
            "numbered doors",
            "Agent sees <key>, <door1>, <door2>, holds <nothing>.",
        ),
    ],
)
def test_the_sentence(drawn: str, carried: str, naming: Naming, said: str) -> None:
    assert sentence(room(drawn, carried), naming) == said


def test_the_sentence_with_coordinates() -> None:
    state = room("#####\n#>.b#\n#...B\n#####", "r")
    assert sentence(state, "color", coordinates=True) == (
        "Agent at row 1, column 1, facing right, sees <color1 key> at row 1, column 3, "
        "<color1 door> at row 2, column 4, holds <color2 key>."
    )


def test_equal_but_for_colours_is_the_same_sentence() -> None:
    drawn = "#####\n#>.b#\n#.r.B\n#####"
    other = drawn.translate(str.maketrans("bBrR", "rRbB"))
    assert sentence(room(drawn), "color") == sentence(room(other), "color")


def test_nothing_unseen_is_told_and_few_sentences_are_enough() -> None:
    counts = []
    for env_id in SETTINGS:
        env = make_env(env_id)
        said = set()
        for seed in range(25):
            env.reset(seed=seed)
            for _ in range(40):
                view = view_of(env)
                state = decode_state(view.state)
                named = things_seen(state, "color")
                assert all(thing.place is None or state.cell(*thing.place).kind for thing in named)
                planning = view.task.planning
                assert planning is not None
                said.add(planning.sentence(view, False))
                assert all(
                    f"<{name}>" in planning.sentence(view, True) for name in planning.things(view)
                )
                action = view.task.action_named(min(view.task.plan(view).actions))
                _, _, terminated, truncated, _ = env.step(action.index)
                if terminated or truncated:
                    break
        counts.append(len(said))
    assert max(counts) <= 14 and min(counts) >= 4, counts
