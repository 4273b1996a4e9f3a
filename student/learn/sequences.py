"""Past rollouts as sequences, for distilling a student with memory once more.

A student that remembers can't learn from single states: what it does depends on what came before.
So the last rollouts are kept with the state that the policy had before each; it is of the
parameters of that time, which does little harm (Kapturowski et al. 2019, "stored state").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lvlm2p.student.learn.rollout import Rollout

MOST_FRAMES = 50_000
MOST_BYTES = 1 << 28
"""Bounds of what is kept; images reach the second one first."""


class SequenceBuffer:
    """The last sequences of ``steps`` frames, one for each environment of each rollout.

    Attributes:
        columns: ``observation`` (sequences, steps, ...), ``mission``, ``episode_start`` and
            ``rows`` (sequences, steps), ``state`` (sequences, 2, size), on the CPU.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.columns: dict[str, Tensor] = {}
        self._room: dict[str, Tensor] = {}
        self._kept = 0

    def __len__(self) -> int:
        """How many sequences there are."""
        return len(self.columns["rows"]) if self.columns else 0

    def keep(self, rollout: Rollout) -> None:
        """Add a rollout in place of the oldest ones; a shorter one, a run's last, is left out."""
        n = len(rollout.state)
        if len(rollout.actions) != self.steps * n:
            return
        frames = {
            "observation": rollout.inputs.observation,
            "mission": rollout.inputs.mission,
            "episode_start": rollout.episode_start,
            "rows": rollout.rows,
        }
        self._append(
            {
                **{
                    name: torch.unflatten(column, 0, (self.steps, n)).transpose(0, 1).cpu()
                    for name, column in frames.items()
                },
                "state": rollout.state.cpu(),
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs."""
        if not self.columns:
            return {}
        kept = {f"sequences.{name}": column.clone() for name, column in self.columns.items()}
        return {**kept, "sequences.kept": torch.tensor(self._kept)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on where :meth:`tensors` was taken; other names are passed over."""
        kept = {
            name.removeprefix("sequences."): tensor
            for name, tensor in tensors.items()
            if name.startswith("sequences.")
        }
        if kept:
            count = int(kept.pop("kept"))
            self._append(kept)
            self._kept = count

    def _append(self, new: dict[str, Tensor]) -> None:
        if not self._room:
            size = sum(column[0].nbytes for column in new.values())
            most = max(1, min(MOST_FRAMES // self.steps, MOST_BYTES // size))
            # memory is taken when it is written to, not before
            self._room = {k: v.new_empty((most, *v.shape[1:])) for k, v in new.items()}
        room = len(self._room["rows"])
        places = (self._kept + torch.arange(len(new["rows"]))) % room
        for name, column in new.items():
            self._room[name][places] = column
        self._kept += len(places)
        self.columns = {name: column[: self._kept] for name, column in self._room.items()}
