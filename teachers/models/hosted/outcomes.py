"""What an answer's ending means, by the provider's own word for it.

litellm translates finish reasons into OpenAI's, and what it does not know, or what went wrong on
the way, becomes "stop". So the provider's own answer is looked at. Each protocol's list is closed:
a reason that is not on it, and one that is missing, is trouble that may pass; the question is asked
again, and nothing is stored as final. docs/teachers.md shows the lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from lvlm2p.envs.untrusted import MalformedDataError, parse_json
from lvlm2p.teachers.models.messages import Finish

Outcome: TypeAlias = Finish | Literal["again"]
"""``again``: the answer was broken off for a reason that may pass."""

OPENAI: Mapping[str, Outcome] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",
    "length": "length",
    "model_length": "length",  # Mistral
    "content_filter": "refusal",
    "sensitive": "refusal",  # Zhipu
    "tool_calls": "again",  # no tool was offered
    "function_call": "again",
    "abort": "again",  # vLLM, SGLang
    "error": "again",  # vLLM, Mistral, OpenRouter
    "load": "again",  # Ollama, while it loads the model
    "network_error": "again",  # Zhipu
    "insufficient_system_resource": "again",  # DeepSeek
}

ANTHROPIC: Mapping[str, Outcome] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "again",
    "compaction": "again",
    "tool_use": "again",  # but for litellm's own tool, below
}

GEMINI: Mapping[str, Outcome] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "OTHER": "again",
    "FINISH_REASON_UNSPECIFIED": "again",
    "MALFORMED_FUNCTION_CALL": "again",
    "MALFORMED_RESPONSE": "again",
    "UNEXPECTED_TOOL_CALL": "again",
    "TOO_MANY_TOOL_CALLS": "again",
    "MISSING_THOUGHT_SIGNATURE": "again",
    "IMAGE_OTHER": "again",
    "NO_IMAGE": "again",
}

GEMINI_BLOCKED: Mapping[str, Outcome] = {
    "SAFETY": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "IMAGE_SAFETY": "refusal",
    "MODEL_ARMOR": "refusal",
    "JAILBREAK": "refusal",
    "OTHER": "again",
    "BLOCK_REASON_UNSPECIFIED": "again",
}
"""``promptFeedback.blockReason``: the question itself was not let through."""

BEDROCK: Mapping[str, Outcome] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "refusal",
    "guardrail_intervened": "refusal",
    "tool_use": "again",
    "malformed_model_output": "again",
    "malformed_tool_use": "again",
}

COHERE: Mapping[str, Outcome] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_TOXIC": "refusal",
    "TOOL_CALL": "again",
    "ERROR": "again",
    "TIMEOUT": "again",
}

RESPONSES: Mapping[str, Outcome] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "content_filter": "refusal",
    "failed": "again",
    "cancelled": "again",
    "queued": "again",
    "in_progress": "again",
}
"""``status``, or of an incomplete answer the reason, where litellm asks OpenAI's other API."""

PROTOCOLS: Mapping[str, Mapping[str, Outcome]] = {
    "OpenAI, vLLM": OPENAI,
    "OpenAI Responses": RESPONSES,
    "Anthropic": ANTHROPIC,
    "Gemini": GEMINI,
    "Gemini, blocked prompt": GEMINI_BLOCKED,
    "Bedrock": BEDROCK,
    "Cohere": COHERE,
}

STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
}
"""Errors by name, which come inside a 200; any other one may pass."""

_LITELLMS_TOOL = "json_tool_call"
"""Claude models whose schemas litellm does not know are made to call it with their answer."""

_SHOWN = 1000  # characters of an error in no known form


