"""What is asked about one view, turn by turn, and what is made of the replies.

An interview knows nothing of networks: it is a generator that yields rounds of requests and is
sent their replies, so that hosted models (concurrent) and models in this process (batched) are
asked by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from lvlm2p.envs import View
from lvlm2p.prompts import Analysis, Conversation, Message, Prompt, plain_text
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.label import Answer, Failure, FailureKind, Label, Turn, Usage
from lvlm2p.teachers.models.elicit.analysis import parse_analysis
from lvlm2p.teachers.models.elicit.base import Distribution, Elicitation
from lvlm2p.teachers.models.elicit.text import sounds_like_refusal
from lvlm2p.teachers.models.messages import Reply, Request

Rounds: TypeAlias = Generator[list[Request], list[Reply], Answer]
"""Yields the requests of a round, is sent their replies in the same order, returns the answer."""

T = TypeVar("T")

_QUOTED = 2_000
"""Characters of an unusable answer that the model is shown when it is asked again."""

_JSON = "JSON in the format asked for"


class Unanswered(Exception):
    """Ends an interview: there will be no label."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class _Transcript:
    """What has been said and paid so far."""

    turns: list[Turn] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    latency_s: float = 0.0
    model: str = ""

    def asked(self, message: Message) -> None:
        self.turns.append(Turn(role="user", text=plain_text(message)))

    def answered(self, reply: Reply) -> None:
        self.turns.append(Turn(role="assistant", text=reply.text))
        self.usage = self.usage + reply.usage
        known = self.cost_usd is not None and reply.cost_usd is not None
        self.cost_usd = (self.cost_usd or 0.0) + (reply.cost_usd or 0.0) if known else None
        self.latency_s += reply.latency_s
        self.model = reply.model or self.model


