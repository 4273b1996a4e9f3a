"""litellm's real wire code against local servers that speak the providers' own protocols."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.prompts import load_prompt, plain_text
from lvlm2p.teachers import Failure, Label, Teacher, load_teacher
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from tests.support.chat import (
    ANALYSIS,
    CHOICE,
    KEY,
    STATED,
    Script,
    anthropic_body,
    failing,
    gemini_body,
    letters_body,
    openai_body,
    some_views,
)

OPENAI, ANTHROPIC, GEMINI = "/v1/chat/completions", "/v1/messages", re.compile("/v1beta/models/.*")
VLLM = "litellm:hosted_vllm/Qwen/Qwen3-VL-8B-Instruct"
"""What qwen-vl-local asks without litellm, asked through it."""
VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, KEY)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


@pytest.fixture
def served(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    models = {"object": "list", "data": [{"id": "Qwen/Qwen3-VL-8B-Instruct", "object": "model"}]}
    httpserver.expect_request("/v1/models").respond_with_json(models)
    yield httpserver
    httpserver.clear()


def teacher(name: str, server: HTTPServer, **options: Any) -> Teacher:
    suffix = {"claude": "", "gemini": "/v1beta"}.get(name, "/v1")
    base = server.url_for("").rstrip("/") + suffix
    given = {"api_base": base, "retries": 0, "shots": 1, **options}
    return load_teacher(name, options=given)


def asked(name: str, server: HTTPServer, view: View, **options: Any) -> Label | Failure:
    return teacher(name, server, **options).label([view])[0]


def good(answer: Label | Failure) -> Label:
    assert isinstance(answer, Label), answer
    return answer


def bad(answer: Label | Failure, kind: str) -> Failure:
    assert isinstance(answer, Failure), answer
    assert answer.failure == kind, answer
    return answer


def test_openai_two_turns_field_by_field(served: HTTPServer, view: View) -> None:
    script = Script(served, OPENAI, [openai_body(ANALYSIS), openai_body(STATED)])
    label = good(asked("gpt-4v", served, view))
    assert label.probabilities == {"left": 0.1, "right": 0.1, "forward": 0.7, "done": 0.1}
    assert label.analysis is not None and label.analysis["target_column"] == 4
    assert label.usage.model_dump() == {
        "calls": 2,
        "prompt_tokens": 200,
        "cached_tokens": 120,
        "completion_tokens": 20,
    }
    assert label.model == "gpt-as-served"
    assert label.cost_usd == pytest.approx(2 * (40 * 0.4 + 60 * 0.1 + 10 * 1.6) / 1e6)
    first, second = script.requests
    expected = load_prompt("two-turn", view.task, shots=1).conversation(view)
    assert first["messages"] == expected.messages()
    assert second["messages"] == expected.messages([ANALYSIS])
    assert [message["role"] for message in first["messages"]] == [
        *("system", "user", "assistant", "user", "assistant", "user"),
    ]
    picture = first["messages"][-1]["content"][1]
    assert picture["type"] == "image_url"
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    for request, fields in ((first, "agent_row"), (second, "forward")):
        assert request["model"] == "gpt-4.1-mini"
        assert request["max_tokens"] == 1024
        assert "temperature" not in request and "seed" not in request and "n" not in request
        schema = request["response_format"]["json_schema"]
        assert schema["strict"] is True
        assert fields in schema["schema"]["properties"]
        assert schema["schema"]["additionalProperties"] is False
        assert set(schema["schema"]["required"]) == set(schema["schema"]["properties"])
        assert request["prompt_cache_key"] == label.prompt[:32]
    assert script.headers[0]["authorization"] == f"Bearer {KEY}"
    assert label.transcript[0].text == plain_text(first["messages"][-1])
    assert [turn.text for turn in label.transcript if turn.role == "assistant"] == [
        ANALYSIS,
        STATED,
    ]


def test_anthropic_two_turns_field_by_field(served: HTTPServer, view: View) -> None:
    script = Script(served, ANTHROPIC, [anthropic_body(ANALYSIS), anthropic_body(STATED)])
    label = good(asked("claude", served, view))
    assert label.probabilities["forward"] == 0.7
    assert label.usage.cached_tokens == 120
    assert label.cost_usd is not None and label.cost_usd > 0
    for request in script.requests:
        assert request["model"] == "claude-haiku-5-5"
        assert request["max_tokens"] == 4096
        assert not {"temperature", "seed", "top_logprobs", "n"} & set(request)
        assert "You play" in request["system"][0]["text"]
        roles = [message["role"] for message in request["messages"]]
        assert roles[0] == "user" and roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        source = request["messages"][0]["content"][1]["source"]
        assert source["type"] == "base64" and source["media_type"] == "image/png"
        marked = [
            index
            for index, message in enumerate(request["messages"])
            if any("cache_control" in part for part in message["content"])
        ]
        assert marked == [3], "the end of the examples is marked, whatever the turn"
        assert request["messages"][3]["content"][-1]["cache_control"] == {"type": "ephemeral"}
        assert request["output_format"]["schema"]["additionalProperties"] is False
    assert "forward" in script.requests[1]["output_format"]["schema"]["properties"]
    assert script.headers[0]["x-api-key"] == KEY


def test_gemini_two_turns_field_by_field(served: HTTPServer, view: View) -> None:
    script = Script(served, GEMINI, [gemini_body(ANALYSIS), gemini_body(STATED)])
    label = good(asked("gemini", served, view))
    assert label.probabilities["forward"] == 0.7
    assert label.usage.cached_tokens == 120
    assert label.cost_usd is not None and label.cost_usd > 0
    for request in script.requests:
        assert [content["role"] for content in request["contents"]][:2] == ["user", "model"]
        assert request["contents"][0]["parts"][1]["inline_data"]["mime_type"] == "image/png"
        assert "You play" in request["system_instruction"]["parts"][0]["text"]
        config = request["generationConfig"]
        assert config["response_mime_type"] == "application/json"
        assert config["max_output_tokens"] == 4096
        assert "cache_control" not in str(request)
        assert not {"seed", "candidate_count"} & set(config)
    properties = script.requests[1]["generationConfig"]["response_json_schema"]["properties"]
    assert set(properties) == {"left", "right", "forward", "done"}
    assert script.headers[0]["x-goog-api-key"] == KEY


@pytest.mark.parametrize("name", ["qwen-vl-local", VLLM])
def test_vllm_needs_no_key_and_costs_nothing(served: HTTPServer, view: View, name: str) -> None:
    script = Script(served, OPENAI, [openai_body(ANALYSIS), openai_body(STATED)])
    label = good(asked(name, served, view))
    assert label.cost_usd == 0.0
    for request, headers in zip(script.requests, script.headers, strict=True):
        assert request["model"] == "Qwen/Qwen3-VL-8B-Instruct"
        assert request["max_tokens"] == 512
        assert request["response_format"]["type"] == "json_schema"
        assert not {"seed", "n", "guided_json", "prompt_cache_key"} & set(request)
        assert request["temperature"] == 0
        assert KEY not in str(headers)


def test_litellm_names_any_model(served: HTTPServer, view: View) -> None:
    script = Script(served, OPENAI, [openai_body(ANALYSIS), openai_body(STATED)])
    label = good(asked("litellm:openai/some-new-model", served, view))
    assert script.requests[0]["model"] == "some-new-model"
    assert label.cost_usd is None, "an unknown price is no zero"


def test_an_unknown_model_of_a_paid_provider_has_no_price(served: HTTPServer, view: View) -> None:
    Script(served, ANTHROPIC, [anthropic_body(ANALYSIS), anthropic_body(STATED)])
    assert good(asked("claude", served, view, model="claude-tomorrow-9")).cost_usd is None


def test_direct_prompt_is_one_turn(served: HTTPServer, view: View) -> None:
    script = Script(served, OPENAI, [openai_body(STATED)])
    label = good(asked("gpt-4v", served, view, prompt="direct"))
    assert len(script.requests) == 1 and label.analysis is None


@pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])
def test_logprobs_ask_for_one_letter(served: HTTPServer, view: View, name: str) -> None:
    listed = {"C": -0.5, " C": -2.0, "A": -2.5, "Hm": -2.5, "B": -9999.0}
    script = Script(served, OPENAI, [letters_body(listed, first="\n")])
    label = good(asked(name, served, view, elicit="logprobs"))
    (request,) = script.requests
    assert request["logprobs"] is True and request["top_logprobs"] == 20
    assert request["max_tokens"] == 4
    assert "response_format" not in request
    assert label.elicitation == "logprobs"
    assert label.probabilities["forward"] == pytest.approx(0.7419 / 0.8240, abs=1e-3)
    assert label.probabilities["right"] == 0 and label.probabilities["done"] == 0
    assert label.outside == pytest.approx(1 - 0.8240, abs=1e-3)


def test_logprobs_with_a_reasoning_model(served: HTTPServer, view: View) -> None:
    script = Script(served, OPENAI, [letters_body({"A": -0.1, "B": -3.0})])
    good(asked("gpt-4v", served, view, elicit="logprobs", model="gpt-6-luna"))
    assert script.requests[0]["reasoning_effort"] == "none"
    assert script.requests[0]["max_completion_tokens"] == 4096


def test_a_server_that_sends_no_logprobs_says_so_once(served: HTTPServer, view: View) -> None:
    script = Script(served, OPENAI, [openai_body("A")])
    with pytest.raises(TeacherNotReadyError, match="returned no logprobs"):
        asked("gpt-4v", served, view, elicit="logprobs")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("claude", {"elicit": "logprobs"}, "can't be asked for 'logprobs'.*stated, choice, votes"),
        ("gpt-4v", {"elicit": "logprobs", "model": "o4-mini"}, "can't be asked for 'logprobs'"),
        ("claude", {"temperature": "0.5"}, "takes no temperature"),
        ("gpt-4v", {"elicit": "votes", "temperature": "0"}, "votes at temperature=0"),
        ("gpt-4v", {"api_base": "localhost"}, "write a URL"),
    ],
)
def test_what_a_model_can_not_do_is_said_before_it_is_asked(
    name: str, options: dict[str, str], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        load_teacher(name, options=options)


def test_vllm_is_sent_the_same_with_and_without_litellm(served: HTTPServer, view: View) -> None:
    answers = [openai_body(ANALYSIS), openai_body(STATED)]
    script = Script(served, OPENAI, answers * 2)
    for name in ("qwen-vl-local", VLLM):
        good(asked(name, served, view, temperature=0.5, reasoning_effort="low"))
    assert script.requests[:2] == script.requests[2:]


def test_votes_are_counted_and_unparsable_ones_left_out(served: HTTPServer, view: View) -> None:
    votes = [CHOICE, CHOICE, '{"action":"left"}', "no idea", CHOICE]
    script = Script(served, OPENAI, [openai_body(ANALYSIS), *map(openai_body, votes)])
    label = good(asked("gpt-4v", served, view, elicit="votes", samples=5, temperature=0.7))
    assert label.probabilities == {"left": 0.25, "right": 0.0, "forward": 0.75, "done": 0.0}
    assert label.usage.calls == 6
    assert len(label.transcript) == 8
    assert {request.get("temperature") for request in script.requests} == {0.7}


def test_mostly_unparsable_samples_are_no_label(served: HTTPServer, view: View) -> None:
    Script(served, OPENAI, [openai_body(ANALYSIS), openai_body(CHOICE), openai_body("?")])
    failure = bad(asked("gpt-4v", served, view, elicit="votes", samples=3), "invalid")
    assert "2 of 3 samples" in failure.message


def test_choice_can_be_smoothed(served: HTTPServer, view: View) -> None:
    Script(served, OPENAI, [openai_body(ANALYSIS), openai_body(CHOICE)])
    label = good(asked("gpt-4v", served, view, elicit="choice", smoothing=0.2))
    assert label.probabilities == pytest.approx(
        {"left": 0.05, "right": 0.05, "forward": 0.85, "done": 0.05}
    )


REFUSALS = [
    ("gpt-4v", OPENAI, openai_body(None, "content_filter")),
    ("gpt-4v", OPENAI, openai_body(None, "stop", refusal="I can't help with that.")),
    ("gpt-4v", OPENAI, openai_body("I'm sorry, but I can't help with that.")),
    ("gpt-4v", OPENAI, failing(400, "Your request was rejected by our safety system")),
    ("claude", ANTHROPIC, anthropic_body("", "refusal")),
    ("gemini", GEMINI, gemini_body(None, "SAFETY")),
]


@pytest.mark.parametrize(("name", "path", "answer"), REFUSALS)
def test_refusals_are_an_outcome_and_never_asked_again(
    served: HTTPServer, view: View, name: str, path: Any, answer: Any
) -> None:
    script = Script(served, path, [answer])
    failure = bad(asked(name, served, view), "refusal")
    assert len(script.requests) == 1
    assert failure.lasting


TRUNCATED = [
    ("gpt-4v", OPENAI, openai_body(ANALYSIS[:40], "length")),
    ("gpt-4v", OPENAI, openai_body(ANALYSIS, "length")),
    ("claude", ANTHROPIC, anthropic_body(ANALYSIS[:40], "max_tokens")),
    ("gemini", GEMINI, gemini_body(ANALYSIS[:40], "MAX_TOKENS")),
]


@pytest.mark.parametrize(("name", "path", "answer"), TRUNCATED)
def test_truncation_is_an_outcome_and_never_asked_again(
    served: HTTPServer, view: View, name: str, path: Any, answer: Any
) -> None:
    script = Script(served, path, [answer])
    failure = bad(asked(name, served, view), "truncated")
    assert len(script.requests) == 1
    assert failure.transcript[-1].text in (ANALYSIS, ANALYSIS[:40]), "the raw text is kept"
    assert failure.usage.calls == 1


def test_an_unusable_answer_is_asked_again_once_with_the_reason(
    served: HTTPServer, view: View
) -> None:
    long = "well, " * 2000
    script = Script(served, OPENAI, [openai_body(a) for a in (ANALYSIS, long, STATED)])
    label = good(asked("gpt-4v", served, view))
    assert label.probabilities["forward"] == 0.7
    assert label.usage.calls == 3
    again = script.requests[2]["messages"]
    assert again[:-2] == script.requests[1]["messages"]
    assert len(again[-2]["content"]) == 2000, "a broken answer is quoted in part"
    assert "no probabilities for left, right, forward, done" in again[-1]["content"]
    assert [turn.role for turn in label.transcript[-4:]] == ["user", "assistant"] * 2
    assert label.transcript[-3].text == long, "the raw text is kept whole"


def test_twice_unusable_is_invalid_and_asking_again_can_be_turned_off(
    served: HTTPServer, view: View
) -> None:
    script = Script(served, OPENAI, [openai_body("dunno")])
    failure = bad(asked("gpt-4v", served, view), "invalid")
    assert failure.lasting and len(script.requests) == 2
    bad(asked("gpt-4v", served, view, reask=0), "invalid")
    assert len(script.requests) == 3


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_an_empty_answer_is_an_outcome(served: HTTPServer, view: View, text: str | None) -> None:
    Script(served, OPENAI, [openai_body(text)])
    bad(asked("gpt-4v", served, view), "empty")


def test_lone_surrogates_do_not_reach_the_label(served: HTTPServer, view: View) -> None:
    broken = Response(
        '{"choices":[{"message":{"role":"assistant","content":"bad \\ud800"},'
        '"finish_reason":"stop","index":0}],"model":"m","object":"chat.completion","id":"i",'
        '"created":1,"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}',
        content_type="application/json",
    )
    Script(served, OPENAI, [broken])
    failure = asked("gpt-4v", served, view, reask=0)
    failure.model_dump_json().encode()
