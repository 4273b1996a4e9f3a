"""Symmetric images of labelled states, for replay: one label, many samples.

A room may be turned and mirrored and its colours exchanged, and the best action stays the best.
So each label is also distilled at images of its state that were never met, which costs no question.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lvlm2p.envs import UserError, observation_of, random_images
from lvlm2p.student.learn.columns import Columns

if TYPE_CHECKING:
    from lvlm2p.envs import View
    from lvlm2p.student.models.encoder import Encoder


class LabelledImages:
    """At most ``count`` images of each labelled state.

    Attributes:
        columns: ``observation``, ``mission``, ``targets`` and ``weight``, as the label buffer's.
    """

    def __init__(self, count: int, seed: int, encoder: Encoder, actions: int) -> None:
        self._count, self._seed, self._encoder = count, seed, encoder
        self.columns = Columns(
            **encoder.empty(), targets=torch.empty((0, actions)), weight=torch.empty(0)
        )

    def add(self, view: View, seen: Tensor, target: Tensor, weight: float = 1.0) -> None:
        """Images of a state.

        Args:
            seen: the state as the student saw it. Where that is not what is rebuilt from the view
                alone (the student sees something else), there are no images.
            target: (actions,): what is distilled there.
            weight: of the label.
        """
        if not self._count or not view.task.symmetries or not self._rebuilt(view, seen):
            return
        rng = random.Random(f"{self._seed}:{view.key}")
        images = random_images(view, self._count, rng)
        if images:
            inputs = self._encoder(observation_of([image for image, _ in images]))
            self.columns.append(
                observation=inputs.observation.cpu(),
                mission=inputs.mission.cpu(),
                targets=torch.stack([_carried(view, target, actions) for _, actions in images]),
                weight=torch.full((len(images),), weight),
            )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs."""
        return {f"images.{name}": self.columns[name].clone() for name in self.columns.names}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on where :meth:`tensors` was taken; other names are passed over."""
        names = self.columns.names
        self.columns = Columns(**{name: tensors[f"images.{name}"] for name in names})

    def _rebuilt(self, view: View, seen: Tensor) -> bool:
        try:
            return bool((self._encoder(observation_of([view])).observation[0] == seen).all())
        except UserError:
            return False


def _carried(view: View, target: Tensor, actions: Mapping[str, str]) -> Tensor:
    """The target in the image, where the action ``name`` is called ``actions[name]``."""
    index = {action.name: action.index for action in view.task.actions}
    result = target.clone()
    for name, there in actions.items():
        result[index[there]] = target[index[name]]
    return result
