"""How much may be asked: budgets are kept, and what is on its way is counted."""

from __future__ import annotations

import json
import tempfile
import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, LabelStore
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.errors import ConfigError
from tests.support.chat import (
    CHOICE,
    GOOD,
    KEY,
    OPENAI,
    Script,
    gpt,
    openai_body,
    some_views,
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def views() -> list[View]:
    return some_views(8)


def test_a_budget_of_calls_is_kept(httpserver: HTTPServer, views: list[View]) -> None:
    script = Script(httpserver, OPENAI, [GOOD])
    budget = Budget(calls=3)
    answers = gpt(httpserver, budget=budget).label(views)
    assert len(script.requests) == 3
    failed = [answer for answer in answers if isinstance(answer, Failure)]
    assert len(failed) == 5
    assert {(f.failure, f.message) for f in failed} == {
        ("budget", "the budget of 3 calls is spent")
    }


def test_a_budget_of_dollars_is_kept(httpserver: HTTPServer, views: list[View]) -> None:
    script = Script(httpserver, OPENAI, [GOOD])
    price = (40 * 0.4 + 60 * 0.1 + 10 * 1.6) / 1e6
    answers = gpt(httpserver, budget=Budget(usd=2.5 * price), concurrency=1).label(views)
    assert len(script.requests) == 3
    assert [answer.kind for answer in answers] == ["label"] * 3 + ["failure"] * 5


def test_a_spent_budget_stops_what_waits_for_its_turn(
    httpserver: HTTPServer, views: list[View]
) -> None:
    """The many votes of one state are all put at once, and wait at the gate."""
    script = Script(httpserver, OPENAI, [openai_body(CHOICE)])
    price = (40 * 0.4 + 60 * 0.1 + 10 * 1.6) / 1e6
    asking: dict[str, Any] = {"elicit": "votes", "samples": 20, "concurrency": 2}
    gpt(httpserver, budget=Budget(usd=2.5 * price), **asking).label(views)
    assert len(script.requests) <= 4, "three, and what was in flight"


def test_walking_away_pays_for_nothing_twice(httpserver: HTTPServer, views: list[View]) -> None:
    """Calls under way are billed: they are waited for, counted, and not made again."""

    def slow() -> Response:
        time.sleep(0.3)
        return Response(json.dumps(GOOD), content_type="application/json")

    script = Script(httpserver, OPENAI, [GOOD, slow])
    budget = Budget(calls=8)
    with tempfile.TemporaryDirectory() as folder, LabelStore(folder) as store:
        teacher = gpt(httpserver, store, budget=budget)
        asking = teacher.ask(views)
        next(asking)
        asking.close()  # type: ignore[attr-defined]  # a generator, though Teacher promises less
        assert budget.spent_calls == len(script.requests) > 1
        assert [answer.kind for answer in teacher.label(views)] == ["label"] * 8
    assert len(script.requests) == 8


def test_a_budget_of_dollars_needs_prices(httpserver: HTTPServer, views: list[View]) -> None:
    script = Script(httpserver, OPENAI, [GOOD])
    with pytest.raises(ConfigError, match=r"unheard-of is not known.*--budget-calls"):
        gpt(httpserver, budget=Budget(usd=100), model="unheard-of")
    assert not script.requests
    budget = Budget(usd=100)  # a model in the price list, whose answer has no price after all
    assert budget.refusal() is None
    budget.charge(None)
    assert "--budget-calls" in str(budget.refusal())