class Interview:
    """The questions about one view; :meth:`run` is the generator."""

    def __init__(
        self, view: View, prompt: Prompt, elicitation: Elicitation, teacher: str, fingerprint: str
    ) -> None:
        """``teacher`` and ``fingerprint`` are what the answer will say of who answered."""
        self.view = view
        self.prompt = prompt
        self.elicitation = elicitation
        self.teacher = teacher
        self.fingerprint = fingerprint
        self._transcript = _Transcript()

    def run(self) -> Rounds:
        """Yield rounds of requests, be sent their replies, return the answer."""
        try:
            conversation = self.prompt.conversation(self.view)
            return (yield from self._converse(conversation))
        except Unanswered as error:
            return self.failure(error.kind, str(error))

    def keep(self, reply: Reply) -> None:
        """Record a reply that was paid for, though the interview can't go on."""
        self._transcript.answered(reply)

    def failure(self, kind: FailureKind, message: str) -> Failure:
        """No label, for this reason; what was said and paid until now is kept."""
        return Failure(failure=kind, message=message, **self._facts())

    def _facts(self) -> dict[str, Any]:
        said = self._transcript
        return {
            "task": self.view.task.name,
            "teacher": self.teacher,
            "fingerprint": self.fingerprint,
            "model": said.model,
            "prompt": self.prompt.fingerprint,
            "transcript": tuple(said.turns),
            "usage": said.usage,
            "cost_usd": said.cost_usd,
            "latency_s": said.latency_s,
        }

    def _converse(self, conversation: Conversation) -> Rounds:
        answers: list[str] = []
        analysis: Analysis | None = None
        if len(conversation.questions) == 2:
            reply, analysis = yield from self._until_usable(
                self._request("1", conversation, answers),
                lambda reply: parse_analysis(reply.text),
                _JSON,
            )
            answers.append(_quoted(reply, analysis))
        if self.elicitation.sampled:
            found = yield from self._sampled(conversation, answers)
        else:
            _, found = yield from self._until_usable(
                self._request(str(len(answers) + 1), conversation, answers),
                self._parse,
                self.elicitation.answer_format.correction,
            )
        return Label(
            probabilities=found.probabilities,
            elicitation=self.elicitation.name,
            analysis=None if analysis is None else analysis.model_dump(),
            outside=found.outside,
            **self._facts(),
        )

    def _parse(self, reply: Reply) -> Distribution:
        return self.elicitation.parse(reply, self.view)

    def _until_usable(
        self, request: Request, parse: Callable[[Reply], T], wanted: str
    ) -> Generator[list[Request], list[Reply], tuple[Reply, T]]:
        """Ask one question, and again with what is wrong with the answer, until it is of use."""
        reask = self.elicitation.options.reask
        self._transcript.asked(request.messages[-1])
        (reply,) = yield [request]
        for attempt in range(reask + 1):
            self._transcript.answered(reply)
            try:
                return reply, usable(reply, parse)
            except AnswerError as error:
                if attempt == reask:
                    raise Unanswered("invalid", str(error)) from error
                (reply,) = yield [self._again(request, reply, error, attempt, wanted)]
        raise AssertionError("the loop returns or raises")

    def _sampled(
        self, conversation: Conversation, answers: list[str]
    ) -> Generator[list[Request], list[Reply], Distribution]:
        """Ask the same several times over; unparsable samples are left out of the mean.

        Raises:
            Unanswered: more than half of the samples are unparsable.
        """
        turn = str(len(answers) + 1)
        requests = [
            self._request(f"{turn}/{sample + 1}", conversation, answers)
            for sample in range(self.elicitation.calls)
        ]
        self._transcript.asked(requests[0].messages[-1])
        replies = yield requests
        samples: list[Distribution] = []
        unparsable: list[Unanswered] = []
        for reply in replies:
            self._transcript.answered(reply)
            try:
                samples.append(usable(reply, self._parse))
            except Unanswered as error:
                unparsable.append(error)
            except AnswerError as error:
                unparsable.append(Unanswered("invalid", str(error)))
        if 2 * len(unparsable) > len(replies):
            first = unparsable[0]
            raise Unanswered(
                first.kind,
                f"{len(unparsable)} of {len(replies)} samples can't be used; the first: {first}",
            )
        return self.elicitation.combine(samples)

    def _again(
        self, request: Request, reply: Reply, error: AnswerError, attempt: int, wanted: str
    ) -> Request:
        """The same question with the unusable answer and what is wrong with it."""
        correction = {
            "role": "user",
            "content": f"That answer can't be used: {error}. Answer again, with {wanted} only.",
        }
        self._transcript.asked(correction)
        said = {"role": "assistant", "content": reply.text[:_QUOTED] or "(no answer)"}
        turn = request.turn + "+" * (attempt + 1)
        return replace(request, turn=turn, messages=[*request.messages, said, correction])

    def _request(self, turn: str, conversation: Conversation, answers: list[str]) -> Request:
        """The question that follows ``answers``; letters are asked for in the last one only."""
        is_last = len(answers) == len(conversation.questions) - 1
        return Request(
            turn=turn,
            messages=conversation.messages(answers),
            prefix=conversation.prefix,
            cache_key=self.prompt.fingerprint[:32],
            schema=conversation.questions[len(answers)].schema,
            letters=tuple(conversation.letters) if is_last else (),
        )


def usable(reply: Reply, parse: Callable[[Reply], T]) -> T:
    """What ``parse`` makes of a reply that is complete and no refusal.

    Raises:
        Unanswered: it is not, and asking again would not help.
        AnswerError: no rule makes sense of it.
    """
    if reply.finish == "refusal":
        raise Unanswered("refusal", "the model, or a content filter, declined to answer")
    if reply.finish == "length":
        raise Unanswered("truncated", "the answer hit the token limit: raise -T max_tokens")
    if reply.finish == "thinking":
        raise Unanswered(
            "empty",
            "the model wrote its reasoning only, and no answer after it: raise -T max_tokens, "
            "lower -T reasoning_effort, or see which parser of reasoning the server uses",
        )
    if not reply.text.strip() and not reply.alternatives:
        raise Unanswered("empty", "the model answered with nothing")
    try:
        return parse(reply)
    except AnswerError:
        if sounds_like_refusal(reply.text):
            raise Unanswered("refusal", "the model declined to answer") from None
        raise


def _quoted(reply: Reply, analysis: Analysis) -> str:
    """How the model's analysis is quoted to it: verbatim where it is plain JSON, else rewritten.

    Long prose would cost tokens in every later turn, and the examples show plain JSON.
    """
    text = reply.text.strip()
    plain = text.startswith("{") and text.endswith("}") and len(text) <= _QUOTED
    return reply.text if plain else analysis.model_dump_json()
