"""Walking over a store: its answers with their states, and what they add up to."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import parse_json
from lvlm2p.teachers.errors import StoreError, UserError
from lvlm2p.teachers.label import MAX_COUNT, Entry
from lvlm2p.teachers.store.rows import misfit, parse, parts_of
from lvlm2p.teachers.store.store import LabelStore

BATCH = 2_000
"""Answers whose views are looked up in one query."""

NAMED = 10
"""So many teachers and tasks are named where nothing was chosen."""

ANSWERS = "SELECT key, tag, value FROM Cache WHERE raw = 1 AND mode = 1 AND tag >= ? AND tag < ?"
KINDS = ('["label",', '["failure",')
"""How the tags of answers begin."""


NUMBERS = [f"json_extract(tag, '$[{place}]')" for place in range(7, 12)]
"""Where a tag has its price (null: not known) and its counts, the last of all."""

ADD_UP = (
    f"SELECT COUNT(*), COUNT({NUMBERS[0]}), {', '.join(f'TOTAL({n})' for n in NUMBERS)}"
    " FROM Cache WHERE tag >= ? AND tag < ? AND json_valid(tag)"
)


class Tag(NamedTuple):
    """What :func:`lvlm2p.teachers.store.rows.tag_of` wrote beside a row."""

    kind: str
    task: str
    teacher: str
    fingerprint: str
    prompt: str
    model: str
    how: str
    """Elicitation of a label, kind of a failure."""
    cost_usd: float | None
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class AnswerFilter:
    """Which answers: those for which everything given here is so."""

    teacher: str | None = None
    task: str | None = None
    prompt: str | None = None
    """Beginning of the prompt's fingerprint."""

    def __contains__(self, tag: object) -> bool:
        assert isinstance(tag, Tag)
        if self.teacher not in (None, tag.teacher) or self.task not in (None, tag.task):
            return False
        return self.prompt is None or tag.prompt.startswith(self.prompt)


_TAG = TypeAdapter(Tag, config=ConfigDict(allow_inf_nan=False, defer_build=True))


def read_tag(text: object) -> Tag | None:
    """The tag of an answer's row; None where it is none."""
    try:
        return _TAG.validate_json(text) if isinstance(text, str) else None
    except ValidationError:
        return None


def answer_rows(store: LabelStore, wanted: AnswerFilter) -> Iterator[tuple[str, Tag, str]]:
    """(key, tag, JSON) of each chosen answer, streamed; labels before failures."""
    for kind in KINDS:
        for key, text, value in store.reader.walk(ANSWERS, (kind, kind[:-1] + "-")):
            tag = read_tag(text)
            if tag is not None and tag in wanted and type(key) is type(value) is str:
                yield key, tag, value


def entries(store: LabelStore, wanted: AnswerFilter) -> Iterator[Entry]:
    """Each chosen answer with its state. Damaged ones, and those without a usable state, are left
    out: `labels verify` names them."""
    batch: list[tuple[str, str]] = []
    for key, _, value in answer_rows(store, wanted):
        batch.append((key, value))
        if len(batch) == BATCH:
            yield from _with_views(store, batch)
            batch = []
    yield from _with_views(store, batch)


def _with_views(store: LabelStore, batch: list[tuple[str, str]]) -> Iterator[Entry]:
    named = []
    for key, value in batch:
        with contextlib.suppress(ValueError):
            _, view_key, sample = parts_of(key.partition("/")[2])
            named.append((key, value, view_key, sample))
    views = read_views(store, {view_key for _, _, view_key, _ in named})
    for key, value, view_key, sample in named:
        view = views.get(view_key)
        with contextlib.suppress(StoreError):
            answer = parse(store.path, key, value)
            if view is not None and misfit(view, answer, key.split("/")[1]) is None:
                yield Entry(view, answer, sample)


def read_views(store: LabelStore, view_keys: Iterable[str]) -> dict[str, View]:
    """The views of these keys, as far as they are stored and their task is known."""
    views = {}
    for key, row in store.reader.rows((f"view/{key}" for key in view_keys), bad={}).items():
        with contextlib.suppress(UserError):
            views[key.removeprefix("view/")] = View.from_json(parse_json(row.text))
    return views


def tags(store: LabelStore) -> Iterator[tuple[Tag, int]]:
    """Each distinct tag but for its numbers, which are sums here, and of how many answers.

    Tags that begin with the same words are one range of the index of tags, which SQLite adds up:
    a store of a million answers takes seconds, though no two of them have the same price.
    """
    for words, tag in beginnings(store):
        (found,) = store.reader.walk(ADD_UP, (f"{words},", f"{words}-"))
        count, priced, usd, *counts = found
        if count:  # else there is nothing but what we never write: `labels verify` names it
            known = priced == count and math.isfinite(usd)
            whole = [int(number) if abs(number) < MAX_COUNT else 0 for number in counts]
            yield Tag(*tag[:7], usd if known else None, *whole), count


def beginnings(store: LabelStore) -> Iterator[tuple[str, Tag]]:
    """The words that tags begin with, and the first tag that does; numbers aside, all are alike."""
    query = "SELECT tag FROM Cache WHERE tag > ? AND tag < ? ORDER BY tag LIMIT 1"
    for kind in KINDS:
        last: str | None = kind
        while last is not None:
            found = list(store.reader.walk(query, (last, f"{kind[:-1]}-")))
            last = None
            for (text,) in found:
                last, tag = text, read_tag(text)
                if tag is not None:
                    words, *_ = text.rsplit(",", len(NUMBERS))
                    last = f"{words}-"
                    yield words, tag


def count(store: LabelStore, wanted: AnswerFilter) -> int:
    """How many answers are chosen."""
    return sum(number for tag, number in tags(store) if tag in wanted)


def nothing_chosen(store: LabelStore, wanted: AnswerFilter) -> str:
    """That no answer is chosen, and which there are, in one sentence."""
    asked = " ".join(f"--{k} {v}" for k, v in asdict(wanted).items() if v is not None)
    there = sorted(
        {f"{tag.teacher} about {tag.task}{_prompt(tag)}" for _, tag in beginnings(store)}
    )
    if not there:
        return f"the label store {store.path} holds no labels yet"
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    return (
        f"the label store {store.path} holds no answers with {asked}, only those of "
        f"{', '.join(there[:NAMED])}{more}"
    )


def _prompt(tag: Tag) -> str:
    return f" (prompt {tag.prompt[:8]})" if tag.prompt else ""
