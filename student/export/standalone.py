"""A student as one network from an environment's own observations to logits.

Grids are taken as MiniGrid's ``FullyObsWrapper`` gives them, and turned to how the agent sees them
inside the network; images and vectors as the environment gives them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvlm2p.envs import ObservationSpace
from lvlm2p.student.models.grid import AGENT, GridArrays, cell_tables
from lvlm2p.student.models.inputs import MISSION_LENGTH
from lvlm2p.student.training.trained import Student


class GridCells(nn.Module):
    """What :class:`~lvlm2p.student.models.grid.GridArrays` does, in tensors."""

    objects: Tensor
    colours: Tensor
    states: Tensor
    places: Tensor

    def __init__(self, space: ObservationSpace) -> None:
        super().__init__()
        for name, table in zip(("objects", "colours", "states"), cell_tables(), strict=True):
            self.register_buffer(name, torch.from_numpy(table).long())
        places = GridArrays(space.shape, space.has_agent).places
        self.turned = places is not None
        none = torch.empty(0, dtype=torch.int64)
        self.register_buffer("places", none if places is None else torch.from_numpy(places))

    def forward(self, grid: Tensor, carrying: Tensor) -> Tensor:
        """(B, width, height, 3) and (B, 2), both uint8, to kinds of cells (B, cells) int16."""
        first, second, third = grid.flatten(1, 2).long().unbind(2)  # (B, size) each
        kinds = self.objects[first] ^ self.colours[second] ^ self.states[third]
        held = carrying.long()
        carried = (self.objects[held[:, 0]] ^ self.colours[held[:, 1]]).unsqueeze(1)
        cells = torch.cat([kinds, carried, torch.zeros_like(carried)], dim=1)
        if not self.turned:
            return cells[:, :-1].short()
        agent = (first == AGENT).long().argmax(1, keepdim=True)
        direction = third.gather(1, agent) & 3
        return cells.gather(1, self.places[(agent * 4 + direction).squeeze(1)]).short()


class StandaloneStudent(nn.Module):
    """One step of a student: its logits and, with memory, its state after the step.

    Attributes:
        inputs: names of the arguments of :meth:`forward`, in order.
        outputs: names of what it gives.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.policy = student.policy
        space = student.encoder.space
        self.space = space
        self.cells = GridCells(space) if space.kind == "grid" else None
        self.remembers = student.policy.memory != "none"
        carrying = ["carrying"] if self.cells is not None else []
        memory = ["state", "episode_start"] if self.remembers else []
        self.inputs = ["observation", *carrying, "tokens", *memory]
        self.outputs = ["logits", *(["next_state"] if self.remembers else [])]

    def forward(self, observation: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """What :attr:`inputs` names: ``observation`` (B, *shape) as the environment's space has it;
        of grids ``carrying`` (B, 2) uint8, object and colour of what is carried; ``tokens`` (B, 32)
        int64, the mission's words; with memory ``state`` (B, 2, size), zeros at first, and
        ``episode_start`` (B,) bool."""
        given = list(rest)
        if self.cells is not None:
            observation = self.cells(observation, given.pop(0))
        logits, _, state = self.policy(observation, *given)
        return (logits, state) if self.remembers else (logits,)

    def examples(self, n: int) -> tuple[Tensor, ...]:
        """Inputs of the right shapes for ``n`` environments."""
        dtype = torch.float32 if self.space.kind == "vector" else torch.uint8
        made = {
            "observation": torch.zeros((n, *self.space.shape), dtype=dtype),
            "carrying": torch.zeros((n, 2), dtype=torch.uint8),
            "tokens": torch.ones((n, MISSION_LENGTH), dtype=torch.int64),
            "state": self.policy.initial_state(n),
            "episode_start": torch.ones(n, dtype=torch.bool),
        }
        return tuple(made[name] for name in self.inputs)
