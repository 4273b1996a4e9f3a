"""Who counts what: calls, answers, dollars."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvlm2p import cli
from lvlm2p.envs import View
from lvlm2p.teachers import Answer, Budget, Counts, LabelStore, StoredTeacher, Usage, evaluation
from lvlm2p.teachers.errors import RunError, UserError
from lvlm2p.teachers.label import add_usd
from lvlm2p.teachers.options import TeacherOptions
from tests.support.store import FakeTeacher, states

SOME = Counts(asked=7, cached=5, failed=3, missing=2, saved=1, cost_usd=0.75)
MORE = Counts(asked=1, cached=2, failed=1, missing=4, saved=6, cost_usd=0.25)


def test_counts_add_up_and_can_be_taken_apart() -> None:
    assert Counts(8, 7, 4, 6, 7, 1.0) == SOME + MORE
    assert SOME + MORE - MORE == SOME
    unknown = replace(MORE, cost_usd=None)
    assert (SOME + unknown).cost_usd is (unknown + SOME).cost_usd is None
    assert (SOME - unknown).cost_usd is (unknown - SOME).cost_usd is None


def test_a_sum_with_an_unknown_price_is_not_known() -> None:
    assert add_usd(0.5, 0.25) == 0.75
    assert add_usd(None, 0.25) is add_usd(0.5, None) is None


# ---------------------------------------------------------------- the stored teacher tells


class Calling(FakeTeacher):
    """Two calls a state, within a budget."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for index, view in enumerate(views):
            for _ in range(2):
                assert self.budget.refusal() is None
            used = Usage(calls=2)
            yield index, self.label_for(view).model_copy(update={"usage": used})


def kept(ledger: Path) -> int:
    return int(json.loads(ledger.read_text())["kept"])


def test_calls_are_kept_when_their_answer_is_on_disk(tmp_path: Path) -> None:
    ledger = tmp_path / "budget.json"
    budget = Budget(calls=20, ledger=ledger)
    with LabelStore(tmp_path / "store") as store:
        teacher = StoredTeacher(Calling(budget), store, budget=budget)
        counted = []
        for _ in teacher.ask(states(3)):
            counted.append((kept(ledger), len(store.reader.keys("label/"))))
        assert counted == [(2, 1), (4, 2), (6, 3)]
        budget.refusal()  # a retry that no answer accounts for
        assert kept(ledger) == 6
        list(teacher.ask(states(4)))
        assert kept(ledger) == budget.spent_calls == 9
        list(StoredTeacher(Calling(budget), store, budget=budget).ask(states(4)))
        assert kept(ledger) == 9, "what was stored before cost nothing now"


# ---------------------------------------------------------------- whose budget


class Options(TeacherOptions):
    """With a ledger."""

    ledger: Path | None = None

    def _ledger(self) -> Path | None:
        return self.ledger


def test_a_budget_is_made_where_a_teacher_is_loaded(tmp_path: Path) -> None:
    assert Options().new_budget() is None
    limited = Options(budget_usd=2, budget_calls=3).new_budget()
    assert limited is not None and (limited.usd, limited.calls) == (2, 3)
    ledger = tmp_path / "budget.json"
    unlimited = Options(ledger=ledger).new_budget()
    assert unlimited is not None and unlimited.refusal() is None
    again = Options(ledger=ledger, budget_calls=1).new_budget()
    assert again is not None and again.spent == "the budget of 1 calls is spent"
    ledger.write_text("{")
    with pytest.raises(RunError, match="it is damaged"):
        Options(ledger=ledger).new_budget()


def test_all_teachers_of_an_evaluation_share_one_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[Budget | None] = []

    def look(config: Any, load: Any, **more: Any) -> None:
        budgets.extend(load(name, sample=n).budget for n in (0, 1) for name in config.teacher)
        raise UserError("enough seen")

    monkeypatch.setattr(evaluation, "evaluate", look)
    command = ["evaluate", "--teacher", "expert", "random", "--env", "MiniGrid-LavaGapS5-v0"]
    assert cli.main([*command, "--store", str(tmp_path), "--budget-calls", "5"]) == 2
    assert len(budgets) == 4 and isinstance(budgets[0], Budget)
    assert all(budget is budgets[0] for budget in budgets)
