"""Many interviews at a time, in the background, through one :class:`Caller`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from lvlm2p.envs import View
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Interview
from lvlm2p.teachers.models.hosted import event_loop
from lvlm2p.teachers.models.hosted.provider_errors import PermanentProviderError, ProviderError
from lvlm2p.teachers.models.hosted.retry import Caller
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.plugin import reply_key

Put = Callable[[tuple[int, Answer] | BaseException], None]


@dataclass(frozen=True)
class Interviewer:
    """Conducts interviews, at most ``concurrency`` at a time; safe from several threads.

    Attributes:
        teacher: its name, for messages.
        sample: which sample of the teacher's answers is wanted; part of the replies' names.
    """

    teacher: str
    caller: Caller
    concurrency: int
    sample: int

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return self.caller.limiter.running

    def answers(
        self, views: Sequence[View], begin: Callable[[View], Interview]
    ) -> Generator[tuple[int, Answer], None, None]:
        """The index and the answer of each view, as they come; ``begin`` opens an interview.

        Raises:
            TeacherNotReadyError: no view will ever be answered, and none was until now.
        """
        results: SimpleQueue[tuple[int, Answer] | BaseException] = SimpleQueue()
        job = event_loop.submit(self._ask_all(views, begin, results.put))
        awaited = len(views)
        try:
            while awaited:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                awaited -= 1
                yield result
        finally:
            if awaited:  # the caller has stopped iterating
                job.cancel()
                event_loop.drain(self.caller.settled())

    async def _ask_all(
        self, views: Sequence[View], begin: Callable[[View], Interview], put: Put
    ) -> None:
        todo = iter(enumerate(views))

        async def work() -> None:
            for index, view in todo:
                put((index, await self._conduct(begin(view))))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(views))):
                    group.create_task(work(), name=event_loop.ASKING)
        except BaseExceptionGroup as error:
            put(_first(error))
        except BaseException as error:
            put(error)
            raise

    async def _conduct(self, interview: Interview) -> Answer:
        """Ask round by round until there is an answer."""
        rounds = interview.run()
        try:
            requests = next(rounds)
            while True:
                requests = rounds.send(await self._replies(interview, requests))
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        except PermanentProviderError as error:
            return self._unanswerable(interview, str(error))
        except ProviderError as error:
            if self.caller.permanent_error is not None:
                return self._unanswerable(interview, self.caller.permanent_error)
            return interview.failure(error.kind, str(error))

    async def _replies(self, interview: Interview, requests: Sequence[Request]) -> list[Reply]:
        """All replies of a round; if one is missing, the others are in the journal."""
        names = [
            reply_key(interview.fingerprint, interview.view.key, self.sample, request.turn)
            for request in requests
        ]
        if len(requests) == 1:
            return [await self.caller.reply(requests[0], names[0])]
        waiting = map(self.caller.reply, requests, names)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        replies = [result for result in results if isinstance(result, Reply)]
        for result in results:
            if isinstance(result, BaseException):
                for reply in replies:
                    interview.keep(reply)
                raise result
        return replies

    def _unanswerable(self, interview: Interview, reason: str) -> Answer:
        if not self.caller.answered:
            raise TeacherNotReadyError(f"teacher {self.teacher!r} can't be asked: {reason}")
        return interview.failure("rejected", reason)


def _first(error: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is no group."""
    inner = error.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