def parsed(body: bytes) -> Any:
    """The JSON value of a body; of a stream that nobody asked for, its first error; else None."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith(("data:", "event:", ":")):
        events = (_json(line[5:]) for line in text.splitlines()[:1000] if line.startswith("data:"))
        return next((event for event in events if error_in(event) is not None), None)
    return _json(text)


def _json(text: str) -> Any:
    try:
        return parse_json(text, half_characters=True)
    except MalformedDataError:
        return None


def ending(answer: Any) -> tuple[str, Outcome] | None:
    """The provider's word for why the answer ends, and what that means; None: no known protocol.

    Args:
        answer: the JSON value that came, an error aside.
    """
    if not isinstance(answer, dict):
        return None
    if "candidates" in answer or "promptFeedback" in answer:
        return _gemini(answer)
    if "choices" in answer:
        return means(OPENAI, _first(answer["choices"]).get("finish_reason"))
    if "stop_reason" in answer and "content" in answer:
        return _anthropic(answer)
    if answer.get("object") == "response":
        return _responses(answer)
    for key, reasons in (
        ("stopReason", BEDROCK),
        ("finish_reason", COHERE),
        ("done_reason", OPENAI),
    ):
        if key in answer:
            return means(reasons, answer[key])
    return None


def means(reasons: Mapping[str, Outcome], reason: Any) -> tuple[str, Outcome]:
    """A finish reason, fit to be shown, and what becomes of an answer that ends so."""
    known = reasons.get(reason, "again") if isinstance(reason, str) else "again"
    return str(reason)[:60], known


def _gemini(answer: Mapping[str, Any]) -> tuple[str, Outcome]:
    candidate = _first(answer.get("candidates"))
    feedback = answer.get("promptFeedback")
    if not candidate and isinstance(feedback, dict) and feedback.get("blockReason"):
        return means(GEMINI_BLOCKED, feedback["blockReason"])
    reason, outcome = means(GEMINI, candidate.get("finishReason"))
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if outcome == "stop" and not any(part.get("text") for part in _dicts(parts)):
        return f"{reason} without text", "again"
    return reason, outcome


def _anthropic(answer: Mapping[str, Any]) -> tuple[str, Outcome]:
    reason, outcome = means(ANTHROPIC, answer["stop_reason"])
    parts = _dicts(answer["content"])
    tools = [part.get("name") for part in parts if part.get("type") == "tool_use"]
    if reason == "tool_use" and tools == [_LITELLMS_TOOL]:
        return reason, "stop"
    return reason, outcome


def _responses(answer: Mapping[str, Any]) -> tuple[str, Outcome]:
    details = answer.get("incomplete_details")
    why = details.get("reason") if isinstance(details, dict) else None
    return means(RESPONSES, why if answer.get("status") == "incomplete" else answer.get("status"))


def _first(listed: Any) -> Mapping[str, Any]:
    return next(iter(_dicts(listed)), {})


def _dicts(listed: Any) -> Sequence[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def error_in(answer: Any) -> int | None:
    """The HTTP status that an error in an answer amounts to (503 where it does not say); None:
    it is no error."""
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error") or _first(answer.get("choices")).get("error")
    if not error and "error" in (answer.get("object"), answer.get("type")):
        error = answer
    if not error:
        return None
    fields = error if isinstance(error, dict) else {}
    named = [str(fields.get(key)) for key in ("code", "status", "type")]
    for name in named:
        if re.fullmatch(r"[45]\d\d", name):
            return int(name)
    return next((STATUSES[name.lower()] for name in named if name.lower() in STATUSES), 503)


def words(body: bytes) -> str:
    """The message of an error, wherever the provider put it; without the markup of a page."""
    text = body.decode("utf-8-sig", "replace").strip()
    found = _message(parsed(body))
    return found or re.sub(r"<[^<>]*>", " ", text[: 10 * _SHOWN]).strip()[:_SHOWN]


def _message(answer: Any, depth: int = 4) -> str:
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if isinstance(answer, str):
        return answer[:_SHOWN]
    if not isinstance(answer, dict) or not depth:
        return ""
    inner = answer.get("error") or _first(answer.get("choices")).get("error")
    listed = (inner, answer.get("message"), answer.get("detail"), answer.get("msg"))
    return next((found for one in listed if one and (found := _message(one, depth - 1))), "")
