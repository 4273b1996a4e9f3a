"""Letters' probabilities as servers report them, or fail to."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label
from lvlm2p.teachers.errors import TeacherNotReadyError
from tests.support.chat import Script, gemini_body, letters_body, openai_body, some_views
from tests.support.protocols import PROTOCOLS, VLLM, serves_models, set_keys, teacher_at

OPENAI = pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    set_keys(monkeypatch)
    serves_models(httpserver)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


def asked(name: str, server: HTTPServer, view: View, answer: Any) -> Label | Failure:
    Script(server, PROTOCOLS[name].path, [answer])
    teacher = teacher_at(name, server.url_for(""), elicit="logprobs", reask=0)
    return teacher.label([view])[0]


def reported(p: float, how: str) -> dict[str, Any]:
    """An answer whose sampled token A has ``p``, and nothing is said of another."""
    body = letters_body({"A": math.log(p)})
    (position,) = body["choices"][0]["logprobs"]["content"]
    if how == "missing":
        del position["top_logprobs"]
    elif how != "alone":
        position["top_logprobs"] = {"empty": [], "null": None}[how]
    return body


@OPENAI
@pytest.mark.parametrize("how", ["empty", "missing", "null", "alone"])
def test_a_token_that_is_reported_alone_keeps_its_own_probability(
    httpserver: HTTPServer, view: View, name: str, how: str
) -> None:
    label = asked(name, httpserver, view, reported(0.9, how))
    assert isinstance(label, Label), label
    assert label.outside == pytest.approx(0.1)
    rest = pytest.approx(0.1 / 3)
    assert label.probabilities == {
        "left": pytest.approx(0.9), "right": rest, "forward": rest, "done": rest
    }  # fmt: skip


@OPENAI
@pytest.mark.parametrize("how", ["empty", "missing", "null", "alone"])
def test_above_half_outside_is_no_label(
    httpserver: HTTPServer, view: View, name: str, how: str
) -> None:
    failure = asked(name, httpserver, view, reported(0.4, how))
    assert isinstance(failure, Failure) and failure.failure == "invalid"
    assert "only 0.40 of the probability" in failure.message


@pytest.mark.parametrize("top", [{}, {"topCandidates": []}, {"topCandidates": [{}]}])
def test_gemini_reports_the_chosen_token_alone(
    httpserver: HTTPServer, view: View, top: dict[str, Any]
) -> None:
    body = gemini_body("A")
    chosen = [{"token": "A", "logProbability": math.log(0.9)}]
    body["candidates"][0]["logprobsResult"] = {"chosenCandidates": chosen, **top}
    answer = asked("gemini", httpserver, view, body)
    if isinstance(answer, Label):
        assert answer.outside == pytest.approx(0.1)
        assert answer.probabilities["left"] == pytest.approx(0.9)
    else:
        assert not answer.lasting


@OPENAI
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_no_probability_at_all_is_said_once(
    httpserver: HTTPServer, view: View, name: str, finish: str
) -> None:
    body = openai_body("A", finish)
    body["choices"][0]["logprobs"] = {"content": [{"token": "A", "bytes": None, "logprob": None}]}
    for answer in (openai_body("A", finish), body):
        with pytest.raises(TeacherNotReadyError, match="returned no logprobs"):
            asked(name, httpserver, view, answer)
        httpserver.clear()
        serves_models(httpserver)
