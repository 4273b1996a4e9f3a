"""While questions are asked, the bar of every command says how many, for how much, and how many are
on their way; looked at from within the server that is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from lvlm2p.student.training import train
from lvlm2p.teachers.evaluation import run as evaluating
from lvlm2p.teachers.labelling import run as labelling
from lvlm2p.teachers.progress import Bar
from tests.support.chat import GOOD, Script
from tests.test_cli import run

ENV = "MiniGrid-GoToDoor-5x5-v0"
FEW = ("--n-envs", "2", "--n-steps", "8", "--final-episodes", "1", "--eval-every", "0",
       "--kl-minibatches", "1", "--kl-schedule", "constant")  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "argv"),
    [
        (train, "Progress", ("train", "--frames", "16", *FEW, "--run-dir", "run")),
        (labelling, "Bar", ("label", "--states", "5", "--out", "a.parquet")),
        (evaluating, "Bar", ("evaluate", "--states", "4", "--episodes", "0", "--probes", "0")),
    ],
    ids=["train", "label", "evaluate"],
)
def test_questions_dollars_and_in_flight_are_shown_while_asking(
    module: Any, name: str, argv: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    bars: list[Bar] = []
    seen: list[str] = []
    made: type[Bar] = getattr(module, name)

    class Seen(made):  # type: ignore[misc, valid-type]
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            bars.append(self)

    def answer() -> Response:
        seen.append("  ".join(bars[-1].fields))
        return Response(json.dumps(GOOD), content_type="application/json")

    monkeypatch.setattr(module, name, Seen)
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    Script(httpserver, "/v1/chat/completions", [answer])
    teacher = ("--teacher", "qwen-vl-local", "-T", f"api_base={httpserver.url_for('/v1')}",
               "-T", "prompt=direct", "-T", "shots=0", "-T", "concurrency=1")  # fmt: skip
    assert run(*argv, "--env", ENV, "--store", "store", *teacher) == 0
    assert len(seen) >= 4
    for line in seen:
        assert re.match(r"\$0\.00  [\d,]+ asked  (\d+ waiting  )?1 in flight", line), line
    assert "0 asked" in seen[0] and "0 asked" not in seen[-1]
    if argv[0] == "train":
        assert "waiting" in seen[0]
