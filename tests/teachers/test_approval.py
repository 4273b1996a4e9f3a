"""Before money is spent: who is asked, who is refused, and in which words."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.options import TeacherOptions
from lvlm2p.teachers.spending import SMALL_USD, Expense, approval
from lvlm2p.teachers.teacher import CostEstimate
from tests.support.store import FakeTeacher

DEAR = CostEstimate(1_500, 3_000, 60.0, usd=19.5, paid=True)


class Keyless(FakeTeacher):
    def check_ready(self) -> None:
        raise TeacherNotReadyError("teacher 'fake' needs an API key")


def expense(estimate: CostEstimate, name: str = "gemini") -> Expense:
    teacher = FakeTeacher()
    teacher.name = name
    return Expense(teacher, estimate)


class Stream(io.StringIO):
    def __init__(self, text: str = "", terminal: bool = True) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> Stream:
    """A terminal at which somebody types ``answer``; what is printed there comes back."""
    shown = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(answer))
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def options(**given: object) -> TeacherOptions:
    return TeacherOptions.model_validate(given)


# ---------------------------------------------------------------- no terminal


def test_what_is_dear_needs_a_limit_or_a_yes_where_there_is_no_terminal() -> None:
    with pytest.raises(ConfigError) as caught:
        approval(options(), ["--ask random:0.25"])([expense(replace(DEAR, about=True))])
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "asking gemini (about 1,500 states) costs about $19.50, and there is no terminal to "
        "confirm it on: set a limit with --budget-usd or --budget-calls, or say --yes; less is "
        "asked with --symmetry canonical or --ask random:0.25"
    )
    bound = replace(DEAR, about=True, at_least=True)
    with pytest.raises(ConfigError, match=r"costs at least \$19\.50, and"):
        approval(options())([expense(bound)])
    with pytest.raises(ConfigError) as caught:
        approval(options(symmetry="canonical"))([expense(DEAR)])
    assert str(caught.value).endswith("or say --yes")


def test_what_nobody_knows_is_dear_and_a_limit_is_one_of_calls() -> None:
    with pytest.raises(ConfigError) as caught:
        approval(options())([expense(replace(DEAR, usd=None))])
    assert "nobody knows what asking gemini (1,500 states) costs" in str(caught.value)
    assert "--budget-calls" in str(caught.value) and "--budget-usd" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"yes": True}, {"budget_usd": 500.0}, {"budget_calls": 9}, {"offline": True}]
)
def test_who_has_answered_already_is_not_asked(given: dict[str, object]) -> None:
    approval(options(**given))([expense(DEAR), expense(replace(DEAR, usd=None))])


@pytest.mark.parametrize(
    "estimate",
    [
        replace(DEAR, usd=SMALL_USD),
        replace(DEAR, states=0, calls=0, usd=None),
        CostEstimate(9_999, 9_999),  # a third party's, which says nothing of bills
        CostEstimate(9_999, 9_999, usd=0.0),
    ],
)
def test_what_is_cheap_or_free_is_not_asked_about(estimate: CostEstimate) -> None:
    approval(options())([expense(estimate)])


def test_several_teachers_are_one_bill_and_only_those_that_send_one() -> None:
    small = replace(DEAR, usd=0.6)
    approval(options())([expense(small)])
    free = expense(CostEstimate(5_000, 5_000), "tiny-vl")
    with pytest.raises(
        ConfigError, match=r"asking gemini, claude \(3,000 states\) costs about \$1\.20"
    ):
        approval(options())([expense(small), free, expense(small, "claude")])


def test_a_missing_key_is_said_before_any_question_of_money(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(TeacherNotReadyError):
        approval(options())([Expense(Keyless(), DEAR)])
    shown = terminal(monkeypatch, "y\n")
    with pytest.raises(TeacherNotReadyError):
        approval(options())([Expense(Keyless(), DEAR)])
    assert "Go on?" not in shown.getvalue()
    approval(options())([Expense(Keyless(), replace(DEAR, usd=0.1))])  # found out when it is asked


# ---------------------------------------------------------------- at a terminal


@pytest.mark.parametrize("answer", ["y\n", "Y\n", " yes \n", "YES"])
def test_a_yes_is_a_yes(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch, answer)
    approval(options())([expense(DEAR)])
    assert "costs about $19.50" in shown.getvalue() and "--budget-usd" in shown.getvalue()
    assert shown.getvalue().endswith("Go on? [y/N] ")


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", "", "yesterday\n"])
def test_anything_else_is_a_no(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, answer)
    with pytest.raises(ConfigError, match="nothing was asked"):
        approval(options())([expense(DEAR)])


@pytest.mark.parametrize("which", ["stdin", "stderr"])
def test_half_a_terminal_is_none(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, "y\n")
    monkeypatch.setattr(sys, which, Stream("y\n", terminal=False))
    with pytest.raises(ConfigError, match="there is no terminal"):
        approval(options())([expense(DEAR)])
    monkeypatch.setattr(sys, which, None)
    with pytest.raises(ConfigError, match="there is no terminal"):
        approval(options())([expense(DEAR)])


# ---------------------------------------------------------------- estimates


def test_estimates_add_up_and_scale() -> None:
    free = CostEstimate(5, 0, 1.0, usd=0.0)
    total = DEAR + free
    assert total == CostEstimate(1_505, 3_000, 61.0, usd=19.5, paid=True)
    assert (DEAR + CostEstimate(1, 1)).usd is None and (DEAR + CostEstimate(1, 1)).seconds is None
    half = DEAR.scaled(750)
    assert half == CostEstimate(750, 1_500, 30.0, usd=9.75, paid=True, about=True)
    assert CostEstimate(0, 0, usd=0.0).scaled(10).usd == 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "1,500 states to ask, 3,000 calls, time 60 s, price $19.50"),
        ({"about": True, "at_least": True}, "about 1,500 states to ask, 3,000 calls, time 60 s, "
         "price at least $19.50"),
        ({"usd": None, "at_least": True}, "1,500 states to ask, 3,000 calls, time 60 s, price "
         "unknown"),
        ({"states": 0}, "every answer is there already: nothing to ask"),
    ],
)  # fmt: skip
def test_an_estimate_in_words(changes: dict[str, object], says: str) -> None:
    assert str(replace(DEAR, **changes)) == says  # type: ignore[arg-type]
