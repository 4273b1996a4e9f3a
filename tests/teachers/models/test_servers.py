"""Servers of the user's own: which address is one, whether it wants a key, what it serves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label, load_teacher
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.models.hosted.providers import served_models
from tests.support.chat import (
    CHOICE,
    KEY,
    openai_body,
    some_views,
)
from tests.support.noise import no_http

VLLM = "litellm:hosted_vllm/Qwen/Qwen3-VL-8B-Instruct"
"""What qwen-vl-local asks without litellm, asked through it."""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def view() -> View:
    return some_views(1)[0]


@pytest.mark.parametrize("name", ["qwen-vl-local", VLLM])
def test_a_server_that_wants_a_key_is_asked_with_it(
    httpserver: HTTPServer, view: View, tmp_path: Path, name: str
) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return Response(json.dumps({"error": "Unauthorized"}), 401)
        model = {"id": "Qwen/Qwen3-VL-8B-Instruct"}
        body = {"data": [model]} if request.path == "/v1/models" else openai_body(CHOICE)
        return Response(json.dumps(body), content_type="application/json")

    httpserver.expect_request(re.compile("/v1/.*")).respond_with_handler(answer)
    file, other, secret = tmp_path / "keys", tmp_path / "wrong", "sk-wrong-0a1b2c3d4e5f6a7b"
    file.write_text(f"{secret}\n{KEY}\n")
    other.write_text(f"{secret}\n")

    def asked(**options: Any) -> Label | Failure:
        given = {"api_base": httpserver.url_for("/v1"), "retries": 2, "shots": 1, **options}
        given |= {"elicit": "choice", "prompt": "direct"}
        return load_teacher(name, options=given).label([view])[0]

    assert isinstance(asked(key_file=file), Label)
    with pytest.raises(TeacherNotReadyError, match=r"needs an API key: .*-T key_file=PATH"):
        asked()
    with pytest.raises(TeacherNotReadyError, match=r"refuses every API key.*key_file") as caught:
        asked(key_file=other)
    assert secret not in str(caught.value)


def test_no_proxy_stands_before_this_machine(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    for host in ("127.0.0.1", "localhost"):
        url = httpserver.url_for("/v1").replace("localhost", host).replace("127.0.0.1", host)
        assert served_models("qwen-vl-local", url) == ["some-vl"]


@pytest.mark.parametrize(
    "body", ["", "no JSON", "[]", "{}", '{"data": 3}', '{"data": ["a"]}', 100_000 * "["]
)
def test_what_serves_no_models_is_no_model_server(httpserver: HTTPServer, body: str) -> None:
    httpserver.expect_request("/v1/models").respond_with_data(body)
    with pytest.raises(TeacherNotReadyError, match="does not speak OpenAI's protocol"):
        served_models("qwen-vl-local", httpserver.url_for("/v1"))


def test_what_speaks_no_http_is_no_model_server(view: View) -> None:
    with no_http() as port:
        url = f"http://127.0.0.1:{port}/v1"
        with pytest.raises(TeacherNotReadyError, match=r"no model server .* does not speak"):
            load_teacher("qwen-vl-local", options={"api_base": url}).label([view])


@pytest.mark.parametrize("name", ["qwen-vl-local", "gpt-4v"])
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:abc/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:8001/a b",
        "http://127.0.0.1:8001/a\x00b",
        "http://[::1/v1",
        "http://:8000/v1",
        "127.0.0.1:8000",
        "http://me:hunter2@127.0.0.1:abc/v1",
    ],
)
def test_what_is_no_url_is_refused(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match=r"api_base=.*: write a URL such as") as caught:
        load_teacher(name, options={"api_base": url})
    assert "hunter2" not in str(caught.value)


def test_a_password_in_the_url_of_an_own_server_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave user and password out") as caught:
        load_teacher("qwen-vl-local", options={"api_base": "http://me:hunter2@127.0.0.1:1/v1"})
    assert "hunter2" not in str(caught.value)


def test_a_key_that_no_header_can_hold(view: View, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"“{KEY}”", "utf-8")
    for name in ("qwen-vl-local", "gpt-4v"):
        options = {"key_file": tmp_path / "keys", "model": "gpt-4.1-mini"}
        with pytest.raises(TeacherNotReadyError, match="a character that no key has") as caught:
            load_teacher(name, options=options).label([view])
        assert KEY not in str(caught.value)
