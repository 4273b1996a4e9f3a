"""`label`, `evaluate` and `train` against a real vLLM, with each way of getting probabilities.

The model knows nothing, so some of its answers are typed failures, as a real model's are; what
is tested is that every state gets a label or a reason, that labels are probabilities, and that
nothing that was answered is asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from lvlm2p import cli
from tests.vllm.conftest import Running

pytestmark = pytest.mark.vllm

ENV = "MiniGrid-LavaGapS5-v0"
STATES = 16  # nearly half of what random weights write is no answer: never 16 of 16
Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    def run(*argv: object) -> dict[str, Any]:
        store = ("--store", str(tmp_path / "store"), "--json")
        code = cli.main([*map(str, argv), *store])
        out, err = capsys.readouterr()
        assert code == 0, err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    return run


@pytest.mark.parametrize("elicit", ["stated", "logprobs", "votes", "choice"])
def test_label_evaluate_and_train(
    server: Running, command: Command, tmp_path: Path, elicit: str
) -> None:
    asking = (
        "--elicit",
        elicit,
        "--shots",
        1,
        "-T",
        f"api_base={server.api_base}",
        "-T",
        "samples=3",
        "-T",
        "temperature=1",  # the likeliest words of random weights are of no use
    )
    teacher = ("--teacher", "qwen-vl-local", *asking)

    out = tmp_path / "labels.parquet"
    label = ("label", *teacher, "--env", ENV, "--states", STATES, "--out", out)
    first = command(*label)["labels"]
    assert (first["asked"], first["cached"]) == (STATES, 0)
    assert first["failed"] < STATES
    assert pyarrow.parquet.read_metadata(out).num_rows == STATES
    again = command(*label)["labels"]
    assert again["asked"] == 0, "everything was paid for once"

    quickly = ("--states", STATES, "--episodes", 0, "--probes", 0)
    results = command("evaluate", *teacher, "--env", ENV, *quickly)["results"]
    (result,) = [row for row in results if row["teacher"] == "qwen-vl-local"]
    assert 0 <= result["top1"]["low"] <= result["top1"]["value"] <= result["top1"]["high"] <= 1

    run = ("--run-dir", tmp_path / "run", "--frames", 32, "--n-envs", 2, "--n-steps", 16)
    quick = ("--eval-every", 0, "--final-episodes", 2, "--kl-schedule", "constant")
    trained = command("train", *teacher, "--env", ENV, *run, *quick)
    assert trained["frames"] >= 32
    assert trained["labels"]["asked"] + trained["labels"]["cached"] > 0
    assert (tmp_path / "run" / "student.safetensors").exists()


@pytest.mark.parametrize("elicit", ["logprobs", "stated"])
def test_the_same_checkpoint_in_process(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], elicit: str
) -> None:
    argv = ["label", "--teacher", "qwen-vl-hf", "-T", f"model={checkpoint}", "-T", "max_tokens=40"]
    argv += ["--elicit", elicit, "--shots", "1", "--env", ENV, "--states", "4"]
    argv += ["--out", str(tmp_path / "labels.parquet"), "--json"]
    code = cli.main(argv)
    out, err = capsys.readouterr()
    if elicit == "logprobs":
        assert code == 0, err
        assert json.loads(out.splitlines()[-1])["labels"]["failed"] == 0
    else:  # no grammar holds its text in shape here: a typed failure, said in a sentence
        assert code == 3
        assert "not one of 4 states could be labelled" in err
