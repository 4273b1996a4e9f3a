"""From what an environment shows to a policy's inputs: here NumPy ends and tensors begin."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lvlm2p.envs import UserError
from lvlm2p.student.models.grid import GridArrays
from lvlm2p.student.models.image import SMALLEST_SIDE
from lvlm2p.student.models.inputs import Inputs, MissionTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lvlm2p.envs import Observation, ObservationSpace


class Arrays(Protocol):
    """Makes one array of N observations."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""

    def __call__(self, observation: Observation) -> NDArray[Any]:
        """(N, *shape)."""


class AsTheyAre:
    """Images and vectors."""

    def __init__(self, space: ObservationSpace) -> None:
        self.shape, self.dtype = space.shape, space.dtype

    def __call__(self, observation: Observation) -> NDArray[Any]:
        """(N, *shape)."""
        return observation.values


class Encoder:
    """Encodes the observations of one space.

    Attributes:
        shape: of an encoded observation, for :class:`~lvlm2p.student.models.policy.Policy`.
        missions: those that were met; their rows are in every :class:`Inputs`.

    Raises:
        UserError: the space's images are too small for a network.
    """

    def __init__(self, space: ObservationSpace, device: torch.device | str = "cpu") -> None:
        if space.kind == "image" and min(space.shape[:2]) < SMALLEST_SIDE:
            raise UserError(
                f"images of {space.shape[0]} x {space.shape[1]} pixels are too small to learn "
                f"from: each side needs at least {SMALLEST_SIDE}"
            )
        self.space, self.device = space, torch.device(device)
        self.missions = MissionTable()
        grid = space.kind == "grid"
        self._arrays: Arrays = (
            GridArrays(space.shape, space.has_agent) if grid else AsTheyAre(space)
        )
        self.shape = self._arrays.shape

    def __call__(self, observation: Observation) -> Inputs:
        """Inputs with one leading dimension, N.

        Raises:
            UserError: the observations are not of the space.
        """
        self.check(observation)
        array = torch.from_numpy(self._arrays(observation))
        return self.with_missions(array.to(self.device), observation)

    def check(self, observation: Observation) -> None:
        """Whether it is of the space.

        Raises:
            UserError: it is not.
        """
        values = observation.values
        if values.shape[1:] != self.space.shape or values.dtype != self.space.dtype:
            raise UserError(
                f"observations {values.shape[1:]} of {values.dtype} were given to a student of "
                f"{self.space.kind} {self.space.shape} of {self.space.dtype}"
            )

    def with_missions(self, seen: Tensor, observation: Observation) -> Inputs:
        """Inputs of what is ``seen``, (N, *shape), and the missions of the observation."""
        mission = torch.tensor(self.missions.rows(self._missions(observation)))
        return Inputs(seen, mission.to(self.device), self.tokens())

    def seen_by_all(self, observations: Sequence[Observation]) -> Tensor:
        """What is seen in several observations of as many environments, (S, N, *shape); each was
        checked before."""
        whole = replace(
            observations[0],
            values=np.concatenate([each.values for each in observations]),
            carrying=np.concatenate([each.carrying for each in observations]),
        )
        array = torch.from_numpy(self._arrays(whole)).to(self.device)
        return array.view(len(observations), -1, *self.shape)

    def tokens(self) -> Tensor:
        """Token ids of all missions met so far, (missions, words)."""
        return self.missions.tokens().to(self.device)

    def stored(self, observation: Tensor, mission: Tensor) -> Inputs:
        """Inputs of what was encoded before, from the CPU: (*leading, *shape) and (*leading,)."""
        tokens = self.tokens()
        return Inputs(observation.to(self.device), mission.to(self.device), tokens).compact()

    def without_missions(self) -> Encoder:
        """The same encoder with a table of missions of its own."""
        other = copy(self)
        other.missions = MissionTable()
        return other

    def empty(self) -> dict[str, Tensor]:
        """No ``observation`` (0, *shape) and no ``mission`` (0,), on the CPU."""
        array = torch.from_numpy(np.empty((0, *self.shape), self._arrays.dtype))
        return {"observation": array, "mission": torch.empty(0, dtype=torch.int64)}

    def _missions(self, observation: Observation) -> Sequence[str]:
        """Grids show what is carried; elsewhere it is said behind the mission."""
        if self.space.kind == "grid" or not observation.carrying.any():
            return observation.mission
        carried = zip(observation.mission, observation.carrying.tolist(), strict=True)
        return [f"{said} carrying{kind} colour{colour}" for said, (kind, colour) in carried]
