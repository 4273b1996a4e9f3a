"""What is asked about one view, turn by turn, and what is made of the replies.

An interview knows nothing of networks: it is a generator that yields rounds of requests and is
sent their replies, so that hosted models (concurrent) and models in this process (batched) are
asked in exactly the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from lvlm2p.envs import Task, View
from lvlm2p.prompts import Analysis, Conversation, Message, Prompt, Question, plain_text
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.label import Answer, Elicitation, Failure, FailureKind, Label, Turn, Usage
from lvlm2p.teachers.models.elicit.analysis import parse_analysis
from lvlm2p.teachers.models.elicit.parsing import parse_choice, parse_letters, parse_probabilities
from lvlm2p.teachers.models.elicit.refusals import sounds_like_refusal
from lvlm2p.teachers.models.messages import Reply, Request

Interview: TypeAlias = Generator[list[Request], list[Reply], Answer]
T = TypeVar("T")

_QUOTED = 2_000
"""Characters of an unusable answer that the model is shown when it is asked again."""


class Unanswered(Exception):
    """Ends an interview: there will be no label."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Manner:
    """How a teacher asks.

    Attributes:
        samples: how many votes are counted (``votes`` only).
        smoothing: probability shared by all actions under ``choice``.
        reask: how often an unusable answer is asked again, with what was wrong with it.
    """

    teacher: str
    elicit: Elicitation
    samples: int = 1
    smoothing: float = 0.0
    reask: int = 1


@dataclass
class _Record:
    """What has been said and paid so far."""

    transcript: list[Turn] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    latency_s: float = 0.0
    model: str = ""

    def asked(self, message: Message) -> None:
        self.transcript.append(Turn(role="user", text=plain_text(message)))

    def answered(self, reply: Reply) -> None:
        self.transcript.append(Turn(role="assistant", text=reply.text))
        self.usage = self.usage + reply.usage
        known = self.cost_usd is not None and reply.cost_usd is not None
        self.cost_usd = (self.cost_usd or 0.0) + (reply.cost_usd or 0.0) if known else None
        self.latency_s += reply.latency_s
        self.model = reply.model or self.model


