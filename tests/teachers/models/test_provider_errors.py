"""What an error means: whose fault it is, in providers' own words, and how long to wait."""

from __future__ import annotations

import json

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError, classify_error, wait_of
from tests.support.chat import (
    KEY,
    STATED,
    Script,
    gemini_body,
    some_views,
)

OPENAI_SPENT = "You exceeded your current quota, please check your plan and billing details."
OPENAI_MINUTE = (
    "Rate limit reached for gpt-4.1-mini in organization org-x on tokens per min (TPM): Limit "
    "200000, Used 199000, Requested 2000. Please try again in 300ms. Visit "
    "https://platform.openai.com/account/billing to learn more."
)
GROQ_MINUTE = (
    "Rate limit reached for model `x` on tokens per minute (TPM): Limit 30000. Please try again in "
    "7.66s. Need more tokens? Upgrade at https://console.groq.com/settings/billing"
)


def gemini_429(per: str, delay: str = "17s") -> str:
    """What Gemini says of its free quota: the same words, whichever it is."""
    quota = f"GenerateRequests{per}PerProjectPerModel-FreeTier"
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": quota}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    words = f"{OPENAI_SPENT} For more information on this error, head to: https://ai.google.dev"
    error = {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED", "details": details}
    return json.dumps({"error": error})


@pytest.fixture(scope="module")
def views() -> list[View]:
    return some_views(8)


@pytest.mark.parametrize(("per", "answered"), [("PerMinute", 4), ("PerDay", 1)])
def test_geminis_free_quota(
    httpserver: HTTPServer,
    views: list[View],
    monkeypatch: pytest.MonkeyPatch,
    per: str,
    answered: int,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    busy = Response(gemini_429(per, "1s"), 429, content_type="application/json")
    path = "/v1beta/models/gemini-3.8-flash:generateContent"
    script = Script(httpserver, path, [gemini_body(STATED), busy, gemini_body(STATED)])
    options = {"api_base": httpserver.url_for("/v1beta"), "prompt": "direct", "shots": 0}
    answers = load_teacher("gemini", options={**options, "concurrency": 1}).label(views[:4])
    assert [answer.kind for answer in answers].count("label") == answered
    assert len(script.requests) == answered + 1


def test_waiting_times() -> None:
    assert wait_of("", {"retry-after": "7"}) == 7
    assert wait_of("", {"retry-after-ms": "250"}) == 0.25
    assert wait_of("", {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) == 600
    assert wait_of("", {"retry-after": "Fri, 01 Jan 2010 00:00:00 GMT"}) == 0
    assert wait_of('{"retryDelay": "7.5s"}', {}) == 7.5
    assert wait_of("", {"retry-after": "soon"}) is None
    assert wait_of("", {}) is None


@pytest.mark.parametrize(
    ("status", "text", "kind", "scope"),
    [
        (429, "rate limit", "rate_limited", "transient"),
        (429, "insufficient_quota", "rejected", "credential"),
        (429, OPENAI_SPENT, "rejected", "credential"),
        (429, OPENAI_MINUTE, "rate_limited", "transient"),
        (429, GROQ_MINUTE, "rate_limited", "transient"),
        (429, gemini_429("PerMinute"), "rate_limited", "transient"),
        (429, gemini_429("PerDay"), "rejected", "credential"),
        (403, "Your input was flagged by moderation", "refusal", "request"),
        (400, "Blocked. See your billing page for limits of content", "rejected", "request"),
        (500, "upstream unauthorized", "unavailable", "transient"),
        (401, "", "rejected", "credential"),
        (403, "", "rejected", "credential"),
        (402, "", "rejected", "credential"),
        (400, "API key not valid. Please pass a valid API key.", "rejected", "credential"),
        (400, "Your credit balance is too low", "rejected", "credential"),
        (404, "model not found", "rejected", "model"),
        (400, "content_policy_violation", "refusal", "request"),
        (400, "prompt is too long", "rejected", "request"),
        (413, "too large", "rejected", "request"),
        (408, "", "unavailable", "transient"),
        (500, "", "unavailable", "transient"),
        (529, "overloaded", "unavailable", "transient"),
        (None, "connection refused", "unavailable", "transient"),
        *((status, "", "unavailable", "transient") for status in (409, 423, 424, 425, 498, 499)),
        (403, '{"reason": "rateLimitExceeded"}', "rate_limited", "transient"),
        (403, '{"reason": "insufficient_quota rateLimitExceeded"}', "rejected", "credential"),
        (400, "The engine is currently overloaded", "unavailable", "transient"),
        (
            400,
            "Moderation is temporarily not available, try again later",
            "unavailable",
            "transient",
        ),
        (404, "The model is overloaded, please try again in 3 seconds", "unavailable", "transient"),
        (401, "Wrong key. Try again later", "rejected", "credential"),
    ],
)
def test_the_scope_of_an_error(status: int | None, text: str, kind: str, scope: str) -> None:
    error: ProviderError = classify_error(status, text, {}, "message")
    assert (error.kind, error.scope) == (kind, scope)


@pytest.mark.parametrize(("said", "kind"), [("true", "unavailable"), ("false", "rejected")])
def test_a_provider_may_say_that_it_passes(said: str, kind: str) -> None:
    """OpenAI and Anthropic do, in a header."""
    assert classify_error(400, "odd", {"x-should-retry": said}, "message").kind == kind
