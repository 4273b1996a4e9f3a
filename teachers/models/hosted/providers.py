"""The providers behind the teachers' names: which model, which key, which endpoint."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.models.hosted.api_keys import read_keys, scrub

LOCAL_SERVER = "http://127.0.0.1:8000/v1"
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Provider:
    """Where a teacher's model is.

    Attributes:
        prefix: litellm's name of the provider, with its slash.
        model: the default; empty: whatever the server says that it serves.
        variables: environment variables that may hold the key; empty: none is needed.
    """

    prefix: str
    model: str
    variables: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether it is a server of the user's own."""
        return self.prefix == "hosted_vllm/"

    def full_model(self, model: str) -> str:
        """litellm's ``provider/model``, whether or not ``model`` names the provider."""
        return model if model.startswith(self.prefix) else self.prefix + model


PROVIDERS: Mapping[str, Provider] = {
    "gemini": Provider("gemini/", "gemini-3.8-flash", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    "gpt-4v": Provider("openai/", "gpt-4.1-mini", ("OPENAI_API_KEY",)),
    "claude": Provider("anthropic/", "claude-haiku-5-5", ("ANTHROPIC_API_KEY",)),
    "qwen-vl-local": Provider("hosted_vllm/", ""),
}

_OWN_VARIABLES = {provider.prefix: provider.variables for provider in PROVIDERS.values()}


def provider_of(name: str) -> Provider:
    """The provider behind a teacher's name, ``litellm:<provider/model>`` included.

    Raises:
        ConfigError: ``litellm:`` without a provider and a model.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]
    full = name.removeprefix("litellm:")
    provider, slash, model = full.partition("/")
    if not (provider and slash and model):
        raise ConfigError(
            f"teacher {name!r}: write litellm:<provider/model>, e.g. litellm:openai/gpt-4.1"
        )
    prefix = f"{provider}/"
    variables = _OWN_VARIABLES.get(prefix, (f"{provider.upper()}_API_KEY",))
    return Provider(prefix, model, variables)


def find_keys(
    name: str, provider: Provider, key_file: Path | None, api_base: str | None
) -> tuple[str | None, ...]:
    """The API keys to use in turn; ``(None,)`` where none is needed.

    A server of the user's own (``api_base``) is asked without a key where there is none.

    Raises:
        TeacherNotReadyError: a key is needed and missing; the sentence names the variable.
    """
    own = provider.prefix in _OWN_VARIABLES
    needed = own and bool(provider.variables) and api_base is None
    found = any(os.environ.get(variable, "").strip() for variable in provider.variables)
    if key_file is not None or found or needed:
        return _fit_to_send(name, read_keys(name, provider.variables, key_file))
    if api_base is not None and provider.prefix == "openai/":
        return ("none",)  # litellm insists on one
    if own or api_base is not None:
        return (None,)
    _check_environment(name, provider)
    return (None,)


def _fit_to_send(name: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """``keys``, if a header can hold them: a typographic quote that came along can't be sent."""
    if not all(key.isascii() and key.isprintable() for key in keys):
        raise TeacherNotReadyError(
            f"teacher {name!r}: one of the API keys holds a character that no key has"
        )
    return keys


def _check_environment(name: str, provider: Provider) -> None:
    """Whether litellm finds the credentials of one of its many other providers."""
    from lvlm2p.teachers.models.hosted.litellm_client import import_litellm

    found = import_litellm().validate_environment(provider.full_model(provider.model))
    missing = found.get("missing_keys") or []
    if missing and not found.get("keys_in_environment"):
        raise TeacherNotReadyError(
            f"teacher {name!r} needs credentials: set {' and '.join(missing)}"
        )


def endpoint(name: str, provider: Provider, api_base: str | None) -> str | None:
    """The URL to send to, checked; None: the provider's own.

    Raises:
        ConfigError: not a URL.
    """
    if api_base is None:
        return LOCAL_SERVER if provider.local else None
    parts = _parts(api_base)
    if parts is None:
        shown = scrub(re.sub("//.*@", "//***@", api_base), ())
        raise ConfigError(
            f"teacher {name!r}, option api_base={shown!r}: write a URL such as {LOCAL_SERVER}"
        )
    if provider.local and "@" in parts.netloc:
        raise ConfigError(
            f"teacher {name!r}, option api_base: leave user and password out of the URL; "
            "a key goes into a file, named with -T key_file=PATH"
        )
    path = parts.path.rstrip("/")
    if provider.local and not path:
        path = "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; None: it is none that could be asked."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # looking at it checks it
    except ValueError:
        return None
    whole = parts.scheme in ("http", "https") and parts.hostname
    return parts if whole and url.isprintable() and " " not in url else None


def served_models(name: str, url: str, key_file: Path | None = None) -> list[str]:
    """What an OpenAI-compatible server of the user's own says that it serves.

    Raises:
        TeacherNotReadyError: there is none at ``url``, or it wants another key; the sentence says
            what to do.
    """
    keys = find_keys(name, provider_of(name), key_file, url)
    answers = (_ask_models(name, url, key) for key in keys)
    found = next((models for models in answers if models is not None), None)
    if found is None:
        wrong = "needs an API key" if keys == (None,) else "refuses every API key that it was given"
        raise TeacherNotReadyError(
            f"teacher {name!r}: the server at {url} {wrong}: name a file that holds its key with "
            "-T key_file=PATH, or another server with -T api_base=URL"
        )
    if not found:
        raise TeacherNotReadyError(f"teacher {name!r}: the server at {url} serves no model")
    return found


def _ask_models(name: str, url: str, key: str | None) -> list[str] | None:
    """What the server at ``url`` serves; None: it refuses the key, or that there is none."""
    request = urllib.request.Request(f"{url}/models", headers={"Accept": "application/json"})
    if key is not None:  # which must not follow a redirect to another host
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    # No proxy where the address is this machine's own.
    handlers = [urllib.request.ProxyHandler({})] if _is_here(url) else []
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=_PATIENCE_S) as answer:
            rows = json.loads(answer.read(2**20))["data"]
            return [str(row["id"]) for row in rows]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            return None
        reason = f"{error.code} {error.reason}"
    except OSError as error:
        cause = getattr(error, "reason", error)
        reason = str(getattr(cause, "strerror", None) or cause)
    except (HTTPException, ValueError, LookupError, TypeError, RecursionError):
        reason = "what is there does not speak OpenAI's protocol"
    raise TeacherNotReadyError(
        f"teacher {name!r}: no model server answers at {url} ({scrub(reason, [key or ''])}): start "
        "one with `lvlm2p serve qwen-vl-local`, or name another with -T api_base=URL"
    )


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified
