"""Who is asked when a run is resumed, and what that may cost in all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.student import TrainConfig, TrainResult, train
from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.student.training.run_state import Run
from lvlm2p.teachers import Answer, Budget, Counts, LabelStore, StoredTeacher, registry
from lvlm2p.teachers.errors import ConfigError, RunError, TeacherError
from lvlm2p.teachers.plugin import Context
from tests.support.store import FakeTeacher

BUDGET = 30


class Killed(BaseException):
    """As after kill -9: nobody saves anything."""


def die(*_: object, **__: object) -> None:
    """In place of what is done when a teacher has ended."""
    raise Killed


class PaidTeacher(FakeTeacher):
    """One call a state, within the budget; it can be killed, and it can fail."""

    budget: Budget | None = None
    dies_after = 1_000_000
    dies_of: type[BaseException] = Killed
    fails: str | None = None
    bills = True
    all_calls = 0
    killing: pytest.MonkeyPatch

    @classmethod
    def build(cls, name: str, options: object, context: Context) -> PaidTeacher:
        teacher = cls()
        teacher.name, teacher.counts, teacher.budget = name, Counts(), context.budget
        return teacher

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for index, view in enumerate(views):
            if len(self.asked) == self.dies_after:
                if self.dies_of is Killed:
                    self.killing.setattr(Run, "save", die)
                    self.killing.setattr(shutil, "rmtree", die)
                raise self.dies_of
            assert self.budget is not None
            if self.budget.refusal() is not None:
                yield index, self.failure_for(view, "budget")
                continue
            self.asked.append(view.key)
            type(self).all_calls += 1
            if self.bills:
                self.budget.charge(0.5)
            fails = self.fails
            yield index, self.failure_for(view, fails) if fails else self.label_for(view)


@pytest.fixture(autouse=True)
def paid(monkeypatch: pytest.MonkeyPatch) -> type[PaidTeacher]:
    class Fresh(PaidTeacher):
        """With switches and counts of this test's own."""

    monkeypatch.setitem(registry.BUILTIN, "paid", (__name__, "Fresh"))
    monkeypatch.setitem(globals(), "Fresh", Fresh)
    return Fresh


def go(folder: Path, **options: Any) -> TrainResult:
    data = {
        "env": "MiniGrid-LavaGapS5-v0",
        "teacher": "paid",
        "frames": 512,
        "seed": 1,
        "n_envs": 4,
        "n_steps": 16,
        "batch_size": 32,
        "kl_minibatches": 2,
        "kl_schedule": "constant",
        "eval_every": 0,
        "final_episodes": 1,
        "checkpoint_every": 128,
        "progress": False,
        "run_dir": folder,
        "store": folder.with_name(folder.name + "-store"),
    }
    return train(TrainConfig.model_validate({**data, **options}))


def outcome(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("student.safetensors", "metrics.csv")]


def last_row(folder: Path) -> dict[str, float]:
    return list(read_metrics(folder / "metrics.csv"))[-1]


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize(("dies_after", "bills"), [(5, True), (14, True), (25, True), (14, False)])
def test_a_budget_is_the_runs_however_often_it_is_killed(
    tmp_path: Path, paid: type[PaidTeacher], dies_after: int, bills: bool
) -> None:
    paid.bills = bills
    whole = go(tmp_path / "whole", budget_calls=BUDGET)
    assert paid.all_calls == BUDGET and whole.labels.missing > 0
    paid.all_calls, paid.dies_after = 0, dies_after
    for resume in (False, True):
        with pytest.MonkeyPatch.context() as paid.killing, suppress(Killed):
            go(tmp_path / "killed", budget_calls=BUDGET, resume=resume)
            assert resume, "the first time it is killed; the second there may be nothing to ask"
    paid.dies_after = 1_000_000
    go(tmp_path / "killed", budget_calls=BUDGET, resume=True)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    assert paid.all_calls == BUDGET


