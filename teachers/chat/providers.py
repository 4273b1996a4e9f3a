"""The providers behind the teachers' names: which model, which key, which endpoint."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from teachers.chat.keys import read_keys
from teachers.errors import ConfigError, TeacherNotReadyError

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
        return read_keys(name, provider.variables, key_file)
    if api_base is not None and provider.prefix == "openai/":
        return ("none",)  # litellm insists on one
    if own or api_base is not None:
        return (None,)
    _check_environment(name, provider)
    return (None,)


def _check_environment(name: str, provider: Provider) -> None:
    """Whether litellm finds the credentials of one of its many other providers."""
    from teachers.chat.client import import_litellm

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
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(
            f"teacher {name!r}, option api_base={api_base!r}: write a URL such as {LOCAL_SERVER}"
        )
    path = parts.path.rstrip("/")
    if provider.local and not path:
        path = "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def served_models(name: str, url: str) -> list[str]:
    """What an OpenAI-compatible server says that it serves.

    Raises:
        TeacherNotReadyError: there is none at ``url``; the sentence says how to start one.
    """
    request = urllib.request.Request(f"{url}/models", headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            rows = json.loads(answer.read(2**20))["data"]
            found = [str(row["id"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", None) or error
        raise TeacherNotReadyError(
            f"teacher {name!r}: no model server answers at {url} ({reason}): start one with "
            "`lvlm2p serve qwen-vl-local`, or name another with -T api_base=URL"
        ) from None
    if not found:
        raise TeacherNotReadyError(f"teacher {name!r}: the server at {url} serves no model")
    return found
