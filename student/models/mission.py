"""A mission as a vector, learned word by word."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lvlm2p.student.models.inputs import MISSION_LENGTH, VOCABULARY

MISSION_FEATURES = 16
"""Length of the vectors that missions and what is seen are compared by."""

EMBEDDING_SCALE = 20.0
"""Embeddings are stored at 1 / EMBEDDING_SCALE of their size: Adam moves each number by the
learning rate, and a few hundred steps must be enough to turn a random vector around."""

EMBEDDING_STD = 0.6
"""Standard deviation of an embedding's numbers at first."""


class MissionReading(NamedTuple):
    """What a tower makes of M missions before it looks at anything."""

    bias: Tensor
    """Of the first hidden layer, (M, hidden)."""
    query: Tensor
    """What is compared with what is seen, (M, any)."""


class MissionEmbedding(nn.Module):
    """The sum of the words' vectors, each weighted by its place in the sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, MISSION_FEATURES, padding_idx=0)
        self.position_weight = nn.Parameter(torch.ones(MISSION_LENGTH, MISSION_FEATURES))
        with torch.no_grad():
            self.words.weight[1:].normal_(0.0, EMBEDDING_STD / EMBEDDING_SCALE)

    def forward(self, tokens: Tensor) -> Tensor:
        """(missions, words) int64 to (missions, MISSION_FEATURES)."""
        words: Tensor = self.words(tokens)
        words = words * self.position_weight[: tokens.shape[1]]
        return words.sum(1) * EMBEDDING_SCALE


def mean_of_words(missions: Tensor, tokens: Tensor) -> Tensor:
    """Of missions as :class:`MissionEmbedding` has them, (..., M, any), from their ``tokens``,
    (..., M, words): the mean of the words as they are stored."""
    words = (tokens > 0).sum(-1, keepdim=True).clamp(min=1)
    return missions / (EMBEDDING_SCALE * words)


class Features(nn.Module):
    """The first layers of an actor or a critic: subclasses are made from (shape, hidden)."""

    @staticmethod
    def activation(x: Tensor) -> Tensor:
        """Of these layers and of the hidden layer that follows."""
        return torch.relu(x)

    def read(self, tokens: Tensor) -> MissionReading:
        """What this tower makes of missions, from their token ids (M, words)."""
        raise NotImplementedError

    def forward(self, seen: Any, mission: Tensor, reading: MissionReading) -> Tensor:
        """Preprocessed observations and the rows (B,) of their missions: (B, hidden)."""
        raise NotImplementedError


def orthogonal_linear(
    inputs: int, outputs: int, gain: float = 2**0.5, bias: bool = True
) -> nn.Linear:
    """A linear layer with orthogonal weights, as is usual for policies, and no bias at first."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.orthogonal_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
