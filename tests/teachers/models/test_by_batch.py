"""Half-price batch APIs: the three protocols, kills, expiry, partial failure, budgets."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.teachers import Budget, Failure, Label, LabelStore, load_teacher
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.run import label_states
from lvlm2p.teachers.models.hosted.batches import desk, interviewer, service
from lvlm2p.teachers.models.hosted.batches.journal import BatchJournal, OpenBatch
from tests.support.batch_server import NAMES, BatchServer
from tests.support.chat import KEY, some_views
from tests.support.protocols import PROTOCOLS, set_keys, teacher_at


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)
    monkeypatch.setattr(interviewer, "FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(desk, "LONGEST_BACK_OFF_S", 0.01)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "store")


def rows(store: LabelStore) -> list[OpenBatch]:
    return BatchJournal(store).open()


@pytest.mark.parametrize("name", NAMES)
def test_answers_come_in_any_order_and_are_what_asking_one_by_one_brings(
    name: str, httpserver: HTTPServer, store: LabelStore, tmp_path: Path
) -> None:
    server, views = BatchServer(httpserver, name), some_views(4)
    teacher = server.teacher(store)
    answers = teacher.label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    assert [batch.requests.__len__() for batch in server.batches] == [4]
    assert rows(store) == []
    assert all(KEY not in json.dumps(list(batch.requests)) for batch in server.batches)
    keyed = [header for header in server.headers if KEY in json.dumps(header)]
    assert len(keyed) == len(server.headers)

    httpserver.clear()
    protocol = PROTOCOLS[name]
    httpserver.expect_request(protocol.path).respond_with_json(protocol.answer())
    single = teacher_at(name, httpserver.url_for("/"), store=LabelStore(tmp_path / "other"))
    for by_batch, alone in zip(answers, single.label(views), strict=True):
        assert isinstance(by_batch, Label) and isinstance(alone, Label)
        assert by_batch.fingerprint == alone.fingerprint
        assert by_batch.probabilities == alone.probabilities
        assert by_batch.transcript == alone.transcript
        assert by_batch.usage == alone.usage
        assert by_batch.latency_s == 0.0
        assert by_batch.cost_usd is not None and alone.cost_usd is not None
        assert by_batch.cost_usd == pytest.approx(alone.cost_usd / 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_requests_are_those_that_are_sent_one_by_one(
    name: str, httpserver: HTTPServer, store: LabelStore, tmp_path: Path
) -> None:
    server, views = BatchServer(httpserver, name), some_views(1)
    server.teacher(store).label(views)
    (asked,) = server.batches[0].requests.values()
    httpserver.clear()
    protocol, seen = PROTOCOLS[name], []

    def keep(request: Any) -> Any:
        from werkzeug import Response

        seen.append(json.loads(request.data))
        return Response(json.dumps(protocol.answer()), content_type="application/json")

    httpserver.expect_request(protocol.path).respond_with_handler(keep)
    teacher_at(name, httpserver.url_for("/"), store=LabelStore(tmp_path / "other")).label(views)
    assert seen == [asked]


@pytest.mark.parametrize("name", NAMES)
def test_two_turns_are_two_batches(name: str, httpserver: HTTPServer, store: LabelStore) -> None:
    server = BatchServer(httpserver, name)
    answers = server.teacher(store, prompt="two-turn").label(some_views(3))
    assert [len(batch.requests) for batch in server.batches] == [3, 3]
    for answer in answers:
        assert isinstance(answer, Label) and answer.analysis is not None
        assert answer.usage.calls == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_is_taken_up_where_it_was(
    name: str, httpserver: HTTPServer, store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, views = BatchServer(httpserver, name), some_views(3)

    def killed(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", killed)
        with pytest.raises(KeyboardInterrupt):
            server.teacher(store).label(views)
    (row,) = rows(store)
    assert row.id in (server.batches[0].id, f"batches/{server.batches[0].id}")
    assert len(row.waiting) == 3
    assert KEY not in row.model_dump_json()
    again = server.teacher(store).label(views)
    assert all(isinstance(answer, Label) for answer in again)
    assert server.questions == 3
    assert rows(store) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_whose_id_never_arrived_is_found_again(
    name: str, httpserver: HTTPServer, store: LabelStore
) -> None:
    """It was created, and the connection broke: with the key's owner, but nobody knows its id."""
    server, views = BatchServer(httpserver, name), some_views(2)
    server.lose_answers = 1
    answers = server.teacher(store).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    assert server.questions == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_between_creating_a_batch_and_hearing_of_it_loses_nothing(
    name: str, httpserver: HTTPServer, store: LabelStore
) -> None:
    server, views = BatchServer(httpserver, name), some_views(2)
    server.lose_answers = 1
    with pytest.raises(TeacherNotReadyError, match="can't be asked by batch"):
        server.teacher(store, retries=0).label(views)
    (row,) = rows(store)
    assert row.id == ""
    answers = server.teacher(store).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    assert server.questions == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_was_never_created_is_sent_by_the_next_run(
    name: str, httpserver: HTTPServer, store: LabelStore
) -> None:
    server, views = BatchServer(httpserver, name), some_views(2)
    server.refuse = 503
    with pytest.raises(TeacherNotReadyError):
        server.teacher(store, retries=0).label(views)
    assert len(rows(store)) == 1
    server.refuse = 0
    answers = server.teacher(store).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    assert [len(batch.requests) for batch in server.batches] == [2]
    assert rows(store) == []


