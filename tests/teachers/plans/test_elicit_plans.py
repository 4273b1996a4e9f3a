"""--elicit plans: what is read, asked once, stored, carried out and counted."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from lvlm2p import cli
from lvlm2p.envs import View, question, question_task, source_of, task_named
from lvlm2p.envs.doorkey.tasks import COLORED, SIMPLE
from lvlm2p.teachers import (
    AnswerError,
    ConfigError,
    Failure,
    Label,
    LabelStore,
    Teacher,
    load_teacher,
)
from lvlm2p.teachers.plans.answer import parse_plan
from lvlm2p.teachers.plans.mixture import planning_of
from tests.envs.doorkey.rooms import room
from tests.support.chat import Script, openai_body

FETCH = '{"plan":["go to <key>","pick up <key>"]}'
PLANNING = planning_of(SIMPLE)


def seen(drawn: str, carried: str = "", task: str = "simple-door-key") -> View:
    return View(task_named(task), room(drawn, carried).encode(), "open the door")


NEAR, FAR = seen("######\n#..>b#\n######"), seen("######\n#>..b#\n######")


@pytest.fixture
def script(httpserver: HTTPServer) -> Script:
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    return Script(httpserver, "/v1/chat/completions", [openai_body(FETCH)])


def planner(
    httpserver: HTTPServer,
    name: str = "qwen-vl-local",
    store: LabelStore | None = None,
    **more: Any,
) -> Teacher:
    options = {
        "model": "some-vl",
        "api_base": httpserver.url_for("/v1"),
        "elicit": "plans",
        "view": "text",
        "samples": 2,
        "retries": 0,
        **more,
    }
    return load_teacher(name, options=options, store=store)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        (FETCH, "go to <key>, pick up <key>"),
        ("I see a key.\nAction: {go to <key>, pick up <key>}", "go to <key>, pick up <key>"),
        ('```json\n{"thought": "x", "actions": ["explore"]}\n```', "explore"),
        ('["go to the key", "Pick up key."]', "go to <key>, pick up <key>"),
        ("Plan: go to key, then pick up key", "go to <key>, pick up <key>"),
        ("1. explore\n\nBetter:\n1. go to <key>\n- open <door>\nDone", "go to <key>, open <door>"),
        ('{"plan": "explore"}', "explore"),
        ('{"plan": ["dance", "explore"]}', "dance, explore"),
        ("<think>Action: {open <door>}</think>Action: {explore}", "explore"),
    ],
)  # fmt: skip
def test_a_plan_is_read(text: str, plan: str) -> None:
    assert ", ".join(map(str, parse_plan(text, PLANNING))) == plan


@pytest.mark.parametrize(
    "text",
    ["", "Go to the key.", '{"plan": []}', '{"plan": ["dance"]}', json.dumps(["explore"] * 21)],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        parse_plan(text, PLANNING)


@given(st.text())
def test_whatever_is_written_is_a_plan_or_an_error(text: str) -> None:
    with contextlib.suppress(AnswerError):
        assert any(map(PLANNING.offers, parse_plan(text, PLANNING)))


def test_one_question_serves_all_states_with_the_same_sentence(
    httpserver: HTTPServer, script: Script, tmp_path: Path
) -> None:
    with LabelStore(tmp_path / "store") as store:
        teacher = planner(httpserver, store=store)
        near, far = teacher.label([NEAR, FAR])
        assert isinstance(near, Label) and near.action == "pickup"
        assert isinstance(far, Label) and far.action == "forward"
        assert near.elicitation == "plans" and near.analysis is not None
        assert near.analysis["plans"] == "1.00 go to <key>, pick up <key>"
        assert len(script.requests) == 2 == teacher.counts.asked  # one for each sample
        assert "Agent sees <key>, holds <nothing>." in str(script.requests[0]["messages"][-1])
        assert "- pick up: take the key directly in front" in str(script.requests[0]["messages"][0])
        teacher.close()
        more = planner(httpserver, store=store, samples=5)  # three more, and three only
        assert more.label([NEAR])[0].usage.calls == 5 and len(script.requests) == 5
        assert more.counts.asked == 3
        assert more.fingerprint_for(SIMPLE) != teacher.fingerprint_for(SIMPLE)
        blind = planner(httpserver, store=store, samples=5, executor="blind")
        assert isinstance(blind.label([FAR])[0], Label) and len(script.requests) == 5
        more.close()


def test_colours_exchanged_are_the_same_question(httpserver: HTTPServer, script: Script) -> None:
    drawn = "######\n#.>.b#\n#...r#\n#....B\n######"
    other = drawn.translate(str.maketrans("bBrR", "rRbB"))
    views = [seen(one, task="colored-door-key") for one in (drawn, other)]
    one, same = (question(view, "text", False, 0) for view in views)
    assert one.key == same.key and source_of(one.task) is COLORED
    assert question(views[0], "text", True, 0).key != question(
        seen(drawn.replace(".>", ">."), task="colored-door-key"), "text", True, 0).key  # fmt: skip
    assert View.from_json(one.to_json()) == one and one.task is question_task(COLORED)
    teacher = planner(httpserver, samples=1)
    script._answers = [openai_body("Action: {go to <color1 key>, pick up <color1 key>}")]
    assert [isinstance(answer, Label) for answer in teacher.label(views)] == [True, True]
    assert len(script.requests) == 1


def test_votes_are_mixed_and_what_is_not_there_is_counted_and_never_guessed(
    httpserver: HTTPServer, script: Script
) -> None:
    script._answers = [
        openai_body('{"plan":["go to <unicorn>","sing","explore"]}'),
        openai_body(FETCH),
        openai_body(FETCH),
        openai_body("It is a nice room."),
    ]
    view = seen("######\n#.>.b#\n#...##\n# .. #\n######")
    teacher = planner(httpserver, samples=4, concurrency=1)
    (label,) = teacher.label([view])
    assert isinstance(label, Label) and label.analysis is not None
    assert label.probabilities["forward"] == pytest.approx(2 / 3)
    assert label.analysis["absent"] == 2 and label.analysis["options"] == 4
    assert label.analysis["named_absent"] == "go to <unicorn>, sing"
    assert label.analysis["unread"] == 1 and label.analysis["option"] == "go to <key>"
    assert [turn.role for turn in label.transcript] == ["user", *["assistant"] * 4]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"plan":["go to <unicorn>"]}', "what they name is not there: go to <unicorn>"),
        ("nonsense", "2 of 2 plans can't be used; the first: "),
    ],
)
def test_nonsense_gives_no_label(
    httpserver: HTTPServer, script: Script, said: str, words: str
) -> None:
    script._answers = [openai_body(said)]
    (answer,) = planner(httpserver).label([NEAR])
    assert isinstance(answer, Failure) and answer.failure == "invalid" and words in answer.message


def test_pictures_text_and_both_are_different_questions_of_one_model(
    httpserver: HTTPServer, script: Script
) -> None:
    prints = set()
    for shown in ("text", "image", "both"):
        teacher = planner(httpserver, f"qwen-vl-local@{shown}", view="image", samples=1)
        del teacher
        options = {"model": "some-vl", "api_base": httpserver.url_for("/v1"), "elicit": "plans"}
        teacher = load_teacher(f"qwen-vl-local@{shown}", options={**options, "samples": 1})
        assert teacher.name == f"qwen-vl-local@{shown}" and teacher.looks == (shown != "text")
        assert isinstance(teacher.label([NEAR])[0], Label)
        prints.add(teacher.fingerprint_for(SIMPLE))
        content = str(script.requests[-1]["messages"][-1]["content"])
        assert ("Agent sees" in content) == (shown != "image")
        assert ("data:image/png" in content) == (shown != "text")
    assert len(prints) == 3


def test_one_who_sees_the_picture_may_name_colours(httpserver: HTTPServer, script: Script) -> None:
    script._answers = [openai_body('{"plan":["go to blue key","pick up blue key"]}')]
    (label,) = planner(httpserver, view="image").label([NEAR])
    assert isinstance(label, Label) and label.action == "pickup"


def test_tasks_and_options_that_do_not_fit(httpserver: HTTPServer) -> None:
    teacher = planner(httpserver)
    assert "offers no options" in str(teacher.supports(task_named("fetch")))
    assert "'bold': choose careful or blind" in str(
        planner(httpserver, executor="bold").supports(SIMPLE)
    )
    with pytest.raises(ConfigError, match="temperature=0 are all the same"):
        planner(httpserver, temperature=0)


def test_text_image_and_both_stand_in_one_report(
    httpserver: HTTPServer, script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script._answers = [openai_body('{"plan":["go to the unicorn","explore"]}')]
    names = [f"qwen-vl-local@{shown}" for shown in ("text", "image", "both")]
    asked = ["-T", "model=some-vl", "-T", f"api_base={httpserver.url_for('/v1')}"]
    where = ["--env", "LVLM2P-SimpleDoorKey-v0", "--out", str(tmp_path / "report")]
    size = ["--states", "6", "--episodes", "0", "--probes", "0", "-T", "samples=1", "--yes"]
    command = ["evaluate", "--teacher", *names, "--elicit", "plans", *asked, *where, *size]
    assert cli.main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert [row["teacher"] for row in rows] == names
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert {tuple(row["teachers"]) for row in report["agreement"]} >= {(names[0], names[1])}
    for row in report["results"]:
        assert row["plans"]["infeasible"]["value"] == 0.5
        assert row["plans"]["accuracy"] is not None
        assert any(finding["code"] == "infeasible" for finding in row["findings"])
    assert len(script.requests) < 18  # one for each sentence; and one for each picture, twice
