"""The smallest things that can learn: a policy that is a table, a world that follows a script.

What the tests of the updates and of collecting depend on in the shapes of networks, rollouts and
label books is here; the tests themselves are about numbers. States are numbered from 0. The
environment has four actions, and a teacher is asked about three of them, in an order of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lvlm2p.envs import Action, Observation, Task, View
from lvlm2p.student.config import TrainConfig
from lvlm2p.student.learn import a2c, ppo
from lvlm2p.student.learn.collect import collect
from lvlm2p.student.learn.labels import UNASKED, LabelBuffer
from lvlm2p.student.learn.learner import Learner, alone
from lvlm2p.student.learn.optimise import make_optimizer
from lvlm2p.student.learn.rollout import Position, Rollout
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.training.evaluation import student_alone
from lvlm2p.teachers import Answer
from tests.support.store import FakeTeacher

ENV_ACTIONS = 4


def _never(env: object, task: Task) -> View:
    raise AssertionError("the views are written in the script")


TASK = Task(
    name="table",
    env_ids=("Table-v0",),
    actions=(Action("stay", 2, "."), Action("go", 0, "."), Action("turn", 3, ".")),
    rules=".",
    observe=_never,
)


def config(algo: str, **options: Any) -> TrainConfig:
    """Settings under which plain arithmetic tells the result, unless ``options`` say otherwise."""
    data: dict[str, Any] = {"env": "MiniGrid-LavaGapS5-v0", "algo": algo, "epochs": 1, "lr": 0.1}
    data |= {"max_grad_norm": 1e6, "kl_target": "soft", "kl_minibatches": 0}
    return TrainConfig.model_validate({**data, **options})


# ---------------------------------------------------------------- a policy


class TablePolicy(nn.Module):
    """Logits and a value for each state, each a parameter of its own."""

    actions = ENV_ACTIONS

    def __init__(self, logits: object, values: object) -> None:
        super().__init__()
        self.actor = nn.Parameter(torch.tensor(logits, dtype=torch.float32))
        self.critic = nn.Parameter(torch.tensor(values, dtype=torch.float32))

    def initial_state(self, n: int) -> Tensor:
        return torch.empty(n, 2, 0)

    def acting(self) -> Callable[[Inputs, Tensor, Tensor], tuple[Tensor, Tensor]]:
        return lambda inputs, state, start: (self.logits(inputs, state, start).detach(), state)

    def logits(self, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        return self.actor[inputs.observation[..., 0].long()]

    def values(self, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        return self.critic[inputs.observation[..., 0].long()]

    def evaluate(self, inputs: Inputs, state: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits(inputs, state, start), self.values(inputs, state, start)

    def tables(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Logits (states, actions) and values (states,), as they are now."""
        return self.actor.detach().numpy().copy(), self.critic.detach().numpy().copy()


def improve(
    policy: TablePolicy,
    rollout: Rollout,
    book: LabelBuffer | None,
    weight: float,
    settings: TrainConfig,
    seed: int = 0,
    own_optimizer: bool = False,
) -> dict[str, float]:
    """One update by plain gradient descent, or by the algorithm's own optimiser; its report."""
    network: Any = policy
    plain = torch.optim.SGD(policy.parameters(), settings.lr)
    optimizer = make_optimizer([network], settings) if own_optimizer else plain
    generator = torch.Generator().manual_seed(seed)
    update = {"ppo": ppo.update, "a2c": a2c.update}[settings.algo]
    learner = Learner(network, optimizer, settings)
    return alone(update(learner, rollout, book, weight, generator))


# ---------------------------------------------------------------- what was met


@dataclass(frozen=True)
class Frame:
    """One step of a student, as an update is told of it."""

    state: int
    action: int
    old: float
    """Probability of the action when it was taken."""
    advantage: float
    target: float
    """What the critic should have said."""


def rollout_of(frames: Sequence[Frame], rows: Sequence[int] = ()) -> Rollout:
    """``rows``: each frame's in the label book."""

    advantages = torch.tensor([frame.advantage for frame in frames])
    targets = torch.tensor([frame.target for frame in frames])
    nothing: Any = None
    return Rollout(
        inputs=inputs_of([frame.state for frame in frames]),
        state=torch.empty(1, 2, 0),
        episode_start=torch.zeros(len(frames), dtype=torch.bool),
        actions=torch.tensor([frame.action for frame in frames]),
        log_probs=torch.tensor([frame.old for frame in frames]).log(),
        advantages=advantages,
        returns=targets,
        values=targets - advantages,
        rows=torch.tensor(rows if rows else [UNASKED] * len(frames)),
        end=nothing,
        episode_returns=[],
        episode_lengths=[],
        episode_successes=[],
    )


# ---------------------------------------------------------------- a teacher


def view_of_state(state: int) -> View:
    return View(TASK, bytes([state]), "walk")


Answers = Mapping[int, Mapping[str, float] | str]
"""For each state the probability of each action, or how the teacher fails."""


def teacher_of(
    answers: Answers,
    weights: Mapping[int, float] | None = None,
    otherwise: Mapping[str, float] | str = "refusal",
) -> FakeTeacher:
    """It refuses to answer about all other states; ``weights``: of its labels, by state."""

    def answer(view: View, teacher: FakeTeacher) -> Answer:
        said = answers.get(view.state[0], otherwise)
        if isinstance(said, str):
            return teacher.failure_for(view, said)
        weight = (weights or {}).get(view.state[0], 1.0)
        update = {"probabilities": dict(said), "weight": weight}
        return teacher.label_for(view).model_copy(update=update)

    return FakeTeacher(answer)


