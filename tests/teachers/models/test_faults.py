"""What goes wrong between us and a provider: retried, waited for, given up, and never leaked."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.prompts import load_prompt
from lvlm2p.teachers import Failure, Label, LabelStore, load_teacher
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted import retry as calling
from lvlm2p.teachers.models.hosted.api_keys import read_keys, scrub
from tests.support.chat import (
    GOOD,
    KEY,
    OPENAI,
    Script,
    failing,
    gpt,
    letters_body,
    openai_body,
    some_views,
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def views() -> list[View]:
    return some_views(8)


BOTH = pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local"])
"""Through litellm, and without it."""


@BOTH
def test_a_429_is_waited_for_as_long_as_it_says(
    httpserver: HTTPServer, views: list[View], name: str
) -> None:
    busy = failing(429, "slow down", {"Retry-After": "1"})
    script = Script(httpserver, OPENAI, [busy, GOOD])
    gpt(httpserver, name=name).label(views[:1])  # the import of litellm is not what is measured
    script.requests.clear()
    started = time.monotonic()
    assert isinstance(gpt(httpserver, name=name).label(views[:1])[0], Label)
    assert 1.0 <= time.monotonic() - started < 4
    assert len(script.requests) == 2


@BOTH
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_passing_trouble_passes(
    httpserver: HTTPServer, views: list[View], name: str, status: int
) -> None:
    script = Script(httpserver, OPENAI, [failing(status, "busy"), GOOD])
    assert isinstance(gpt(httpserver, name=name).label(views[:1])[0], Label)
    assert len(script.requests) == 2


@BOTH
@pytest.mark.parametrize(
    "answer", [Response("<html>", 200), Response('{"choices": [{"mess', 200), {}, {"choices": []}]
)
def test_an_unreadable_answer_is_asked_for_again(
    httpserver: HTTPServer, views: list[View], name: str, answer: Any
) -> None:
    Script(httpserver, OPENAI, [answer, GOOD])
    assert isinstance(gpt(httpserver, name=name).label(views[:1])[0], Label)


@BOTH
def test_retries_end(httpserver: HTTPServer, views: list[View], name: str) -> None:
    script = Script(httpserver, OPENAI, [failing(500, "broken")])
    (failure,) = gpt(httpserver, name=name, retries=2).label(views[:1])
    assert isinstance(failure, Failure) and failure.failure == "unavailable"
    assert not failure.lasting and "broken" in failure.message
    assert len(script.requests) == 3


@BOTH
def test_a_hanging_server_is_a_timeout(
    httpserver: HTTPServer, views: list[View], name: str
) -> None:
    release = threading.Event()

    def hang() -> Response:
        release.wait(5)
        return Response("{}")

    Script(httpserver, OPENAI, [hang])
    (failure,) = gpt(httpserver, name=name, timeout=0.5, retries=0).label(views[:1])
    release.set()
    assert isinstance(failure, Failure) and failure.failure == "timeout"
    assert "within 0.5 seconds" in failure.message


def test_nobody_there_is_unavailable(views: list[View]) -> None:
    options = {"api_base": "http://127.0.0.1:9/v1", "retries": 0}
    (failure,) = load_teacher("gpt-4v", options=options).label(views[:1])
    assert isinstance(failure, Failure) and failure.failure == "unavailable"


FINAL = [
    (401, f"Incorrect API key provided: {KEY}", "Incorrect API key"),
    (403, "no access", "no access"),
    (429, "You exceeded your current quota (insufficient_quota)", "quota"),
    (404, "The model `gpt-9` does not exist", "does not exist"),
]


@BOTH
@pytest.mark.parametrize(("status", "message", "said"), FINAL)
def test_what_is_final_is_asked_once_and_said_in_one_sentence(
    httpserver: HTTPServer, views: list[View], name: str, status: int, message: str, said: str
) -> None:
    script = Script(httpserver, OPENAI, [failing(status, message)])
    with pytest.raises(TeacherNotReadyError, match=f"teacher '{name}' can't be asked.*{said}") as e:
        gpt(httpserver, name=name, concurrency=1).label(views)
    assert KEY not in str(e.value) and "\n" not in str(e.value)
    assert len(script.requests) == 1


def test_a_quota_that_ends_in_mid_run_leaves_typed_failures(
    httpserver: HTTPServer, views: list[View]
) -> None:
    ended = failing(429, "insufficient_quota")
    script = Script(httpserver, OPENAI, [GOOD, GOOD, ended])
    answers = gpt(httpserver, concurrency=1).label(views)
    assert [answer.kind for answer in answers] == ["label"] * 2 + ["failure"] * 6
    assert {a.failure for a in answers if isinstance(a, Failure)} == {"rejected"}
    assert len(script.requests) == 3


@BOTH
def test_a_rejected_request_concerns_one_view_only(
    httpserver: HTTPServer, views: list[View], name: str
) -> None:
    too_long = failing(400, "This model's maximum context length is 8192 tokens")
    Script(httpserver, OPENAI, [GOOD, too_long, GOOD])
    answers = gpt(httpserver, name=name, concurrency=1).label(views[:3])
    assert [answer.kind for answer in answers] == ["label", "failure", "label"]


def test_when_all_are_rejected_the_rest_is_not_asked(
    httpserver: HTTPServer, views: list[View]
) -> None:
    script = Script(httpserver, OPENAI, [failing(400, "max_tokens is too large")])
    with pytest.raises(TeacherNotReadyError, match="max_tokens is too large"):
        gpt(httpserver, concurrency=1).label(views)
    assert len(script.requests) == 3


def test_a_dead_server_is_noticed(
    httpserver: HTTPServer, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "NEVER_UP_S", 0.0)
    script = Script(httpserver, OPENAI, [failing(500, "broken")])
    answers = gpt(httpserver, concurrency=2, retries=1).label(views)
    assert all(isinstance(answer, Failure) for answer in answers)
    assert len(script.requests) == 4 * 2 + 4, "after eight failures in a row each is tried once"


@BOTH
def test_an_outage_is_waited_for(
    httpserver: HTTPServer,
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody's retries are used up: 3 at a time, 30 failures, 6 retries each, and nothing lost."""
    monkeypatch.setattr(calling, "_LONGEST_PROBE_S", 0.2)
    outage = [failing(503, "restarting")] * 30
    script = Script(httpserver, OPENAI, [GOOD] * 5 + outage + [GOOD])
    answers = gpt(httpserver, name=name, concurrency=3).label(some_views(20))
    assert {answer.kind for answer in answers} == {"label"}
    assert len(script.requests) == 20 + 30
    assert capsys.readouterr().err.count("restarting: waiting for the provider to come back") == 1


