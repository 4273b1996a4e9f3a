"""Whom to pay: by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lvlm2p.teachers.evaluation.cheapest import cheapest, offers


def row(teacher: str, usd: float | None, top1: float, level: str) -> Any:
    return SimpleNamespace(
        teacher=teacher,
        cost=SimpleNamespace(usd_per_1000=usd),
        top1=SimpleNamespace(value=top1),
        verdict=SimpleNamespace(level=level),
    )


ROWS = [
    row("dear", 5.0, 0.95, "strong"),
    row("beaten", 2.0, 0.80, "useful"),
    row("cheap", 1.0, 0.85, "useful"),
    row("free", 0.0, 0.40, "no"),
    row("unpriced", None, 0.99, "strong"),
]


def test_the_cheapest_good_one_and_the_front() -> None:
    found = offers(ROWS)
    assert [offer.teacher for offer in found] == ["free", "cheap", "beaten", "dear"]
    assert [offer.best for offer in found] == [True, True, False, True]
    assert [offer.good for offer in found] == [False, True, True, True]
    best = cheapest(found)
    assert best is not None and best.teacher == "cheap"


def test_equals_do_not_beat_each_other() -> None:
    twins = offers([row("a", 1.0, 0.9, "strong"), row("b", 1.0, 0.9, "strong")])
    assert [offer.best for offer in twins] == [True, True]
    right = offers([row("less", 1.0, 0.8, "useful"), row("more", 1.0, 0.9, "useful")])
    assert [(offer.teacher, offer.best) for offer in right] == [("more", True), ("less", False)]


def test_nobody_may_be_good_enough() -> None:
    assert cheapest(offers([row("a", 1.0, 0.3, "doubtful")])) is None
    assert offers([row("a", None, 0.3, "doubtful")]) == []