def new_book(settings: TrainConfig, teacher: FakeTeacher) -> LabelBuffer:
    encoder: Any = Numbers()
    return LabelBuffer(settings, teacher, encoder, ENV_ACTIONS)


def meet(
    book: LabelBuffer, states: Sequence[int], entropy: Sequence[float] = (), wait: bool = True
) -> list[int]:
    """Rows of these states, which are asked about as the book's rule says."""
    rows = book.rows(
        [view_of_state(state) for state in states],
        inputs_of(states),
        np.array(entropy if entropy else [0.0] * len(states)),
    )
    assert not wait or book.wait(threading.Event())
    return rows


# ---------------------------------------------------------------- a world


@dataclass(frozen=True)
class Scripted:
    """One step that an environment will take, whatever the student does."""

    state: int
    """Where the step leads; where an episode ends, its last state."""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    restart: int = 0
    """Where the next episode begins, if this one ends."""


def see(states: Sequence[int]) -> Observation:
    grid = np.zeros((len(states), 1, 1, 3), np.uint8)
    grid[:, 0, 0, 0] = states
    return Observation(grid, np.zeros((len(states), 2), np.uint8), ["walk"] * len(states))


class Numbers:
    """An encoder: the state's number is the only cell, and the mission has one word."""

    device = torch.device("cpu")

    def __call__(self, observation: Observation) -> Inputs:
        return inputs_of(observation.values[:, 0, 0, 0].tolist())

    def stored(self, observation: Tensor, mission: Tensor) -> Inputs:
        return Inputs(observation, mission, self.tokens())

    def tokens(self) -> Tensor:
        return torch.ones((1, 1), dtype=torch.int64)

    def empty(self) -> dict[str, Tensor]:
        cells = torch.empty((0, 1), dtype=torch.int16)
        return {"observation": cells, "mission": torch.empty(0, dtype=torch.int64)}

    def without_missions(self) -> Numbers:
        return self


def inputs_of(states: Sequence[int]) -> Inputs:
    cells = torch.tensor([[state] for state in states], dtype=torch.int16).view(-1, 1)
    return Inputs(cells, torch.zeros(len(states), dtype=torch.int64), Numbers().tokens())


class ScriptedEnv:
    """N environments side by side, one script each; ``taken``: the actions of every step."""

    def __init__(self, starts: Sequence[int], scripts: Sequence[Sequence[Scripted]]) -> None:
        self.states = list(starts)
        self.taken: list[list[int]] = []
        self._scripts = [iter(script) for script in scripts]
        self._totals = [(0.0, 0)] * len(starts)

    def observe(self) -> Observation:
        return see(self.states)

    @property
    def episode_start(self) -> NDArray[np.bool_]:
        return np.array([length == 0 for _, length in self._totals])

    def views(self) -> list[View]:
        return [view_of_state(state) for state in self.states]

    def step(self, actions: NDArray[Any]) -> Any:
        self.taken.append([int(action) for action in actions])
        steps = [next(script) for script in self._scripts]
        self._totals = [
            (total + step.reward, length + 1)
            for (total, length), step in zip(self._totals, steps, strict=True)
        ]
        ended = [i for i, step in enumerate(steps) if step.terminated or step.truncated]
        finished = [self._totals[i] for i in ended]
        self.states = [step.state for step in steps]
        for i in ended:
            self.states[i] = steps[i].restart
            self._totals[i] = (0.0, 0)
        return SimpleNamespace(
            obs=self.observe(),
            reward=np.array([step.reward for step in steps], np.float64),
            terminated=np.array([step.terminated for step in steps], np.bool_),
            truncated=np.array([step.truncated for step in steps], np.bool_),
            ended=np.array(ended, np.intp),
            final_obs=see([steps[i].state for i in ended]),
            returns=np.array([total for total, _ in finished], np.float64),
            lengths=np.array([length for _, length in finished], np.int64),
            successes=np.array([total > 0 for total, _ in finished], np.bool_),
        )


def gather(
    env: ScriptedEnv,
    policy: TablePolicy,
    steps: int,
    book: LabelBuffer | None = None,
    *,
    gamma: float = 0.9,
    gae_lambda: float = 0.5,
    seed: int = 0,
    stop: threading.Event | None = None,
) -> Rollout | None:
    """``steps`` steps of the policy in the scripted world."""
    world: Any = env
    network: Any = policy
    encoder: Any = Numbers()
    nothing: Any = None
    learner = Learner(network, nothing, nothing)
    work = collect(
        world,
        Position(
            env.observe(),
            policy.initial_state(len(env.states)),
            torch.ones(len(env.states), dtype=torch.bool),
        ),
        learner,
        encoder,
        book,
        steps=steps,
        gamma=gamma,
        gae_lambda=gae_lambda,
        generator=torch.Generator().manual_seed(seed),
        stop=stop or threading.Event(),
    )
    return alone(work)


def states_of(rollout: Rollout) -> list[int]:
    """The state of each frame, time first."""
    return [int(state) for state in rollout.inputs.observation[:, 0]]


def loop(steps: int, states: Sequence[int]) -> Iterator[Scripted]:
    """A script that goes round ``states`` and never ends an episode."""
    return (Scripted(states[(t + 1) % len(states)]) for t in range(steps))


def actions_alone(
    policy: TablePolicy, states: Sequence[int], deterministic: bool = True, seed: int = 0
) -> list[int]:
    """What the policy does in an evaluation."""
    network: Any = policy
    encoder: Any = Numbers()
    world: Any = ScriptedEnv(states, [[]] * len(states))
    act = student_alone(network, encoder, deterministic, seed)
    return [int(action) for action in act(see(states), world, np.ones(len(states), np.bool_))]
