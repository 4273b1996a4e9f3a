"""`--labels file.parquet`: a label set as a teacher. It knows what is in the file, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from lvlm2p.envs import Task, View
from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.errors import ConfigError, LabelFileError, MissingLabelsError
from lvlm2p.teachers.label import Answer, Entry, Failure
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.schema import from_row
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher


class LabelSetTeacher(Teacher):
    """Answers from the rows of one teacher, and of one sample, in a Parquet label set.

    Raises:
        LabelFileError: the file is no label set, or has no good row. Bad ones are passed over.
        ConfigError: the file holds several teachers and ``teacher`` is none of them.
    """

    def __init__(
        self,
        path: Path,
        teacher: str | None = None,
        sample: int = 0,
        on_miss: Literal["fail", "skip"] = "fail",
    ) -> None:
        self.path = path
        self.on_miss = on_miss
        self.counts = Counts()
        self._answers: dict[str, Answer] = {}
        self._fingerprints: dict[str, str] = {}
        self.name = _whose(path, teacher)
        bad: list[str] = []
        for number, row in enumerate(read_rows(path, leave_out=["transcript"])):
            try:
                entry = from_row(row)
            except LabelFileError as error:
                bad.append(f"row {number:,}: {error}")
                continue
            if entry.answer.teacher == self.name and entry.sample == sample:
                self._add(entry)
        if bad and not self._answers:
            raise LabelFileError(f"{path} holds no usable labels; {bad[0]}")
        if bad:
            say(f"{path}: {len(bad):,} bad rows are passed over; the first is {bad[0]}")

    def _add(self, entry: Entry) -> None:
        view, answer, _ = entry
        known = self._fingerprints.setdefault(answer.task, answer.fingerprint)
        if known != answer.fingerprint:
            raise LabelFileError(
                f"{self.path} holds answers of {self.name!r} with different options (fingerprints "
                f"{known} and {answer.fingerprint}): import it, and export one of them with "
                "`lvlm2p labels export --prompt`"
            )
        if not isinstance(answer, Failure) or view.key not in self._answers:
            self._answers[view.key] = answer

    @property
    def fingerprint(self) -> str:
        """That of the teacher that made the labels, where there is one task; else those of all."""
        return "+".join(self._fingerprints[task] for task in sorted(self._fingerprints))

    def fingerprint_for(self, task: Task) -> str:
        """That of the teacher that made the labels."""
        return self._fingerprints.get(task.name, "none")

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """Nobody is asked."""
        return CostEstimate(0, 0, usd=0.0)

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`.

        Raises:
            MissingLabelsError: ``on_miss="fail"``, and some states are not in the file.
        """
        missing = {view.key for view in views if view.key not in self._answers}
        if missing and self.on_miss == "fail":
            raise MissingLabelsError(
                f"{len(missing):,} of {len({view.key for view in views}):,} states asked about are "
                f"not in the label set {self.path}: label more with `lvlm2p label`, or go on "
                "without them with --on-miss skip"
            )
        for index, view in enumerate(views):
            answer = self._answers.get(view.key)
            if answer is None:
                answer = Failure(
                    task=view.task.name,
                    teacher=self.name,
                    fingerprint=self.fingerprint_for(view.task),
                    failure="missing",
                    message=f"not in {self.path}",
                )
                self.counts.missing += 1
            else:
                self.counts.add_cached(answer)
            yield index, answer


def load_label_set(
    path: Path,
    teacher: str | None = None,
    *,
    sample: int = 0,
    on_miss: Literal["fail", "skip"] = "fail",
    symmetry: Literal["none", "canonical"] = "none",
) -> Teacher:
    """The teacher that ``--labels`` stands for."""
    found: Teacher = LabelSetTeacher(path, teacher, sample, on_miss)
    if symmetry == "canonical":
        from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher

        return CanonicalTeacher(found)
    return found


def _whose(path: Path, teacher: str | None) -> str:
    """The only teacher in the file, or the one that was named."""
    named = {row.get("teacher") for row in read_rows(path, keep=["teacher"])}
    names = {name for name in named if isinstance(name, str)}
    if not names:
        raise LabelFileError(f"{path} holds no labels")
    if len(names) == 1:
        return names.pop()
    if teacher in names:
        return teacher
    raise ConfigError(
        f"{path} holds labels of {shorten(', '.join(sorted(names)), 1_000)}: name one of them "
        "with --teacher"
    )
