"""The whole evaluation: every teacher, every environment, the files, again and after a stop."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from lvlm2p.envs import UserError, View
from lvlm2p.teachers import Answer, LabelStore, Teacher
from lvlm2p.teachers.errors import ConfigError, LabelFileError, RunError
from lvlm2p.teachers.evaluation import (
    EvaluateConfig,
    Report,
    evaluate,
    evaluate_teacher,
    write_report,
)
from lvlm2p.teachers.evaluation.report.terminal import summarise
from lvlm2p.teachers.evaluation.results import Results
from lvlm2p.teachers.evaluation.states import load_states
from lvlm2p.teachers.label import Failure, Label
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.schema import from_row
from lvlm2p.teachers.wrappers.stored import StoredTeacher
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Character, Planted

DOOR, LAVA = ENVS[1], ENVS[0]


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def run(config: EvaluateConfig, **teachers: Teacher) -> Report:
    found = evaluate(config, lambda name, sample=0: teachers[name], quiet)
    if found.out is not None:
        write_report(found, found.out)
    return found


def configure(**fields: object) -> EvaluateConfig:
    small = {"env": [DOOR], "states": 40, "episodes": 4, "probes": 10}
    return EvaluateConfig.model_validate({**small, **fields})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    out = tmp_path_factory.mktemp("out") / "new" / "report"
    config = configure(teacher=["good", "flaky"], env=[DOOR, LAVA], out=out)
    good = Planted("good", planted.good, sees=0.9)
    return run(config, good=good, flaky=Planted("flaky", planted.flaky, cost_usd=None))


def test_the_contract_of_json(report: Report) -> None:
    data = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert [(r["teacher"], r["env"]) for r in data["results"]] == [
        ("good", DOOR),
        ("flaky", DOOR),
        ("good", LAVA),
        ("flaky", LAVA),
    ]
    for row in data["results"]:
        assert row["states"] == 40
        for measure in ("top1", "mass", "success", "valid"):
            assert 0 <= row[measure]["low"] <= row[measure]["value"] <= row[measure]["high"] <= 1
    good, flaky = data["results"][:2]
    assert good["cost_usd"] > 0.04
    assert flaky["cost_usd"] is None


def test_the_baselines_stand_beside(report: Report) -> None:
    names = [(row.teacher, row.env) for row in report.results.baselines]
    assert names == [("expert", DOOR), ("random", DOOR), ("expert", LAVA), ("random", LAVA)]
    expert, uniform = report.results.baselines[:2]
    assert expert.top1 is not None
    assert uniform.top1 is not None
    assert uniform.mass is not None
    assert expert.top1.value == 1
    assert uniform.top1.value == pytest.approx(uniform.mass.value)
    assert 0.2 < uniform.top1.value < 0.5


def test_agreement_between_teachers(report: Report) -> None:
    door, lava = report.results.agreement
    assert door.teachers == ("good", "flaky")
    assert (door.env, lava.env) == (DOOR, LAVA)
    assert door.same.value == 1
    assert 0 < door.moved.value < 0.2
    flaky = report.results.results[1]
    assert door.same.n == flaky.labelled < 40


def test_the_files(report: Report) -> None:
    out = report.out
    assert out is not None
    assert sorted(path.name for path in out.iterdir()) == [
        "index.html",
        "labels.parquet",
        "report.json",
        "report.md",
        "states.jsonl",
    ]
    text = (out / "report.json").read_text(encoding="utf-8")
    assert Results.model_validate_json(text) == report.results
    assert json.loads(text)["format"] == "lvlm2p-report"
    words = (out / "report.md").read_text(encoding="utf-8")
    assert "| good | MiniGrid-GoToDoor-6x6-v0 | 100% " in words
    assert "Gives no usable answer on" in words
    states = load_states(out / "states.jsonl", [DOOR, LAVA])
    assert {env: [c.view for c in cases] for env, cases in states.items()} == {
        env: [c.view for c in cases] for env, cases in report.cases.items()
    }


def test_every_answer_is_in_the_label_set_with_its_full_text(report: Report) -> None:
    assert report.out is not None
    entries = [from_row(row) for row in read_rows(report.out / "labels.parquet")]
    stored = {(e.answer.teacher, e.view.key): e.answer for e in entries}
    for (_, name), measured in report.measured.items():
        for key, answer in measured.questioner.answers.items():
            if not measured.questioner.views[key].blank:
                assert stored[name, key] == answer
    assert not any(entry.view.blank for entry in entries)
    assert any(isinstance(entry.answer, Failure) for entry in entries)


def test_the_summary_for_a_terminal(report: Report) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summarise(report.results))
    text = console.export_text()
    lines = [line.split() for line in text.splitlines()]
    at = lines.index(["expert", "100%", "100%", "100%", "100%", "free"])
    assert lines[at + 1] == ["[91–100]", "[100–100]", "[51–100]", "[91–100]"]
    assert "GoToDoor-6x6-v0, 40 states" in text
    assert "good: strong." in text


def stored(name: str, character: Character, folder: Path) -> tuple[StoredTeacher, Planted]:
    inner = Planted(name, character)
    return StoredTeacher(inner, LabelStore(folder)), inner


def test_the_second_time_nobody_is_asked_and_nothing_is_paid(tmp_path: Path) -> None:
    first, asked = stored("good", planted.good, tmp_path / "store")
    before = run(configure(teacher=["good"]), good=first)
    again, idle = stored("good", planted.good, tmp_path / "store")
    after = run(configure(teacher=["good"]), good=again)
    assert asked.counts.asked > 40
    assert idle.counts.asked == 0
    one, two = before.results.results[0], after.results.results[0]
    assert two.cost_usd == 0
    assert one.cost_usd == pytest.approx(0.001 * asked.counts.asked)
    assert one.cost is not None
    assert one.cost == two.cost
    assert one.model_copy(update={"cost_usd": 0}) == two.model_copy(update={"cost_usd": 0})


class Stopped(Planted):
    """Its user presses Ctrl-C after 25 answers."""

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for answer in super().ask(views):
            if self.counts.asked > 25:
                raise KeyboardInterrupt
            yield answer


def test_what_was_answered_before_a_stop_is_not_asked_again(tmp_path: Path) -> None:
    config = configure(teacher=["good"], episodes=0, probes=0)
    broken = Stopped("good", planted.good)
    with pytest.raises(KeyboardInterrupt):
        run(config, good=StoredTeacher(broken, LabelStore(tmp_path / "store")))
    teacher, inner = stored("good", planted.good, tmp_path / "store")
    run(config, good=teacher)
    assert inner.counts.asked == 40 - 25


def test_a_saved_state_set_is_used_again(report: Report) -> None:
    assert report.out is not None
    config = configure(
        teacher=["good"], states_file=report.out / "states.jsonl", states=15, episodes=0, seed=9
    )
    again = run(config, good=Planted("good", planted.good))
    assert [c.view for c in again.cases[DOOR]] == [c.view for c in report.cases[DOOR]][:15]
    with pytest.raises(LabelFileError, match="no states of MiniGrid-Fetch"):
        run(config.model_copy(update={"env": [ENVS[2]]}), good=Planted("good", planted.good))


def test_states_that_were_not_asked_say_nothing_about_the_teacher() -> None:
    class Spent(Planted):
        def _answer(self, view: View) -> Answer:
            answer = super()._answer(view)
            if planted.luck(view, "spent") < 0.5 and isinstance(answer, Label):
                common = {
                    name: getattr(answer, name) for name in ("task", "teacher", "fingerprint")
                }
                return Failure(**common, failure="budget", message="the budget is spent")
            return answer

    found = evaluate_teacher(Spent("spent", planted.good), DOOR, states=40, episodes=0, probes=0)
    assert found.valid is not None
    assert found.valid.value == 1
    assert found.valid.n == found.labelled < 40
    assert [f.code for f in found.findings if f.code != "timid"] == ["unasked"]


def test_a_teacher_without_a_single_answer() -> None:
    found = evaluate_teacher(Planted("mute", lambda v, n: None), DOOR, states=20, episodes=2)
    assert found.labelled == 0
    assert found.valid is not None
    assert found.valid.value == 0
    missing = (found.top1, found.nll, found.ece, found.cost, found.temperature, found.mass)
    assert missing == (None,) * 6
    assert found.verdict.level == "no"


def test_from_python_by_task_and_by_views(report: Report) -> None:
    views = [case.view for case in report.cases[DOOR]]
    good = Planted("good", planted.good)
    by_views = evaluate_teacher(good, DOOR, states=views, episodes=0, probes=0)
    assert by_views.top1 == report.results.results[0].top1
    by_task = evaluate_teacher(good, views[0].task, states=10, episodes=0, probes=0)
    assert by_task.env.startswith("MiniGrid-GoToDoor-")
    with pytest.raises(ConfigError, match="at least one state"):
        evaluate_teacher(good, DOOR, states=[])


class Picky(Planted):
    """Knows doors only."""

    def supports(self, task: object) -> str | None:
        return None if getattr(task, "name", "") == "go-to-door" else "it knows doors only"


def test_wrong_input_is_found_before_anybody_is_asked(tmp_path: Path) -> None:
    teacher = Picky("good", planted.good)
    with pytest.raises(UserError, match="did you mean 'MiniGrid-GoToDoor-6x6-v0'"):
        run(configure(teacher=["good"], env=["MiniGrid-GoToDor-6x6-v0"]), good=teacher)
    with pytest.raises(ConfigError, match="it knows doors only"):
        run(configure(teacher=["good"], env=[DOOR, LAVA]), good=teacher)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't write the report"):
        run(configure(teacher=["good"], out=tmp_path / "file" / "out"), good=teacher)
    assert teacher.counts.asked == 0


@pytest.mark.parametrize(
    "fields",
    [{"teacher": []}, {"teacher": ["a", "a"]}, {"states": 0}, {"episodes": -1}, {"sates": 3}],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"twice|at least 1|greater than|not permitted"):
        configure(**{"teacher": ["good"], **fields})
