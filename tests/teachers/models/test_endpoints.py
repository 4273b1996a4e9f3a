"""Where questions go: the provider's own endpoint, -T api_base, or what the environment says."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.envs import View
from lvlm2p.teachers import Label, Teacher, load_teacher
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.models.hosted import addresses, endpoints
from lvlm2p.teachers.models.hosted.endpoints import IRREGULAR, variables_of
from tests.support.chat import KEY, Script, some_views
from tests.support.protocols import KEYED, PROTOCOLS, VLLM, serves_models, set_keys, teacher_at

VARIABLES = [
    ("gpt-4v", "OPENAI_BASE_URL"),
    ("gpt-4v", "OPENAI_API_BASE"),
    ("litellm:openai/gpt-4.1", "OPENAI_BASE_URL"),
    ("claude", "ANTHROPIC_API_BASE"),
    ("claude", "ANTHROPIC_BASE_URL"),
    ("litellm:anthropic/claude-haiku-5-5", "ANTHROPIC_BASE_URL"),
    ("gemini", "GEMINI_API_BASE"),
    ("litellm:groq/x", "GROQ_API_BASE"),
    ("litellm:mistral/x", "MISTRAL_API_BASE"),
    ("litellm:mistral/x", "MISTRAL_AZURE_API_BASE"),
    ("litellm:azure/x", "AZURE_API_BASE"),
    ("litellm:openrouter/x/y", "OPENROUTER_API_BASE"),
    ("litellm:together_ai/x", "TOGETHER_AI_API_BASE"),
]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)
    for _, variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for provider in ("GROQ", "MISTRAL", "AZURE", "OPENROUTER", "TOGETHER_AI", "TOGETHERAI"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)
    monkeypatch.delenv("USE_LITELLM_PROXY", raising=False)
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


def plain(name: str) -> Teacher:
    return load_teacher(name, options={"prompt": "direct", "shots": 0, "retries": 0})


def protocol_of(name: str) -> Any:
    known = {"litellm:anthropic/claude-haiku-5-5": "claude"}
    return PROTOCOLS.get(known.get(name, name), PROTOCOLS["gpt-4v"])


@pytest.mark.parametrize(("name", "variable"), VARIABLES)
def test_a_variable_counts_as_api_base_does_and_is_said(
    httpserver: HTTPServer,
    view: View,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    variable: str,
) -> None:
    before = plain(name).fingerprint_for(view.task)
    assert capsys.readouterr().err == ""
    protocol = protocol_of(name)
    url = httpserver.url_for("").rstrip("/") + protocol.suffix
    script = Script(httpserver, re.compile(".*"), [protocol.answer()])
    monkeypatch.setenv(variable, url)
    teacher = plain(name)
    assert capsys.readouterr().err == f"teacher {name!r} asks {url}, as {variable} says\n"
    named = load_teacher(name, options={"prompt": "direct", "shots": 0, "api_base": url})
    after = teacher.fingerprint_for(view.task)
    assert after != before and after == named.fingerprint_for(view.task)
    (label,) = teacher.label([view])
    assert isinstance(label, Label) and label.fingerprint == after
    assert len(script.requests) == 1
    assert capsys.readouterr().err == "", "nor is it said again"


@pytest.mark.parametrize("name", KEYED)
def test_an_option_goes_before_a_variable(
    httpserver: HTTPServer,
    view: View,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_API_BASE"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/other")
    Script(httpserver, PROTOCOLS[name].path, [PROTOCOLS[name].answer()])
    (label,) = teacher_at(name, httpserver.url_for("")).label([view])
    assert isinstance(label, Label) and capsys.readouterr().err == ""


def test_the_providers_own_endpoint_named_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = plain("gpt-4v").fingerprint
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1/")
    assert plain("gpt-4v").fingerprint == before and capsys.readouterr().err == ""


def test_a_variable_that_holds_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@x y/")
    with pytest.raises(ConfigError, match=r"variable OPENAI_BASE_URL=.*: write") as caught:
        plain("gpt-4v")
    assert "hunter2" not in str(caught.value)


def test_no_key_is_in_what_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://me:hunter2@example.org/v1?key={KEY}&v=2")
    plain("gpt-4v")
    said = capsys.readouterr().err
    assert "https://example.org/v1?v=2" in said and "hunter2" not in said and KEY not in said


@pytest.mark.parametrize("name", [*KEYED, "litellm:groq/x"])
def test_a_gateway_for_everything_counts_too(
    httpserver: HTTPServer,
    view: View,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    before = plain(name).fingerprint
    monkeypatch.setenv("LITELLM_PROXY_API_BASE", httpserver.url_for("/v1"))
    assert plain(name).fingerprint == before
    monkeypatch.setenv("USE_LITELLM_PROXY", "True")
    Script(httpserver, re.compile(".*"), [PROTOCOLS["gpt-4v"].answer()])
    teacher = plain(name)
    (label,) = teacher.label([view])
    assert isinstance(label, Label) and teacher.fingerprint != before
    assert "as LITELLM_PROXY_API_BASE says" in capsys.readouterr().err


@pytest.mark.parametrize("name", KEYED)
def test_what_else_redirects_litellm_is_refused(
    httpserver: HTTPServer, view: View, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By whatever way: the key would go to a host that nobody has named."""
    monkeypatch.setattr(endpoints, "variables_of", lambda prefix: ())
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_API_BASE"):
        monkeypatch.setenv(variable, httpserver.url_for("").rstrip("/"))
    script = Script(httpserver, re.compile(".*"), [PROTOCOLS[name].answer()])
    with pytest.raises(TeacherNotReadyError, match="something in the environment redirects it"):
        plain(name).label([view])
    assert script.requests == []


