"""What the teacher said, during a run: the student's own book of labelled states.

Each distinct state is asked about once, as soon as it is first seen: a thread asks while the
student goes on stepping. :meth:`LabelBook.settle` waits for every answer before the update, so
that nothing depends on how fast anybody was. Rows are in the order in which the states were first
seen, never in the order of the answers.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from student.ask import chosen_by_lot, parse_ask
from student.losses import distillation_target
from teachers import Failure, Label, Teacher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from envs import View
    from student.config import TrainConfig
    from student.encoding import Numbers

GATHER_S = 0.05
"""Seconds between questions while stepping: nothing to a model, and a stored label costs half as
much in a batch of hundreds as in one of sixteen."""

UNASKED = -1
"""The row of a state that nobody was asked about."""


class Distill(NamedTuple):
    """A minibatch of labelled states: cells and words (B, any) int16, targets (B, actions)."""

    cells: Tensor
    words: Tensor
    targets: Tensor


class LabelBook:
    """States, the targets distilled from their labels, and who has none.

    Attributes:
        wants_entropy: whether :meth:`rows` must be told how sure the student is.
        states: columns with one row for each settled state: ``cells`` and ``words`` (inputs to the
            network), ``targets`` (rows, actions), and ``labelled``: whether there is a target.
        spent: which budget is spent, in words, since the first state that was not asked about.
        prompts: fingerprints of the prompts that the labels come from.
    """

    def __init__(self, config: TrainConfig, teacher: Teacher, cells: int, words: int, actions: int):
        self.states = Columns(
            cells=torch.empty((0, cells), dtype=torch.int16),
            words=torch.empty((0, words), dtype=torch.int16),
            targets=torch.empty((0, actions)),
            labelled=torch.empty(0, dtype=torch.bool),
        )
        self.prompts: set[str] = set()
        self.spent: str | None = None
        self._teacher = teacher
        self._target = config.kl_target
        self._seed = config.seed
        self._rule, self._share = parse_ask(config.ask)
        self.wants_entropy = self._rule == "entropy"
        self._threshold = 0.0
        self._entropies: list[float] = []
        self._rows: dict[str, int] = {}
        self._inbox: list[tuple[View, Numbers, Numbers]] = []
        self._unsent: list[View] = []
        self._sent = 0.0
        self._questions: queue.SimpleQueue[tuple[int, list[View]] | None] = queue.SimpleQueue()
        self._answers: dict[int, Label | Failure] = {}
        self._trouble: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._ask, name="teacher", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------- while stepping

    def rows(
        self, views: Sequence[View], cells: Numbers, words: Numbers, entropy: NDArray[Any]
    ) -> list[int]:
        """The row of each view, or UNASKED; what is new goes to the teacher, while we step."""
        known, result = self._rows, []
        for i, view in enumerate(views):
            row = known.get(view.key)
            if row is None:
                row = UNASKED
                if self._asks(view.key, float(entropy[i])):
                    row = known[view.key] = len(known)
                    self._inbox.append((view, cells[i], words[i]))
                    self._unsent.append(view)
            result.append(row)
        if self._unsent and time.monotonic() - self._sent > GATHER_S:
            self._send()
        return result

    def _send(self) -> None:
        self._questions.put((len(self._rows) - len(self._unsent), self._unsent))
        self._unsent, self._sent = [], time.monotonic()

    def _asks(self, key: str, entropy: float) -> bool:
        if self._rule == "budget":
            return len(self._rows) < self._share
        if self._rule == "entropy":
            self._entropies.append(entropy)
            return entropy >= self._threshold
        return self._rule == "all" or chosen_by_lot(key, self._seed, self._share)

    def _ask(self) -> None:
        """The thread: everything that waits is one question, so that slow teachers get batches."""
        while (first := self._questions.get()) is not None:
            start, views = first[0], list(first[1])
            while not self._questions.empty():
                following = self._questions.get()
                if following is None:
                    return
                views += following[1]
            try:
                for index, answer in self._teacher.ask(views):
                    self._answers[start + index] = answer
            except BaseException as error:  # handed to settle(), which raises it where it is seen
                self._trouble = error
            with self._changed:
                self._changed.notify()

    # ---------------------------------------------------------------- before the update

    def settle(self, stop: threading.Event) -> bool:
        """Wait until every state has its answer; False where ``stop`` was set before.

        Raises:
            TeacherError: what the teacher raised.
        """
        if self._unsent:
            self._send()
        waiting = range(len(self.states), len(self._rows))
        with self._changed:
            while len(self._answers) < len(waiting) and self._trouble is None:
                if stop.is_set():
                    return False
                self._changed.wait(timeout=0.2)
        if self._trouble is not None:
            raise self._trouble
        if waiting:
            self._write([self._answers.pop(row) for row in waiting])
        if self._entropies:
            self._threshold = float(np.quantile(self._entropies, 1 - self._share))
            self._entropies.clear()
        return True

    def _write(self, answers: list[Label | Failure]) -> None:
        task = self._inbox[0][0].task
        labelled = torch.tensor([isinstance(answer, Label) for answer in answers])
        for answer in answers:
            if isinstance(answer, Failure) and answer.failure == "budget":
                self.spent = self.spent or answer.message
        targets = torch.zeros(len(answers), self.states["targets"].shape[1])
        labels = [answer for answer in answers if isinstance(answer, Label)]
        given = [[label.probabilities[name] for name in task.action_names] for label in labels]
        self.prompts |= {label.prompt for label in labels if label.prompt}
        if given:
            # the environment may have actions that no teacher is asked about: they get 0
            rows = labelled.nonzero()
            columns = torch.tensor([action.index for action in task.actions])
            targets[rows, columns] = distillation_target(torch.tensor(given), self._target)
        _, cells, words = zip(*self._inbox, strict=True)
        self._inbox.clear()
        self.states.append(
            cells=torch.from_numpy(np.stack(cells)),
            words=torch.from_numpy(np.stack(words)),
            targets=targets,
            labelled=labelled,
        )

    # ---------------------------------------------------------------- for the loss

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Targets (B, actions) and whether there is one (B,), for what :meth:`rows` gave."""
        if not len(self.states):
            return torch.zeros(len(rows), self.states["targets"].shape[1]), rows != rows
        known = rows.clamp(min=0)
        return self.states["targets"][known], self.states["labelled"][known] & (rows != UNASKED)

    def replay(self, batches: int, size: int, generator: torch.Generator) -> Iterator[Distill]:
        """Random minibatches of labelled states; none where nothing is labelled."""
        known = self.states["labelled"].nonzero().squeeze(1)
        if len(known):
            rows = known[torch.randint(len(known), (batches, size), generator=generator)]
            drawn = [self.states[name][rows] for name in ("cells", "words", "targets")]
            yield from map(Distill, *drawn)

    def fingerprint(self) -> str:
        """A digest of which states were asked about, in which order, and what is distilled."""
        tensors = self.tensors()
        parts = (tensors[name].numpy().tobytes() for name in ("keys", "labelled", "targets"))
        return hashlib.sha256(b"".join(parts)).hexdigest()

    # ---------------------------------------------------------------- checkpoints

    def tensors(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs, as of the last :meth:`settle`."""
        keys = b"".join(bytes.fromhex(key) for key in islice(self._rows, len(self.states)))
        return {
            **{name: self.states[name].clone() for name in self.states.names},
            "keys": torch.from_numpy(np.frombuffer(keys, np.uint8).copy()),
            "threshold": torch.tensor(self._threshold, dtype=torch.float64),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on where :meth:`tensors` was taken."""
        keys = tensors["keys"].numpy().tobytes()
        self._rows = {keys[i : i + 32].hex(): i // 32 for i in range(0, len(keys), 32)}
        self.states = Columns(**{name: tensors[name] for name in self.states.names})
        self._threshold = float(tensors["threshold"])

    def close(self) -> None:
        """Let the thread end; one that still waits for an answer is not waited for."""
        self._questions.put(None)
        self._thread.join(timeout=1)


class Columns:
    """Tensors that grow at the end, in step, by doubling."""

    def __init__(self, **columns: Tensor) -> None:
        self.names = tuple(columns)
        self._room = columns
        self._length = len(next(iter(columns.values())))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> Tensor:
        return self._room[name][: self._length]

    def append(self, **rows: Tensor) -> None:
        """Add rows to every column."""
        start = self._length
        self._length += len(rows[self.names[0]])
        for name, column in self._room.items():
            if self._length > len(column):
                column = column.new_empty((2 * self._length, *column.shape[1:]))
                column[:start] = self._room[name][:start]
                self._room[name] = column
            column[start : self._length] = rows[name]