def test_keys_are_used_in_turn_and_a_bad_one_is_put_away(
    httpserver: HTTPServer, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key-number-one, sk-key-number-two,sk-key-number-three")
    used: list[str] = []

    def answer(request: Any) -> Response:
        used.append(request.headers["Authorization"].removeprefix("Bearer sk-key-number-"))
        return (
            failing(401, "wrong key")
            if used[-1] == "two"
            else Response(json.dumps(GOOD), content_type="application/json")
        )

    httpserver.expect_request(OPENAI, method="POST").respond_with_handler(answer)
    answers = gpt(httpserver, concurrency=1).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    counts = Counter(used)
    assert counts["two"] == 1
    assert abs(counts["one"] - counts["three"]) <= 1


def test_a_missing_key_is_one_sentence(views: list[View], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for name, variable in (
        ("gpt-4v", "OPENAI_API_KEY"),
        ("gemini", "GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
    ):
        with pytest.raises(TeacherNotReadyError, match=f"{name}.*needs an API key: set {variable}"):
            load_teacher(name).label(views[:1])
    with pytest.raises(TeacherNotReadyError, match="GROQ_API_KEY"):
        load_teacher("litellm:groq/llama-4").label(views[:1])


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# mine\nsk-one\n\nsk-two\n")
    assert read_keys("x", ("X",), path) == ("sk-one", "sk-two")
    path.write_text("# nothing\n")
    with pytest.raises(TeacherNotReadyError, match="holds no key"):
        read_keys("x", ("X",), path)
    with pytest.raises(TeacherNotReadyError, match="can't read key_file"):
        read_keys("x", ("X",), tmp_path / "missing")


def test_no_server_is_one_sentence(views: list[View]) -> None:
    teacher = load_teacher("qwen-vl-local", options={"api_base": "http://127.0.0.1:9"})
    with pytest.raises(TeacherNotReadyError, match=r"127.0.0.1:9/v1 .*lvlm2p serve qwen-vl-local"):
        teacher.label(views[:1])


def test_another_model_than_the_served_one(httpserver: HTTPServer, views: list[View]) -> None:
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "Qwen/A"}]})
    base = httpserver.url_for("/v1")
    teacher = load_teacher("qwen-vl-local", options={"api_base": base, "model": "Qwen/B"})
    with pytest.raises(TeacherNotReadyError, match="serves Qwen/A, not Qwen/B"):
        teacher.label(views[:1])


