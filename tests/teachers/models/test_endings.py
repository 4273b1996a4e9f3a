"""How an answer ends: what is final, what is asked again, in every provider's own words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.teachers import Budget, Failure, Label, LabelStore, Teacher
from lvlm2p.teachers.models.hosted import outcomes, retry
from tests.support.chat import (
    STATED,
    Script,
    anthropic_body,
    gemini_body,
    openai_body,
    some_views,
)
from tests.support.protocols import (
    OPENAI,
    PROTOCOLS,
    VLLM,
    Protocol,
    serves_models,
    set_keys,
    teacher_at,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setattr(retry, "BACK_OFF_S", 0.001)
    set_keys(monkeypatch)
    serves_models(httpserver)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


def asking(name: str, server: HTTPServer, **options: Any) -> Teacher:
    return teacher_at(name, server.url_for(""), **{"retries": 1, **options})


def error(said: Any) -> Response:
    return Response(json.dumps(said), content_type="application/json")


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

NOT_THIS_TIME = [
    *(
        (name, how)
        for name in PROTOCOLS
        for how in ("cut", "html", "empty", "error", "no choice", "unknown", "null", "stream")
    ),
    ("gemini", "no parts"),
    ("gemini", "empty part"),
    ("gemini", "listed error"),
    ("claude", "overloaded"),
]


def spoilt(protocol: Protocol, how: str) -> Any:
    """A 200 that is no answer."""
    good = protocol.answer()
    reason = {"choices": "finish_reason", "candidates": "finishReason"}
    if how in ("unknown", "null"):
        word = "because" if how == "unknown" else None
        key = next((key for key in reason if key in good), None)
        where = good if key is None else good[key][0]
        where["stop_reason" if key is None else reason[key]] = word
        return good
    return {
        "cut": Response(json.dumps(good)[:-20], content_type="application/json"),
        "html": Response("<html><h1>Bad gateway</h1></html>", content_type="text/html"),
        "empty": Response("", content_type="application/json"),
        "error": error({"error": {"message": "the engine is busy", "code": 503}}),
        "no choice": {name: ([] if isinstance(v, list) else v) for name, v in good.items()}
        if protocol.good != "end_turn"
        else {},
        "stream": Response(
            f"event: error\ndata: {json.dumps(OVERLOADED)}\n\n", content_type="text/event-stream"
        ),
        "no parts": {"candidates": [{"finishReason": "STOP", "content": {"role": "model"}}]},
        "empty part": protocol.answer(""),
        "listed error": error([{"error": {"code": 503, "status": "UNAVAILABLE"}}]),
        "overloaded": error(OVERLOADED),
    }[how]


@pytest.mark.parametrize(("name", "how"), NOT_THIS_TIME)
def test_not_this_time_is_asked_again(
    httpserver: HTTPServer, view: View, name: str, how: str
) -> None:
    protocol = PROTOCOLS[name]
    spoiled = spoilt(protocol, how)
    script = Script(httpserver, protocol.path, [spoiled, protocol.answer()])
    (label,) = asking(name, httpserver).label([view])
    assert isinstance(label, Label), label
    assert label.probabilities["forward"] == 0.7 and len(script.requests) == 2


ENDINGS = [
    (name, reason) for name in PROTOCOLS for reason in outcomes.PROTOCOLS[PROTOCOLS[name].list]
]
KINDS = {"length": "truncated", "refusal": "refusal", "again": "unavailable"}


@pytest.mark.parametrize(("name", "reason"), ENDINGS)
def test_an_answer_that_parses_counts_only_if_it_ended_well(
    httpserver: HTTPServer, view: View, name: str, reason: str, tmp_path: Path
) -> None:
    """Each reason of each closed list, under a whole answer."""
    protocol = PROTOCOLS[name]
    script = Script(httpserver, protocol.path, [protocol.answer(reason=reason)])
    with LabelStore(tmp_path / "store") as store:
        (answer,) = asking(name, httpserver, store=store).label([view])
    outcome = outcomes.PROTOCOLS[protocol.list][reason]
    if outcome == "stop":
        assert isinstance(answer, Label)
        return
    assert isinstance(answer, Failure) and answer.failure == KINDS[outcome], answer
    assert answer.lasting == (outcome != "again")
    assert len(script.requests) == (2 if outcome == "again" else 1)
    if outcome == "again":
        assert f"broken off ({reason})" in answer.message


@pytest.mark.parametrize(
    ("reason", "outcome"), outcomes.PROTOCOLS["Gemini, blocked prompt"].items()
)
def test_a_prompt_that_gemini_blocks(
    httpserver: HTTPServer, view: View, reason: str, outcome: str
) -> None:
    blocked = {"promptFeedback": {"blockReason": reason}, "modelVersion": "gemini-as-served"}
    script = Script(httpserver, PROTOCOLS["gemini"].path, [blocked])
    (answer,) = asking("gemini", httpserver).label([view])
    assert isinstance(answer, Failure) and answer.failure == KINDS[outcome], answer
    assert len(script.requests) == (2 if outcome == "again" else 1)


def test_litellms_own_tool_is_an_answer_and_another_one_is_none(
    httpserver: HTTPServer, view: View
) -> None:
    """litellm makes models call it whose schemas it does not know."""
    used = {"type": "tool_use", "id": "t", "name": "json_tool_call", "input": json.loads(STATED)}
    good, bad = anthropic_body("", "tool_use"), anthropic_body(STATED, "tool_use")
    good["content"] = [used]
    Script(httpserver, "/v1/messages", [bad, good])
    (label,) = asking("claude", httpserver, model="claude-tomorrow-9").label([view])
    assert isinstance(label, Label) and label.probabilities["forward"] == 0.7


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ({"object": "response", "status": "completed"}, "stop"),
        (
            {
                "object": "response",
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
            "length",
        ),
        ({"object": "response", "status": "incomplete"}, "again"),
        ({"object": "response", "status": "failed"}, "again"),
        ({"stopReason": "guardrail_intervened", "output": {}}, "refusal"),
        ({"stopReason": "malformed_model_output", "output": {}}, "again"),
        ({"finish_reason": "COMPLETE", "message": {}}, "stop"),
        ({"finish_reason": "ERROR", "message": {}}, "again"),
        ({"done_reason": "load", "message": {}}, "again"),
        ({"done_reason": "stop", "message": {}}, "stop"),
        ({"choices": "?"}, "again"),
        ({"candidates": [3]}, "again"),
        ({"stop_reason": ["end_turn"], "content": []}, "again"),
    ],
)
def test_the_protocols_of_other_providers(answer: dict[str, Any], ends: str) -> None:
    found = outcomes.ending(answer)
    assert found is not None and found[1] == ends


def test_an_answer_that_was_broken_off_is_paid_for(httpserver: HTTPServer, view: View) -> None:
    """The budget must know."""
    Script(httpserver, OPENAI.path, [OPENAI.answer(reason="abort"), OPENAI.answer()])
    budget = Budget(calls=9)
    (label,) = asking("gpt-4v", httpserver, budget=budget).label([view])
    assert isinstance(label, Label) and label.cost_usd is not None
    assert budget.spent_calls == 2 and budget.spent_usd == pytest.approx(2 * label.cost_usd)


WORDS = [
    ({"error": {"message": "flux capacitor"}}, "flux capacitor"),
    ({"error": "flux capacitor"}, "flux capacitor"),
    ({"object": "error", "message": "flux capacitor", "code": 500}, "flux capacitor"),
    ({"detail": [{"msg": "flux capacitor"}]}, "flux capacitor"),
    ({"choices": [{"error": {"message": "flux capacitor"}}]}, "flux capacitor"),
    ([{"error": {"message": "flux capacitor"}}], "flux capacitor"),
    (OVERLOADED, "Overloaded"),
]


SAID = [("qwen-vl-local", 200, *words) for words in WORDS]
SAID += [(name, status, *WORDS[i]) for name in PROTOCOLS for status in (200, 500) for i in (0, 2)]


@pytest.mark.parametrize(("name", "status", "body", "said"), SAID)
def test_a_providers_own_words_are_kept(
    httpserver: HTTPServer, view: View, name: str, status: int, body: Any, said: str
) -> None:
    answer = Response(json.dumps(body), status, content_type="application/json")
    Script(httpserver, PROTOCOLS[name].path, [answer])
    (failure,) = asking(name, httpserver, retries=0).label([view])
    assert isinstance(failure, Failure) and failure.failure == "unavailable"
    assert failure.message.endswith(said) and len(failure.message) < 120


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"type": "rate_limit_error"}}, 429),
        ({"error": {"code": "429", "message": "slow"}}, 429),
        ({"error": {"code": 401}}, 401),
        ({"error": {"status": "PERMISSION_DENIED", "code": 0}}, 403),
        ({"error": {"type": "overloaded_error"}}, 503),
        ({"error": {"code": 7}}, 503),
        ({"error": True}, 503),
        ({"type": "error"}, 503),
        ({"error": None}, None),
        ({"error": {}}, None),
        ({"choices": []}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_status_of_an_error_inside_an_answer(body: Any, status: int | None) -> None:
    assert outcomes.error_in(body) == status


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])
def test_reasoning_alone_is_no_answer_and_that_is_said(
    httpserver: HTTPServer, view: View, name: str, field: str
) -> None:
    Script(httpserver, OPENAI.path, [openai_body(None, **{field: STATED})])
    (failure,) = asking(name, httpserver).label([view])
    assert isinstance(failure, Failure) and failure.failure == "empty" and failure.lasting
    assert "reasoning only" in failure.message and "max_tokens" in failure.message
    assert failure.transcript[-1].text == STATED, "the raw text is kept"


def test_gemini_thoughts_alone_are_no_answer(httpserver: HTTPServer, view: View) -> None:
    body = gemini_body(STATED)
    body["candidates"][0]["content"]["parts"][0]["thought"] = True
    Script(httpserver, PROTOCOLS["gemini"].path, [body])
    (failure,) = asking("gemini", httpserver).label([view])
    assert isinstance(failure, Failure) and failure.failure == "empty"
    assert "reasoning only" in failure.message


def test_deep_nesting_is_no_answer(httpserver: HTTPServer, view: View) -> None:
    for body in ('{"error":' * 900 + "{}" + "}" * 900, "[" * 100_000):
        assert isinstance(outcomes.words(body.encode()), str)
        outcomes.ending(outcomes.parsed(body.encode()))


def test_the_documentation_lists_what_the_code_does() -> None:
    text = (ROOT / "docs" / "teachers.md").read_text("utf-8")
    becomes = {"a label": "stop", "truncated": "length", "refusal": "refusal", "again": "again"}
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| (a label|truncated|refusal|again) \|$", text, re.M
    )
    listed = {
        (protocol.strip(), reason): becomes[outcome]
        for protocol, reasons, outcome in rows
        for reason in re.findall(r"`([^`]+)`", reasons)
    }
    assert listed == {
        (protocol, reason): outcome
        for protocol, reasons in outcomes.PROTOCOLS.items()
        for reason, outcome in reasons.items()
    }
