"""Sending a batch, and looking after it, so that no batch is lost and none is sent twice."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from lvlm2p.teachers.models.hosted import event_loop
from lvlm2p.teachers.models.hosted.batches.anthropic_batches import AnthropicBatches
from lvlm2p.teachers.models.hosted.batches.gemini_batches import GeminiBatches
from lvlm2p.teachers.models.hosted.batches.journal import BatchJournal, OpenBatch
from lvlm2p.teachers.models.hosted.batches.openai_batches import OpenAIBatches
from lvlm2p.teachers.models.hosted.batches.service import BatchService, Result, Worded
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError
from lvlm2p.teachers.progress import say

SERVICES: dict[str, type[BatchService]] = {
    "openai/": OpenAIBatches,
    "anthropic/": AnthropicBatches,
    "gemini/": GeminiBatches,
}
"""litellm's name of a provider -> its batch API."""

LONGEST_BACK_OFF_S = 60.0

T = TypeVar("T")


class EndedBatch(NamedTuple):
    """A batch that has ended: its results, or why there are none, and whether that passes."""

    results: Sequence[Result] = ()
    failure: str | None = None
    later: bool = False


@dataclass
class BatchDesk:
    """Deals with one provider about batches.

    Attributes:
        worded: any request, see :class:`BatchService`.
        retries: how often a batch that can't be sent for a passing reason is sent again.
        strangers: ids of batches that turned out not to be ours.
    """

    client: Client
    journal: BatchJournal
    worded: Worded = field(repr=False)
    retries: int
    strangers: set[str] = field(default_factory=set)
    service: BatchService = field(init=False)
    _silent: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        provider = f"{self.client.model.partition('/')[0]}/"
        self.service = SERVICES[provider](self.client, self.worded)

    def send(self, batch: OpenBatch, bodies: Sequence[bytes], others: Sequence[OpenBatch]) -> None:
        """Create a batch, ``others`` being open. That it may exist is on disk before it does.

        Raises:
            ProviderError: it does not exist. Where that can't be known, its row stays, and the next
                run looks for it.
        """
        self.journal.note(batch)
        for attempt in range(self.retries + 1):
            try:
                if attempt and self._find(batch, others):
                    return  # it was created, and only the answer was lost
                _done(self._create(batch, bodies))
                return
            except ProviderError as error:
                if error.scope != "transient":
                    self.journal.end(batch, batch.waiting)
                    raise
                if attempt == self.retries:
                    raise
                say(f"{error}: trying again")
            time.sleep(random.uniform(0.5, 1) * min(2.0**attempt, LONGEST_BACK_OFF_S))

    async def _create(self, batch: OpenBatch, bodies: Sequence[bytes]) -> None:
        """In a task that is waited for when the process ends."""

        async def create() -> None:
            batch.id = await self.service.create(batch.nonce, batch.request_ids(), bodies)
            self.journal.note(batch)

        call = asyncio.create_task(create(), name=event_loop.CALL)
        await asyncio.shield(call)

    def known(self, batch: OpenBatch, others: Sequence[OpenBatch]) -> bool:
        """Whether a batch of the journal exists. One that does not is struck out."""
        if batch.id or self._find(batch, others):
            return True
        self.journal.end(batch, batch.waiting)
        return False

    def _find(self, batch: OpenBatch, others: Sequence[OpenBatch]) -> bool:
        known = {other.id for other in [*self.journal.open(), *others]} | self.strangers
        found = _done(self.service.find(batch.nonce, len(batch.names), batch.created, known - {""}))
        if found is not None:
            batch.id = found
            self.journal.note(batch)
        return found is not None

    def look(self, batch: OpenBatch) -> EndedBatch | None:
        """What a batch has brought; None: nothing yet, or nobody answers at this moment.

        Raises:
            ProviderError: nobody will say.
        """
        try:
            state = _done(self.service.look(batch.id))
            if not state.ended:
                ended = None
            elif state.failure is not None:
                ended = EndedBatch(failure=state.failure, later=state.later)
            else:
                ended = EndedBatch(_done(self.service.results(batch.id)))
        except ProviderError as error:
            if error.scope == "model":
                return EndedBatch()  # the provider knows it no more: nothing of it was answered
            if error.scope != "transient":
                raise
            if not self._silent:
                say(f"{error}: looking again later")
            self._silent = True
            return None
        self._silent = False
        return ended


def _done(work: Coroutine[Any, Any, T]) -> T:
    return event_loop.submit(work).result()
