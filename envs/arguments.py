"""An environment with arguments for ``gymnasium.make``, written as one name.

``FrozenLake-v1?is_slippery=false&map_name=8x8``: wherever an environment is named, it may be named
so. Values are JSON, or else text. One spelling is the canonical one, so that equal environments
have equal names.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from lvlm2p.envs.errors import UnknownNameError, UserError
from lvlm2p.envs.untrusted import MalformedDataError, parse_json, shorten

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

TIME_LIMIT = "max_episode_steps"
"""The one argument of ``gymnasium.make`` itself that may be given."""

RESERVED = frozenset({"render_mode", "disable_env_checker", "additional_wrappers"})
"""Arguments that are ours to choose."""

WORDS = {"true": True, "false": False, "none": None, "null": None}
LITERAL = "\"[]{}:,./- '()!*^@;|<>"
"""Characters that need no escape in a value."""


def split_arguments(env: str) -> tuple[str, dict[str, Any]]:
    """The Gymnasium id in ``env`` (with its module, if it has one) and the arguments.

    Raises:
        UserError: an argument is not written key=value, or is there twice.
    """
    env_id, question, rest = env.partition("?")
    arguments: dict[str, Any] = {}
    for pair in rest.split("&") if question else []:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(
                f"environment {shorten(env)!r}: {shorten(pair)!r} is no argument; "
                "they are written ID?key=value&key=value."
            )
        if key in arguments:
            raise UserError(f"environment {shorten(env)!r} says {key} twice.")
        arguments[key] = value_of(unquote(value))
    return env_id, arguments


def with_arguments(env: str, arguments: Mapping[str, Any]) -> str:
    """``env`` with these arguments, in place of those of the same name that it has; canonical."""
    env_id, own = split_arguments(env)
    both = {**own, **arguments}
    pairs = (f"{key}={quote(_written(both[key]), LITERAL)}" for key in sorted(both))
    return f"{env_id}?{'&'.join(pairs)}" if both else env_id


def value_of(text: str) -> Any:
    """What a written value means: JSON, true, false or none in any case, else the text itself."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return parse_json(text)
    except MalformedDataError:
        return text


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a command line gave, each text as what it means."""
    return {key: value_of(v) if isinstance(v, str) else v for key, v in given.items()}


def _written(value: Any) -> str:
    """The shortest text that :func:`value_of` reads as ``value``."""
    if isinstance(value, str) and value_of(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=repr)


def check_arguments(spec: EnvSpec, arguments: Mapping[str, Any]) -> None:
    """Whether an environment takes these arguments, and values of their types.

    Raises:
        UnknownNameError: it has no argument of that name; the sentence names the nearest.
        UserError: a value is of another type than the environment's default.
    """
    known, more = _parameters(spec)
    for key, value in arguments.items():
        if key in RESERVED:
            raise UserError(f"{key} is not for you to say: {spec.id} is made as it is needed.")
        if key == TIME_LIMIT:
            if not _is(value, int) or value < 1:
                raise UserError(f"{TIME_LIMIT} must be a whole number above 0, not {value!r}.")
        elif key in known:
            _check_type(spec.id, key, value, spec.kwargs.get(key, known[key]))
        elif not more:
            raise UnknownNameError(f"argument of {spec.id}", key, {*known, TIME_LIMIT} - RESERVED)


def _check_type(env_id: str, key: str, value: Any, default: Any) -> None:
    kind = next((kind for kind in (bool, int, float, str) if _is(default, kind)), None)
    fits = kind is None or value is None or _is(value, kind)
    if not fits and not (kind is float and _is(value, int)):
        assert kind is not None
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")
        raise UserError(
            f"{env_id}: {key} is {wanted} (its default is {default!r}), not {shorten(repr(value))}."
        )


def _is(value: object, kind: type) -> bool:
    """Of this very type: a bool is no number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _parameters(spec: EnvSpec) -> tuple[dict[str, Any], bool]:
    """Name -> default of what an environment's constructor takes; and whether it takes more."""
    from gymnasium.envs.registration import load_env_creator

    try:
        found = spec.entry_point
        creator: Any = found if callable(found) else load_env_creator(str(found))
    except Exception:  # of a missing package: making the environment says so
        return {}, True
    known: dict[str, Any] = {}
    # A constructor that passes **kwargs on takes what the one above it takes.
    for cls in inspect.getmro(creator) if inspect.isclass(creator) else [creator]:
        maker = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        if maker is None:
            continue
        parameters = list(inspect.signature(maker).parameters.values())
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for p in named[1:] if inspect.isclass(cls) else named:
            known.setdefault(p.name, None if p.default is p.empty else p.default)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known, False
    return known, True
