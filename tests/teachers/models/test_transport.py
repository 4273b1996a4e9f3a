"""What goes over the wire: keys and redirects, plain http, proxies, sizes and times."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted import addresses, litellm_client, providers
from lvlm2p.teachers.models.hosted.litellm_transport import WireTransport
from lvlm2p.teachers.models.hosted.providers import served_models
from tests.support.chat import KEY, Script, some_views
from tests.support.protocols import (
    KEYED,
    PROTOCOLS,
    VLLM,
    serves_models,
    set_keys,
    teacher_at,
)
from tests.support.raw_server import Asked, RawServer, head, raw_server

ROOT = Path(__file__).parents[3]
NAMES = pytest.mark.parametrize("name", PROTOCOLS)
ELSEWHERE = "http://models.invalid:8000"
"""Another machine: a request to it is seen by the proxy only."""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text(KEY)
    return tmp_path / "keys"


def everything(asked: list[Asked]) -> str:
    return " ".join(f"{one.line} {one.headers} {one.body!r}" for one in asked)


# ---------------------------------------------------------------- redirects


@NAMES
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(
    httpserver: HTTPServer, view: View, key_file: Path, name: str, status: int
) -> None:
    serves_models(httpserver)
    with raw_server(lambda _: [head()]) as thief:
        target = f"http://me:hunter2@localhost:{thief.port}/x?key={KEY}"
        moved = Response("", status, {"Location": target})
        httpserver.expect_request(PROTOCOLS[name].path).respond_with_response(moved)
        teacher = teacher_at(name, httpserver.url_for(""), key_file=key_file)
        with pytest.raises(TeacherNotReadyError) as caught:
            teacher.label([view])
    said = str(caught.value)
    assert f"redirects to http://localhost:{thief.port}, which is not followed" in said
    assert "hunter2" not in said and KEY not in said
    assert thief.asked == []


@pytest.mark.parametrize("target", ["/elsewhere", "https://127.0.0.1/", "//x.localhost/"])
def test_nor_is_one_within_a_host_or_to_another_scheme_or_a_subdomain(
    httpserver: HTTPServer, view: View, target: str
) -> None:
    moved = Response("", 307, {"Location": target})
    script = Script(httpserver, "/v1/messages", [moved])
    with pytest.raises(TeacherNotReadyError, match=r"redirects to .* not followed"):
        teacher_at("claude", httpserver.url_for("")).label([view])
    assert len(script.requests) == 1


def test_a_redirect_to_nowhere(view: View) -> None:
    nowhere = raw_server(lambda _: [head("307 Moved", Location="http://[")])
    with nowhere as server, pytest.raises(TeacherNotReadyError, match="to what is no URL"):
        teacher_at("claude", server.url).label([view])


def test_the_list_of_models_follows_none_either(httpserver: HTTPServer, key_file: Path) -> None:
    with raw_server(lambda _: [head()]) as thief:
        moved = Response("", 302, {"Location": f"{thief.url}/v1/models"})
        httpserver.expect_request("/v1/models").respond_with_response(moved)
        with pytest.raises(TeacherNotReadyError, match=f"redirects to {thief.url}"):
            served_models("qwen-vl-local", httpserver.url_for("/v1"), key_file)
    assert thief.asked == []


# ---------------------------------------------------------------- plain http, proxies


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


# ---------------------------------------------------------------- sizes


WBITS = {"gzip": 31, "deflate": 15, "raw deflate": -15}


def packed(how: str, size: int) -> bytes:
    """``size`` zeros; a megabyte of them has a kilobyte."""
    packer = zlib.compressobj(1, wbits=WBITS[how])
    parts = [packer.compress(bytes(2**20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


TOO_LONG = {
    "plain": lambda _: [head(), *(b" " * 2**20 for _ in range(40))],
    "announced": lambda _: [head(Content_Length=str(2**30)), b"{"],
    "error": lambda _: [head("400 Bad Request"), *(b" " * 2**20 for _ in range(40))],
    "gzip": lambda _: [head(Content_Encoding="gzip"), packed("gzip", 2**25)],
    "deflate": lambda _: [head(Content_Encoding="deflate"), packed("deflate", 2**25)],
    "raw deflate": lambda _: [head(Content_Encoding="deflate"), packed("raw deflate", 2**25)],
}


def served_then(answer: Any) -> Any:
    """The list of models as it should be, and ``answer`` to questions."""
    models = head(Content_Type="application/json") + b'{"data": [{"id": "some-vl"}]}'
    return lambda asked: [models] if "/v1/models" in asked.line else answer(asked)


@NAMES
@pytest.mark.parametrize("how", TOO_LONG)
def test_an_answer_that_is_too_long_is_cut_off(view: View, name: str, how: str) -> None:
    with raw_server(served_then(TOO_LONG[how])) as server:
        (failure,) = teacher_at(name, server.url).label([view])
        sent = server.sent
    assert isinstance(failure, Failure) and failure.failure == "unavailable"
    assert "has more than 16 MB and was cut off" in failure.message
    assert sent < 35 * 2**20, "it was not read to its end"


@pytest.mark.parametrize("how", ["plain", "gzip"])
def test_a_list_of_models_that_is_too_long_is_cut_off(how: str) -> None:
    with raw_server(TOO_LONG[how]) as server, pytest.raises(TeacherNotReadyError, match="16 MB"):
        served_models("qwen-vl-local", f"{server.url}/v1")


@NAMES
def test_what_is_packed_in_another_way_is_not_read(view: View, name: str) -> None:
    bomb = served_then(lambda _: [head(Content_Encoding="br"), b"\x8b\x02\x80{}\x03"])
    with raw_server(bomb) as server:
        (failure,) = teacher_at(name, server.url).label([view])
        assert server.asked[-1].headers["accept-encoding"] == "gzip, deflate"
    assert isinstance(failure, Failure) and "packed as 'br'" in failure.message


@NAMES
@pytest.mark.parametrize("how", WBITS)
def test_what_is_packed_as_asked_is_read(view: View, name: str, how: str) -> None:
    body = json.dumps(PROTOCOLS[name].answer()).encode()
    packer = zlib.compressobj(wbits=WBITS[how])
    sent = packer.compress(body) + packer.flush()
    top = head(Content_Type="application/json", Content_Encoding=how.split()[-1])
    with raw_server(served_then(lambda _: [top, sent[:9], sent[9:]])) as server:
        (label,) = teacher_at(name, server.url).label([view])
    assert isinstance(label, Label)


@NAMES
@pytest.mark.parametrize("part", [b"[],", b"{},", b'"",'])
def test_an_answer_of_too_many_parts_is_not_read(view: View, name: str, part: bytes) -> None:
    """A list takes thirty times as much memory as on the wire."""
    many = b"[" + part * 1_000_001 + b"1]"
    with raw_server(served_then(lambda _: [head(), many])) as server:
        (failure,) = teacher_at(name, server.url).label([view])
    assert isinstance(failure, Failure) and failure.failure == "unavailable"
    assert "a million parts" in failure.message


BOMB = """
import resource, sys
from tests.support.chat import some_views
from tests.support.protocols import teacher_at

