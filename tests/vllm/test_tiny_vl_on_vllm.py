"""tiny-vl through a real vLLM: the same answers as in this process, and good ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Label, load_teacher
from tests.vllm.conftest import ROOT, serving
from tools.tiny_vl import data, tokens

pytestmark = pytest.mark.vllm

DOOR = "MiniGrid-GoToDoor-6x6-v0"


@pytest.fixture(scope="module")
def api_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(["tiny-vl"], tmp_path_factory) as (_, url):
        yield url


def states(each: int) -> list[View]:
    """So many distinct 6x6 states of each task."""
    chosen = []
    for task in tokens.TASKS:
        found = {view.key: view for view, _ in data.poses(task, 6, 4 * each, seed=77)}
        chosen += list(found.values())[:each]
    return chosen


def lvlm2p(*argv: object) -> Any:
    command = [sys.executable, "-m", "lvlm2p", *map(str, argv), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("elicit", "each"),
    [
        ("stated", 25),
        ("logprobs", 25),
        ("choice", 25),
        pytest.param("stated", 125, marks=pytest.mark.slow),
    ],
)
def test_the_served_model_chooses_as_the_one_in_this_process(
    api_base: str, elicit: str, each: int
) -> None:
    views = states(each)
    assert len(views) == 4 * each
    here = load_teacher("tiny-vl", options={"elicit": elicit})
    there = load_teacher("qwen-vl-local", options={"elicit": elicit, "api_base": api_base})
    same = [
        isinstance(a, Label) and isinstance(b, Label) and a.action == b.action
        for a, b in zip(here.label(views), there.label(views), strict=True)
    ]
    assert sum(same) >= 0.99 * len(views)


def test_evaluate_finds_it_good(api_base: str, tmp_path: Path) -> None:
    report = lvlm2p(
        *("evaluate", "--teacher", "qwen-vl-local", "-T", f"api_base={api_base}", "--env", DOOR),
        *("--states", 60, "--episodes", 10, "--probes", 0),
        *("--store", tmp_path / "store", "--out", tmp_path / "report"),
    )
    (found,) = [row for row in report["results"] if row["teacher"] == "qwen-vl-local"]
    assert found["valid"]["value"] >= 0.99
    assert found["top1"]["value"] >= 0.95
    assert found["success"]["value"] >= 0.9


def test_a_student_learns_from_it(api_base: str, tmp_path: Path) -> None:
    result = lvlm2p(
        *("train", "--teacher", "qwen-vl-local", "-T", f"api_base={api_base}"),
        *("--env", "MiniGrid-LavaGapS5-v0", "--frames", 10_000, "--store", tmp_path / "store"),
        *("--run-dir", tmp_path / "run", "--no-progress"),
    )
    assert result["labels"]["failed"] <= 0.01 * result["labels"]["asked"]
    assert result["evaluation"]["success"] >= 0.9
