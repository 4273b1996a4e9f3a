"""A key is in nothing that any command writes or prints, whichever provider shouts it back."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from lvlm2p import cli
from tests.support.chat import (
    CHOICE,
    KEY,
    Script,
    anthropic_body,
    failing,
    gemini_body,
    openai_body,
)

ENV = "MiniGrid-GoToDoor-5x5-v0"
LEAK = f"Incorrect API key provided: {KEY}. See https://x/?key={KEY}&a=b (Bearer {KEY})"
PROVIDERS = {
    "gpt-4v": ("/v1/chat/completions", "/v1", openai_body(CHOICE)),
    "claude": ("/v1/messages", "", anthropic_body(CHOICE)),
    "gemini": (re.compile("/v1beta/models/.*"), "/v1beta", gemini_body(CHOICE)),
    "qwen-vl-local": ("/v1/chat/completions", "/v1", openai_body(CHOICE)),
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_label_evaluate_and_train_write_no_key(
    httpserver: HTTPServer,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    path, suffix, good = PROVIDERS[name]
    (tmp_path / "keys").write_text(KEY)
    httpserver.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
    script = Script(httpserver, path, [failing(400, LEAK), failing(500, LEAK), good])
    options: dict[str, Any] = {
        "api_base": httpserver.url_for("").rstrip("/") + suffix,
        "key_file": tmp_path / "keys",
        "concurrency": 1,
        "retries": 0,
    }
    teacher = ["--teacher", name, "--elicit", "choice", "--shots", "0", "--prompt", "direct"]
    teacher += [part for key, value in options.items() for part in ("-T", f"{key}={value}")]
    teacher += ["--env", ENV, "--store", "store", "--json"]
    small = ["--frames", "16", "--n-envs", "2", "--n-steps", "8", "--final-episodes", "1"]
    few = ["--states", "3", "--episodes", "0", "--probes", "0"]
    assert cli.main(["label", *teacher, "--states", "4", "--out", "labels.parquet"]) == 0
    assert cli.main(["evaluate", *teacher, *few, "--out", "report"]) == 0
    train = ["train", *teacher, *small, "--kl-schedule", "constant", "--run-dir", "run"]
    assert cli.main([*train, "--save-visited"]) == 0
    assert any(KEY in str(headers) for headers in script.headers), "the key was used"

    (tmp_path / "keys").unlink()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"labels.parquet", "cache.db", "index.html", "config.yaml", "visited.jsonl"} <= {
        path.name for path in written
    }
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    printed = capfd.readouterr()
    assert KEY not in caplog.text + printed.out + printed.err
