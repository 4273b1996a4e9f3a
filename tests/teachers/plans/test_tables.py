"""Tables of plans: read, found unsound, and what they teach."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p.envs import UserError, View, make_env, task_named, view_of
from lvlm2p.envs.doorkey.tasks import FAMILIES, LAVA_ROOM, SIMPLE
from lvlm2p.teachers import (
    ConfigError,
    Failure,
    Label,
    LabelStore,
    Teacher,
    UnknownNameError,
    available,
    evaluate_teacher,
    load_teacher,
)
from lvlm2p.teachers.plans.table import PlanTable, shipped_tables
from tests.envs.doorkey.rooms import room

TABLE = """
tables:
- tasks: [simple-door-key]
  situations:
    Agent sees <key>, holds <nothing>.:
    - {share: 0.75, plan: [go to key, pick up key]}
    - {share: 0.25, plan: [explore]}
"""


def table(folder: Path, text: str = TABLE) -> str:
    path = folder / "table.yaml"
    path.write_text(text, encoding="utf-8")
    return f"plans:{path}"


def seen(drawn: str, carried: str = "", task: str = "simple-door-key") -> View:
    return View(task_named(task), room(drawn, carried).encode(), "open the door")


def label(teacher: Teacher, view: View) -> dict[str, float]:
    (answer,) = teacher.label([view])
    assert isinstance(answer, Label), answer
    return {name: p for name, p in answer.probabilities.items() if p}


def test_plans_are_mixed_by_their_shares(tmp_path: Path) -> None:
    teacher = load_teacher(table(tmp_path))
    assert label(teacher, seen("######\n# .>b#\n# ...#\n######")) == {"pickup": 0.75, "left": 0.25}
    (answer,) = teacher.label([seen("######\n# >.b#\n# ...#\n######")])
    assert (
        isinstance(answer, Label)
        and answer.elicitation == "exact"
        and answer.analysis
        == {
            "plans": "0.75 go to <key>, pick up <key>; 0.25 explore",
            "option": "go to <key>",
            "options": 2,
            "absent": 0,
            "named_absent": "",
            "idle": 0.0,
        }
    )


def test_a_plan_that_would_be_in_vain_is_left_out_by_the_careful_and_idle_with_the_blind(
    tmp_path: Path,
) -> None:
    text = TABLE.replace("[explore]", "[]")
    view = seen("######\n#>.b##\n######")
    assert label(load_teacher(table(tmp_path, text)), view) == {"forward": 1.0}
    blind = load_teacher(table(tmp_path, "executor: blind" + text))
    assert label(blind, view) == {"forward": 0.75, "done": 0.25}
    careful = load_teacher(
        table(tmp_path, "executor: blind" + text), options={"executor": "careful"}
    )
    assert label(careful, view) == {"forward": 1.0}
    (answer,) = careful.label([seen("######\n#>~b##\n######")])
    assert isinstance(answer, Failure) and "no plan can be carried out here (0.75 go to" in (
        answer.message
    )


def test_a_missing_situation_is_a_failure_that_names_it_and_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = load_teacher(table(tmp_path))
    views = [seen("####\n#> #\n####"), seen("#####\n#>. #\n#####"), seen("#####\n#>.b#\n#####")]
    first, second, third = teacher.label(views)
    assert isinstance(first, Failure) and isinstance(second, Failure) and isinstance(third, Label)
    assert "no plans for 'Agent sees <nothing>, holds <nothing>.'" in first.message
    teacher.close()
    said = capsys.readouterr().err
    assert "has no plans for these situations (states): 'Agent sees <nothing>, holds" in said
    assert "(2)" in said


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("0.75", "0.7", "the shares sum to 0.95, not 1"),
        ("[explore]", "[dance]", "'dance' is no option: there are explore, go to <object>"),
        ("[explore]", "[go to door]", "go to <door> names what the sentence does not"),
        ("share: 0.25", "share: -1", "greater than 0"),
        ("tasks", "task", "tables.0.tasks"),
        ("simple-door-key", "simple-door-kee", "did you mean 'simple-door-key'"),
        ("simple-door-key", "fetch", "task 'fetch' offers no options"),
        ("[simple-door-key]", "[simple-door-key, simple-door-key]", "two tables for"),
        ("tables:", "tables", "can't be read: it is not YAML"),
    ],
)
def test_an_unsound_table_is_refused(tmp_path: Path, was: str, now: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_teacher(table(tmp_path, TABLE.replace(was, now)))
    assert words in str(caught.value)


def test_names_and_tasks_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"plan table 'orignal'.*did you mean 'original'"):
        load_teacher("plans:orignal")
    with pytest.raises(ConfigError, match="No such file"):
        load_teacher(f"plans:{tmp_path}/none.yaml")
    with pytest.raises(ConfigError, match="plans:original"):
        load_teacher("plans")
    teacher = load_teacher(table(tmp_path))
    assert "it has simple-door-key" in str(teacher.supports(LAVA_ROOM))
    assert "offers no options" in str(teacher.supports(task_named("fetch")))
    bold = load_teacher(table(tmp_path), options={"executor": "bold"})
    assert "'bold': choose careful or blind" in str(bold.supports(SIMPLE))
    with pytest.raises(ConfigError, match="'bold'"):
        bold.label([seen("####\n#> #\n####")])
    assert any(row.name == "plans" and "plans:good" in row.note for row in available())


def test_the_fingerprint_is_the_tables_content_for_the_task_and_the_executor(
    tmp_path: Path,
) -> None:
    def print_of(text: str, **options: str) -> str:
        return load_teacher(table(tmp_path, text), options=options).fingerprint_for(SIMPLE)

    same = print_of(TABLE)
    assert print_of(f"# said otherwise\n{TABLE}") == same
    assert print_of(TABLE.replace("0.75", "0.7").replace("0.25", "0.3")) != same
    assert print_of(TABLE, executor="blind") != same
    other_task = TABLE + TABLE.replace("tables:\n", "").replace("simple", "lava")
    assert print_of(other_task) == same


def test_options_are_scored_against_the_explorers() -> None:
    result = evaluate_teacher(
        load_teacher("plans:good"), "LVLM2P-SimpleDoorKey-v0", states=40, episodes=2, probes=3
    )
    assert result.plans is not None and result.plans.accuracy is not None
    assert result.plans.n == result.labelled == 40
    assert result.plans.accuracy.value > 0.8  # it fetches a key before it has looked for the way
    assert result.plans.infeasible is not None and result.plans.infeasible.value == 0
    assert result.probes.blank is None and result.success and result.success.value == 1.0
    expert = evaluate_teacher(
        load_teacher("expert"), "LVLM2P-SimpleDoorKey-v0", states=5, episodes=0, probes=0
    )
    assert expert.plans is None


def test_what_is_shipped_covers_each_task_and_reaches_the_store(tmp_path: Path) -> None:
    assert shipped_tables() == ["good", "original"]
    assert PlanTable("original").executor == "blind"
    views = []
    for task in FAMILIES:
        env = make_env(task.env_ids[0])
        env.reset(seed=1)
        views.append(view_of(env))
    with LabelStore(tmp_path / "store") as store:
        for name in ("plans:good", "plans:original"):
            assert all(isinstance(a, Label) for a in load_teacher(name, store=store).label(views))
            again = load_teacher(name, store=store, offline=True)
            assert all(isinstance(answer, Label) for answer in again.label(views))
