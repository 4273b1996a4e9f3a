"""Whoever conducts a teacher's interviews: call by call, or through the provider's batch API."""

from __future__ import annotations

from collections.abc import Sequence

from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.models.hosted.batches.desk import SERVICES
from lvlm2p.teachers.models.hosted.batches.interviewer import BatchInterviewer
from lvlm2p.teachers.models.hosted.batches.journal import BatchJournal
from lvlm2p.teachers.models.hosted.interviews import Interviewer
from lvlm2p.teachers.models.hosted.litellm_client import Client
from lvlm2p.teachers.models.hosted.rate_limit import ConcurrencyLimiter
from lvlm2p.teachers.models.hosted.retry import Caller
from lvlm2p.teachers.models.options import ChatOptions
from lvlm2p.teachers.plugin import Context
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.store.store import LabelStore


def by_calls(
    name: str, client: Client, keys: Sequence[str | None], options: ChatOptions, context: Context
) -> Interviewer:
    """Asks the teacher ``name`` call by call, many at a time."""
    journal = context.journal
    if isinstance(journal, LabelStore) and BatchJournal(journal).open():
        say(
            "questions of an earlier `lvlm2p label --batch` are still with a provider: the same "
            "command with --batch collects their answers; asked here, they are paid for again"
        )
    limiter = ConcurrencyLimiter(
        keys, options.concurrency, options.requests_per_minute, options.tokens_per_minute
    )
    down_after = max(8, 2 * options.concurrency)
    caller = Caller(
        client.call, limiter, options.retries, journal, context.budget, down_after=down_after
    )
    return Interviewer(name, caller, options.concurrency, context.sample)


def by_batches(
    name: str,
    client: Client,
    keys: Sequence[str | None],
    options: ChatOptions,
    context: Context,
    usd_each: float | None,
) -> BatchInterviewer:
    """Asks the teacher ``name`` through its provider's batch API, with the first of its keys: a
    batch belongs to whoever has sent it.

    Args:
        usd_each: dollars for one reply, about; None: not known.

    Raises:
        ConfigError: there is no label store to note the batches in, or no way to keep the budget.
    """
    if not isinstance(context.journal, LabelStore):
        raise ConfigError("batches are noted in a label store: give one with --store")
    budget = context.budget
    if budget is not None and budget.usd is not None and usd_each is None:
        raise ConfigError(
            f"teacher {name!r}: what a batch costs is known only once it is answered, and can't be "
            "foreseen for this model: give --budget-calls instead of --budget-usd"
        )
    journal = BatchJournal(context.journal)
    return BatchInterviewer(
        name, client, keys[0], journal, budget, context.sample, usd_each, options.retries
    )


def check_by_batch(name: str, prefix: str) -> None:
    """Whether the provider with litellm's name ``prefix`` has a batch API that is known here.

    Raises:
        ConfigError: it has none.
    """
    if prefix not in SERVICES:
        raise ConfigError(
            f"teacher {name!r} has no batch API (those of {', '.join(sorted(SERVICES))} are "
            "known): leave --batch out"
        )
