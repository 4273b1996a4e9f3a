"""How large an answer may be, and how slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label
from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.hosted import litellm_client, providers
from lvlm2p.teachers.models.hosted.providers import served_models
from tests.support.protocols import (
    PROTOCOLS,
    teacher_at,
)
from tests.support.raw_server import Asked, head, raw_server

ROOT = Path(__file__).parents[4]
NAMES = pytest.mark.parametrize("name", PROTOCOLS)


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
