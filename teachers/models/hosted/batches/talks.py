"""Interviews that wait for replies: how far each is, and which questions wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from lvlm2p.envs.untrusted import MalformedDataError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Interview, Rounds
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.plugin import Journal, reply_key

Answers: TypeAlias = Iterator[tuple[int, Answer]]


@dataclass
class Talk:
    """One interview under way.

    Attributes:
        index: of its view.
        names: of the replies to ``requests`` in the journal; ``missing`` are not there yet.
    """

    index: int
    interview: Interview
    rounds: Rounds
    requests: list[Request] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)


class Talks:
    """Interviews that wait.

    Attributes:
        waiting: name of each reply that is waited for -> its interview.
        queue: those of the names whose questions are in no batch, in their order.
        held: the same, but they are to wait until another batch has ended.
    """

    def __init__(self, journal: Journal, sample: int) -> None:
        self._journal = journal
        self._sample = sample
        self.waiting: dict[str, Talk] = {}
        self.queue: dict[str, None] = {}
        self.held: dict[str, None] = {}

    def begin(self, index: int, interview: Interview) -> Answers:
        """Begin an interview, and go on with it as far as the replies in the journal go."""
        yield from self.go_on(Talk(index, interview, interview.run()))

    def go_on(self, talk: Talk) -> Answers:
        """Go on with an interview whose replies are in the journal."""
        kept = [self._kept(name) for name in talk.names]
        while True:
            replies = [reply for reply in kept if reply is not None]
            try:
                talk.requests = talk.rounds.send(replies) if talk.names else next(talk.rounds)
            except StopIteration as end:
                yield talk.index, end.value
                return
            about = talk.interview.fingerprint, talk.interview.view.key, self._sample
            talk.names = [reply_key(*about, request.turn) for request in talk.requests]
            kept = [self._kept(name) for name in talk.names]
            missing = [name for name, reply in zip(talk.names, kept, strict=True) if reply is None]
            if missing:
                talk.missing = {*missing}
                self.waiting.update(dict.fromkeys(missing, talk))
                self.queue.update(dict.fromkeys(missing))
                return

    def _kept(self, name: str) -> Reply | None:
        kept = self._journal.get_reply(name)
        with suppress(MalformedDataError):  # a damaged one is asked for again
            return None if kept is None else Reply.from_json(kept)
        return None

    def request(self, name: str) -> Request:
        """The question behind a reply that is waited for."""
        talk = self.waiting[name]
        return talk.requests[talk.names.index(name)]

    def came(self, name: str) -> list[Talk]:
        """A reply is in the journal now; the interview, if it waits for no other."""
        talk = self.waiting.pop(name)
        talk.missing.discard(name)
        return [] if talk.missing else [talk]

    def fail(self, name: str, error: ProviderError) -> Answers:
        """End the interview that waits for this reply, if there still is one."""
        talk = self.waiting.get(name)
        if talk is None:
            return
        for other in talk.names:
            for names in (self.waiting, self.queue, self.held):
                names.pop(other, None)
            if (reply := self._kept(other)) is not None:
                talk.interview.keep(reply)
        yield talk.index, talk.interview.failure(error.kind, str(error))

    def let_go(self) -> None:
        """What was held may be asked now."""
        self.queue.update(self.held)
        self.held.clear()
