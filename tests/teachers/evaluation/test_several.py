"""Several teachers in one evaluation: options for one of them, and one that can't be used."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lvlm2p.envs import Task, View
from lvlm2p.teachers import Answer, Teacher
from lvlm2p.teachers.errors import ConfigError, TeacherError, TeacherNotReadyError
from lvlm2p.teachers.evaluation import EvaluateConfig, Report, evaluate, write_report
from lvlm2p.teachers.evaluation.report.terminal import summarise
from lvlm2p.teachers.evaluation.results import Results
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted
from tests.test_cli import last_json, run

LAVA, DOOR = ENVS[:2]
GPT = "litellm:openai/gpt-4.1"


def configure(*teachers: str, **more: Any) -> EvaluateConfig:
    given = {"teacher": list(teachers), "env": [DOOR], "states": 8, "episodes": 1, "probes": 0}
    return EvaluateConfig.model_validate(given | more)


# ---------------------------------------------------------------- options of one of them


def test_an_option_with_a_name_is_that_teachers_and_one_without_is_everybodys() -> None:
    args = {f"{GPT}.max_tokens": "9", "gemini.temperature": "0", "timeout": "5"}
    config = configure("gemini", GPT, "litellm:openai/gpt-4", teacher_args=args, shots=2)
    assert config.options_of("gemini") == {"shots": 2, "timeout": "5", "temperature": "0"}
    assert config.options_of(GPT) == {"shots": 2, "timeout": "5", "max_tokens": "9"}
    # a name may be the beginning of another: the longest that fits is meant
    assert config.options_of("litellm:openai/gpt-4") == {"shots": 2, "timeout": "5"}


def test_what_names_a_teacher_wins_over_what_is_for_all() -> None:
    args = {"timeout": "5", "gemini.timeout": "6", "gemini.elicit": "choice"}
    config = configure("gemini", "claude", teacher_args=args, elicit="votes")
    assert config.options_of("gemini") == {"elicit": "choice", "timeout": "6"}
    assert config.options_of("claude") == {"elicit": "votes", "timeout": "5"}


def test_a_key_that_one_of_several_lacks_names_the_form_for_one() -> None:
    config = configure("gemini", "expert", teacher_args={"timeout": "5"})
    with pytest.raises(ConfigError, match=r"'expert' has no option 'timeout': .* -T NAME\.timeout"):
        config.check_options()
    configure("gemini", "expert", teacher_args={"gemini.timeout": "5"}).check_options()
    flag = configure("gemini", "expert", shots=3)
    with pytest.raises(ConfigError, match=r"'expert' has no option 'shots': .* -T NAME\.shots"):
        flag.check_options()


def test_a_name_that_is_not_among_the_teachers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'gemni' is not among the teachers"):
        configure("gemini", "expert", teacher_args={"gemni.timeout": "5"})


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("evaluate", "--teacher", "expert", "random", "--env", DOOR, "--states", "8",
             "--episodes", "0", "--probes", "0", "--store", tmp_path / "s", "--json")  # fmt: skip
    assert run(*asked, "-T", "expert.error_rate=1.0") == 0
    rows = last_json(capsys.readouterr().out)["results"]
    assert isinstance(rows, list) and rows[0]["top1"]["value"] == 0.0
    assert run(*asked, "-T", "error_rate=1.0") == 2
    assert "-T NAME.error_rate=VALUE" in capsys.readouterr().err


# ---------------------------------------------------------------- one that can't be used


class Mute(Planted):
    """Can't answer at all, from the given environment on."""

    def __init__(self, name: str, why: str, since: str = "") -> None:
        super().__init__(name, planted.good)
        self.why, self.since, self.calls = why, since, 0

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        if views and self.since in views[0].task.name:
            self.calls += 1
            raise TeacherNotReadyError(self.why)
        yield from super().ask(views)


class Stranger(Planted):
    def supports(self, task: Task) -> str | None:
        return None if task.name == "lava-gap" else "it knows lava only"


