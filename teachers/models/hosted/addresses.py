"""Addresses of endpoints: joining, what is this machine's own, the proxy before it, what is shown.

Nothing here needs more than the standard library.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import urllib.request
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

KEY_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"}
)
"""Headers that may hold a key, in lower case."""

NO_KEY = "none"
"""Sent as the key to servers that want none, where litellm insists on one."""

_NO_KEYS = {NO_KEY, "fake-api-key"}  # the second is litellm's own stand-in
_KEY_PARAMETER = re.compile(
    r"key$|token$|secret|^sig$|signature|password|^auth|^code$", re.IGNORECASE
)
_PORTS = {"http": 80, "https": 443}


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL; None: it is none that could be asked."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # looking at it checks it
    except ValueError:
        return None
    whole = parts.scheme in ("http", "https") and parts.hostname
    return parts if whole and url.isprintable() and " " not in url else None


def join(url: str, path: str) -> str:
    """``url`` with ``path`` at the end of its path; a query stays behind it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, fragment=""))


def with_query(url: str, query: str) -> str:
    """``url`` with the parameters of ``query``, instead of its own of the same names."""
    if not query:
        return url
    parts = urlsplit(url)
    added = parse_qsl(query, keep_blank_values=True)
    names = {name for name, _ in added}
    own = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in own if name not in names]
    return urlunsplit(parts._replace(query=urlencode([*kept, *added])))


def without_query(url: str) -> str:
    """``url`` up to its query."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def public(url: str) -> str:
    """``url`` as it names an endpoint: no user, password, or parameter that may be a key."""
    parts = urlsplit(url)
    query = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _KEY_PARAMETER.search(name)
    ]
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), ""))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key belongs to."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    with contextlib.suppress(UnicodeError):  # too long a label, say: nothing answers there
        host = host.encode("idna").decode()
    return parts.scheme, host, parts.port or _PORTS.get(parts.scheme)


def shown_origin(url: str) -> str:
    """Scheme, host and port of ``url``, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def is_here(url: str) -> bool:
    """Whether ``url`` is this machine's own, in any spelling (``127.1``, ``[::1]``)."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[\dA-Fa-fxX.]+", host):
            return host == "localhost"
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment puts before ``url``; never one before this machine's own."""
    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    if is_here(url) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def holds_key(url: str, headers: Mapping[str, str]) -> bool:
    """Whether a request to ``url`` with these ``headers`` carries something secret."""
    parts = urlsplit(url)
    names = {name for name, _ in parse_qsl(parts.query)}
    sent = (value for name, value in headers.items() if name.lower() in KEY_HEADERS)
    real = any(value.split(" ")[-1] not in _NO_KEYS for value in sent if value.strip())
    return real or "@" in parts.netloc or any(map(_KEY_PARAMETER.search, names))