class Asking:
    """The interview about one view; :meth:`run` is the generator."""

    def __init__(self, view: View, prompt: Prompt, manner: Manner, fingerprint: str) -> None:
        self.view = view
        self.prompt = prompt
        self.manner = manner
        self.fingerprint = fingerprint
        self.record = _Record()

    def run(self) -> Interview:
        """Yield rounds of requests, be sent their replies, return the answer."""
        try:
            conversation = self.prompt.conversation(self.view)
            return (yield from self._converse(conversation))
        except Unanswered as error:
            return self.failure(error.kind, str(error))

    def failure(self, kind: FailureKind, message: str) -> Failure:
        """No label, for this reason; what was said and paid until now is kept."""
        return Failure(failure=kind, message=message, **self._facts())

    def _facts(self) -> dict[str, Any]:
        record = self.record
        return {
            "task": self.view.task.name,
            "teacher": self.manner.teacher,
            "fingerprint": self.fingerprint,
            "model": record.model,
            "prompt": self.prompt.fingerprint,
            "transcript": tuple(record.transcript),
            "usage": record.usage,
            "cost_usd": record.cost_usd,
            "latency_s": record.latency_s,
        }

    def _converse(self, conversation: Conversation) -> Interview:
        task, answers = self.view.task, list[str]()
        analysis: Analysis | None = None
        outside: float | None = None
        first, *rest = conversation.questions
        last = rest[0] if rest else first
        if rest:
            reply, analysis = yield from self._settled(
                conversation, first, answers, lambda reply: parse_analysis(reply.text)
            )
            answers.append(_in_own_words(reply, analysis))
        if last.kind == "letter":
            letters = conversation.letters
            _, (probabilities, outside) = yield from self._settled(
                conversation,
                last,
                answers,
                lambda reply: parse_letters(reply.alternatives, letters),
            )
        elif last.kind == "stated":
            _, probabilities = yield from self._settled(
                conversation, last, answers, lambda reply: parse_probabilities(reply.text, task)
            )
        elif self.manner.elicit == "votes":
            probabilities = yield from self._votes(conversation, last, answers)
        else:
            _, choice = yield from self._settled(
                conversation, last, answers, lambda reply: parse_choice(reply.text, task)
            )
            probabilities = _smoothed({choice: 1.0}, task, self.manner.smoothing)
        return Label(
            probabilities=probabilities,
            elicitation=self.manner.elicit,
            analysis=None if analysis is None else analysis.model_dump(),
            outside=outside,
            **self._facts(),
        )

    def _settled(
        self,
        conversation: Conversation,
        question: Question,
        answers: list[str],
        parse: Callable[[Reply], T],
    ) -> Generator[list[Request], list[Reply], tuple[Reply, T]]:
        """Ask one question until its answer is of use."""
        turn = str(len(answers) + 1)
        request = self._request(turn, conversation, question, answers)
        self.record.asked(request.messages[-1])
        (reply,) = yield [request]
        for attempt in range(self.manner.reask + 1):
            self.record.answered(reply)
            try:
                return reply, usable(reply, parse)
            except AnswerError as error:
                if attempt == self.manner.reask:
                    raise Unanswered("invalid", str(error)) from error
                (reply,) = yield [self._again(request, reply, error, attempt)]
        raise AssertionError("the loop returns or raises")

    def _votes(
        self, conversation: Conversation, question: Question, answers: list[str]
    ) -> Generator[list[Request], list[Reply], dict[str, float]]:
        """Ask the same ``samples`` times over and count. A spoilt vote counts for nobody."""
        turn = str(len(answers) + 1)
        requests = [
            self._request(f"{turn}/{vote + 1}", conversation, question, answers)
            for vote in range(self.manner.samples)
        ]
        self.record.asked(requests[0].messages[-1])
        replies = yield requests
        votes: Counter[str] = Counter()
        spoilt: list[Unanswered] = []
        for reply in replies:
            self.record.answered(reply)
            try:
                votes[usable(reply, lambda reply: parse_choice(reply.text, self.view.task))] += 1
            except Unanswered as error:
                spoilt.append(error)
            except AnswerError as error:
                spoilt.append(Unanswered("invalid", str(error)))
        if 2 * len(spoilt) > len(replies):
            first = spoilt[0]
            raise Unanswered(
                first.kind,
                f"{len(spoilt)} of {len(replies)} votes are of no use; the first: {first}",
            )
        return _smoothed(votes, self.view.task, 0.0)

    def _again(self, request: Request, reply: Reply, error: AnswerError, attempt: int) -> Request:
        """The same question with the unusable answer and what is wrong with it."""
        wanted = "one letter" if request.letters else "JSON in the format asked for"
        correction = {
            "role": "user",
            "content": f"That answer can't be used: {error}. Answer again, with {wanted} only.",
        }
        self.record.asked(correction)
        said = {"role": "assistant", "content": reply.text[:_QUOTED] or "(no answer)"}
        turn = request.turn + "+" * (attempt + 1)
        return replace(request, turn=turn, messages=[*request.messages, said, correction])

    def _request(
        self, turn: str, conversation: Conversation, question: Question, answers: list[str]
    ) -> Request:
        return Request(
            turn=turn,
            messages=conversation.messages(answers),
            prefix=conversation.prefix,
            cache_key=self.prompt.fingerprint[:32],
            schema=question.schema,
            letters=tuple(conversation.letters) if question.kind == "letter" else (),
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
    if not reply.text.strip() and not reply.alternatives:
        raise Unanswered("empty", "the model answered with nothing")
    try:
        return parse(reply)
    except AnswerError:
        if sounds_like_refusal(reply.text):
            raise Unanswered("refusal", "the model declined to answer") from None
        raise


def _in_own_words(reply: Reply, analysis: Analysis) -> str:
    """How the model's analysis is quoted to it: verbatim where it is plain JSON, else rewritten.

    Long prose would cost tokens in every later turn, and the examples show plain JSON.
    """
    text = reply.text.strip()
    plain = text.startswith("{") and text.endswith("}") and len(text) <= _QUOTED
    return reply.text if plain else analysis.model_dump_json()


def _smoothed(votes: Any, task: Task, smoothing: float) -> dict[str, float]:
    """Relative frequencies, with ``smoothing`` of the mass shared equally by all actions."""
    total = sum(votes.values())
    share = smoothing / len(task.actions)
    return {
        action.name: (1 - smoothing) * votes.get(action.name, 0) / total + share
        for action in task.actions
    }
