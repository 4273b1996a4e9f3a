"""A student with memory: sequences, where they begin, what is replayed, what it can learn."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lvlm2p.envs import VectorEnv
from lvlm2p.student import TrainConfig, TrainResult, load_student, train
from lvlm2p.student.learn.collect import collect
from lvlm2p.student.learn.labels import LabelBuffer
from lvlm2p.student.learn.learner import Learner, alone
from lvlm2p.student.learn.rollout import Position, Rollout
from lvlm2p.student.learn.sequences import SequenceBuffer
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.training.evaluation import evaluate, student_alone
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.errors import UserError
from tests.support.learning import teacher_of
from tests.support.mazes import register_mazes

MAZE = "Maze-Vector-v0"


@pytest.fixture(autouse=True)
def known_mazes(own_registry: None) -> None:
    register_mazes()


def new_policy(shape: tuple[int, ...] = (3,), hidden: int = 8) -> Policy:
    torch.manual_seed(1)
    policy = Policy("vector", shape, 3, hidden, "lstm")
    with torch.no_grad():
        policy.policy_head.weight.normal_()  # at first it hardly says anything
    return policy


def sequences(steps: int, n: int, seed: int = 0) -> tuple[Inputs, Tensor, Tensor]:
    """Inputs, states before them, and where episodes begin: now and then."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn((steps, n, 3), generator=generator)
    inputs = Inputs(observation, torch.zeros((steps, n), dtype=torch.int64), torch.tensor([[5]]))
    start = torch.rand((steps, n), generator=generator) < 0.25
    return inputs, torch.randn((n, 2, 16), generator=generator), start


# ---------------------------------------------------------------- sequences


@torch.no_grad()
def test_a_sequence_is_what_its_steps_are() -> None:
    policy = new_policy()
    inputs, state, start = sequences(9, 5)
    assert start[0].any() and not start[0].all() and start[1:].any()
    logits, values = policy.evaluate(inputs, state, start)
    act, acting_state, observed = policy.acting(), state, inputs.observation
    for t in range(9):
        now = Inputs(observed[t], inputs.mission[t], inputs.tokens)
        step_logits, step_values, state = policy(
            observed[t], inputs.tokens.expand(5, -1), state, start[t]
        )
        acting, acting_state = act(now, acting_state, start[t])
        torch.testing.assert_close(step_logits, logits[t])
        torch.testing.assert_close(step_values, values[t])
        torch.testing.assert_close(acting, logits[t])
        torch.testing.assert_close(acting_state, state)


@pytest.mark.parametrize("output", ["logits", "values"])
def test_gradients_go_back_to_the_episodes_beginning_and_no_further(output: str) -> None:
    policy = new_policy()
    inputs, state, _ = sequences(6, 3)
    start = torch.zeros((6, 3), dtype=torch.bool)
    start[2, 1] = True
    observation = inputs.observation.requires_grad_()
    state.requires_grad_()
    told = getattr(policy, output)(inputs._replace(observation=observation), state, start)
    torch.autograd.backward(told[4, 1].sum())
    assert observation.grad is not None and state.grad is not None
    reached = observation.grad.abs().sum(2) > 0
    assert reached.nonzero().tolist() == [[2, 1], [3, 1], [4, 1]]
    assert not state.grad.any()
    observation.grad = None
    told = getattr(policy, output)(inputs._replace(observation=observation), state, start)
    torch.autograd.backward(told[4, 2].sum())
    assert observation.grad is not None and state.grad is not None
    assert (observation.grad.abs().sum(2) > 0).nonzero().tolist() == [[t, 2] for t in range(5)]
    assert state.grad[2, ("logits", "values").index(output)].any()
    assert not state.grad[:2].any()


# ---------------------------------------------------------------- rollouts


def rollouts(policy: Policy, number: int, labels: LabelBuffer | None = None) -> list[Rollout]:
    env = VectorEnv(MAZE, 4, 3)
    encoder = Encoder(env.space)
    position = Position(env.reset(), policy.initial_state(4), torch.ones(4, dtype=torch.bool))
    found: list[Rollout] = []
    nothing: Any = None
    learner = Learner(policy, nothing, nothing)
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        work = collect(
            *(env, position, learner, encoder, labels),
            steps=10,
            gamma=0.9,
            gae_lambda=0.5,
            generator=generator,
            stop=threading.Event(),
        )
        rollout = alone(work)
        assert rollout is not None
        position = rollout.end
        found.append(rollout)
    env.close()
    return found