def measured(config: EvaluateConfig, **teachers: Teacher | Exception) -> Report:
    def load(name: str, sample: int = 0) -> Teacher:
        found = teachers[name]
        if isinstance(found, Exception):
            raise found
        return found

    return evaluate(config, load, lambda what, done, total: None)


NO_KEY = "teacher 'mute' needs an API key: set SOME_KEY"


def test_the_others_go_on_and_a_row_says_why(tmp_path: Path) -> None:
    mute, stranger = Mute("mute", NO_KEY), Stranger("stranger", planted.good)
    report = measured(
        configure("mute", "good", "broken", "stranger", env=[DOOR, LAVA]),
        mute=mute,
        good=Planted("good", planted.good),
        broken=ConfigError("teacher 'broken', option model=x: no such <model>"),
        stranger=stranger,
    )
    rows = report.as_json()["results"]
    assert [(row["teacher"], row["env"]) for row in rows if row["error"] is None] == [
        *(("good", DOOR), ("good", LAVA), ("stranger", LAVA)),
    ]
    lost = {(row["teacher"], row["env"]): row for row in rows if row["error"] is not None}
    assert set(lost) == {
        *(("mute", DOOR), ("mute", LAVA), ("broken", DOOR), ("broken", LAVA), ("stranger", DOOR)),
    }
    assert lost["mute", LAVA]["error"] == NO_KEY and lost["mute", LAVA]["top1"] is None
    assert "lava only" in lost["stranger", DOOR]["error"]
    assert {*lost["mute", DOOR]} == {*rows[0]}
    assert mute.calls == 1, "what can't be used is not asked again"
    assert report.trouble() is None

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summarise(report.results))
    text = " ".join(console.export_text().split())
    assert text.count(f"mute: not measured. {NO_KEY}") == 2 and text.count("good: ") == 2

    write_report(report, tmp_path)
    assert Results.model_validate_json((tmp_path / "report.json").read_text()) == report.results
    words = (tmp_path / "report.md").read_text()
    assert f"| mute | {DOOR} | not measured |" in words and "no such \\<model\\>" in words
    page = (tmp_path / "index.html").read_text()
    assert "needs an API key" in page and "no such &lt;model&gt;" in page
    assert "<model>" not in page


def test_a_teacher_that_breaks_off_keeps_what_was_measured() -> None:
    mute = Mute("mute", NO_KEY, since="door")
    report = measured(configure("mute", env=[LAVA, DOOR]), mute=mute)
    assert [row.env for row in report.results.results] == [LAVA]
    assert [row.env for row in report.results.unusable] == [DOOR]


def test_where_none_can_be_measured_it_is_an_error_of_teachers() -> None:
    with pytest.raises(
        TeacherError, match=r"none of the teachers .*; a: one thing; b: another"
    ) as e:
        measured(configure("a", "b"), a=Mute("a", "one thing"), b=ConfigError("another"))
    assert e.value.exit_code == 3
    with pytest.raises(ConfigError, match=r"^another$"):
        measured(configure("b"), b=ConfigError("another"))
    with pytest.raises(TeacherNotReadyError, match=r"^one thing$"):
        measured(configure("a"), a=Mute("a", "one thing"))
    with pytest.raises(ConfigError, match="it knows lava only"):
        measured(configure("s"), s=Stranger("s", planted.good))


def test_a_teacher_without_its_key_beside_one_that_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    asked = ("--env", DOOR, "--states", "4", "--episodes", "0", "--probes", "0", "--json",
             "--store", tmp_path / "s", "--yes")  # fmt: skip
    assert run("evaluate", "--teacher", "gemini", "expert", *asked) == 0
    rows = json.loads(capsys.readouterr().out)["results"]
    assert [(row["teacher"], row["error"] is None) for row in rows] == [
        *(("expert", True), ("gemini", False)),
    ]
    assert "GEMINI_API_KEY" in rows[1]["error"]
    assert run("evaluate", "--teacher", "gemini", *asked) == 3
    assert run("evaluate", "--teacher", "gemini", "gpt-4v", *asked, "-T", "gpt-4v.model=") == 3
