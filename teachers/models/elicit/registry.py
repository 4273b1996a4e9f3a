"""The elicitations by name: the values of ``--elicit``. Nothing is imported before it is used.

A new one is a subclass of :class:`lvlm2p.teachers.models.elicit.base.Elicitation` in a file of its
own, and a line in :data:`BUILTIN` (in another package: a call of :func:`register_elicitation`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from lvlm2p.teachers.models.elicit.base import Elicitation

BUILTIN: dict[str, str] = {
    "stated": "lvlm2p.teachers.models.elicit.stated:Stated",
    "choice": "lvlm2p.teachers.models.elicit.choice:Choice",
    "votes": "lvlm2p.teachers.models.elicit.votes:Votes",
    "logprobs": "lvlm2p.teachers.models.elicit.logprobs:Logprobs",
    "plans": "lvlm2p.teachers.models.elicit.plans:PlanElicitation",
}
"""Name -> "module:class"."""

_registered: dict[str, str | type[Elicitation]] = {**BUILTIN}


def register_elicitation(name: str, kind: str | type[Elicitation]) -> None:
    """Let models be asked with ``elicit=name``; ``kind`` is a class, or "module:class".

    Raises:
        ValueError: the name is taken by another.
    """
    if _registered.setdefault(name, kind) != kind:
        raise ValueError(f"there is an elicitation {name!r} already")


def elicitation_names() -> tuple[str, ...]:
    """All that are registered, those that ship here first."""
    return tuple(_registered)


def elicitation_class(name: str) -> type[Elicitation]:
    """The class behind ``name``, imported now.

    Raises:
        KeyError: the name is not registered.
    """
    kind = _registered[name]
    if isinstance(kind, str):
        module, _, attribute = kind.partition(":")
        return cast("type[Elicitation]", getattr(importlib.import_module(module), attribute))
    return kind