views = some_views(2)
teacher = teacher_at(sys.argv[1], sys.argv[2])
kinds, most = [], []
for view in views:
    (answer,) = teacher.label([view])
    kinds.append(answer.kind)
    most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
print(*kinds, most[1] - most[0])
"""


@pytest.mark.parametrize(("name", "how"), [("claude", "gzip"), ("qwen-vl-local", "plain")])
def test_a_gigabyte_takes_no_memory(name: str, how: str) -> None:
    good = json.dumps(PROTOCOLS[name].answer()).encode()
    bomb = packed("gzip", 2**30) if how == "gzip" else b""
    asked_before: list[Asked] = []

    def answer(asked: Asked) -> Iterable[bytes]:
        asked_before.append(asked)
        if len(asked_before) == 1:
            return [head(Content_Type="application/json"), good]
        if how == "gzip":
            return [head(Content_Encoding="gzip"), bomb]
        return [head()] + [bytes(2**20)] * 1024

    with raw_server(served_then(answer)) as server:
        command = [sys.executable, "-c", BOMB, name, server.url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    first, second, megabytes = out.stdout.split()
    assert (first, second) == ("label", "failure"), out.stderr
    assert int(megabytes) < 300


# ---------------------------------------------------------------- times


@NAMES
@pytest.mark.parametrize("where", ["body", "head"])
def test_an_answer_that_drips_is_a_timeout(
    view: View, name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole answer, that never pauses for as long as the limit, but takes longer in all."""
    monkeypatch.setattr(litellm_client, "_GRACE", 60.0)
    whole = [head(Content_Type="application/json"), json.dumps(PROTOCOLS[name].answer()).encode()]
    slow = whole[0] if where == "head" else whole[1]

    def drip(_: Asked) -> Iterator[bytes]:
        if where == "body":
            yield whole[0]
        pause = 3 / len(slow)
        for byte in slow:
            stopped.wait(pause)
            yield bytes([byte])
        if where == "head":
            yield whole[1]

    stopped = threading.Event()
    with raw_server(served_then(drip)) as server:
        (failure,) = teacher_at(name, server.url, timeout=0.4).label([view])
        stopped.set()
    assert isinstance(failure, Failure) and failure.failure == "timeout"
    assert "no answer within 0.4 seconds" in failure.message


def test_a_list_of_models_that_drips_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    def drip(_: Asked) -> Iterator[bytes]:
        yield head()
        for byte in b'{"data": [{"id": "some-vl"}]}':
            stopped.wait(0.1)
            yield bytes([byte])

    monkeypatch.setattr(providers, "_PATIENCE_S", 0.3)
    with raw_server(drip) as server:
        with pytest.raises(TeacherNotReadyError, match=r"no answer within 0\.3 seconds"):
            served_models("qwen-vl-local", f"{server.url}/v1")
        stopped.set()


# ---------------------------------------------------------------- litellm


def test_a_users_own_calls_of_litellm_are_left_alone() -> None:
    """They go through litellm's own transport, wherever they like."""
    litellm_client.import_litellm()
    own = httpx.MockTransport(lambda request: httpx.Response(200, text=str(request.url)))

    async def ask() -> str:
        async with httpx.AsyncClient(transport=WireTransport(True, own)) as client:
            return (await client.get("http://models.invalid/x")).text

    assert asyncio.run(ask()) == "http://models.invalid/x"
