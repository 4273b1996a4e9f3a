"""TLS: a server whose certificate is trusted answers; any other is one sentence that says why."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pytest_httpserver import HTTPServer

from lvlm2p.teachers import Failure
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted.providers import served_models
from tests.support.chat import some_views
from tests.support.protocols import PROTOCOLS, VLLM, serves_models, set_keys, teacher_at

ROOT = Path(__file__).parents[3]
NOT_TRUSTED = "certificate is not trusted: unable to get local issuer certificate. SSL_CERT_FILE"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[HTTPServer]:
    """Speaks all protocols, with a certificate for localhost alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(host="localhost", ssl_context=context) as server:
        serves_models(server)
        for protocol in PROTOCOLS.values():
            server.expect_request(protocol.path).respond_with_json(protocol.answer())
        yield server


def said(name: str, url: str) -> str:
    """Why there is no label."""
    try:
        (answer,) = teacher_at(name, url).label(some_views(1))
    except TeacherNotReadyError as error:
        return str(error)
    assert isinstance(answer, Failure)
    return answer.message


ASK = """
import sys
from tests.support.chat import some_views
from tests.support.protocols import PROTOCOLS, teacher_at

url, view = sys.argv[1], some_views(1)[0]
for name in PROTOCOLS:
    (answer,) = teacher_at(name, url).label([view])
    print(name, type(answer).__name__)
url = url.replace("localhost", "127.0.0.1")
(answer,) = teacher_at("claude", url).label([view])
print(answer.message)
"""


def test_a_server_that_is_trusted_answers_by_its_own_name(
    authority: trustme.CA, server: HTTPServer, tmp_path: Path
) -> None:
    """In a new process: certificates are read once."""
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    done = subprocess.run(
        [sys.executable, "-c", ASK, server.url_for("")],
        cwd=ROOT,
        env={**os.environ, "SSL_CERT_FILE": str(trusted)},
        capture_output=True,
        text=True,
    )
    *labels, last = done.stdout.splitlines()
    assert labels == [f"{name} Label" for name in PROTOCOLS], done.stderr
    assert "its certificate is not trusted: IP address mismatch" in last


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_server_that_is_not_is_not_asked(server: HTTPServer, name: str) -> None:
    assert NOT_TRUSTED in said(name, server.url_for(""))
    assert server.log == []


@pytest.mark.parametrize("name", ["gpt-4v", "claude", "gemini", VLLM])
def test_what_speaks_no_tls(httpserver: HTTPServer, name: str) -> None:
    serves_models(httpserver)
    text = said(name, httpserver.url_for("").replace("http://", "https://"))
    assert "no TLS with what answers there: " in text


def test_the_list_of_models(server: HTTPServer) -> None:
    with pytest.raises(TeacherNotReadyError, match=NOT_TRUSTED):
        served_models("qwen-vl-local", server.url_for("/v1"), None)
