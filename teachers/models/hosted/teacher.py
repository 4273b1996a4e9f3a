"""Hosted models and local servers as teachers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from lvlm2p.envs import View
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Asking
from lvlm2p.teachers.models.hosted import event_loop as background
from lvlm2p.teachers.models.hosted.capabilities import Capabilities, capabilities_of, price_entry
from lvlm2p.teachers.models.hosted.litellm_client import Client, import_litellm, register_free
from lvlm2p.teachers.models.hosted.prices import price_of_1000, tokens_of_label
from lvlm2p.teachers.models.hosted.provider_errors import Fault
from lvlm2p.teachers.models.hosted.providers import endpoint, find_keys, provider_of, served_models
from lvlm2p.teachers.models.hosted.rate_limit import Gate
from lvlm2p.teachers.models.hosted.retry import Caller, Hopeless
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.models.options import ChatOptions
from lvlm2p.teachers.models.prompted import WordsTeacher
from lvlm2p.teachers.plugin import Context, Status, reply_key
from lvlm2p.teachers.teacher import CostEstimate

TINY = "tiny-vl"
"""The name under which ``lvlm2p serve tiny-vl`` serves it."""

FIRST_WORD_S, WORDS_PER_S = 1.5, 60.0
"""What a hosted model's reply takes, roughly: seconds until it begins, tokens a second from then
on. Only for what is said before anybody was asked; measured times take its place."""


@dataclass(frozen=True)
class _Line:
    """What is made when the first question is asked."""

    caller: Caller
    concurrency: int


class ChatTeacher(WordsTeacher):
    """A model behind an API. Asks concurrently, in the background; safe from several threads."""

    Options = ChatOptions
    options: ChatOptions

    def __init__(self, name: str, options: ChatOptions, context: Context) -> None:
        super().__init__(name, options, context)
        self.provider = provider_of(name)
        self.url = endpoint(name, self.provider, options.api_base)
        self._opening = threading.Lock()
        self._open: _Line | None = None

    @classmethod
    def build(cls, name: str, options: ChatOptions, context: Context) -> ChatTeacher:
        """See :mod:`lvlm2p.teachers.plugin`. Nobody is called and no key is needed yet.

        Raises:
            ConfigError: what was asked for is not available on this model.
        """
        teacher = cls(name, options, context)
        if options.model or teacher.provider.model:
            teacher.check()
        return teacher

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        from lvlm2p.teachers.models.hosted.status import hosted_status

        return hosted_status(name)

    @cached_property
    def model(self) -> str:
        """litellm's ``provider/model``; a local server is asked what it serves.

        Raises:
            TeacherNotReadyError: it has to be asked and does not answer.
        """
        model = self.options.model or self.provider.model
        if not model:
            assert self.url is not None
            model = served_models(self.name, self.url, self.options.key_file)[0]
        return self.provider.full_model(model)

    @property
    def wording(self) -> tuple[str, int | None]:
        """See :class:`WordsTeacher`; the small model that ships with us knows no words but its
        own."""
        if (
            self.model == self.provider.prefix + TINY
            and "prompt" not in self.options.model_fields_set
        ):
            return "tiny", None
        return super().wording

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the model can be sent."""
        return capabilities_of(self.model)

    def check(self) -> None:
        """Whether the options fit the model.

        Raises:
            ConfigError: they don't; the sentence names what would.
        """
        able, options = self.capabilities, self.options
        if options.elicit not in able.elicitations:
            raise ConfigError(
                f"teacher {self.name!r}: {self.model} can't be asked for {options.elicit!r}, "
                f"it tells no token probabilities: choose {', '.join(able.elicitations)}"
            )
        if options.temperature is not None and not able.temperature:
            raise ConfigError(
                f"teacher {self.name!r}: {self.model} takes no temperature: leave it out"
            )
        budget = self.context.budget
        in_dollars = budget is not None and budget.usd is not None
        if in_dollars and able.paid and not price_entry(self.model).get("input_cost_per_token"):
            raise ConfigError(
                f"teacher {self.name!r}: the price of {self.model} is not known, so a budget in "
                "dollars can't be kept: give one in calls (--budget-calls)"
            )

    def facts(self) -> dict[str, Any]:
        """See :class:`WordsTeacher`.

        An endpoint that the user names is part of who answers, since the same model name may mean
        something else there. Not so a server of the user's own (vLLM): it says itself what it
        serves, and its labels are worth as much from another port or machine.
        """
        address = None
        if self.options.api_base is not None and not self.provider.local and self.url is not None:
            parts = urlsplit(self.url)
            address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return {
            **super().facts(),
            "model": self.model,
            "endpoint": address,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning_effort": self.options.reasoning_effort,
        }

    @property
    def temperature(self) -> float | None:
        """None: the provider's default. A local server's would be to draw each token by lot: it is
        asked for the likeliest, as a model in this process is, unless votes have to differ."""
        greedy = self.provider.local and self.options.elicit != "votes"
        return 0.0 if greedy and self.options.temperature is None else self.options.temperature

    @property
    def max_tokens(self) -> int:
        """Longest answer, in tokens."""
        return self.options.max_tokens or self.capabilities.max_tokens

    def price(self, labels: int) -> float | None:
        """Counted from the prompt and the provider's price list."""
        if not self.capabilities.paid:
            return 0.0
        options = self.options
        each = price_of_1000(self.model, *self.wording, options.elicit, options.samples)
        return None if each is None else labels * each / 1000

    @property
    def at_a_time(self) -> int:
        """See :class:`Teacher`."""
        return self.options.concurrency

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """See :class:`Teacher`. A hosted model's time is a rule of thumb, a local one's depends on
        the machine: not known."""
        estimate, options = super().estimate(views), self.options
        if not estimate.calls or not self.capabilities.paid:
            return estimate
        sent, said = tokens_of_label(self.model, *self.wording, options.elicit, options.samples)
        each = FIRST_WORD_S * estimate.calls / estimate.states + said / WORDS_PER_S
        seconds = max(each, each * estimate.states / options.concurrency)
        if options.requests_per_minute is not None:
            seconds = max(seconds, 60 * estimate.calls / options.requests_per_minute)
        if options.tokens_per_minute is not None:
            tokens = estimate.states * (sent + said)
            seconds = max(seconds, 60 * tokens / options.tokens_per_minute)
        return replace(estimate, seconds=seconds)

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`.

        Raises:
            TeacherNotReadyError: a key or a server is missing, or nobody will ever be answered
                (wrong key, no such model) and nobody was until now.
        """
        if not views:
            return
        line = self._line()
        results: SimpleQueue[tuple[int, Answer] | BaseException] = SimpleQueue()
        job = background.submit(self._ask_all(line, views, results.put))
        awaited = len(views)
        try:
            while awaited:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                awaited -= 1
                self.count(result[1])
                yield result
        finally:
            if awaited:  # nobody listens any more
                job.cancel()
                background.see_through(line.caller.settled())

    async def _ask_all(
        self,
        line: _Line,
        views: Sequence[View],
        put: Callable[[tuple[int, Answer] | BaseException], None],
    ) -> None:
        """Answer all views, at most ``concurrency`` of them at a time."""
        todo = iter(enumerate(views))

        async def work() -> None:
            for index, view in todo:
                put((index, await self._answer(line.caller, view)))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(line.concurrency, len(views))):
                    group.create_task(work(), name=background.ASKING)
        except BaseExceptionGroup as error:
            put(_first(error))
        except BaseException as error:
            put(error)
            raise

    async def _answer(self, caller: Caller, view: View) -> Answer:
        """Conduct one interview."""
        asking = self.asking(view)
        interview = asking.run()
        try:
            requests = next(interview)
            while True:
                requests = interview.send(await self._replies(caller, asking, requests))
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        except Hopeless as reason:
            return self._unanswerable(caller, asking, str(reason))
        except Fault as fault:
            if caller.hopeless is not None:
                return self._unanswerable(caller, asking, caller.hopeless)
            return asking.failure(fault.kind, str(fault))

    async def _replies(
        self, caller: Caller, asking: Asking, requests: Sequence[Request]
    ) -> list[Reply]:
        """All replies of a round; if one is missing, the others are in the journal."""
        names = [
            reply_key(asking.fingerprint, asking.view.key, self.context.sample, request.turn)
            for request in requests
        ]
        if len(requests) == 1:
            return [await caller.reply(requests[0], names[0])]
        results = await asyncio.gather(*map(caller.reply, requests, names), return_exceptions=True)
        replies = [result for result in results if isinstance(result, Reply)]
        for result in results:
            if isinstance(result, BaseException):
                for reply in replies:
                    asking.record.answered(reply)
                raise result
        return replies

    def _unanswerable(self, caller: Caller, asking: Asking, reason: str) -> Answer:
        if not caller.answered:
            raise TeacherNotReadyError(f"teacher {self.name!r} can't be asked: {reason}")
        return asking.failure("rejected", reason)

    def _line(self) -> _Line:
        """Keys, client and gate, made when the first question is asked."""
        with self._opening:
            if self._open is None:
                self._open = self._connect()
            return self._open

    def _connect(self) -> _Line:
        options = self.options
        if self.provider.local and self.url is not None:
            self._check_served(served_models(self.name, self.url, options.key_file))
        self.check()
        keys = find_keys(self.name, self.provider, options.key_file, self.url)
        client = self._client_class()(
            model=self.model,
            capabilities=self.capabilities,
            api_base=self.url,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            reasoning_effort=options.reasoning_effort,
            timeout=options.timeout,
            keys=tuple(key for key in keys if key is not None),
        )
        gate = Gate(
            keys, options.concurrency, options.requests_per_minute, options.tokens_per_minute
        )
        caller = Caller(
            client.call,
            gate,
            options.retries,
            self.context.journal,
            self.context.budget,
            down_after=max(8, 2 * options.concurrency),
        )
        return _Line(caller, options.concurrency)

    def _client_class(self) -> type[Client]:
        if self.provider.local and not self.name.startswith("litellm:"):
            from lvlm2p.teachers.models.hosted.vllm_client import DirectClient

            return DirectClient
        import_litellm()
        if not self.capabilities.paid:
            register_free(self.model)
        return Client

    def _check_served(self, served: list[str]) -> None:
        model = self.model.removeprefix(self.provider.prefix)
        if model not in served:
            raise TeacherNotReadyError(
                f"teacher {self.name!r}: the server at {self.url} serves {', '.join(served)}, "
                f"not {model}: choose with -T model=NAME"
            )


def _first(error: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is no group."""
    inner = error.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
