"""The wrapper that puts the label store before any teacher: nothing is asked, or paid, twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import Literal

from lvlm2p.envs import Task, View
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.errors import AnswerError, MissingLabelsError, TeacherError
from lvlm2p.teachers.label import Answer, Failure, FailureKind, Label, add_usd, check_probabilities
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.store.rows import SEE_VERIFY, chunks, misfit, name_of
from lvlm2p.teachers.store.store import LabelStore, is_final
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher, checked_answers
from lvlm2p.teachers.wrappers.base import TeacherWrapper

FIRST_POLL_S, LAST_POLL_S = 0.01, 0.25
"""How often to look whether somebody else's question has been answered: first often, then less."""

INSTANT_PER_S = 2_000
"""Labels a second of a teacher that computes them: what writing them takes, at the least."""

ESTIMATED = 5_000
"""Keys of one query."""


class StoredTeacher(TeacherWrapper):
    """A teacher behind a store.

    Each distinct state of a batch is looked up; what is missing is asked once, by one of all
    processes and threads that want it, and is on disk before anybody sees it.

    Args:
        inner: who is asked.
        offline: never ask; a state without an answer is missing.
        on_miss: offline, whether a missing state ends the run or is a Failure("missing").
        sample: which independent sample of the teacher's answers to use.
        retry_failures: ask again where a lasting failure is stored. Passing ones (timeouts, 5xx)
            are asked again by every later run anyway, but once a run.
        budget: the inner teacher's; it hears which calls have led to stored answers.
    """

    def __init__(
        self,
        inner: Teacher,
        store: LabelStore,
        *,
        offline: bool = False,
        on_miss: Literal["fail", "skip"] = "fail",
        sample: int = 0,
        retry_failures: bool = False,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(inner)
        self.counts = Counts()
        self.store = store
        self.offline = offline
        self.on_miss = on_miss
        self.sample = sample
        self.retry_failures = retry_failures
        self.budget = budget
        self._started = time.time()
        self._counting = threading.Lock()
        self._damaged: dict[str, str] = {}

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What the inner teacher says of the states that are not stored. What its earlier labels
        took in time and cost counts for more than what it thinks."""
        todo = self._named(views)
        for part in chunks(list(todo), ESTIMATED):
            for name in self._look_up({name: todo[name] for name in part}):
                del todo[name]
        estimate = super().estimate(list(todo.values()))
        if self.inner.instant:
            estimate = replace(estimate, seconds=len(todo) / INSTANT_PER_S)
        if not todo or self.inner.instant:
            return estimate
        fingerprint = self.fingerprint_for(views[0].task)
        latency, cost = self.store.typical(fingerprint, self.by_batch if estimate.paid else None)
        if latency is not None and not self.by_batch:
            side_by_side = min(self.inner.at_a_time, len(todo))
            estimate = replace(estimate, seconds=latency * len(todo) / side_by_side)
        if cost is not None:
            estimate = replace(estimate, usd=cost * len(todo), at_least=False)
        return estimate

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`: known answers first, then new ones as they come.

        Raises:
            MissingLabelsError: offline, ``on_miss="fail"``, and some states have no label.
            StoreError: the store can't be read or written.
        """
        where: dict[str, list[int]] = {}
        for index, view in enumerate(views):
            where.setdefault(view.key, []).append(index)
        todo = self._named(views[first] for first, *_ in where.values())
        known: list[tuple[int, Answer]] = []
        for name, answer in self._look_up(todo).items():
            known += [(index, answer) for index in where[todo.pop(name).key]]
        if todo and self.offline and self.on_miss == "fail":
            raise self._missing(todo, len(where))
        self._count_known(answer for _, answer in known)
        yield from known
        for view, answer, by_us in self._skip(todo) if self.offline else self._ask(todo):
            first, *others = where[view.key]
            self._count_new(answer, len(others), by_us)
            for index in (first, *others):
                yield index, answer

    # Looking up

    def _name(self, view: View) -> str:
        return name_of(self.fingerprint_for(view.task), view.key, self.sample)

    def _named(self, views: Iterable[View]) -> dict[str, View]:
        """The views by the names of their answers; a fingerprint is worked out once a task."""
        fingerprints: dict[Task, str] = {}
        named = {}
        for view in views:
            if view.task not in fingerprints:
                fingerprints[view.task] = self.fingerprint_for(view.task)
            named[name_of(fingerprints[view.task], view.key, self.sample)] = view
        return named

    def _look_up(self, todo: Mapping[str, View]) -> dict[str, Answer]:
        """Stored answers that this run takes as they are. A damaged row is a failure: what it holds
        may have been paid for, so it is neither asked about nor written over unasked."""
        usable: dict[str, Answer] = {}
        bad: dict[str, str] = {}
        for name, (answer, stored) in self.store.find(todo, bad).items():
            view = todo[name]
            if wrong := misfit(view, answer, name.partition("/")[0]):
                bad[name] = f"the row {answer.kind}/{name} of the label store holds {wrong}"
                continue
            fresh = self.offline or stored >= self._started
            if fresh or (
                is_final(answer) and (isinstance(answer, Label) or not self.retry_failures)
            ):
                usable[name] = answer
        self._tell(bad)
        for name in bad if self.offline or not self.retry_failures else ():
            usable[name] = self._failure(todo[name], "invalid", "its row is damaged")
        return usable

    def _tell(self, bad: Mapping[str, str]) -> None:
        """Say it of the first damaged row; :meth:`close` says how many there were."""
        if bad and not self._damaged:
            first = next(iter(bad.values())).removesuffix(f"; {SEE_VERIFY}")
            say(f"{first}: it is passed over; {SEE_VERIFY}")
        self._damaged.update(bad)

    def close(self) -> None:
        """Close the inner teacher; say how many damaged rows of the store were met, if several."""
        if len(self._damaged) > 1:
            say(f"{len(self._damaged):,} damaged rows of {self.store.path} were passed over")
        self._damaged.clear()
        super().close()

    def _failure(self, view: View, kind: FailureKind, message: str) -> Failure:
        """Nobody was asked."""
        return Failure(
            task=view.task.name,
            teacher=self.name,
            fingerprint=self.fingerprint_for(view.task),
            failure=kind,
            message=message,
            cost_usd=0.0,
        )

    # Offline

    def _missing(self, todo: Mapping[str, View], states: int) -> MissingLabelsError:
        tasks = ", ".join(sorted({view.task.name for view in todo.values()}))
        which = f"--teacher {quote(self.name)} --env ID --store {quote(str(self.store.path))}"
        return MissingLabelsError(
            f"offline, and {len(todo):,} of {states:,} states asked about ({tasks}) have no label "
            f"of {self.name!r} with these options in {self.store.path}: label them with `lvlm2p "
            f"label {which}` and the same -T options, or go on without them with --on-miss skip"
        )

    def _skip(self, todo: Mapping[str, View]) -> Iterator[tuple[View, Answer, bool]]:
        for view in todo.values():
            yield view, self._failure(view, "missing", "offline, and not in the label store"), True

    # Asking

    def _ask(self, todo: dict[str, View]) -> Iterator[tuple[View, Answer, bool]]:
        """(view, answer, whether it was us who asked) for each of ``todo``, as they come."""
        if self.inner.instant:
            yield from self._ask_at_once(todo)
            return
        pause = FIRST_POLL_S
        while todo:
            mine = self.store.claim(todo)
            if mine:
                views = {name: todo.pop(name) for name in list(todo) if name in mine}
                yield from self._ask_claimed(views)
            came = self._look_up(todo) if todo else {}
            for name, answer in came.items():
                yield todo.pop(name), answer, False
            pause = FIRST_POLL_S if came or mine else min(pause * 1.5, LAST_POLL_S)
            if todo and not came:
                time.sleep(pause)

    def _ask_claimed(self, views: dict[str, View]) -> Iterator[tuple[View, Answer, bool]]:
        """Ask about states that are ours alone. Claims without an answer are given up at the end,
        also where that is an exception or a caller who stopped listening.
        """
        try:
            for name, answer in self._look_up(views).items():  # came between look-up and claim
                self.store.release([name])
                yield views.pop(name), answer, False
            wanted = list(views.values())
            for index, said in checked_answers(self.inner, wanted):
                view = wanted[index]
                answer = self._keep(view, self._checked(view, said))
                del views[self._name(view)]
                yield view, answer, True
            self._report_kept(None)
        finally:
            self.store.release(views)

    def _ask_at_once(self, todo: Mapping[str, View]) -> Iterator[tuple[View, Answer, bool]]:
        """A teacher that computes: nobody pays, so nobody need wait, and one transaction does."""
        views = list(todo.values())
        entries: list[tuple[View, Answer, int]] = []
        for index, said in checked_answers(self.inner, views):
            answer = self._checked(views[index], said)
            if isinstance(answer, Failure) and answer.not_asked:
                yield views[index], answer, True
            else:
                entries.append((views[index], answer, self.sample))
        stored = self.store.put_entries(entries)
        self._report_kept(None)
        for (view, _, _), answer in zip(entries, stored, strict=True):
            yield view, answer, True

    def _keep(self, view: View, answer: Answer) -> Answer:
        """The answer as it is stored, if anybody was asked."""
        if isinstance(answer, Failure) and answer.not_asked:
            self.store.release([self._name(view)])
            return answer
        answer = self.store.put(view, answer, self.sample)
        self._report_kept(max(1, answer.usage.calls))
        return answer

    def _report_kept(self, calls: int | None) -> None:
        """Tell the budget how many more calls (None: all there were) have led to stored answers."""
        if self.budget is not None:
            self.budget.keep(calls)

    def _checked(self, view: View, answer: Answer) -> Answer:
        """What the inner teacher said, fit to be stored under this view."""
        expected = self.fingerprint_for(view.task)
        if answer.fingerprint != expected or answer.task != view.task.name:
            raise TeacherError(
                f"teacher {self.name!r} has a bug: it answers as {answer.fingerprint!r} about task "
                f"{answer.task!r}, and was asked as {expected!r} about {view.task.name!r}"
            )
        if isinstance(answer, Label):
            try:
                check_probabilities(view.task, answer.probabilities, tolerance=1e-6)
            except AnswerError as error:
                shared = {*Label.model_fields} & {*Failure.model_fields} - {"kind"}
                kept = answer.model_dump(include=shared)
                return Failure(**kept, failure="invalid", message=str(error))
            if tuple(answer.probabilities) != view.task.action_names:
                order = {name: answer.probabilities[name] for name in view.task.action_names}
                return answer.model_copy(update={"probabilities": order})
        return answer

    # Counting

    def _count_known(self, answers: Iterable[Answer]) -> None:
        with self._counting:
            for answer in answers:
                self.counts.add_cached(answer)

    def _count_new(self, answer: Answer, repeats: int, by_us: bool) -> None:
        with self._counting:
            if isinstance(answer, Failure) and answer.not_asked:
                self.counts.missing += 1 + repeats
                # of the turns before the budget ended
                self.counts.cost_usd = add_usd(self.counts.cost_usd, answer.cost_usd)
                return
            if by_us:
                self.counts.add_asked(answer)
            for _ in range(repeats if by_us else 1 + repeats):
                self.counts.add_cached(answer)