IGNORED = {
    "AZURE_AUTHORITY_HOST",  # where a token comes from, as the next four
    "GIGACHAT_AUTH_URL",
    "WATSONX_IAM_URL",
    "GITHUB_COPILOT_DEVICE_CODE_URL",
    "GITHUB_COPILOT_ACCESS_TOKEN_URL",
    "GITHUB_COPILOT_API_KEY_URL",
    "DEEPSEEK_ANTHROPIC_API_BASE",  # another API than that of chat, as the rest
    "TENCENT_ANTHROPIC_API_BASE",
    "BEDROCK_MANTLE_API_BASE",
    "FAL_AI_QUEUE_API_BASE",
    "HOSTED_VLLM_API_BASE",  # never looked at: api_base is always given
}


def test_every_variable_that_litellm_looks_at_is_known() -> None:
    """Those in the folders of its providers, of the providers that are asked for chat."""
    spec = find_spec("litellm")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "llms"
    read = re.compile(
        r'(?:get_secret(?:_str)?|getenv|environ\.get)\(\s*"(\w+_(?:API_BASE|URL|ENDPOINT|HOST))"'
    )
    seen = 0
    for path in [*folder.glob("*/chat/*.py"), *folder.glob("*/common_utils.py")]:
        provider = path.relative_to(folder).parts[0]
        for variable in read.findall(path.read_text("utf-8")):
            known = {*variables_of(provider), *variables_of(f"{provider}_chat")}
            assert variable in known | IGNORED, f"{provider}: {variable}"
            seen += variable in known
    assert seen > 50
    assert all(variables == tuple(dict.fromkeys(variables)) for variables in IRREGULAR.values())


# ---------------------------------------------------------------- a query


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_query_is_added_to_each_request(httpserver: HTTPServer, view: View, name: str) -> None:
    protocol = PROTOCOLS[name]
    serves_models(httpserver)
    Script(httpserver, protocol.path, [protocol.answer()])
    query = "?api-version=2&x=a%20b%26c"
    teacher = load_teacher(
        name,
        options={
            "api_base": httpserver.url_for("").rstrip("/") + protocol.suffix + query,
            "prompt": "direct",
            "shots": 0,
            "retries": 0,
        },
    )
    (label,) = teacher.label([view])
    assert isinstance(label, Label), label
    assert len(httpserver.log) >= 1
    for request, _ in httpserver.log:
        assert dict(request.args) == {"api-version": "2", "x": "a b&c"}, request.url


def test_a_query_is_part_of_the_endpoint_but_a_key_in_it_is_not() -> None:
    def print_of(query: str) -> str:
        options = {"api_base": f"https://example.org/v1{query}"}
        return load_teacher("gpt-4v", options=options).fingerprint

    assert print_of("?api-version=1") != print_of("?api-version=2") != print_of("")
    assert print_of(f"?key={KEY}") == print_of("?key=other") == print_of("")


@pytest.mark.parametrize(
    ("url", "query", "whole"),
    [
        ("http://h/v1/x", "a=1", "http://h/v1/x?a=1"),
        ("http://h/v1/x?b=2", "a=1", "http://h/v1/x?b=2&a=1"),
        ("http://h/v1/x?a=2&b=3", "a=1", "http://h/v1/x?b=3&a=1"),
        ("http://h/v1/x?a=2", "", "http://h/v1/x?a=2"),
    ],
)
def test_joining_queries(url: str, query: str, whole: str) -> None:
    assert addresses.with_query(url, query) == whole


def test_a_query_stays_behind_the_path() -> None:
    assert addresses.join("http://h/v1?a=1", "/models") == "http://h/v1/models?a=1"
    assert addresses.join("http://h", "/v1") == "http://h/v1"
    assert addresses.without_query("http://h/v1?a=1") == "http://h/v1"


def test_a_request_that_would_leave_for_another_host_is_not_sent() -> None:
    same = ("https://API.example.org./v1", "https://api.example.org:443/v1/chat")
    assert addresses.origin(same[0]) == addresses.origin(same[1])
    other = ("http://a:1/v1", "http://a:2/v1", "https://a:1/v1", "http://x.a:1/v1")
    assert len({addresses.origin(url) for url in other}) == 4


@pytest.mark.parametrize("name", ["qwen-vl-local", VLLM])
def test_a_server_of_the_users_own_may_move(name: str) -> None:
    options = {"model": "some-vl"} if name == "qwen-vl-local" else {}
    prints = {
        load_teacher(
            name, options={**options, "api_base": f"http://10.0.0.{i}/v1?x={i}"}
        ).fingerprint
        for i in (1, 2)
    }
    assert len(prints) == 1
