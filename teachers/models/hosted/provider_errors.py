"""What can go wrong between us and a provider, as one typed exception.

Each error has a scope, which decides whether asking again can help:

============  ============================================  ====================================
scope         examples                                      what follows
============  ============================================  ====================================
"transient"   429, 5xx, timeout, reset, unreadable answer   asked again, after a while
"request"     too long, content policy, a 400               this view fails, others are asked
"credential"  401, 403, no quota left                       the key is disabled, another is used
"model"       404, unknown model                            nothing more is asked, unless there
                                                            were answers before
============  ============================================  ====================================
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from lvlm2p.teachers.label import FailureKind

Scope = Literal["transient", "request", "credential", "model"]

_NO_MONEY = re.compile(r"insufficient_quota|credit balance is too low|enable billing", re.I)
_DAY_IS_OVER = re.compile(r"PerDay|limit: 0\b")
"""Gemini's free quota: used up until tomorrow, or there is none."""
_NO_QUOTA = re.compile(r"exceeded your current quota", re.I)
"""OpenAI, when the money is spent; Gemini also when it was asked too often in this minute, and
then it says how long to wait."""
_THIS_MINUTE = re.compile(r"PerMinute|per min|(?:retry|try again) in \d", re.I)
_BAD_KEY = re.compile(
    r"api[ _-]?key[^.]{0,40}(?:not valid|invalid|incorrect|expired)|invalid[^.]{0,20}api[ _-]?key"
    r"|API_KEY_INVALID|PERMISSION_DENIED|unauthorized",
    re.I,
)
_NO_MODEL = re.compile(
    r"model[^.]{0,80}(?:not found|does not exist|not supported for)|model_not_found", re.I
)
_POLICY = re.compile(
    r"content[_ ]?(?:policy|filter|management)|safety system|responsible ai|moderation|flagged",
    re.I,
)
_THIS_TIME = re.compile(
    r"overloaded|temporarily|(?:service|currently) unavailable|try again later|server_error\b"
    r"|try again in|timed out",
    re.I,
)
"""Trouble that passes, under whatever status."""
_TOO_OFTEN = re.compile(r"rate_?limit_?exceeded|too many requests", re.I)
_RETRY_DELAY = re.compile(r"retryDelay\W{1,8}([\d.]{1,12})s")
_PASSING = frozenset({408, 409, 423, 424, 425, 498, 499})
"""Statuses below 500 that pass: timeouts and conflicts, a dependency that failed (Bedrock), no
capacity (Groq), cancelled (Google)."""
_LONGEST_WAIT = 600.0


class ProviderError(Exception):
    """One call that brought no answer.

    Attributes:
        kind: what a view's Failure is called if nothing better comes.
        scope: see above.
        wait: seconds that the provider asked us to wait; None: it did not say.
        billed: whether it is paid for all the same, an answer that was broken off; ``cost_usd`` is
            what it costs, None where that is not known.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        scope: Scope = "transient",
        wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.scope = scope
        self.wait = wait
        self.billed = False
        self.cost_usd: float | None = None


class PermanentProviderError(Exception):
    """No call will be answered any more, for this reason."""


def classify_error(
    status: int | None, text: str, headers: Mapping[str, Any], message: str
) -> ProviderError:
    """The error behind an HTTP answer.

    Args:
        status: HTTP status; None: there was no answer at all (refused, reset, unreadable).
        text: what the provider wrote, raw.
        headers: the answer's headers, keys in lower case.
        message: what people are told; scrubbed already.
    """
    wait = wait_of(text, headers)
    if status is None or not 400 <= status < 500 or status in _PASSING:
        return ProviderError("unavailable", message, wait=wait)
    often = status == 429 or (status == 403 and _TOO_OFTEN.search(text))  # Google's older APIs
    if often and not _is_spent(text, wait):
        return ProviderError("rate_limited", message, wait=wait)
    retry = headers.get("x-should-retry") == "true" or _THIS_TIME.search(text)
    if retry and status not in (401, 402, 429):
        return ProviderError("unavailable", message, wait=wait)
    if status not in (401, 402, 404, 429) and _POLICY.search(text):
        return ProviderError("refusal", message, scope="request")
    if status in (401, 402, 403, 429) or _BAD_KEY.search(text) or _NO_MONEY.search(text):
        return ProviderError("rejected", message, scope="credential")
    if status == 404 or (status == 400 and _NO_MODEL.search(text)):
        return ProviderError("rejected", message, scope="model")
    return ProviderError("rejected", message, scope="request")


def why_unreachable(error: Exception) -> str:
    """What went wrong on the way to a server, for people."""
    import aiohttp

    # aiohttp wraps what TLS says; its numbers are none of the system's
    tls = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(tls, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {tls.verify_message}. SSL_CERT_FILE names a file of "
            "certificates that are"
        )
    if isinstance(tls, ssl.SSLError):
        return f"no TLS with what answers there: {tls.reason or tls}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    if isinstance(error, aiohttp.ClientResponseError):
        return "what answers there does not speak HTTP"
    return f"{type(error).__name__}: {error}"


def _is_spent(text: str, wait: float | None) -> bool:
    """Whether a 429 means that this key will not be answered again today."""
    if _NO_MONEY.search(text) or _DAY_IS_OVER.search(text):
        return True
    return bool(_NO_QUOTA.search(text)) and wait is None and not _THIS_MINUTE.search(text)


def wait_of(text: str, headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from ``Retry-After`` (seconds or a date) or Gemini's ``retryDelay``."""
    seconds: float | None = None
    stated = headers.get("retry-after-ms"), headers.get("retry-after")
    if stated[0] is not None:
        seconds = _float(stated[0], 1e-3)
    if seconds is None and stated[1] is not None:
        seconds = _float(stated[1])
        if seconds is None:
            seconds = _until(str(stated[1]))
    if seconds is None:
        delay = _RETRY_DELAY.search(text)
        seconds = None if delay is None else _float(delay[1])
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)


def _float(value: Any, unit: float = 1.0) -> float | None:
    try:
        seconds = float(value) * unit
    except (TypeError, ValueError):
        return None
    return seconds if seconds == seconds else None


def _until(date: str) -> float | None:
    try:
        date_time = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    if date_time.tzinfo is None:
        date_time = date_time.replace(tzinfo=UTC)
    return (date_time - datetime.now(UTC)).total_seconds()
