"""Batches that are with a provider, on disk: what a kill must not lose.

A row ``batch/<nonce>`` of the label store is written *before* a batch is created, and again with
the provider's id as soon as there is one. A row without an id is a batch that may or may not exist;
its nonce is in what was sent, so that it can be found in the provider's list.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from lvlm2p.envs.untrusted import first_problem
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.store.rows import SEE_VERIFY
from lvlm2p.teachers.store.store import LabelStore

KIND = "batch"


class OpenBatch(BaseModel, extra="forbid", strict=True):
    """One batch that is with the provider, or may be.

    Attributes:
        nonce: our name of it; the requests in it are called ``<nonce>-<position>``.
        names: the replies that it will bring (:func:`lvlm2p.teachers.plugin.reply_key`), by
            position; empty where one has been collected.
        created: seconds since 1970, by our clock.
        id: the provider's name of it; empty: not known to exist.
    """

    nonce: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    names: list[str]
    created: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    id: str = ""

    @property
    def waiting(self) -> list[str]:
        """Names of the replies that it has not brought yet."""
        return [name for name in self.names if name]

    def request_ids(self) -> list[str]:
        """What its requests are called, in their order."""
        return [f"{self.nonce}-{position}" for position in range(len(self.names))]


class BatchJournal:
    """The open batches in a label store."""

    def __init__(self, store: LabelStore) -> None:
        self.store = store

    def note(self, batch: OpenBatch) -> None:
        """Write a batch down, or what has changed about it; it is on disk when this returns."""
        self.store.put_row(f"{KIND}/{batch.nonce}", batch.model_dump(), KIND)

    def end(self, batch: OpenBatch, collected: Collection[str]) -> None:
        """The replies ``collected`` are in the store, or will never come. What else the batch
        brings is of another run's states: it stays open for that run."""
        batch.names = ["" if name in collected else name for name in batch.names]
        if batch.waiting:
            self.note(batch)
        else:
            self.store.remove([f"{KIND}/{batch.nonce}"])

    def open(self) -> list[OpenBatch]:
        """All of them, the oldest first. What can't be read is passed over, and said."""
        found = []
        keys = self.store.reader.keys(f"{KIND}/")
        for key, row in self.store.reader.rows(keys, bad={}).items():
            try:
                found.append(OpenBatch.model_validate_json(row.text))
            except ValidationError as error:
                say(
                    f"the row {key} of the label store, a batch that is with a provider, is "
                    f"damaged ({first_problem(error)}) and passed over; {SEE_VERIFY}"
                )
        return sorted(found, key=lambda batch: batch.created)