@torch.no_grad()
def test_what_was_collected_is_what_the_sequences_give() -> None:
    policy = new_policy()
    for rollout in rollouts(policy, 3):
        batch = rollout.whole(None)
        assert batch.actions.shape == (10, 4) and batch.episode_start.any()
        logits, values = policy.evaluate(batch.inputs, batch.state, batch.episode_start)
        log_probs = logits.log_softmax(-1).gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(log_probs, batch.log_probs)
        torch.testing.assert_close(values.flatten(), rollout.values)


@torch.no_grad()
def test_minibatches_are_whole_sequences_each_once() -> None:
    policy = new_policy()
    rollout = rollouts(policy, 2)[1]
    assert rollout.state.any()  # what was remembered from the first one
    batches = list(rollout.minibatches(20, torch.Generator().manual_seed(0), None))
    assert [batch.actions.shape for batch in batches] == [(10, 2), (10, 2)]
    for batch in batches:
        logits, _ = policy.evaluate(batch.inputs, batch.state, batch.episode_start)
        log_probs = logits.log_softmax(-1).gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(log_probs, batch.log_probs)
    found = torch.cat([batch.returns for batch in batches], dim=1)
    expected = rollout.returns.view(10, 4)
    assert sorted(found.t().tolist()) == sorted(expected.t().tolist())
    assert len(list(rollout.minibatches(5, torch.Generator(), None))) == 4


@torch.no_grad()
def test_an_episode_that_is_cut_short_is_valued_with_what_is_remembered() -> None:
    """Nobody turns: the limit of 12 steps ends every episode, in the second rollout."""
    policy = new_policy()
    policy.policy_head.bias[0] = 1000.0
    first, second = rollouts(policy, 2)
    assert second.episode_lengths == [12] * 4
    ahead = torch.tensor([0.0, 1.0, 1.0]).expand(4, -1)  # at the fork
    values, state = [], first.state
    observed = torch.cat([first.inputs.observation, second.inputs.observation]).view(20, 4, 3)
    tokens = first.inputs.tokens.expand(4, -1)
    for t in range(12):
        _, value, state = policy(observed[t], tokens, state, torch.full((4,), t == 0))
        values.append(value)
    _, last, _ = policy(ahead, tokens, state, torch.zeros(4, dtype=torch.bool))
    # at the second rollout's step 1 the episode is over: no reward, the future of the last state
    expected = 0.9 * last - values[11]
    torch.testing.assert_close(second.advantages.view(10, 4)[1], expected)


# ---------------------------------------------------------------- replay


def small_config(**options: Any) -> TrainConfig:
    data = {"env": MAZE, "n_steps": 10, "memory": "lstm", "kl_target": "soft", **options}
    return TrainConfig.model_validate(data)


@torch.no_grad()
def test_replayed_sequences_have_their_states_and_labels() -> None:
    policy = new_policy()
    encoder = Encoder(VectorEnv(MAZE, 1, 0).space)
    labels = LabelBuffer(small_config(ask="random:0.5"), load_teacher("expert"), encoder, 3)
    with closing(labels):
        kept = rollouts(policy, 3, labels)
        for rollout in kept:
            labels.keep(rollout)
        encoder.missions.rows(["take the way that the sign shows"])
        drawn = list(labels.replay(30, 20, torch.Generator().manual_seed(0)))
    assert len(drawn) == 30
    columns: dict[bytes, tuple[Rollout, int]] = {}
    for rollout in kept:
        for i in range(4):
            observation = rollout.inputs.observation.view(10, 4, 3)[:, i]
            columns[rollout.state[i].numpy().tobytes() + observation.numpy().tobytes()] = rollout, i
    met = set()
    for batch in drawn:
        assert batch.weight.shape == (10, 2) and batch.weight.bool().any(0).all()
        for j in range(2):
            observation = batch.inputs.observation[:, j].contiguous()
            name = batch.state[j].numpy().tobytes() + observation.numpy().tobytes()
            rollout, i = columns[name]
            met.add(name)
            targets, weight = labels.lookup(rollout.rows.view(10, 4)[:, i])
            assert torch.equal(batch.targets[:, j], targets)
            assert torch.equal(batch.weight[:, j], weight)
            start = rollout.episode_start.view(10, 4)[:, i]
            assert torch.equal(batch.episode_start[:, j], start)
    assert len(met) > 6
    assert not torch.cat([batch.weight for batch in drawn]).all()


