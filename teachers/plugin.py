"""What a teacher class is handed when it is built, and what it tells about itself.

A teacher class, ours or a third party's, offers::

    class MyTeacher(Teacher):
        class Options(BaseModel, extra="forbid"):      # the keys of -T key=value
            model: str = "some-model"

        @classmethod
        def build(cls, name: str, options: Options, context: Context) -> Teacher: ...

        @classmethod
        def status(cls, name: str) -> Status: ...      # a row of `lvlm2p teachers`; optional

        @classmethod
        def members_in(cls, name: str) -> tuple[str, ...]: ...   # only if it is made of others:
                                                       # -T MEMBER.key=value is then a member's

and is registered in ``teachers/registry.py`` or in the entry-point group ``lvlm2p.teachers``.
``build`` must not need a key, a server or a heavy import: offline, nobody is ever asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lvlm2p.teachers.errors import ConfigError

if TYPE_CHECKING:
    from lvlm2p.teachers.budget import Budget
    from lvlm2p.teachers.teacher import Teacher


class Journal(Protocol):
    """Single provider replies (a turn, a vote) on disk, so that a kill between two of them bills
    nothing twice. ``LabelStore`` is one; it drops the replies of a state as soon as
    the state's label, which holds the transcript, is stored.
    """

    def get_reply(self, key: str) -> dict[str, Any] | None:
        """The reply put under ``key`` (see :func:`reply_key`), or None."""
        ...

    def put_reply(self, key: str, reply: Mapping[str, Any]) -> None:
        """Put a JSON-serialisable reply; it is on disk when this returns."""
        ...


def reply_key(fingerprint: str, view_key: str, sample: int, turn: int | str) -> str:
    """The name of one reply. ``turn``: turn or vote index, or both ("1/3")."""
    return f"{fingerprint}/{view_key}/{sample}/{turn}"


@dataclass(frozen=True)
class Context:
    """What is around a teacher while it works.

    Attributes:
        journal: where each reply goes before it is used; None: nowhere.
        budget: asked before each call; None: no limit.
        sample: which sample of the teacher's answers this run wants. 0 is the usual one; another
            number asks afresh, for measuring how consistent a teacher is.
        by_batch: whether to ask through the provider's batch API.
        loader: what :meth:`load` calls, with a name and its ``options``; None: it can't be called.
        member_options: the options that were given for members, by member.
    """

    journal: Journal | None = None
    budget: Budget | None = None
    sample: int = 0
    loader: Callable[..., Teacher] | None = None
    member_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    by_batch: bool = False

    def load(
        self,
        name: str,
        options: Mapping[str, object] | None = None,
        budget: Budget | None = None,
    ) -> Teacher:
        """Another teacher for the one that is being built to ask, e.g. a member of an ensemble.

        It has the same store, sample and way of going offline, and its answers are stored under
        its own fingerprint. Whoever loads it enters its fingerprint into the own one, and closes
        it.

        Args:
            name: as on the command line.
            options: its own; those that the user gave for this member go before them.
            budget: another than the common one, such as a part of it.

        Raises:
            UserError: as :func:`lvlm2p.teachers.load_teacher`.
            ConfigError: the teacher is not being built by ``load_teacher``.
        """
        if self.loader is None:
            raise ConfigError(
                f"the teacher {name!r} is to be loaded by a teacher that load_teacher did not "
                "build: give its Context a loader, such as load_teacher itself"
            )
        given = {**(options or {}), **self.member_options.get(name, {})}
        own = {} if budget is None else {"budget": budget}
        return self.loader(name, options=given, **own)


@dataclass(frozen=True)
class Status:
    """One row of ``lvlm2p teachers``.

    Attributes:
        name: as on the command line.
        model: what answers.
        elicitations: what it can be asked for: values of ``--elicit``.
        usd_per_1000: price of 1,000 labels at the current prompt; 0.0: free; None: unknown.
        ready: whether it could be asked right now.
        note: what is missing, or what one should know, in one sentence.
    """

    name: str
    model: str
    elicitations: tuple[str, ...]
    usd_per_1000: float | None
    ready: bool
    note: str = ""


def fingerprint_of(facts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that name ``facts`` (JSON values only), whatever their order."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
