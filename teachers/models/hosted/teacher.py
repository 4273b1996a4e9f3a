"""Hosted models and local servers as teachers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any

from lvlm2p.envs import View
from lvlm2p.prompts import AnswerFormat
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.registry import elicitation_names
from lvlm2p.teachers.models.hosted import addresses
from lvlm2p.teachers.models.hosted.batches.interviewer import BatchInterviewer
from lvlm2p.teachers.models.hosted.capabilities import Capabilities, capabilities_of, price_entry
from lvlm2p.teachers.models.hosted.connecting import by_batches, by_calls, check_by_batch
from lvlm2p.teachers.models.hosted.endpoints import LOCAL_SERVER
from lvlm2p.teachers.models.hosted.interviews import Interviewer
from lvlm2p.teachers.models.hosted.litellm_client import Client, import_litellm, register_free
from lvlm2p.teachers.models.hosted.prices import price_of_1000, tokens_of_label
from lvlm2p.teachers.models.hosted.providers import (
    endpoint,
    find_keys,
    provider_of,
    served_models,
)
from lvlm2p.teachers.models.hosted.status import status_of
from lvlm2p.teachers.models.options import ChatOptions
from lvlm2p.teachers.models.prompted import PromptedTeacher
from lvlm2p.teachers.plugin import Context, Status
from lvlm2p.teachers.teacher import CostEstimate

TINY = "tiny-vl"
"""The name under which ``lvlm2p serve tiny-vl`` serves it."""

FIRST_TOKEN_S, TOKENS_PER_S = 1.5, 60.0
"""What a hosted model's reply takes, roughly: seconds until it begins, tokens a second from then
on. Only for the estimate before the first call; measured times take its place."""


class ChatTeacher(PromptedTeacher):
    """A model behind an API. Asks concurrently, in the background; safe from several threads."""

    Options = ChatOptions
    options: ChatOptions

    def __init__(self, name: str, options: ChatOptions, context: Context) -> None:
        self.provider = provider_of(name)
        self.url = endpoint(name, self.provider, options.api_base)
        super().__init__(name, options, context)
        self.by_batch = context.by_batch
        if self.by_batch:
            check_by_batch(name, self.provider.prefix)
        self._connecting = threading.Lock()
        self._interviewer: Interviewer | BatchInterviewer | None = None

    @classmethod
    def build(cls, name: str, options: ChatOptions, context: Context) -> ChatTeacher:
        """See :mod:`lvlm2p.teachers.plugin`. Nothing is asked and no key is needed yet.

        Raises:
            ConfigError: what was asked for is not available on this model.
        """
        teacher = cls(name, options, context)
        if teacher._is_model_known:
            teacher.check()
        return teacher

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return status_of(name, LOCAL_SERVER)

    @property
    def _is_model_known(self) -> bool:
        """Whether it can be named without asking a server what it serves."""
        return bool(self.options.model or self.provider.model)

    @property
    def elicitations(self) -> tuple[str, ...]:
        """See :class:`PromptedTeacher`."""
        return self.capabilities.elicitations if self._is_model_known else elicitation_names()

    @cached_property
    def model(self) -> str:
        """litellm's ``provider/model``; a local server is asked what it serves.

        Raises:
            TeacherNotReadyError: it has to be asked and does not answer.
        """
        model = self.options.model or self.provider.model
        if not model:
            model = self._served()[0]
        return self.provider.full_model(model)

    @property
    def wording(self) -> tuple[str, int | None]:
        """See :class:`PromptedTeacher`; the small model that ships with the project knows no
        prompt but its own."""
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
        if (lacking := self.elicitation.lacking(able)) is not None:
            raise ConfigError(
                f"teacher {self.name!r}: {self.model} can't be asked for {options.elicit!r}, "
                f"it {lacking}: choose {', '.join(able.elicitations)}"
            )
        if options.temperature is not None and not able.temperature:
            raise ConfigError(
                f"teacher {self.name!r}: {self.model} takes no temperature: leave it out"
            )
        if options.image_detail is not None and not able.image_detail:
            raise ConfigError(
                f"teacher {self.name!r}: {self.model} takes no image_detail, which is OpenAI's: "
                "leave it out"
            )
        budget = self.context.budget
        in_dollars = budget is not None and budget.usd is not None
        if in_dollars and able.paid and not price_entry(self.model).get("input_cost_per_token"):
            raise ConfigError(
                f"teacher {self.name!r}: the price of {self.model} is not known, so a budget in "
                "dollars can't be kept: give one in calls (--budget-calls)"
            )

    def facts(self) -> dict[str, Any]:
        """See :class:`PromptedTeacher`.

        An endpoint that the user or the environment names is part of who answers, since the same
        model name may mean something else there. Not so a server of the user's own (vLLM): it says
        itself what it serves, and its labels are worth as much from another port or machine.
        """
        named = self.url if not self.provider.local else None
        reports, detail = self.elicitation.reports, self.options.image_detail
        return {
            **super().facts(),
            **({} if reports is None else {"reports": reports}),
            **({} if detail is None else {"image_detail": detail}),
            "model": self.model,
            "endpoint": named and addresses.public(named),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning_effort": self.options.reasoning_effort,
        }

    @property
    def temperature(self) -> float | None:
        """None: the provider's default. A local server's would be to sample each token: it is
        asked for the likeliest, as a model in this process is, unless samples have to differ."""
        greedy = self.provider.local and not self.elicitation.sampled
        return 0.0 if greedy and self.options.temperature is None else self.options.temperature

    @property
    def max_tokens(self) -> int:
        """Longest answer, in tokens."""
        return self.options.max_tokens or self.capabilities.max_tokens

    def price(self, labels: int) -> float | None:
        """Counted from the prompt and the provider's price list."""
        if not self.capabilities.paid:
            return 0.0
        each = price_of_1000(self.model, *self._asked)
        whole = None if each is None else labels * each / 1000
        return whole / 2 if self.by_batch and whole is not None else whole

    @property
    def _asked(self) -> tuple[str, int | None, AnswerFormat, int, str | None]:
        """The prompt, its examples, the last question, how often it is asked for a label, and how
        closely to look."""
        elicitation = self.elicitation
        asked = elicitation.answer_format, elicitation.calls
        return *self.wording, *asked, self.options.image_detail

    @property
    def _thinks(self) -> bool:
        """Whether the model may think before it answers, in tokens that nobody can foresee."""
        quiet = self.options.reasoning_effort in ("none", "disable")
        return self.capabilities.reasons and not quiet

    @property
    def at_a_time(self) -> int:
        """See :class:`Teacher`."""
        return self.options.concurrency

    @property
    def in_flight(self) -> int:
        """See :class:`Teacher`."""
        interviewer = self._interviewer
        return 0 if interviewer is None else interviewer.in_flight

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """See :class:`Teacher`. A hosted model's time is a rule of thumb, a local one's depends on
        the machine: not known."""
        estimate, options = super().estimate(views), self.options
        if not estimate.calls or not self.capabilities.paid:
            return estimate
        estimate = replace(estimate, paid=True, at_least=self._thinks)
        if self.by_batch:
            turns = {len(self.prompted(view.task)[0].questions) for view in views}
            return replace(estimate, batches=max(turns))
        sent, said = tokens_of_label(self.model, *self._asked)
        each = FIRST_TOKEN_S * estimate.calls / estimate.states + said / TOKENS_PER_S
        seconds = max(each, each * estimate.states / options.concurrency)
        if options.requests_per_minute is not None:
            seconds = max(seconds, 60 * estimate.calls / options.requests_per_minute)
        if options.tokens_per_minute is not None:
            tokens = estimate.states * ((sent or 0) + said)
            seconds = max(seconds, 60 * tokens / options.tokens_per_minute)
        return replace(estimate, seconds=seconds)

    def check_ready(self) -> None:
        """See :class:`Teacher`: whether there is a key."""
        find_keys(self.name, self.provider, self.options.key_file, self.url)

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`.

        Raises:
            TeacherNotReadyError: a key or a server is missing, or no view will ever be answered
                (wrong key, no such model) and none was until now.
        """
        if not views:
            return
        with self._connecting:
            if self._interviewer is None:
                self._interviewer = self._connect()
        with closing(self._interviewer.answers(views, self.interview)) as answers:
            for index, answer in answers:
                self.count(answer)
                yield index, answer

    def _connect(self) -> Interviewer | BatchInterviewer:
        """Keys, client and limits, made when the first question is asked."""
        options = self.options
        if self.provider.local and self.url is not None:
            self._check_served(self._served())
        self.check()
        keys = find_keys(self.name, self.provider, options.key_file, self.url)
        client = self._client_class()(
            model=self.model,
            capabilities=self.capabilities,
            api_base=self.url,
            home=self.provider.home,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            reasoning_effort=options.reasoning_effort,
            timeout=options.timeout,
            insecure=options.insecure,
            keys=tuple(key for key in keys if key is not None),
            image_detail=options.image_detail,
        )
        if self.by_batch:
            price = self.price(1)
            each = None if price is None else price / self.elicitation.calls
            return by_batches(self.name, client, keys, options, self.context, each)
        return by_calls(self.name, client, keys, options, self.context)

    def _client_class(self) -> type[Client]:
        if self.provider.local and not self.name.startswith("litellm:"):
            from lvlm2p.teachers.models.hosted.vllm_client import DirectClient

            return DirectClient
        import_litellm()
        if not self.capabilities.paid:
            register_free(self.model)
        return Client

    def _served(self) -> list[str]:
        """What a server of the user's own says that it serves."""
        assert self.url is not None
        return served_models(self.name, self.url, self.options.key_file, self.options.insecure)

    def _check_served(self, served: list[str]) -> None:
        model = self.model.removeprefix(self.provider.prefix)
        if model not in served:
            where = addresses.public(self.url or "")
            raise TeacherNotReadyError(
                f"teacher {self.name!r}: the server at {where} serves {', '.join(served)}, "
                f"not {model}: choose with -T model=NAME"
            )