def test_without_a_label_nothing_is_replayed() -> None:
    encoder = Encoder(VectorEnv(MAZE, 1, 0).space)
    with closing(LabelBuffer(small_config(), teacher_of({}), encoder, 3)) as labels:
        assert list(labels.replay(3, 20, torch.Generator())) == []
        labels.keep(rollouts(new_policy(), 1)[0])
        assert list(labels.replay(3, 20, torch.Generator())) == []


def test_the_oldest_sequences_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvlm2p.student.learn.sequences.MOST_FRAMES", 65)
    found, buffer = rollouts(new_policy(), 3), SequenceBuffer(10)
    for rollout in found:
        buffer.keep(rollout)
    assert len(buffer) == 6  # of 12: the last two of the second rollout, then the third's four
    expected = [*found[1].state[2:], *found[2].state]
    kept = {state.numpy().tobytes() for state in buffer.columns["state"]}
    assert kept == {state.numpy().tobytes() for state in expected}
    again = SequenceBuffer(10)
    again.restore(buffer.tensors())
    for rollout in found:
        buffer.keep(rollout)
        again.keep(rollout)
    assert all(torch.equal(v, again.columns[k]) for k, v in buffer.columns.items())
    other = SequenceBuffer(11)
    other.keep(found[0])  # shorter than the others will be
    assert len(other) == 0


# ---------------------------------------------------------------- whole runs


def run(folder: Path, **options: Any) -> TrainResult:
    data = {
        "env": MAZE,
        "n_envs": 8,
        "n_steps": 16,
        "batch_size": 64,
        "kl_minibatches": 16,
        "kl_schedule": "constant",
        "eval_every": 0,
        "checkpoint_every": 0,
        "progress": False,
        "run_dir": folder,
        "store": folder.with_name("store"),
    }
    return train(TrainConfig.model_validate({**data, **options}))


@pytest.mark.parametrize(("algo", "frames"), [("ppo", 10_000), ("a2c", 16_000)])
def test_memory_learns_what_no_student_without_it_can(
    tmp_path: Path, algo: str, frames: int
) -> None:
    remembers = run(tmp_path / "lstm", memory="lstm", algo=algo, frames=frames)
    assert remembers.evaluation.success > 0.95
    forgets = run(tmp_path / "none", algo=algo, frames=4_000)
    assert forgets.evaluation.success <= 0.6
    assert forgets.evaluation.mean_length == 5  # it has learned everything else


@pytest.mark.parametrize(("algo", "kind"), [("a2c", "Vector"), ("ppo", "Image")])
def test_vectors_and_images_are_learned_from(tmp_path: Path, algo: str, kind: str) -> None:
    result = run(tmp_path / "run", env=f"Maze-Signed-{kind}-v0", algo=algo, frames=4_000)
    assert result.evaluation.success == 1.0
    student, env = load_student(tmp_path / "run"), VectorEnv(f"Maze-Signed-{kind}-v0", 20, 5)
    observation, ended = env.reset(), 0
    while ended < 20:
        step = env.step(student.act(observation))
        assert step.successes.all()
        observation, ended = step.obs, ended + len(step.ended)
    env.close()


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_a_run_with_memory_goes_on_as_if_never_stopped(tmp_path: Path, algo: str) -> None:
    options: dict[str, Any] = {"memory": "lstm", "algo": algo, "ask": "random:0.7"}
    run(tmp_path / "whole", frames=1_280, **options)
    run(tmp_path / "parts", frames=640, **options)
    run(tmp_path / "parts", frames=1_280, resume=True, **options)
    for name in ("student.safetensors", "metrics.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_loaded_student_remembers_from_call_to_call(tmp_path: Path) -> None:
    result = run(tmp_path / "run", memory="lstm", frames=640, final_episodes=60)
    student = load_student(tmp_path / "run")
    evaluation = evaluate(student_alone(student.policy, student.encoder), MAZE, 60, 2**41)
    assert evaluation == result.evaluation

    def act(observation: Any, env: VectorEnv, active: Any) -> Any:
        return student.act(observation, env.episode_start)

    assert evaluate(act, MAZE, 60, 2**41) == evaluation
    env = VectorEnv(MAZE, 2, 0)
    fresh, observation = load_student(tmp_path / "run"), env.reset()
    first = fresh.probabilities(observation)
    then = fresh.probabilities(observation)
    assert not np.allclose(first, then)  # it remembers the first time
    assert np.array_equal(fresh.probabilities(observation, np.ones(2, np.bool_)), first)
    with pytest.raises(UserError, match="remembers 2 environments and is shown 3"):
        fresh.act(VectorEnv(MAZE, 3, 0).reset())
