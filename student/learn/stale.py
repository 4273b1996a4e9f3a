"""The first rollout's labels for every later one, as the released code of LVLM2P has it.

Its list of pictures is filled at each step and never emptied, so from the second update on the
teacher is asked about the first rollout's pictures, while the loss takes the current states.
"""

from __future__ import annotations

import torch
from torch import Tensor


class FirstRollout:
    """Rows of the label buffer at each place (step, environment) of the first rollout."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._rows: list[list[int]] = []
        self._at = 0
        self._settled = False

    def again(self) -> list[int] | None:
        """The first rollout's rows at this step; None while it is the first that is collected."""
        if not self._settled:
            return None
        rows = self._rows[self._at % self._steps]
        self._at += 1
        return rows

    def keep(self, rows: list[int]) -> None:
        """One step of the first rollout."""
        self._rows.append(rows)

    def end(self) -> None:
        """A rollout is over, and every answer is there."""
        self._settled, self._at = len(self._rows) == self._steps, 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs, as of the last :meth:`end`."""
        return {"first_rollout": torch.tensor(self._rows)} if self._settled else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on where :meth:`tensors` was taken; other names are passed over."""
        if "first_rollout" in tensors:
            self._rows = tensors["first_rollout"].tolist()
            self.end()
