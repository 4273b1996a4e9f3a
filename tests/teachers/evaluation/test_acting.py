"""Episodes that a teacher plays alone."""

from __future__ import annotations

import pytest

from lvlm2p.envs import make_env, view_of
from lvlm2p.teachers import Teacher
from lvlm2p.teachers.evaluation.acting import act
from lvlm2p.teachers.evaluation.questions import Questioner
from lvlm2p.teachers.evaluation.results import Acting
from lvlm2p.teachers.expert import ExpertTeacher, RandomTeacher
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted


def play(teacher: Teacher, env_id: str, how: str = "argmax", episodes: int = 20) -> Acting:
    asker = Questioner(teacher)
    found = act(asker, env_id, episodes, 0, "argmax" if how == "argmax" else "sampled")
    assert found is not None
    return found


@pytest.mark.parametrize("env_id", ENVS[:3])
def test_a_perfect_teacher_wins_every_still_episode(env_id: str) -> None:
    found = play(ExpertTeacher(), env_id)
    assert found.success.value == 1
    assert found.success.n == 20
    assert found.episode_return.low > 0.7
    assert found.unanswered == 0


def test_length_and_return_are_the_environments_own() -> None:
    """A teacher that walks into the wall for the whole episode: length max_steps, return 0."""
    env = make_env(ENVS[1])
    env.reset(seed=0)
    limit = env.unwrapped.max_steps  # type: ignore[attr-defined]
    found = play(Planted("left", lambda view, number: planted.peaked(view, "left", 1.0)), ENVS[1])
    assert found.length.value == found.length.low == limit
    assert found.episode_return.value == 0
    assert found.success.value == 0


def test_drawing_from_soft_labels_is_worse_than_their_best_action() -> None:
    teacher = ExpertTeacher(ExpertTeacher.Options(confidence=0.7))
    assert play(teacher, ENVS[1]).success.value == 1
    assert play(teacher, ENVS[1], "sampled").success.value < 0.8


def test_equal_probabilities_are_played_at_random_and_not_as_the_first_action() -> None:
    """Chance picks up some object in Fetch sooner or later; always turning left never would."""
    found = play(RandomTeacher(), ENVS[2], episodes=30)
    assert 0.1 < found.success.value < 0.9


def test_failures_are_played_at_random_and_counted() -> None:
    found = play(Planted("flaky", planted.flaky), ENVS[1])
    assert 0.05 < found.unanswered < 0.5
    nothing = play(Planted("mute", lambda view, number: None), ENVS[1], episodes=5)
    assert nothing.unanswered == 1


def test_the_same_episodes_for_everybody_and_again() -> None:
    asked: list[list[str]] = []
    for teacher in (ExpertTeacher(), RandomTeacher()):
        asker = Questioner(teacher)
        act(asker, ENVS[1], 5, 7, "argmax")
        asked.append(list(asker.answers)[:5])
    assert asked[0] == asked[1]
    assert play(ExpertTeacher(), ENVS[3]) == play(ExpertTeacher(), ENVS[3])


def test_episodes_are_asked_about_together_and_each_state_once() -> None:
    teacher = Planted("good", planted.good)
    asker = Questioner(teacher)
    act(asker, ENVS[1], 12, 0, "argmax")
    assert teacher.batches[0] == 12
    assert teacher.counts.asked == len(asker.answers) == sum(teacher.batches)
    assert act(asker, ENVS[1], 0, 0, "argmax") is None


def test_a_question_is_remembered_with_its_view() -> None:
    env = make_env(ENVS[0])
    env.reset(seed=0)
    asker = Questioner(ExpertTeacher())
    view = view_of(env)
    assert asker.ask([view, view])[0] is asker.ask([view])[0]
    assert asker.views == {view.key: view}
