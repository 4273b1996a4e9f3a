"""Episodes played by a teacher alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lvlm2p.envs import Episode, Task, View, make_env, task_for, view_of
from lvlm2p.envs.errors import check_reward
from lvlm2p.envs.limits import Limited
from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.measures import choice
from lvlm2p.teachers.evaluation.questions import Questioner, Tick
from lvlm2p.teachers.evaluation.results import Acting
from lvlm2p.teachers.label import Answer, Label
from lvlm2p.teachers.progress import say

if TYPE_CHECKING:
    import gymnasium as gym

How = Literal["argmax", "sampled"]


@dataclass
class _Playing:
    env: gym.Env[Any, Any]
    rng: np.random.Generator
    total_return: float = 0.0
    length: int = 0
    unanswered: int = 0
    terminated: bool = False
    truncated: bool = False

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated

    def succeeds(self, task: Task) -> bool:
        """Whether ``task`` counts it as a success, now that it is over."""
        ended = Episode(self.total_return, self.length, self.terminated, self.truncated)
        return task.success(ended)


def act(
    questioner: Questioner,
    env_id: str,
    episodes: int,
    seed: int,
    how: How,
    tick: Tick | None = None,
) -> Acting | None:
    """Play ``episodes`` in step, so that the teacher is asked about all of them at once.

    Episode i starts from the same state for every teacher and ``how``. Where there is no label, a
    uniformly random action is taken and counted; equally probable actions are drawn from. What a
    success is, the task says.
    """
    if episodes == 0:
        return None
    limited = Limited(env_id)
    running = [_start(limited.env, seed, index) for index in range(episodes)]
    while todo := [episode for episode in running if not episode.over]:
        views = [view_of(episode.env) for episode in todo]
        answers = questioner.ask(views)
        for episode, view, answer in zip(todo, views, answers, strict=True):
            _step(episode, view, answer, how)
        if tick:
            tick(sum(episode.over for episode in running), episodes)
    for episode in running:
        episode.env.close()
        limited.note(episode.length, episode.terminated)
    if (warning := limited.warning(episodes)) is not None:
        say(warning)
    return _summary(running, task_for(env_id))


def _start(env_id: str, seed: int, index: int) -> _Playing:
    root = np.random.SeedSequence([seed, index])
    env = make_env(env_id)
    env.reset(seed=int(root.generate_state(1)[0] >> 1))
    return _Playing(env, np.random.default_rng(root.spawn(1)[0]))


def _step(episode: _Playing, view: View, answer: Answer, how: How) -> None:
    names = view.task.action_names
    if not isinstance(answer, Label):
        episode.unanswered += 1
        name = names[episode.rng.integers(len(names))]
    else:
        p = np.array([[answer.probabilities[name] for name in names]])
        name = str(episode.rng.choice(names, p=(choice(p) if how == "argmax" else p)[0]))
    action = view.task.action_named(name)
    _, reward, episode.terminated, episode.truncated, _ = episode.env.step(action.index)
    episode.length += 1
    check_reward(float(reward), str(episode.env.spec and episode.env.spec.id), episode.length)
    episode.total_return += float(reward)


def _summary(episodes: list[_Playing], task: Task) -> Acting:
    returns = np.array([episode.total_return for episode in episodes])
    lengths = np.array([episode.length for episode in episodes], dtype=np.float64)
    success = intervals.proportion(np.array([episode.succeeds(task) for episode in episodes]))
    episode_return, length = intervals.mean(returns), intervals.mean(lengths)
    assert success and episode_return and length, "at least one episode"
    return Acting(
        success=success,
        episode_return=episode_return,
        length=length,
        unanswered=float(sum(episode.unanswered for episode in episodes) / lengths.sum()),
    )
