"""How good a policy is on its own: episodes on fixed seeds, apart from training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lvlm2p.student.learn.collect import gumbel_noise
from lvlm2p.student.learn.learner import alone, at_once, seeing
from lvlm2p.teachers import Label, Teacher
from lvlm2p.teachers.progress import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs import Observation, VectorEnv
    from lvlm2p.student.learn.learner import Acting, Learner
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.policy import Policy

Act = Callable[["Observation", "VectorEnv", "NDArray[np.bool_]"], "NDArray[Any]"]
"""Actions (N,) for the current states of N environments; only those of the active ones count."""

AwaitedAct = Callable[
    ["Observation", "VectorEnv", "NDArray[np.bool_]"], Coroutine[Any, Any, "NDArray[Any]"]
]
"""The same, to be awaited."""

SIDE_BY_SIDE = 50

PERIODIC_SEED = 2**40
"""The episodes of evaluations during training: the same in every run. No training run's: their
seeds are below 2**32, and ``VectorEnv`` keeps its environments apart from larger ones."""

FINAL_SEED = 2**41
"""Those of the evaluation at the end start here; the run's own seed is added."""


@dataclass(frozen=True)
class PolicyEvaluation:
    """Episodes and their means. What a success is, ``Task.success`` says."""

    success: float
    mean_return: float
    mean_length: float
    returns: tuple[float, ...]
    """Of each episode. A longer evaluation with the same seed begins with the same episodes."""
    success_is: str = "a return above 0"
    """What is counted as a success."""

    @property
    def episodes(self) -> int:
        """How many there were."""
        return len(self.returns)

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p train --json``."""
        return {
            "success": self.success,
            "success_is": self.success_is,
            "return": self.mean_return,
            "length": self.mean_length,
            "episodes": self.episodes,
        }


def evaluate(
    act: Act,
    env_id: str,
    episodes: int,
    seed: int,
    stop: threading.Event | None = None,
) -> PolicyEvaluation:
    """Act in ``episodes`` episodes of ``env_id``: the first few of each of several environments.

    (Not the first that end: those would be the short ones.)

    Raises:
        Stopped: ``stop`` was set meanwhile.
    """
    return alone(evaluation_of(at_once(act), env_id, episodes, seed, stop))


async def evaluation_of(
    act: AwaitedAct,
    env_id: str,
    episodes: int,
    seed: int,
    stop: threading.Event | None = None,
) -> PolicyEvaluation:
    """:func:`evaluate`, of actions that are awaited."""
    from lvlm2p.envs import VectorEnv
    from lvlm2p.envs.limits import Limited

    limited = Limited(env_id)
    n = min(episodes, SIDE_BY_SIDE)
    quota = np.full(n, episodes // n) + (np.arange(n) < episodes % n)
    done = np.zeros(n, np.int64)
    env = VectorEnv(limited.env, n, seed)
    observation = env.reset()
    results: dict[tuple[int, int], tuple[float, int, bool]] = {}
    while (done < quota).any():
        if stop is not None and stop.is_set():
            raise Stopped
        step = env.step(await act(observation, env, done < quota))
        observation = step.obs
        ended = zip(step.ended, step.returns, step.lengths, step.successes, strict=True)
        for i, total, length, success in ended:
            if done[i] < quota[i]:
                results[int(done[i]), int(i)] = float(total), int(length), bool(success)
                done[i] += 1
                limited.note(int(length), bool(step.terminated[i]))
    env.close()
    if (warning := limited.warning(episodes)) is not None:
        say(warning)
    returns, lengths, successes = zip(
        *(results[episode] for episode in sorted(results)), strict=True
    )
    return PolicyEvaluation(
        success=float(np.mean(successes)),
        mean_return=float(np.mean(returns)),
        mean_length=float(np.mean(lengths)),
        returns=returns,
        success_is=env.task.success_words,
    )


def student_alone(
    policy: Policy, encoder: Encoder, deterministic: bool = True, seed: int = 0
) -> Act:
    """The student alone: its most probable actions, or samples, the same ones for each ``seed``."""
    see = seeing(encoder.without_missions(), policy.acting())
    act = _acting(policy, at_once(see), deterministic, seed)
    return lambda observation, env, active: alone(act(observation, env, active))


def learner_alone(learner: Learner, encoder: Encoder, deterministic: bool = True) -> AwaitedAct:
    """The same of a student that is learning."""
    step = learner.acting(encoder.without_missions())
    return _acting(learner.policy, step, deterministic)


def _acting(policy: Policy, step: Acting, deterministic: bool, seed: int = 0) -> AwaitedAct:
    state: torch.Tensor | None = None
    generator = torch.Generator().manual_seed(seed)

    async def act(
        observation: Observation, env: VectorEnv, active: NDArray[np.bool_]
    ) -> NDArray[Any]:
        nonlocal state
        state = policy.initial_state(len(observation)) if state is None else state
        episode_start = torch.from_numpy(env.episode_start).to(state.device)
        _, logits, state = await step(observation, state, episode_start)
        logits = logits.cpu()
        if not deterministic:
            logits = logits + gumbel_noise(logits.shape, generator)
        result: NDArray[Any] = logits.argmax(1).numpy()
        return result

    return act


class Advised:
    """The teacher alone, always taking its best action; where it fails, a uniformly random one.

    Attributes:
        asked, failed: answers so far, and how many were of no use.
        why: what the last of those said.
    """

    def __init__(self, teacher: Teacher, seed: int, stop: threading.Event) -> None:
        self._teacher, self._stop = teacher, stop
        self._rng = np.random.default_rng(seed)
        self.asked = self.failed = 0
        self.why = ""

    def __call__(
        self, observation: Observation, env: VectorEnv, active: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """Ask about the active environments only.

        Raises:
            Stopped: Ctrl-C.
        """
        if self._stop.is_set():
            raise Stopped
        views = [view for view, wanted in zip(env.views(), active, strict=True) if wanted]
        actions = np.zeros(len(active), np.int64)
        for i, view, answer in zip(
            np.flatnonzero(active), views, self._teacher.label(views), strict=True
        ):
            lot = int(self._rng.integers(len(view.task.actions)))
            chosen = view.task.actions[lot]
            self.asked += 1
            if isinstance(answer, Label):
                chosen = view.task.action_named(answer.action)
            else:
                self.failed += 1
                self.why = answer.message
            actions[i] = chosen.index
        return actions


class Stopped(Exception):
    """Ctrl-C, seen at a moment at which the run can be saved."""
