"""What must not change, because labels are paid for and scripts read what is printed.

The golden values are in golden/; ``python -m tests.golden.update`` writes them anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.envs import View
from lvlm2p.teachers import Label, LabelStore, Teacher, load_teacher, reply_key
from lvlm2p.teachers.errors import MissingLabelsError
from tests.golden.commands import said
from tests.golden.compare import lost, plain, read
from tests.golden.questions import WITHOUT_EFFECT, called, prints, task_views
from tests.golden.rows import copied, exported
from tests.golden.update import MAKERS
from tests.support.chat import STATED, Script, openai_body

OLD = read("store")
PASSING = ("unavailable", "rate_limited")


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_is_still_so(name: str, tmp_path: Path) -> None:
    assert lost(read(name), plain(MAKERS[name](tmp_path))) == []


def test_a_change_is_noticed() -> None:
    golden = {"a": {"b": [1, {"c": None}]}}
    assert lost(golden, {"a": {"b": [1, {"c": None, "new": 1}], "new": 1}}) == []
    assert lost(golden, {"a": {"b": [1, {}]}}) == ["/a/b/1/c: is gone"]
    assert lost(golden, {"a": {"b": [1.0, {"c": None}]}}) == ["/a/b/0: was 1, is 1.0"]
    assert len(lost(golden, {"a": {"b": [1]}})) == 1


@pytest.mark.parametrize(("name", "options"), WITHOUT_EFFECT, ids=lambda value: str(value))
def test_options_that_change_no_answer_are_not_in_the_fingerprint(
    name: str, options: dict[str, object]
) -> None:
    needed = {"model": options["model"]} if "model" in options else {}
    assert prints(name, options) == prints(name, needed), called(name, options)


# ---------------------------------------------------------------- a store of version 0.1.0


def opened(question: dict[str, Any], store: LabelStore, **how: Any) -> tuple[Teacher, list[View]]:
    """The teacher that was asked then, and the states that it was asked about."""
    views = [view for view in task_views(question["task"]) if view.key in question["answers"]]
    options, sample = question["options"], question["sample"]
    teacher = load_teacher(question["teacher"], options=options, store=store, sample=sample, **how)
    return teacher, views


def asked_anew(question: dict[str, Any]) -> bool:
    """Labels that are read by other rules now: what hosted models report as logprobs."""
    hosted = question["teacher"] not in ("tiny-vl", "qwen-vl-hf")
    return bool(hosted and question["options"].get("elicit") == "logprobs")


STILL = [i for i, question in enumerate(OLD["asked"]) if not asked_anew(question)]
ANEW = [i for i, question in enumerate(OLD["asked"]) if asked_anew(question)]


@pytest.mark.parametrize("index", ANEW)
def test_a_label_that_is_read_by_other_rules_now_is_asked_for_anew(
    index: int, tmp_path: Path
) -> None:
    with LabelStore(copied(tmp_path), create=False) as store:
        teacher, views = opened(OLD["asked"][index], store, offline=True)
        with pytest.raises(MissingLabelsError, match=f"{len(views)} of {len(views)} states"):
            teacher.label(views)


def test_few_of_an_old_store_are_asked_for_anew() -> None:
    assert (len(ANEW), len(STILL)) == (1, 23)


@pytest.mark.parametrize("index", STILL)
def test_an_old_store_answers_and_nobody_is_asked(index: int, tmp_path: Path) -> None:
    question = OLD["asked"][index]
    passing = any(answer in PASSING for answer in question["answers"].values())
    with LabelStore(copied(tmp_path), create=False) as store:
        teacher, views = opened(question, store, offline=passing)
        answers = teacher.label(views)
    assert len(views) == len(question["answers"]) > 0
    for view, answer in zip(views, answers, strict=True):
        now = answer.probabilities if isinstance(answer, Label) else answer.failure
        assert now == question["answers"][view.key]
    assert (teacher.counts.asked, teacher.counts.cached) == (0, len(views))


def test_a_turn_that_an_old_store_holds_is_not_asked_again(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """The second of two turns got no answer then; what the first had cost is not lost."""
    script = Script(httpserver, "/v1/chat/completions", [openai_body(STATED)])
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    question = next(old for old in OLD["asked"] if "unavailable" in old["answers"].values())
    url = httpserver.url_for("/v1")  # a server's address is no part of who answers
    question = {**question, "options": {**question["options"], "api_base": url}}
    with LabelStore(copied(tmp_path), create=False) as store:
        teacher, (view,) = opened(question, store)
        name = reply_key(teacher.fingerprint_for(view.task), view.key, 0, 1)
        reply = store.get_reply(name)
        assert reply is not None and '"agent_row":3' in reply["text"]
        (label,) = teacher.label([view])
        teacher.close()
        assert store.get_reply(name) is None
    assert isinstance(label, Label) and label.probabilities["forward"] == 0.7
    assert len(script.requests) == 1 and label.usage.calls == 2


def test_an_old_store_is_sound_and_gives_its_rows(tmp_path: Path) -> None:
    store = copied(tmp_path)
    found = said("labels", "verify", "--store", store)
    assert found["clean"] is True and not found["problems"] and not found["unknown_tasks"]
    assert lost(OLD["exported"], exported(store, tmp_path / "all.parquet")) == []
