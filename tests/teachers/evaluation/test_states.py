"""The state set: stratified, the same for everybody, and a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lvlm2p.teachers.errors import LabelFileError
from lvlm2p.teachers.evaluation.states import draw_states, load_states, optimal_sets, save_states
from tests.support.evaluation import ENVS


@pytest.mark.parametrize("env_id", ENVS)
def test_states_are_distinct_spread_and_repeatable(env_id: str) -> None:
    cases = draw_states(env_id, 80, seed=3)
    keys = [case.view.key for case in cases]
    assert 70 <= len(keys) == len(set(keys)) <= 80
    assert keys == [case.view.key for case in draw_states(env_id, 80, seed=3)]
    assert keys != [case.view.key for case in draw_states(env_id, 80, seed=4)]
    distances = Counter(case.plan.distance for case in cases if case.plan)
    assert len(distances) >= 6
    near = [count for distance, count in distances.items() if distance and distance <= 6]
    assert max(distances.values()) <= 2.5 * min(near)


@pytest.mark.parametrize("env_id", ENVS)
def test_an_answer_can_be_right_or_wrong_everywhere(env_id: str) -> None:
    shares = optimal_sets(draw_states(env_id, 40, seed=0)).mean(axis=1)
    assert (shares > 0).all()
    assert (shares < 1).all()


def test_a_state_set_file_gives_the_same_states_back(tmp_path: Path) -> None:
    sets = {env_id: draw_states(env_id, 10, seed=0) for env_id in ENVS[:2]}
    path = tmp_path / "states.jsonl"
    save_states(path, sets)
    loaded = load_states(path, [ENVS[1]])
    assert list(loaded) == [ENVS[1]]
    assert [c.view for c in loaded[ENVS[1]]] == [c.view for c in sets[ENVS[1]]]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "line 2 is not a state"),
        ("[]", "line 2 is not a state"),
        ('{"env": "MiniGrid-LavaGapS6-v0"}', "line 2 is not a state"),
        ('{"env": "MiniGrid-LavaGapS66-v0", "view": {}}', "line 2: "),
        ('{"env": "MiniGrid-LavaGapS6-v0", "view": {}}', "line 2: "),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "states.jsonl"
    save_states(path, {ENVS[0]: draw_states(ENVS[0], 1, seed=0)})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(LabelFileError, match=complaint):
        load_states(path, [ENVS[0]])


def test_a_broken_state_and_a_foreign_task_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    view = draw_states(ENVS[0], 1, seed=0)[0].view.to_json()
    for row in (
        {"env": ENVS[0], "view": {**view, "state": "AAAA"}},
        {"env": ENVS[1], "view": view},
    ):
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(LabelFileError, match="line 1"):
            load_states(path, [ENVS[0]])


def test_a_file_without_the_environment_or_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    with pytest.raises(LabelFileError, match="can't read"):
        load_states(path, [ENVS[0]])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LabelFileError, match="can't read"):
        load_states(path, [ENVS[0]])
    save_states(path, {ENVS[0]: draw_states(ENVS[0], 1, seed=0)})
    with pytest.raises(LabelFileError, match=f"no states of {ENVS[1]}"):
        load_states(path, [ENVS[1]])
