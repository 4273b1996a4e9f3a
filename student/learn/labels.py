"""What the teacher said, during a run: the student's own buffer of labelled states.

Each distinct state is asked about once, as soon as it is first seen, while the student goes on
stepping. :meth:`LabelBuffer.wait` waits for every answer before the update, so that nothing depends
on how fast anybody was. Rows are in the order in which the states were first seen, never in the
order of the answers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvlm2p.student.learn.absent import (
    FAILED,
    FAILED_FOR_GOOD,
    HAS_LABEL,
    NOT_ASKED,
    why_no_target,
)
from lvlm2p.student.learn.ask import chosen_by_lot, parse_ask
from lvlm2p.student.learn.columns import Columns
from lvlm2p.student.learn.images import LabelledImages
from lvlm2p.student.learn.losses import distillation_target
from lvlm2p.student.learn.replay import Replayed, replay_sequences, replay_states
from lvlm2p.student.learn.sequences import SequenceBuffer
from lvlm2p.student.learn.stale import FirstRollout
from lvlm2p.teachers import Failure, Label, Prefetcher, Teacher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lvlm2p.envs import View
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.rollout import Rollout
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.inputs import Inputs

UNASKED = -1
"""The row of a state that nobody was asked about."""


class PendingState(NamedTuple):
    """A state whose answer is awaited."""

    row: int
    view: View
    observation: Tensor
    mission: int


class LabelBuffer:
    """States, the targets distilled from their labels, and who has none.

    Attributes:
        wants_entropy: whether :meth:`rows` must be told how sure the student is.
        states: columns with one row for each settled state: ``observation`` and ``mission`` (a
            policy's inputs; with memory sequences are kept instead), ``targets`` (rows, actions),
            ``weight``: of the target, 0 where there is none, ``why`` there is none, and ``again``:
            whether to ask once more.
        recounted: states without an answer that are in the teacher's counts twice, since it was
            given them once more.
        spent: which budget is spent, in words, since the first state that was not asked about.
        prompts: fingerprints of the prompts that the labels come from.
    """

    def __init__(
        self, config: TrainConfig, teacher: Teacher, encoder: Encoder, actions: int
    ) -> None:
        assert config.n_steps is not None
        self._sequences = SequenceBuffer(config.n_steps) if config.memory != "none" else None
        self.states = Columns(
            **({} if self._sequences is not None else encoder.empty()),
            targets=torch.empty((0, actions)),
            weight=torch.empty(0),
            why=torch.empty(0, dtype=torch.uint8),
            again=torch.empty(0, dtype=torch.bool),
        )
        self._encoder = encoder
        images = 0 if config.memory != "none" else config.kl_images
        self._images = LabelledImages(images, config.seed, encoder, actions)
        self._first = FirstRollout(config.n_steps) if config.stale_labels else None
        self.recounted = 0
        self.prompts: set[str] = set()
        self.spent: str | None = None
        self._target = config.kl_target
        self._seed = config.seed
        self._rule, self._share = parse_ask(config.ask)
        self.wants_entropy = self._rule == "entropy"
        self._threshold = 0.0
        self._entropies: list[float] = []
        self._rows: dict[str, int] = {}
        self._again: set[int] = set()
        self._inbox: list[PendingState] = []
        self._prefetcher = Prefetcher(teacher)

    # ---------------------------------------------------------------- while stepping

    def rows(
        self, views: Sequence[View], inputs: Inputs, entropy: NDArray[Any] | None
    ) -> list[int]:
        """The row of each view, or UNASKED; what is new goes to the teacher, while we step.

        ``inputs``: the same states as the student sees them. ``entropy``: of the student's policy
        there, if it is wanted.
        """
        if self._first is not None and (again := self._first.again()) is not None:
            return again
        known, result, new = self._rows, [], []
        for i, view in enumerate(views):
            row = known.get(view.key)
            if row is None:
                row = UNASKED
                if self._asks(view.key, 0.0 if entropy is None else float(entropy[i])):
                    row = known[view.key] = len(known)
                    new.append(i)
            elif row in self._again:
                self._again.remove(row)
                new.append(i)
            result.append(row)
        if new:
            seen = inputs.observation[new].unbind(), inputs.mission[new].tolist()
            for i, observation, mission in zip(new, *seen, strict=True):
                self._inbox.append(PendingState(result[i], views[i], observation, mission))
            self._prefetcher.submit(views[i] for i in new)
        if self._first is not None:
            self._first.keep(result)
        return result

    def _asks(self, key: str, entropy: float) -> bool:
        if self._rule == "budget":
            return len(self._rows) < self._share
        if self._rule == "entropy":
            self._entropies.append(entropy)
            return entropy >= self._threshold
        return self._rule == "all" or chosen_by_lot(key, self._seed, self._share)

    @property
    def waiting(self) -> int:
        """States that were asked about and have no answer yet."""
        return self._prefetcher.waiting

    # ---------------------------------------------------------------- before the update

    def wait(self, stop: threading.Event) -> bool:
        """Block until every state has its answer; False where ``stop`` was set before.

        Raises:
            TeacherError: what the teacher raised.
        """
        if not self._prefetcher.wait(stop):
            return False
        if self._inbox:
            # here an answer is a row; what is needed of it no longer is let go
            self._write([self._prefetcher.answers.pop(state.view.key) for state in self._inbox])
        if self._first is not None:
            self._first.end()
        if self._entropies:
            self._threshold = float(np.quantile(self._entropies, 1 - self._share))
            self._entropies.clear()
        return True

    def _write(self, answers: list[Label | Failure]) -> None:
        """The answers to what is in the inbox, each into its row."""
        self._make_room()
        rows = torch.tensor([state.row for state in self._inbox])
        why = torch.tensor([why_no_target(answer) for answer in answers], dtype=torch.uint8)
        before, again = self.states["why"], self.states["again"]
        self.recounted += int((again[rows] & (before[rows] == NOT_ASKED)).sum())
        before[rows], again[rows] = why, False
        weights = [answer.weight if isinstance(answer, Label) else 0.0 for answer in answers]
        self.states["weight"][rows] = torch.tensor(weights)
        targets = self.states["targets"][rows] = self._targets(answers)
        for i in (why == HAS_LABEL).nonzero().squeeze(1).tolist():
            state = self._inbox[i]
            self._images.add(state.view, state.observation, targets[i], weights[i])
        self._inbox.clear()
        for answer in answers:
            if isinstance(answer, Failure) and answer.failure == "budget":
                self.spent = self.spent or answer.message
            elif isinstance(answer, Label) and answer.prompt:
                self.prompts.add(answer.prompt)

    def _make_room(self) -> None:
        """A row for each state in the inbox that has none; they come in the order of their rows."""
        new = [state for state in self._inbox if state.row >= len(self.states)]
        if new:
            inputs = {
                "observation": torch.stack([state.observation for state in new]).cpu(),
                "mission": torch.tensor([state.mission for state in new]),
            }
            self.states.append(
                **({} if self._sequences is not None else inputs),
                targets=torch.zeros(len(new), self.states["targets"].shape[1]),
                weight=torch.zeros(len(new)),
                why=torch.full((len(new),), NOT_ASKED, dtype=torch.uint8),
                again=torch.zeros(len(new), dtype=torch.bool),
            )

    def _targets(self, answers: list[Label | Failure]) -> Tensor:
        """What is distilled: (answers, actions), zeros where there is no label."""
        task = self._inbox[0].view.task
        targets = torch.zeros(len(answers), self.states["targets"].shape[1])
        labels = {i: answer for i, answer in enumerate(answers) if isinstance(answer, Label)}
        if labels:
            names = task.action_names
            given = [[label.probabilities[name] for name in names] for label in labels.values()]
            # the environment may have actions that no teacher is asked about: they get 0
            rows = torch.tensor(list(labels)).unsqueeze(1)
            columns = torch.tensor([action.index for action in task.actions])
            targets[rows, columns] = distillation_target(torch.tensor(given), self._target)
        return targets

    # ---------------------------------------------------------------- for the loss

    def lookup(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Targets (..., actions) and their weight (...,), for what :meth:`rows` gave."""
        targets, weight = self.states["targets"], self.states["weight"]
        if not len(self.states):
            none = targets.new_zeros(*rows.shape, targets.shape[1]).to(rows.device)
            return none, torch.zeros_like(rows, dtype=weight.dtype)
        known = rows.clamp(min=0).cpu()
        known_weight = weight[known].to(rows.device) * (rows != UNASKED)
        return targets[known].to(rows.device), known_weight

    def keep(self, rollout: Rollout) -> None:
        """Keep a rollout for :meth:`replay`, where the student has memory."""
        if self._sequences is not None:
            self._sequences.keep(rollout)

    def replay(self, batches: int, size: int, generator: torch.Generator) -> Iterator[Replayed]:
        """Random minibatches of ``size`` labelled states; none where nothing is labelled.

        With memory: sequences of ``size`` frames in all, each with a labelled state.
        """
        if self._sequences is None:
            images = self._images.columns
            return replay_states(self.states, images, self._encoder, batches, size, generator)
        if not len(self._sequences):
            return iter(())
        columns = self._sequences.columns
        targets = self.lookup(columns["rows"])
        return replay_sequences(columns, *targets, self._encoder, batches, size, generator)

    def fingerprint(self) -> str:
        """A digest of which states were asked about, in which order, and what is distilled."""
        tensors = self.tensors()
        weight = tensors["weight"]
        parts = [tensors["keys"], weight > 0, tensors["targets"]]
        if weight.bool().any() and (weight[weight > 0] != 1).any():
            parts.append(weight)
        return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()

    # ---------------------------------------------------------------- checkpoints

    def tensors(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs, as of the last :meth:`wait`."""
        keys = b"".join(bytes.fromhex(key) for key in islice(self._rows, len(self.states)))
        return {
            **{name: self.states[name].clone() for name in self.states.names},
            **(self._sequences.tensors() if self._sequences is not None else {}),
            **(self._first.tensors() if self._first is not None else {}),
            **self._images.tensors(),
            "keys": torch.from_numpy(np.frombuffer(keys, np.uint8).copy()),
            "threshold": torch.tensor(self._threshold, dtype=torch.float64),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on where :meth:`tensors` was taken."""
        keys = tensors["keys"].numpy().tobytes()
        self._rows = {keys[i : i + 32].hex(): i // 32 for i in range(0, len(keys), 32)}
        self.states = Columns(**{name: tensors[name] for name in self.states.names})
        self._images.restore(tensors)
        if self._first is not None:
            self._first.restore(tensors)
        self._again = set(self.states["again"].nonzero().squeeze(1).tolist())
        self._threshold = float(tensors["threshold"])
        if self._sequences is not None:
            self._sequences.restore(tensors)

    def ask_again(self, *, for_good: bool) -> None:
        """Ask once more about every state without a label, when it is next met; ``for_good``: also
        about those whose answer was paid for and of no use."""
        why, again = self.states["why"], self.states["again"]
        again |= (why == NOT_ASKED) | (why == FAILED) | (for_good & (why == FAILED_FOR_GOOD))
        self._again = set(again.nonzero().squeeze(1).tolist())

    def close(self) -> None:
        """End the thread that asks."""
        self._prefetcher.close()
