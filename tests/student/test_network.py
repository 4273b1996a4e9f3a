"""The student's network: what a state is worth depends on that state alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lvlm2p.student.models.encoding import CELL_KINDS, MISSION_LENGTH, WORDS, word_numbers
from lvlm2p.student.models.policy import Actor, Network

CELLS, ACTIONS = 25, 5
MISSIONS = ["get a red key", "go fetch a blue ball", "go to the green door", "get"]


def states(n: int, seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Random cells, and missions of different lengths."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(CELL_KINDS, size=(n, CELLS)).astype(np.int16)
    words = np.stack([word_numbers(MISSIONS[i]) for i in rng.integers(len(MISSIONS), size=n)])
    return cells, words


def tensors(arrays: tuple[NDArray[Any], NDArray[Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1])


@pytest.fixture
def network() -> Network:
    """One that has learned a little: nothing is where it was put at first."""
    torch.manual_seed(0)
    network = Network(CELLS, ACTIONS, hidden=16)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for seed in range(5):
        logits, values = network(*tensors(states(32, seed)))
        optimizer.zero_grad()
        torch.autograd.backward(logits.square().mean() + (values - 1).square().mean())
        optimizer.step()
    return network


@torch.no_grad()
def test_a_state_is_judged_alike_in_any_company(network: Network) -> None:
    cells, words = tensors(states(40, 99))
    logits, values = network(cells, words)
    for i in range(len(cells)):
        torch.testing.assert_close(network.policy(cells[i : i + 1], words[i : i + 1])[0], logits[i])
        torch.testing.assert_close(network.value(cells[i : i + 1], words[i : i + 1])[0], values[i])


@torch.no_grad()
def test_the_actor_is_the_policy_and_reads_new_missions(network: Network) -> None:
    actor = Actor(network)
    for seed, n in ((1, 1), (2, 3), (3, 40)):
        cells, words = states(n, seed)
        torch.testing.assert_close(actor(cells, words), network.policy(*tensors((cells, words))))


@torch.no_grad()
def test_cells_and_missions_both_matter(network: Network) -> None:
    cells, words = states(2, 5)
    first = network.policy(*tensors((cells[:1], words[:1])))
    other_cells = network.policy(*tensors((cells[1:], words[:1])))
    other_mission = network.policy(*tensors((cells[:1], word_numbers("put it down")[None])))
    assert not torch.allclose(first, other_cells)
    assert not torch.allclose(first, other_mission)


def test_what_the_actor_learns_does_not_move_the_critic(network: Network) -> None:
    network.zero_grad()
    torch.autograd.backward(network.policy(*tensors(states(8))).square().mean())
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    assert moved == {"actor", "action.weight", "action.bias"}


@torch.no_grad()
def test_a_mission_without_words_is_a_mission(network: Network) -> None:
    cells, _ = states(3)
    nothing = torch.zeros(3, MISSION_LENGTH, dtype=torch.int16)
    assert network.policy(torch.from_numpy(cells), nothing).isfinite().all()


def test_word_numbers_fit_the_vocabulary() -> None:
    for mission in MISSIONS:
        assert 0 <= word_numbers(mission).min() <= word_numbers(mission).max() < WORDS
