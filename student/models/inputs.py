"""What every network of a student reads: observations as tensors, missions as token ids."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

VOCABULARY = 1024
"""Token ids: 0 is no word; a word's id is a hash of it, so that it is the same in every run."""

MISSION_LENGTH = 32
"""Words of a mission that are read."""

_SALT = 8  # with this one no two of the words in MiniGrid's missions share a number


class Inputs(NamedTuple):
    """Observations with any leading dimensions, such as (frames,) or (steps, environments)."""

    observation: Tensor
    """(*leading, *shape), as :class:`~lvlm2p.student.models.encoder.Encoder` makes them."""
    mission: Tensor
    """(*leading,) int64: which row of ``tokens`` the mission is."""
    tokens: Tensor
    """(missions, words) int64: the distinct missions, each read once; 0 behind the last word."""

    def take(self, rows: Tensor) -> Inputs:
        """``rows`` of the first dimension, of any shape, and the missions that occur in them."""
        return Inputs(self.observation[rows], self.mission[rows], self.tokens).compact()

    def compact(self) -> Inputs:
        """The same without missions that do not occur, where there are many."""
        if len(self.tokens) <= self.mission.numel():
            return self
        known, mission = torch.unique(self.mission, return_inverse=True)
        return Inputs(self.observation, mission, self.tokens[known])

    def flatten(self) -> Inputs:
        """(steps, environments, ...) as (frames, ...)."""
        return Inputs(self.observation.flatten(0, 1), self.mission.flatten(), self.tokens)


def token_ids(mission: str) -> list[int]:
    """One number from 1 to VOCABULARY - 1 for each of the first MISSION_LENGTH words."""
    words = re.findall(r"[^\W_]+", mission.lower())[:MISSION_LENGTH]
    return [1 + zlib.crc32(f"{_SALT}:{word}".encode()) % (VOCABULARY - 1) for word in words]


class MissionTable:
    """The distinct missions that were met, in the order in which they were first met."""

    def __init__(self) -> None:
        self.missions: list[str] = []
        self._rows: dict[str, int] = {}
        self._tokens: Tensor | None = None

    def rows(self, missions: Sequence[str]) -> list[int]:
        """Which row each mission is; what is new is added."""
        for mission in missions:
            if mission not in self._rows:
                self._rows[mission] = len(self.missions)
                self.missions.append(mission)
                self._tokens = None
        return [self._rows[mission] for mission in missions]

    def tokens(self) -> Tensor:
        """(missions, words of the longest) int64."""
        if self._tokens is None:
            ids = [token_ids(mission) for mission in self.missions]
            longest = max(map(len, ids), default=0)
            padded = [row + [0] * (longest - len(row)) for row in ids]
            self._tokens = torch.tensor(padded, dtype=torch.int64).view(len(ids), longest)
        return self._tokens
