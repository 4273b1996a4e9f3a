"""No redirect is followed: a key would go with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.envs import View
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted.providers import served_models
from tests.support.chat import KEY, Script
from tests.support.protocols import (
    PROTOCOLS,
    serves_models,
    teacher_at,
)
from tests.support.raw_server import head, raw_server

NAMES = pytest.mark.parametrize("name", PROTOCOLS)


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
