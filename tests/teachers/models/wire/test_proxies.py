"""What stands between: keys in the clear, proxies, which addresses are this machine's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from pytest_httpserver import HTTPServer

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted import addresses, litellm_client
from lvlm2p.teachers.models.hosted.litellm_transport import WireTransport
from tests.support.chat import KEY, Script
from tests.support.protocols import (
    KEYED,
    PROTOCOLS,
    VLLM,
    serves_models,
    teacher_at,
)
from tests.support.raw_server import Asked, RawServer, head, raw_server

NAMES = pytest.mark.parametrize("name", PROTOCOLS)
ELSEWHERE = "http://models.invalid:8000"
"""Another machine: a request to it is seen by the proxy only."""


def everything(asked: list[Asked]) -> str:
    return " ".join(f"{one.line} {one.headers} {one.body!r}" for one in asked)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A proxy that records, and answers everything itself, as a server of models."""

    def answer(asked: Asked) -> Iterable[bytes]:
        served = {"data": [{"id": "some-vl"}]}
        body = served if asked.line.startswith("GET") else PROTOCOLS["gpt-4v"].answer()
        yield (
            head("403 Forbidden")
            if asked.line.startswith("CONNECT")
            else head(Content_Type="application/json")
        )
        yield json.dumps(body).encode()

    with raw_server(answer) as server:
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, server.url)
        yield server


@NAMES
def test_a_key_is_not_sent_in_the_clear_to_another_machine(
    proxy: RawServer, view: View, key_file: Path, name: str
) -> None:
    with pytest.raises(TeacherNotReadyError, match=r"in the clear to http://models.invalid:8000"):
        teacher_at(name, ELSEWHERE, key_file=key_file).label([view])
    assert proxy.asked == []


@pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])
def test_unless_the_user_says_so(proxy: RawServer, view: View, key_file: Path, name: str) -> None:
    (label,) = teacher_at(name, ELSEWHERE, key_file=key_file, insecure=True).label([view])
    assert isinstance(label, Label)
    asked = proxy.asked[-1]
    assert asked.line == f"POST {ELSEWHERE}/v1/chat/completions HTTP/1.1"
    assert asked.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])
def test_without_a_key_there_is_nothing_to_lose(
    proxy: RawServer, view: View, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """And a server on another machine is reached through the proxy."""
    monkeypatch.delenv("OPENAI_API_KEY")
    (label,) = teacher_at(name, ELSEWHERE).label([view])
    assert isinstance(label, Label)
    assert any(one.line.startswith(f"POST {ELSEWHERE}/") for one in proxy.asked)
    assert KEY not in everything(proxy.asked)


@pytest.mark.parametrize("name", KEYED)
def test_over_https_a_proxy_sees_no_key(proxy: RawServer, view: View, name: str) -> None:
    (failure,) = teacher_at(name, "https://models.invalid").label([view])
    assert isinstance(failure, Failure) and not failure.lasting
    assert {one.line.split()[0] for one in proxy.asked} == {"CONNECT"}
    assert KEY not in everything(proxy.asked)


@NAMES
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_stands_before_this_machine(
    proxy: RawServer, httpserver: HTTPServer, view: View, key_file: Path, name: str, host: str
) -> None:
    serves_models(httpserver)
    script = Script(httpserver, PROTOCOLS[name].path, [PROTOCOLS[name].answer()])
    url = f"http://{host}:{httpserver.port}"
    (label,) = teacher_at(name, url, key_file=key_file).label([view])
    assert isinstance(label, Label) and KEY in str(script.headers)
    assert proxy.asked == []


@pytest.mark.parametrize("name", ["gpt-4v", "qwen-vl-local", VLLM])
def test_no_proxy_is_heeded(
    proxy: RawServer, view: View, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("no_proxy", "example.org,.invalid")
    monkeypatch.delenv("OPENAI_API_KEY")
    try:
        (answer,) = teacher_at(name, ELSEWHERE).label([view])
        assert isinstance(answer, Failure)
    except TeacherNotReadyError as error:
        assert "no model server answers" in str(error)
    assert proxy.asked == []


def test_a_proxy_of_another_kind_is_one_sentence(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "socks5://me:hunter2@127.0.0.1:1080")
    with pytest.raises(
        TeacherNotReadyError, match=r"the proxy socks5://127.0.0.1:1080 .* none"
    ) as e:
        teacher_at("claude", "https://models.invalid").label([view])
    assert "hunter2" not in str(e.value)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.8.7", "localhost", "LOCALHOST.", "[::1]")),
        *((host, True) for host in ("127.1", "0x7f.1", "2130706433", "0.0.0.0", "[::]")),
        ("[::ffff:127.0.0.1]", True),
        *((host, False) for host in ("10.0.0.1", "192.168.1.2", "example.org", "[fe80::1%25eth0]")),
        *((host, False) for host in ("localhost.example.org", "127.0.0.1.example.org", "abc")),
    ],
)
def test_which_addresses_are_this_machines_own(host: str, here: bool) -> None:
    assert addresses.is_here(f"http://me@{host}:8000/v1") is here


@pytest.mark.parametrize(
    ("url", "headers", "holds"),
    [
        ("http://h/", {}, False),
        ("http://h/?version=2", {"Content-Type": "x", "Authorization": "Bearer none"}, False),
        ("http://h/", {"Authorization": f"Bearer {KEY}"}, True),
        ("http://h/", {"X-Api-Key": KEY}, True),
        ("http://h/", {"x-goog-api-key": KEY}, True),
        ("http://h/", {"api-key": KEY}, True),
        (f"http://h/?key={KEY}", {}, True),
        (f"http://h/?a=1&subscription-key={KEY}", {}, True),
        ("http://me:hunter2@h/", {}, True),
    ],
)
def test_what_holds_a_key(url: str, headers: dict[str, str], holds: bool) -> None:
    assert addresses.holds_key(url, headers) is holds


def test_a_users_own_calls_of_litellm_are_left_alone() -> None:
    """They go through litellm's own transport, wherever they like."""
    litellm_client.import_litellm()
    own = httpx.MockTransport(lambda request: httpx.Response(200, text=str(request.url)))

    async def ask() -> str:
        async with httpx.AsyncClient(transport=WireTransport(True, own)) as client:
            return (await client.get("http://models.invalid/x")).text

    assert asyncio.run(ask()) == "http://models.invalid/x"
