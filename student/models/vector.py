"""Vectors of numbers: float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvlm2p.student.models.mission import (
    MISSION_FEATURES,
    Features,
    MissionEmbedding,
    MissionReading,
    mean_of_words,
    orthogonal_linear,
)


class VectorPreprocessing(nn.Module):
    """sign(x) * log(1 + |x|): small numbers stay as they are, and no large one drowns them.

    It has no state, so that a number means the same from the first frame to the last.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:  # the same for any shape
        super().__init__()

    def forward(self, x: Tensor, mission: Tensor) -> Tensor:
        """(B, size) to (B, size), for any mission."""
        return x.sign() * x.abs().log1p()


class VectorFeatures(Features):
    """The first layer of an actor or a critic of vectors with ``shape`` (size,)."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        (size,) = shape
        self.mission = MissionEmbedding()
        self.from_vector = orthogonal_linear(size, hidden)
        self.from_mission = orthogonal_linear(MISSION_FEATURES, hidden, bias=False)

    @staticmethod
    def activation(x: Tensor) -> Tensor:
        """tanh, as Stable-Baselines3 and CleanRL have it for such observations."""
        return torch.tanh(x)

    def read(self, tokens: Tensor) -> MissionReading:
        """What this tower makes of missions, from their token ids (M, words)."""
        # A long sentence weighs no more than a short one, and little beside what is seen.
        missions = mean_of_words(self.mission(tokens), tokens)
        return MissionReading(self.from_mission(missions), missions)

    def forward(self, x: Tensor, mission: Tensor, reading: MissionReading) -> Tensor:
        """Vectors (B, size) and the rows (B,) of their missions in the reading: (B, hidden)."""
        return self.activation(self.from_vector(x) + reading.bias.index_select(0, mission))
