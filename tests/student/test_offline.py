"""`play --minari`: episodes as Minari's own library reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lvlm2p.envs import Observation, VectorEnv
from lvlm2p.envs.extras import MissingPackageError
from lvlm2p.student import TrainConfig, train
from lvlm2p.student.playback.offline import write_minari
from lvlm2p.student.playback.play import PlayConfig, play
from lvlm2p.student.training.evaluation import Act, student_alone
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.errors import RunError

ENV = "MiniGrid-GoToDoor-5x5-v0"

minari = pytest.importorskip("minari")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    small = {"frames": 32, "n_envs": 2, "n_steps": 16, "final_episodes": 1, "hidden": 8}
    given = {"env": ENV, "teacher": "none", "run_dir": folder, "progress": False, "eval_every": 0}
    train(TrainConfig.model_validate({**given, **small}))
    return folder


def test_a_teachers_episodes_are_read_back(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "episodes"
    config = PlayConfig(run=run, minari=folder, episodes=3, seed=5, teacher="expert")
    result = play(config, load_teacher("expert"))
    assert all(episode.success for episode in result.episodes)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    found = minari.load_dataset("played/episodes-v0")
    episodes = list(found.iterate_episodes())
    assert [len(one.rewards) for one in episodes] == [one.length for one in result.episodes]
    assert sum(len(one.rewards) for one in episodes) == result.frames == found.total_steps

    env = VectorEnv(ENV, 1, seed=5)  # the same actions lead through the same observations
    observation = env.reset()
    for episode, played in zip(episodes, result.episodes, strict=True):
        assert len(episode.observations["mission"]) == played.length + 1
        for number, action in enumerate(episode.actions):
            assert np.array_equal(episode.observations["values"][number], observation.values[0])
            assert episode.observations["mission"][number] == observation.mission[0]
            step = env.step(np.array([action]))
            assert episode.rewards[number] == step.reward[0]
            observation = step.obs
        assert np.array_equal(episode.observations["values"][-1], step.final_obs.values[0])
        assert episode.terminations[-1] and not episode.terminations[:-1].any()
        assert episode.rewards.sum() == pytest.approx(played.total)
    assert found.observation_space["values"].shape == env.space.shape
    assert found.action_space.n == env.n_actions


def test_a_student_acts_where_no_teacher_is_named(run: Path, tmp_path: Path) -> None:
    result = play(PlayConfig(run=run, minari=tmp_path / "new", episodes=2))
    assert len(result.episodes) == 2 and "steps" in result.summary()


def test_sampled_episodes_are_those_of_the_seed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def noted(policy: Any, encoder: Any, deterministic: bool, seed: int) -> Act:
        given.append(seed)
        return student_alone(policy, encoder, deterministic, seed)

    monkeypatch.setattr("lvlm2p.student.training.evaluation.student_alone", noted)
    play(PlayConfig(run=run, minari=tmp_path / "new", episodes=1, seed=3, deterministic=False))
    assert given == [3]


def test_an_episode_without_a_limit_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvlm2p.envs.limits.LONGEST", 25)

    def up(observation: Observation, env: VectorEnv, active: NDArray[np.bool_]) -> NDArray[Any]:
        return np.zeros(1, np.int64)  # along the wall, for ever

    [ending] = write_minari(tmp_path / "new", up, "CliffWalking-v1", 1, 0, "up")
    assert ending == (False, -25.0, 25)


def test_a_folder_with_something_in_it_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="not empty"):
        play(PlayConfig(run=run, minari=tmp_path))


def test_a_missing_package_is_one_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvlm2p.student.playback.offline.missing", lambda extra: [extra])
    with pytest.raises(MissingPackageError, match=r"lvlm2p\[minari\]"):
        play(PlayConfig(run=run, minari=tmp_path / "new"))
