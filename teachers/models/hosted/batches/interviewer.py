"""Many interviews, a batch at a time: what is asked waits for as long as the provider takes.

The questions that are open go out together, each reply is put in the journal, and the interviews
that it lets go on bring the next questions. All of that is played again from the journal after a
kill, so that nothing of it has to be remembered.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lvlm2p.envs import View
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Interview
from lvlm2p.teachers.models.hosted import event_loop
from lvlm2p.teachers.models.hosted.batches.desk import BatchDesk
from lvlm2p.teachers.models.hosted.batches.journal import BatchJournal, OpenBatch
from lvlm2p.teachers.models.hosted.batches.service import MOST_REQUESTS, Result, read, word
from lvlm2p.teachers.models.hosted.batches.talks import Answers, Talk, Talks
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError
from lvlm2p.teachers.progress import say

FIRST_LOOK_S, LAST_LOOK_S = 1.0, 60.0
"""How often to look whether a batch has ended: first often, then less."""

MOST_TIMES = 3
"""A question is in so many batches at most that bring no answer to it."""

T = TypeVar("T")


@dataclass
class BatchInterviewer:
    """Conducts interviews through a provider's batch API; for one thread at a time.

    Attributes:
        teacher: its name, for messages.
        sample: which sample of the teacher's answers is wanted; part of the replies' names.
        usd_each: what one reply costs, about, at half price; None: not known.
    """

    teacher: str
    client: Client
    key: str | None
    journal: BatchJournal
    budget: Budget | None
    sample: int
    usd_each: float | None
    retries: int
    answered: int = field(default=0, init=False)
    _talks: Talks = field(init=False)
    _times: dict[str, int] = field(default_factory=dict, init=False)
    _admitted: set[str] = field(default_factory=set, init=False)
    _open: list[OpenBatch] = field(default_factory=list, init=False)
    _desk: BatchDesk | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._talks = Talks(self.journal.store, self.sample)

    @property
    def in_flight(self) -> int:
        """Questions that are with the provider."""
        return sum(len(batch.waiting) for batch in self._open)

    def answers(
        self, views: Sequence[View], begin: Callable[[View], Interview]
    ) -> Generator[tuple[int, Answer], None, None]:
        """The index and the answer of each view, as they come; ``begin`` opens an interview.

        Raises:
            TeacherNotReadyError: no view will ever be answered, and none was until now.
        """
        for index, view in enumerate(views):
            yield from self._talks.begin(index, begin(view))
        try:
            self._resume()
            pause = FIRST_LOOK_S
            while self._talks.waiting:
                yield from self._send_waiting()
                before = len(self._open)
                for batch in list(self._open):
                    yield from self._look(batch)
                if not self._talks.queue and self._talks.waiting and len(self._open) == before:
                    time.sleep(pause)
                    pause = min(1.5 * pause, LAST_LOOK_S)
                else:
                    pause = FIRST_LOOK_S
        finally:
            if self._open:
                say(
                    f"{self.in_flight:,} questions in {len(self._open):,} batches stay with the "
                    "provider: the same command collects their answers"
                )

    # Batches

    def _resume(self) -> None:
        """Take up the batches that an earlier run has left."""
        wanted = self._talks.waiting.keys()
        ours = [batch for batch in self.journal.open() if wanted & {*batch.waiting}]
        if ours:
            say(f"{len(ours):,} batches of an earlier run are with the provider")
            first = next(iter(self._talks.waiting))
            worded = self._wait_for(word(self.client, self._talks.request(first), self.key))
            self._desk = self._desk or BatchDesk(self.client, self.journal, worded, self.retries)
        for batch in ours:
            assert self._desk is not None
            self._take_up(self._desk, batch)

    def _take_up(self, desk: BatchDesk, batch: OpenBatch) -> None:
        """Wait for a batch from now on, if it exists; else what was in it is asked now."""
        names = {*batch.waiting} & self._talks.waiting.keys()
        if self._blaming(lambda: desk.known(batch, self._open)):
            self._open.append(batch)
            for name in names:
                self._talks.queue.pop(name, None)
        else:
            self._talks.queue.update(dict.fromkeys(names))

    def _send_waiting(self) -> Answers:
        """Put all questions that wait into batches."""
        part: dict[str, bytes] = {}
        size = 0
        for name in list(self._talks.queue):
            if name not in self._talks.queue:
                continue  # its interview has ended
            if (why := self._refusal(name, len(part))) is not None:
                yield from self._talks.fail(name, ProviderError("budget", why, scope="request"))
                continue
            try:
                worded = self._wait_for(word(self.client, self._talks.request(name), self.key))
            except ProviderError as error:
                self._release(name)
                yield from self._talks.fail(name, error)
                continue
            self._desk = self._desk or BatchDesk(self.client, self.journal, worded, self.retries)
            too_large = size + len(worded.body) > self._desk.service.most_bytes
            if part and (too_large or len(part) == MOST_REQUESTS):
                yield from self._send(self._desk, part)
                part, size = {}, 0
            part[name] = worded.body
            size += len(worded.body)
        if part and self._desk is not None:
            yield from self._send(self._desk, part)

    def _refusal(self, name: str, more: int) -> str | None:
        """Why no further question may be asked, ``more`` being about to be; None: one may."""
        budget = self.budget
        if budget is None:
            return None
        if budget.usd is not None and budget.spent is None:
            owed = (self.in_flight + more + 1) * (self.usd_each or 0.0)
            if budget.spent_usd + owed > budget.usd:
                return f"the budget of ${budget.usd:,.2f} is spent once all batches are answered"
        why = budget.refusal()
        if why is None:
            self._admitted.add(name)
        return why

    def _release(self, *names: str) -> None:
        """Give back calls that this run was admitted to and that brought nothing."""
        for name in {*names} & self._admitted:
            self._admitted.remove(name)
            if self.budget is not None:
                self.budget.release()

    def _send(self, desk: BatchDesk, part: dict[str, bytes]) -> Answers:
        batch = OpenBatch(nonce=secrets.token_hex(8), names=list(part), created=time.time())
        try:
            self._blaming(lambda: desk.send(batch, list(part.values()), self._open))
        except ProviderError as error:
            self._release(*part)
            for name in part:
                yield from self._talks.fail(name, error)
            return
        for name in part:
            self._talks.queue.pop(name, None)
        self._open.append(batch)
        say(
            f"batch {batch.id}: {len(part):,} questions sent, at half the price; the provider "
            "answers within a day. Ctrl-C loses nothing: the same command goes on waiting"
        )

    def _blaming(self, work: Callable[[], T]) -> T:
        """What ``work`` returns. As long as nothing was answered, its errors are the command's."""
        try:
            return work()
        except ProviderError as error:
            if self.answered and error.scope == "request":
                raise
            raise TeacherNotReadyError(
                f"teacher {self.teacher!r} can't be asked by batch: {error}"
            ) from None

    def _look(self, batch: OpenBatch) -> Answers:
        """Collect a batch if it has ended."""
        desk = self._desk
        assert desk is not None
        ended = self._blaming(lambda: desk.look(batch))
        if ended is None:
            return
        if ended.failure is not None:
            yield from self._put_back(batch, ended.failure, ended.later)
            return
        ours = (one.request_id.startswith((batch.nonce, "-")) for one in ended.results)
        if not ended.results or any(ours):
            yield from self._collect(batch, ended.results)
            return
        self._open.remove(batch)  # it was taken for ours, and is somebody else's
        desk.strangers.add(batch.id)
        batch.id = ""
        self._take_up(desk, batch)

    def _put_back(self, batch: OpenBatch, why: str, later: bool) -> Answers:
        """None of a batch was answered, nor billed."""
        self._open.remove(batch)
        names = [name for name in batch.waiting if name in self._talks.waiting]
        self.journal.end(batch, batch.waiting)
        self._release(*names)
        if later and self._open:
            self._talks.held.update(dict.fromkeys(names))
            return
        self._talks.let_go()
        error = ProviderError("rejected", f"{self.client.model}, batch: {why}", scope="request")
        if not self.answered:
            raise TeacherNotReadyError(f"teacher {self.teacher!r} can't be asked by batch: {why}")
        for name in names:
            yield from self._talks.fail(name, error)

    def _collect(self, batch: OpenBatch, results: Sequence[Result]) -> Answers:
        """The replies go to the journal, then the batch is struck out, then interviews go on."""
        positions = {name: place for place, name in enumerate(batch.request_ids())}
        came: list[Talk] = []
        errors: dict[str, ProviderError] = {}
        seen: set[str] = set()
        for result in results:
            whole = batch.nonce + result.request_id
            place = positions.get(whole if result.request_id.startswith("-") else result.request_id)
            name = "" if place is None else batch.names[place]
            if name not in self._talks.waiting or name in seen:
                continue
            seen.add(name)
            try:
                self._keep(name, result)
            except ProviderError as error:
                errors[name] = error
            else:
                came += self._talks.came(name)
        lost = ProviderError("unavailable", "the batch ended without an answer")
        missing = {*batch.waiting} & self._talks.waiting.keys() - seen
        self._release(*missing)
        errors.update(dict.fromkeys(missing, lost))
        self._open.remove(batch)
        self.journal.end(batch, seen | missing)
        say(f"batch {batch.id} has ended: {len(seen) - len(errors):,} answers")
        self._talks.let_go()
        for talk in came:
            yield from self._talks.go_on(talk)
        for name, why in errors.items():
            yield from self._again(name, why)

    def _keep(self, name: str, result: Result) -> None:
        """Put a reply in the journal.

        Raises:
            ProviderError: it is none; what it costs all the same is charged.
        """
        budget = self.budget
        try:
            reply = self._wait_for(read(self.client, self._talks.request(name), self.key, result))
        except ProviderError as error:
            if budget is not None and error.billed:
                budget.charge(error.cost_usd)
            else:
                self._release(name)
            raise
        self.answered += 1
        if budget is not None:
            budget.charge(reply.cost_usd)
        self.journal.store.put_reply(name, reply.to_json())

    def _again(self, name: str, error: ProviderError) -> Answers:
        """Ask once more what was not answered for a passing reason."""
        self._times[name] = self._times.get(name, 0) + 1
        passing = error.scope == "transient"
        if passing and self._times[name] < MOST_TIMES and name in self._talks.waiting:
            self._talks.queue[name] = None
        else:
            yield from self._talks.fail(name, error)

    @staticmethod
    def _wait_for(work: Coroutine[Any, Any, T]) -> T:
        return event_loop.submit(work).result()