def test_a_raised_budget_counts_what_was_spent(tmp_path: Path, paid: type[PaidTeacher]) -> None:
    go(tmp_path / "run", frames=64, budget_usd=5)
    assert paid.all_calls == 10
    go(tmp_path / "run", budget_usd=8, resume=True)
    assert paid.all_calls == 16
    spent = json.loads((tmp_path / "run" / "budget.json").read_text())
    assert (spent["calls"], spent["usd"]) == (16, 8.0)


def test_what_was_spent_without_a_limit_counts_too(tmp_path: Path, paid: type[PaidTeacher]) -> None:
    go(tmp_path / "run", frames=64)
    before = paid.all_calls
    assert before > 5
    go(tmp_path / "run", budget_calls=before, resume=True)
    assert paid.all_calls == before


def test_calls_that_were_lost_with_the_process_count_where_there_is_a_bill(
    tmp_path: Path,
) -> None:
    for bills in (True, False):
        ledger = tmp_path / f"{bills}.json"
        budget = Budget(calls=10, ledger=ledger)
        for _ in range(6):
            budget.refusal()
        assert Budget(ledger=ledger).spent_calls == 6  # nothing is known of whom they went to
        if bills:
            budget.charge(0.0)
        budget.keep(2)
        budget.keep(2)
        assert Budget(ledger=ledger).spent_calls == (6 if bills else 4)
        budget.keep()
        assert Budget(ledger=ledger).spent_calls == 6
        again = Budget(calls=10, ledger=ledger)
        assert [again.refusal() for _ in range(5)].count(None) == 4


@pytest.mark.parametrize("damage", ["{", '{"calls": -1}', '{"usd": "much"}', "[" * 100_000])
def test_a_damaged_ledger_is_a_sentence(tmp_path: Path, damage: str) -> None:
    go(tmp_path / "run", frames=64)
    (tmp_path / "run" / "budget.json").write_text(damage)
    with pytest.raises(RunError, match=r"budget\.json, which says what .* it is damaged"):
        go(tmp_path / "run", resume=True)


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    ledger = tmp_path / "budget.json"
    for calls in range(1, 12):
        budget = Budget(usd=1.0, ledger=ledger)
        assert budget.spent_calls == calls - 1 and budget.refusal() is None
        budget.charge(0.1 / 3)
    budget.release()
    assert Budget(ledger=ledger).spent_calls == 10
    assert Budget(ledger=ledger).spent_usd == budget.spent_usd
    budget.charge(None)
    assert "not known" in str(Budget(usd=5.0, ledger=ledger).spent)
    ledger.unlink()
    Budget(ledger=tmp_path / "gone" / "budget.json").refusal()  # a run that never began
    assert not (tmp_path / "gone").exists()


# ---------------------------------------------------------------- a teacher that ends