def test_the_served_tiny_vl_is_asked_in_its_own_words(
    httpserver: HTTPServer, views: list[View]
) -> None:
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "tiny-vl"}]})
    options = {"api_base": httpserver.url_for("/v1")}
    Script(httpserver, OPENAI, [GOOD])
    task = views[0].task
    answer = load_teacher("qwen-vl-local", options=options).label(views[:1])[0]
    assert answer.prompt == load_prompt("tiny", task, elicit="stated").fingerprint
    chosen = load_teacher("qwen-vl-local", options={**options, "prompt": "direct"})
    assert chosen.label(views[:1])[0].prompt == load_prompt("direct", task).fingerprint


def test_an_empty_answer_is_no_want_of_probabilities(
    httpserver: HTTPServer, views: list[View]
) -> None:
    letters = letters_body({"A": -0.1, "B": -3.0})
    Script(httpserver, OPENAI, [letters, openai_body(""), letters])
    answers = gpt(httpserver, elicit="logprobs", concurrency=1, reask=0).label(views[:3])
    assert [getattr(answer, "failure", "label") for answer in answers] == [
        "label",
        "empty",
        "label",
    ]


def test_asking_from_several_threads(httpserver: HTTPServer, views: list[View]) -> None:
    script = Script(httpserver, OPENAI, [GOOD])
    teacher = gpt(httpserver)
    got: list[list[Label | Failure]] = []
    threads = [
        threading.Thread(target=lambda part: got.append(teacher.label(part)), args=(views[i::4],))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(isinstance(answer, Label) for part in got for answer in part) == 8
    assert teacher.counts.asked == len(script.requests) == 8


def test_walking_away_cancels_what_was_asked(httpserver: HTTPServer, views: list[View]) -> None:
    script = Script(httpserver, OPENAI, [GOOD])
    asking = gpt(httpserver, concurrency=1).ask(views)
    next(asking)
    asking.close()  # type: ignore[attr-defined]  # a generator, though Teacher promises less
    time.sleep(0.5)
    assert len(script.requests) <= 3


def test_the_key_is_in_nothing_that_is_written(
    httpserver: HTTPServer,
    views: list[View],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    leak = f"Incorrect API key provided: {KEY}. See https://x/?key={KEY}&a=b (Bearer {KEY})"
    Script(httpserver, OPENAI, [failing(400, leak), failing(500, leak), failing(500, leak), GOOD])
    store = LabelStore(tmp_path / "store")
    teacher = gpt(httpserver, store, concurrency=1, retries=1, reask=0)
    answers = teacher.label(views[:4])
    teacher.close()
    store.close()
    assert [answer.kind for answer in answers] == ["failure"] * 2 + ["label"] * 2
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 2
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    printed = capfd.readouterr()
    assert KEY not in caplog.text + printed.out + printed.err + repr(answers)
    assert KEY not in teacher.fingerprint + repr(vars(teacher)) + repr(vars(teacher.inner))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY}",
        f"?key={KEY}&x=1",
        f"Bearer {KEY}",
        "sk-proj-****************abcd",
        "AIzaSyA-12345678",
    ],
)
def test_scrubbing(text: str) -> None:
    clean = scrub(text, [KEY])
    assert not any(secret in clean for secret in (KEY, "abcd", "AIzaSy", "some-other"))
    assert "***" in clean