def test_of_anthropics_batches_one_of_the_same_size_may_be_somebody_elses(
    httpserver: HTTPServer, store: LabelStore
) -> None:
    server, views = BatchServer(httpserver, "claude"), some_views(2)
    server.lose_answers = 1
    with pytest.raises(TeacherNotReadyError):
        server.teacher(store, retries=0).label(views)
    foreign = {
        f"theirs-{n}": request for n, request in enumerate(server.batches[0].requests.values())
    }
    server._create(foreign)  # the latest is looked at first
    answers = server.teacher(store).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    assert len(server.batches) == 2
    assert rows(store) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["expired", "500", "lost"])
def test_what_was_not_answered_is_asked_again_and_nothing_else(
    name: str, fault: str, httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, name)
    server.fault = lambda position, _: fault if position == 1 and len(server.batches) == 1 else ""
    answers = server.teacher(store).label(some_views(3))
    assert all(isinstance(answer, Label) for answer in answers)
    assert [len(batch.requests) for batch in server.batches] == [3, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_request_fails_alone_and_for_good(
    name: str, httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, name)
    server.fault = lambda position, _: "400" if position == 1 else ""
    first, second, third = server.teacher(store).label(some_views(3))
    assert isinstance(first, Label) and isinstance(third, Label)
    assert isinstance(second, Failure) and second.failure == "rejected"
    assert "planned" in second.message
    assert len(server.batches) == 1


def test_what_is_never_answered_fails_after_three_batches(
    httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, "gpt-4v")
    server.fault = lambda *_: "expired"
    (answer,) = server.teacher(store).label(some_views(1))
    assert isinstance(answer, Failure)
    assert answer.failure == "unavailable" and "it expired" in answer.message
    assert len(server.batches) == 3


def test_a_batch_that_fails_as_a_whole_is_one_sentence(
    httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, "gpt-4v")
    server.fails = "the model does not exist"
    with pytest.raises(TeacherNotReadyError, match="the model does not exist"):
        server.teacher(store).label(some_views(2))
    assert rows(store) == []


def test_large_sets_are_several_batches(
    httpserver: HTTPServer, store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interviewer, "MOST_REQUESTS", 2)
    server = BatchServer(httpserver, "gpt-4v")
    assert len(server.teacher(store).label(some_views(5))) == 5
    assert [len(batch.requests) for batch in server.batches] == [2, 2, 1]
    monkeypatch.setattr(service.BatchService, "most_bytes", 1)
    server.teacher(store).label(some_views(7))
    assert [len(batch.requests) for batch in server.batches] == [2, 2, 1, 1, 1]


def test_a_run_about_fewer_states_leaves_the_others_answers_to_a_later_one(
    httpserver: HTTPServer, store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, views = BatchServer(httpserver, "gpt-4v"), some_views(3)

    def killed(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", killed)
        with pytest.raises(KeyboardInterrupt):
            server.teacher(store).label(views)
    server.teacher(store).label(views[:1])
    (row,) = rows(store)
    assert len(row.waiting) == 2
    assert all(isinstance(answer, Label) for answer in server.teacher(store).label(views))
    assert server.questions == 3


def test_a_budget_counts_what_open_batches_will_cost(
    httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, "gpt-4v")
    price = server.teacher(store).estimate(some_views(1)).usd
    assert price is not None
    answers = server.teacher(store, budget=Budget(calls=2)).label(some_views(3))
    assert [isinstance(answer, Label) for answer in answers] == [True, True, False]
    assert server.questions == 2

    budget = Budget(usd=2.5 * price)
    teacher = server.teacher(LabelStore(store.path / "other"), budget=budget)
    answers = teacher.label(some_views(4))
    assert [isinstance(answer, Label) for answer in answers] == [True, True, False, False]
    spent = sum(answer.cost_usd or 0.0 for answer in answers)
    assert budget.spent_usd == pytest.approx(spent) and budget.spent_calls == 2


def test_the_forecast_is_half(httpserver: HTTPServer, store: LabelStore) -> None:
    server, views = BatchServer(httpserver, "gpt-4v"), some_views(10)
    single = teacher_at("gpt-4v", httpserver.url_for("/"), store=store).estimate(views)
    batch = server.teacher(store).estimate(views)
    assert single.usd is not None and batch.usd == pytest.approx(single.usd / 2)
    assert "at most 24 h (by batch, at half the price)" in str(batch)
    two = server.teacher(store, prompt="two-turn").estimate(views)
    assert two.batches == 2

    labelled = server.teacher(store).label(views[:2])
    mean = sum(label.cost_usd or 0.0 for label in labelled) / 2
    assert server.teacher(store).estimate(views).usd == pytest.approx(8 * mean)
    one_by_one = teacher_at("gpt-4v", httpserver.url_for("/"), store=store).estimate(views)
    assert one_by_one.usd == pytest.approx(single.usd * 0.8)  # not what came at half the price


def test_who_has_no_batch_api_says_so(store: LabelStore) -> None:
    for name, why in {"expert": "has none", "qwen-vl-local": "no batch API"}.items():
        with pytest.raises(ConfigError, match=why):
            load_teacher(name, store=store, by_batch=True)
    with pytest.raises(ConfigError, match="label store"):
        load_teacher("gpt-4v", by_batch=True).label(some_views(1))


def test_a_wrong_key_is_one_sentence_and_leaves_nothing_behind(
    httpserver: HTTPServer, store: LabelStore
) -> None:
    server = BatchServer(httpserver, "gemini")
    server.refuse = 401
    with pytest.raises(TeacherNotReadyError, match="planned") as caught:
        server.teacher(store).label(some_views(1))
    assert KEY not in str(caught.value)
    assert rows(store) == []
    assert server.batches == []


def test_asking_one_by_one_tells_of_open_batches(
    httpserver: HTTPServer, store: LabelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    BatchJournal(store).note(OpenBatch(nonce="0" * 16, names=["a"], created=1.0, id="b"))
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        PROTOCOLS["gpt-4v"].answer()
    )
    teacher_at("gpt-4v", httpserver.url_for("/"), store=store).label(some_views(1))
    assert "--batch collects" in capsys.readouterr().err


def test_the_command_asks_about_all_states_at_once(
    httpserver: HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("lvlm2p.teachers.labelling.run.BATCH", 2)
    server = BatchServer(httpserver, "gpt-4v")
    options = {"api_base": httpserver.url_for("/v1"), "prompt": "direct", "shots": 0}
    config = LabelConfig(
        teacher="gpt-4v",
        env="MiniGrid-GoToDoor-5x5-v0",
        states=5,
        batch=True,
        out=str(tmp_path / "labels.parquet"),
        store=tmp_path / "store",
        teacher_args=options,
    )
    result = label_states(config)
    assert [len(batch.requests) for batch in server.batches] == [5]
    assert (result.rows, result.counts.asked, result.counts.failed) == (5, 5, 0)
    said = capsys.readouterr().err
    assert "5 states to ask, 5 calls, time at most 24 h (by batch, at half the price)" in said
    assert "batch batch_1: 5 questions sent" in said and "batch batch_1 has ended" in said


def test_batches_go_with_this_process_alone() -> None:
    with pytest.raises(ValueError, match="--batch goes with --engine local"):
        LabelConfig(teacher="gpt-4v", env="MiniGrid-GoToDoor-5x5-v0", batch=True, engine="ray")