@pytest.mark.parametrize("dies_of", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_a_teacher_that_ends_ends_the_run_with_a_checkpoint(
    tmp_path: Path,
    paid: type[PaidTeacher],
    dies_of: type[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = go(tmp_path / "whole")
    paid.all_calls, paid.dies_after, paid.dies_of = 0, whole.labels.asked - 2, dies_of
    with pytest.raises(TeacherError, match=f"'paid' .*{dies_of.__name__}") as caught:
        go(tmp_path / "run")
    assert caught.value.exit_code == 3
    assert "go on with: lvlm2p train --config" in capsys.readouterr().err
    paid.dies_after = 1_000_000
    result = go(tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    assert result.labels.asked <= whole.labels.asked == paid.all_calls


# ---------------------------------------------------------------- asking again


def test_a_raised_budget_labels_what_was_left_out(tmp_path: Path, paid: type[PaidTeacher]) -> None:
    first = go(tmp_path / "run", frames=256, budget_calls=4, seed=0)
    assert first.labels.missing > 10 and last_row(tmp_path / "run")["labels/labelled"] == 4
    second = go(tmp_path / "run", frames=1024, budget_calls=10_000, seed=0, resume=True)
    row = last_row(tmp_path / "run")
    assert row["labels/failed"] == second.labels.missing < first.labels.missing / 2
    assert row["labels/labelled"] == second.labels.asked == paid.all_calls


def test_what_was_skipped_offline_is_asked_online(tmp_path: Path, paid: type[PaidTeacher]) -> None:
    go(tmp_path / "run", frames=256, offline=True, on_miss="skip")
    assert paid.all_calls == last_row(tmp_path / "run")["labels/labelled"] == 0
    result = go(tmp_path / "run", frames=1024, resume=True)
    assert last_row(tmp_path / "run")["labels/labelled"] == paid.all_calls > 20
    assert result.labels.missing == last_row(tmp_path / "run")["labels/failed"]


def test_nothing_is_asked_again_where_nothing_has_changed(
    tmp_path: Path, paid: type[PaidTeacher]
) -> None:
    for fails, budget in ((None, 4), ("timeout", 10_000)):
        paid.fails = fails
        go(tmp_path / f"{fails}-whole", budget_calls=budget)
        go(tmp_path / f"{fails}-run", frames=256, budget_calls=budget)
        paid.all_calls = 0
        go(tmp_path / f"{fails}-run", budget_calls=budget, resume=True)
        assert outcome(tmp_path / f"{fails}-run") == outcome(tmp_path / f"{fails}-whole")
        keys = int(last_row(tmp_path / f"{fails}-run")["labels/states"])
        assert paid.all_calls < keys


@pytest.mark.parametrize(
    ("failure", "changed", "again"),
    [
        ("timeout", {"budget_calls": 10_000}, True),
        ("timeout", {"retry_failures": True}, True),
        ("refusal", {"budget_calls": 10_000}, False),
        ("refusal", {"retry_failures": True}, True),
    ],
)
def test_failures_that_pass_are_asked_again_and_lasting_ones_on_demand(
    tmp_path: Path,
    paid: type[PaidTeacher],
    failure: str,
    changed: dict[str, object],
    again: bool,
) -> None:
    paid.fails = failure
    go(tmp_path / "run", frames=128)
    failed = last_row(tmp_path / "run")["labels/failed"]
    paid.fails = None
    go(tmp_path / "run", frames=512, resume=True, **changed)
    after = last_row(tmp_path / "run")["labels/failed"]
    assert after < failed if again else after == failed


def test_what_is_still_to_be_asked_again_survives_the_next_stop(
    tmp_path: Path, paid: type[PaidTeacher]
) -> None:
    options = {"budget_calls": 10_000, "resume": True}
    for name in ("once", "twice"):
        go(tmp_path / name, frames=256, budget_calls=4)
    go(tmp_path / "once", frames=768, **options)
    go(tmp_path / "twice", frames=320, **options)
    go(tmp_path / "twice", frames=768, **options)
    assert outcome(tmp_path / "twice") == outcome(tmp_path / "once")


def test_a_teacher_that_could_not_be_measured_is_measured_again(
    tmp_path: Path, paid: type[PaidTeacher], capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"kl_schedule": "caught-up", "eval_episodes": 2, "teacher": "expert"}
    go(tmp_path / "run", frames=64, offline=True, on_miss="skip", **measured)
    assert "lambda stays constant" in capsys.readouterr().err
    state = tmp_path / "run" / "checkpoint" / "state.json"
    assert json.loads(state.read_text())["state"]["teacher_return"] == float("inf")
    go(tmp_path / "run", frames=128, resume=True, **measured)
    assert 0 < json.loads(state.read_text())["state"]["teacher_return"] < 1


# ---------------------------------------------------------------- whose advice


def test_the_teacher_of_the_configuration_is_loaded(tmp_path: Path) -> None:
    result = go(tmp_path / "run", teacher="expert", frames=64)
    assert result.labels.asked > 0
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["teacher"] is not None
    assert go(tmp_path / "alone", teacher="none", frames=64).labels.asked == 0
    alone = TrainConfig(env="MiniGrid-LavaGapS5-v0", teacher="none", run_dir=tmp_path / "new")
    store = LabelStore(tmp_path / "store")
    with pytest.raises(ConfigError, match="--teacher none"):
        train(alone, StoredTeacher(FakeTeacher(), store))
