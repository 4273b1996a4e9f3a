"""The student: an actor and a critic, with or without a memory.

Both have the same layers and share nothing that is learned, so that distillation, which teaches
the actor alone, does not pull the critic's inputs away:

    observation -> preprocessing -> features(mission) -> [memory] -> hidden layer -> head

Preprocessing and features depend on the kind of observation (:data:`NETWORKS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lvlm2p.student.models.grid import GridFeatures, GridPreprocessing
from lvlm2p.student.models.image import ImageFeatures, ImagePreprocessing
from lvlm2p.student.models.inputs import Inputs
from lvlm2p.student.models.memory import Memory
from lvlm2p.student.models.mission import Features, MissionReading, orthogonal_linear
from lvlm2p.student.models.vector import VectorFeatures, VectorPreprocessing

Shape = tuple[int, ...]
NETWORKS: dict[str, tuple[Callable[[Shape], nn.Module], Callable[[Shape, int], Features]]] = {
    "grid": (GridPreprocessing, GridFeatures),
    "image": (ImagePreprocessing, ImageFeatures),
    "vector": (VectorPreprocessing, VectorFeatures),
}
"""For each kind of observation what is fixed and shared, and the first layers that are learned."""


class Tower(nn.Module):
    """The layers of an actor or a critic, up to its head."""

    def __init__(self, features: Features, hidden: int, memory: bool) -> None:
        super().__init__()
        self.features = features
        self.memory = Memory(hidden) if memory else None
        self.layer = orthogonal_linear(hidden, hidden)

    def forward(self, seen: Any, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        """Sequences (T, B), or frames in any order where there is no memory; (frames, hidden)."""
        x = self.features(seen, inputs.mission.flatten(), self.features.read(inputs.tokens))
        if self.memory is not None:
            x = self.memory(x.unflatten(0, inputs.mission.shape), state, episode_start)
            x = x.flatten(0, 1)
        return self.features.activation(self.layer(x))

    def step(
        self,
        seen: Any,
        mission: Tensor,
        reading: MissionReading,
        state: Tensor,
        episode_start: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One step in B environments, whose missions were read; (B, hidden), the new state."""
        x = self.features(seen, mission, reading)
        if self.memory is not None:
            x, state = self.memory.step(x, state, episode_start)
        return self.features.activation(self.layer(x)), state


class Policy(nn.Module):
    """Actor and critic of one observation space.

    Args:
        kind, shape: of the encoded observations, as an :class:`Encoder` has them.
        actions: how many actions there are.
        hidden: width of the hidden layers.
        memory: ``lstm``: actor and critic remember the episode, each in a state of its own.

    A *state* is what both remember of the episode so far, (B, 2, size): first the actor's, then the
    critic's; without memory its size is 0. ``episode_start`` says where an episode begins: what was
    remembered before is forgotten there.
    """

    def __init__(
        self,
        kind: str,
        shape: tuple[int, ...],
        actions: int,
        hidden: int,
        memory: Literal["none", "lstm"] = "none",
    ) -> None:
        super().__init__()
        self.shape, self.actions, self.hidden, self.memory = tuple(shape), actions, hidden, memory
        preprocessing, features = NETWORKS[kind]
        self.preprocessing = preprocessing(self.shape)
        self.actor = Tower(features(self.shape, hidden), hidden, memory == "lstm")
        self.critic = Tower(features(self.shape, hidden), hidden, memory == "lstm")
        self.policy_head = orthogonal_linear(hidden, actions, gain=0.01)
        self.value_head = orthogonal_linear(hidden, 1, gain=1.0)

    def initial_state(self, n: int) -> Tensor:
        """The state before the first step in n environments."""
        size = 2 * self.hidden if self.memory == "lstm" else 0
        return self.policy_head.weight.new_zeros(n, 2, size)

    # ---------------------------------------------------------------- one step

    def forward(
        self,
        observation: Tensor,
        tokens: Tensor,
        state: Tensor | None = None,
        episode_start: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step: logits (B, actions), values (B,) and the new state. This is what is exported.

        Args:
            observation: (B, *shape).
            tokens: (B, words) int64, token ids of each observation's mission.
            state: before this step; None: nothing is remembered.
            episode_start: (B,) bool; None: nowhere.
        """
        n = tokens.shape[0]  # len() would be a constant of what is exported
        mission = torch.arange(n, device=tokens.device)
        if state is None:
            state = self.initial_state(n)
        if episode_start is None:
            episode_start = torch.zeros_like(mission, dtype=torch.bool)
        seen = self.preprocessing(observation, mission)
        states, outputs = [], []
        for i, tower in enumerate((self.actor, self.critic)):
            reading = tower.features.read(tokens)
            x, new = tower.step(seen, mission, reading, state[:, i], episode_start)
            outputs.append(x)
            states.append(new)
        values = self.value_head(outputs[1]).squeeze(1)
        return self.policy_head(outputs[0]), values, torch.stack(states, dim=1)

    def acting(self) -> Actor:
        """The actor with the parameters of this moment, for stepping environments."""
        return Actor(self)

    # ---------------------------------------------------------------- many steps

    def evaluate(
        self, inputs: Inputs, state: Tensor, episode_start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (..., actions) and values (...,), with gradients.

        Args:
            inputs: sequences (T, B, ...); without memory frames in any order, (B, ...).
            state: before the first step, (B, 2, size).
            episode_start: (T, B) bool; not read without memory.
        """
        seen = self._preprocess(inputs)
        return (
            self._logits(seen, inputs, state, episode_start),
            self._values(seen, inputs, state, episode_start),
        )

    def logits(self, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        """The actor's half of :meth:`evaluate`."""
        return self._logits(self._preprocess(inputs), inputs, state, episode_start)

    def values(self, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        """The critic's half of :meth:`evaluate`."""
        return self._values(self._preprocess(inputs), inputs, state, episode_start)

    def _preprocess(self, inputs: Inputs) -> Any:
        frames = inputs.observation.reshape(-1, *self.shape)
        return self.preprocessing(frames, inputs.mission.flatten())

    def _logits(self, seen: Any, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        x = self.actor(seen, inputs, state[:, 0], episode_start)
        logits: Tensor = self.policy_head(x)
        return logits.view(*inputs.mission.shape, self.actions)

    def _values(self, seen: Any, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
        x = self.critic(seen, inputs, state[:, 1], episode_start)
        values: Tensor = self.value_head(x)
        return values.view(inputs.mission.shape)


class Actor:
    """One step of the actor at a time, without gradients. Each mission is read once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._towers = [policy.actor] if policy.memory == "none" else [policy.actor, policy.critic]
        self._tokens: Tensor | None = None
        self._readings: list[MissionReading] = []

    @torch.no_grad()
    def __call__(
        self, inputs: Inputs, state: Tensor, episode_start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, actions) and the state after this step, of actor and critic."""
        observation, mission, tokens = inputs.compact()
        if tokens is not self._tokens:
            self._readings = [tower.features.read(tokens) for tower in self._towers]
            self._tokens = tokens
        seen = self._policy.preprocessing(observation, mission)
        steps = [
            tower.step(seen, mission, reading, state[:, i], episode_start)
            for i, (tower, reading) in enumerate(zip(self._towers, self._readings, strict=True))
        ]
        if len(steps) > 1:
            state = torch.stack([new for _, new in steps], dim=1)
        logits: Tensor = self._policy.policy_head(steps[0][0])
        return logits, state
