"""The providers behind the teachers' names: which model, which key, which endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.models.hosted import addresses, event_loop, outcomes, wire
from lvlm2p.teachers.models.hosted.api_keys import read_keys, scrub
from lvlm2p.teachers.models.hosted.endpoints import (
    LOCAL_SERVER,
    check_url,
    named_in_environment,
)
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError

_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Provider:
    """Where a teacher's model is.

    Attributes:
        prefix: litellm's name of the provider, with its slash.
        model: the default; empty: whatever the server says that it serves.
        variables: environment variables that may hold the key; empty: none is needed.
        home: the provider's own endpoint; None: not known here, or there is none.
    """

    prefix: str
    model: str
    variables: tuple[str, ...] = ()
    home: str | None = None

    @property
    def local(self) -> bool:
        """Whether it is a server of the user's own."""
        return self.prefix == "hosted_vllm/"

    def full_model(self, model: str) -> str:
        """litellm's ``provider/model``, whether or not ``model`` names the provider."""
        return model if model.startswith(self.prefix) else self.prefix + model


PROVIDERS: Mapping[str, Provider] = {
    "gemini": Provider(
        "gemini/",
        "gemini-3.8-flash",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "https://generativelanguage.googleapis.com",
    ),
    "gpt-4v": Provider("openai/", "gpt-4.1-mini", ("OPENAI_API_KEY",), "https://api.openai.com/v1"),
    "claude": Provider(
        "anthropic/", "claude-haiku-5-5", ("ANTHROPIC_API_KEY",), "https://api.anthropic.com"
    ),
    "qwen-vl-local": Provider("hosted_vllm/", ""),
}

_OWN = {provider.prefix: provider for provider in PROVIDERS.values()}


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
    if prefix in _OWN:
        return replace(_OWN[prefix], model=model)
    return Provider(prefix, model, (f"{provider.upper()}_API_KEY",))


def find_keys(
    name: str, provider: Provider, key_file: Path | None, api_base: str | None
) -> tuple[str | None, ...]:
    """The API keys to use in turn; ``(None,)`` where none is needed.

    A server of the user's own (``api_base``) is asked without a key where there is none.

    Raises:
        TeacherNotReadyError: a key is needed and missing; the sentence names the variable.
    """
    own = provider.prefix in _OWN
    needed = own and bool(provider.variables) and api_base is None
    found = any(os.environ.get(variable, "").strip() for variable in provider.variables)
    if key_file is not None or found or needed:
        return _fit_to_send(name, read_keys(name, provider.variables, key_file))
    if api_base is not None and provider.prefix == "openai/":
        return (addresses.NO_KEY,)  # litellm insists on one
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
    """The URL that the user names, checked; None: none was named, the provider's own counts.

    Raises:
        ConfigError: not a URL.
    """
    option = f"teacher {name!r}, option api_base"
    if api_base is None:
        if provider.local:
            return LOCAL_SERVER
        return named_in_environment(name, provider.prefix, provider.home)
    url = check_url(option, api_base)
    parts = urlsplit(url)
    if provider.local and "@" in parts.netloc:
        raise ConfigError(
            f"{option}: leave user and password out of the URL; "
            "a key goes into a file, named with -T key_file=PATH"
        )
    return addresses.join(url, "/v1") if provider.local and not parts.path else url


def served_models(
    name: str, url: str, key_file: Path | None = None, insecure: bool = False
) -> list[str]:
    """What an OpenAI-compatible server of the user's own says that it serves.

    Raises:
        TeacherNotReadyError: there is none at ``url``, or it wants another key; the sentence says
            what to do.
    """
    keys = find_keys(name, provider_of(name), key_file, url)
    server = f"teacher {name!r}: the server at {addresses.public(url)}"
    answers = (_ask_models(name, url, key, insecure) for key in keys)
    found = next((models for models in answers if models is not None), None)
    if found is None:
        wrong = "needs an API key" if keys == (None,) else "refuses every API key that it was given"
        raise TeacherNotReadyError(
            f"{server} {wrong}: name a file that holds its key with -T key_file=PATH, or another "
            "server with -T api_base=URL"
        )
    if not found:
        raise TeacherNotReadyError(f"{server} serves no model")
    return found


def _ask_models(name: str, url: str, key: str | None, insecure: bool) -> list[str] | None:
    """What the server at ``url`` serves; None: it refuses the key, or that there is none."""
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    exchange = wire.Exchange(f"teacher {name!r}", url, _PATIENCE_S, insecure, (key or "",))
    asking = wire.send(exchange, "GET", addresses.join(url, "/models"), headers)
    try:
        event_loop.submit(asking).result()
    except ProviderError as error:
        if error.scope == "model":  # nothing was sent, or it would go elsewhere
            raise TeacherNotReadyError(str(error)) from None
        reason = str(error).removeprefix(f"{exchange.who}: ")
    else:
        if exchange.status in (401, 403):
            return None
        if exchange.status == 200:
            try:
                return [str(row["id"]) for row in outcomes.parsed(exchange.body)["data"]]
            except (LookupError, TypeError):
                reason = "what is there does not speak OpenAI's protocol"
        else:
            reason = (
                f"{exchange.status} {scrub(outcomes.words(exchange.body), (key or '',))}".strip()
            )
    raise TeacherNotReadyError(
        f"teacher {name!r}: no model server answers at {addresses.public(url)} ({reason}): start "
        "one with `lvlm2p serve qwen-vl-local`, or name another with -T api_base=URL"
    )
