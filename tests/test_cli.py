"""The command line as a user meets it: results on stdout, one sentence for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from lvlm2p import cli

ENV = "MiniGrid-LavaGapS5-v0"
SMALL = ("--env", ENV, "--frames", "128", "--n-envs", "4", "--n-steps", "16", "--seed", "1",
         "--eval-every", "0", "--final-episodes", "2", "--kl-schedule", "constant",
         "--kl-minibatches", "2")  # fmt: skip


def run(*argv: object) -> int:
    try:
        return cli.main([str(arg) for arg in argv])
    except SystemExit as stop:  # tyro's own: --help, an unknown flag
        return int(stop.code or 0)


def last_json(text: str) -> dict[str, object]:
    result: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return result


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "run"
    assert run("train", *SMALL, "--teacher", "expert", "--run-dir", folder) == 0
    capsys.readouterr()
    return folder


def test_train_prints_what_scripts_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert run("train", *SMALL, "--teacher", "expert", "--run-dir", folder, "--json") == 0
    result = last_json(capsys.readouterr().out)
    assert {"run_dir", "frames", "evaluation", "labels", "cost_usd", "seconds"} <= set(result)
    assert result["frames"] == 128
    evaluation, labels = result["evaluation"], result["labels"]
    assert isinstance(evaluation, dict) and {"success", "return", "episodes"} <= set(evaluation)
    assert isinstance(labels, dict) and {"asked", "cached", "failed", "missing"} <= set(labels)
    assert labels["asked"] > 0
    assert run("labels", "stats", "--json") == 0
    teachers = last_json(capsys.readouterr().out)["teachers"]
    assert isinstance(teachers, dict) and teachers["expert"]["parts"][0]["labels"] > 0


def test_a_saved_configuration_is_a_configuration(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    assert run("train", "--config", trained / "config.yaml", "--run-dir", again, "--json") == 0
    assert (again / "metrics.csv").read_bytes() == (trained / "metrics.csv").read_bytes()


def mistakes(tmp_path: Path) -> list[tuple[str, Sequence[object], str]]:
    typo = tmp_path / "typo.yaml"
    typo.write_text("framse: 10\n")
    zero, truth = tmp_path / "zero.yaml", tmp_path / "truth.yaml"
    zero.write_text(f"env: {ENV}\nframes: 0\n")
    truth.write_text("seed: true\n")
    no_yaml = tmp_path / "no.yaml"
    no_yaml.write_text("a: [")
    file = tmp_path / "file"
    file.write_text("in the way")
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    new = ("--run-dir", tmp_path / "new")
    train = ("train", *SMALL, "--teacher", "expert")
    return [
        ("command", ["trian"], "did you mean 'train'"),
        (
            "environment",
            ["train", "--env", "MiniGrid-LavaGapS4-v0", *new],
            "did you mean 'MiniGrid-LavaGapS",
        ),
        ("teacher", ["train", "--env", ENV, "--teacher", "expret", *new], "did you mean 'expert'"),
        ("teacher option", [*train, *new, "-T", "eror_rate=1"], "did you mean 'error_rate'"),
        ("option value", [*train, *new, "-T", "error_rate=2"], "error_rate"),
        ("option form", [*train, *new, "-T", "error_rate"], "key=value"),
        ("yaml key", ["train", "--config", typo], "did you mean 'frames'"),
        ("yaml", ["train", "--config", no_yaml], "not YAML"),
        ("yaml file", ["train", "--config", tmp_path / "none.yaml"], "can't be read"),
        (
            "yaml value",
            ["train", "--config", zero],
            f"frames in {zero}: it should be greater than 0",
        ),
        ("yaml truth", ["train", "--config", truth], f"seed in {truth}: it should be a valid int"),
        ("no frames", ["train", "--env", ENV, "--frames", "0"], "--frames 0"),
        ("negative frames", ["train", "--env", ENV, "--frames", "-5"], "--frames -5"),
        ("infinite number", [*train, *new, "--kl-coef", "inf"], "--kl-coef inf"),
        ("infinite rule", [*train, *new, "--ask", "budget:inf"], "is not a rule"),
        ("relative module", ["train", "--env", ".foo:Bar", *new], "can't import '.foo'"),
        ("broken module", ["train", "--env", "badmod:X-v0", *new], "ZeroDivisionError"),
        (
            "options of nobody",
            ["train", *SMALL, "--teacher", "none", "-T", "error_rate=5", *new],
            "--teacher none",
        ),
        ("options of a file", [*train, "--labels", typo, "-T", "bogus=1", *new], "leave out bogus"),
        ("folder under a file", [*train, "--run-dir", file / "run"], str(file)),
        ("store under a file", [*train, *new, "--store", file / "store"], str(file)),
        ("not a store", [*train, *new, "--store", other], str(other)),
        ("play nothing", ["play", "--run", tmp_path / "none", "--out", tmp_path / "a.gif"], "none"),
        ("compare nothing", ["compare", tmp_path / "none", "--out", tmp_path / "out"], "none"),
    ]


@pytest.mark.parametrize("index", range(24))
def test_a_mistake_is_one_sentence(
    index: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "badmod.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    name, argv, says = mistakes(tmp_path)[index]
    assert run(*argv) == 2, name
    captured = capsys.readouterr()
    assert captured.err.startswith("lvlm2p: ") and says in captured.err, captured.err
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert "Traceback" not in captured.err and captured.out == ""
    assert (tmp_path / "other" / "precious.txt").read_text() == "mine"


def test_an_unknown_flag_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--env", ENV, "--framse", "3") == 2
    assert "--frames" in capsys.readouterr().err


def test_a_run_directory_is_never_overwritten(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert run("train", *SMALL, "--teacher", "expert", "--run-dir", trained) == 2
    assert "--resume" in capsys.readouterr().err
    assert run("train", *SMALL, "--teacher", "expert", "--run-dir", trained, "--resume",
               "--lr", "0.5") == 2  # fmt: skip
    assert "lr" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}


def test_a_broken_checkpoint_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (trained / "checkpoint").rglob("*.safetensors"):
        path.write_bytes(b"\x80\x04not a tensor")
    assert run("train", *SMALL, "--teacher", "expert", "--run-dir", trained, "--resume",
               "--frames", "256") == 2  # fmt: skip
    error = capsys.readouterr().err
    assert "checkpoint" in error and len(error.strip().splitlines()) == 1


def test_offline_says_what_is_missing_and_skips_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offline = ("train", *SMALL, "--teacher", "expert", "--offline", "--json")
    assert run(*offline, "--run-dir", tmp_path / "a") == 3
    error = capsys.readouterr().err
    assert "lvlm2p label" in error.strip().splitlines()[-1] and "Traceback" not in error
    assert run(*offline, "--on-miss", "skip", "--run-dir", tmp_path / "b") == 0
    labels = last_json(capsys.readouterr().out)["labels"]
    assert isinstance(labels, dict)
    assert labels["missing"] > 0 and labels["asked"] == 0


def test_offline_gives_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", *SMALL, "--teacher", "expert", "-T", "error_rate=0.2", "--json")
    assert run(*train, "--run-dir", tmp_path / "a") == 0
    assert run(*train, "--run-dir", tmp_path / "b", "--offline") == 0
    one, two = (load_file(tmp_path / name / "student.safetensors") for name in "ab")
    assert one.keys() == two.keys()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    csv = [(tmp_path / name / "metrics.csv").read_bytes() for name in "ab"]
    assert csv[0] == csv[1]
    labels = last_json(capsys.readouterr().out)["labels"]
    assert isinstance(labels, dict) and labels["asked"] == 0 and labels["missing"] == 0


def test_label_evaluate_play_and_compare(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "labels.parquet"
    assert run("label", "--teacher", "expert", "--env", ENV, "--states", "20", "--out", file,
               "--json") == 0  # fmt: skip
    result = last_json(capsys.readouterr().out)
    assert {"labels", "cost_usd", "out"} <= set(result) and file.exists()

    assert run("labels", "stats", "--json") == 0
    assert {"labels", "failures", "teachers", "bytes"} <= set(last_json(capsys.readouterr().out))

    report = tmp_path / "report"
    assert run("evaluate", "--teacher", "expert", "--env", ENV, "--states", "20", "--episodes",
               "4", "--out", report, "--json") == 0  # fmt: skip
    rows = last_json(capsys.readouterr().out)["results"]
    assert isinstance(rows, list)
    row = next(row for row in rows if row["teacher"] == "expert")
    assert {"env", "states", "top1", "mass", "success", "valid", "cost_usd"} <= set(row)
    assert row["top1"]["value"] == 1 and row["top1"]["low"] < 1

    gif = tmp_path / "episode.gif"
    assert run("play", "--run", trained, "--out", gif) == 0
    assert gif.read_bytes()[:4] == b"GIF8"

    assert run("compare", trained, "--out", tmp_path / "compare", "--json") == 0
    assert list((tmp_path / "compare").glob("*.png"))

    assert run("teachers", "--json") == 0
    assert "expert" in capsys.readouterr().out


def test_yaml_values_meet_the_same_validators(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = trained / "config.yaml"
    saved.write_text(yaml.safe_dump(yaml.safe_load(saved.read_text()) | {"frames": -1}))
    assert run("train", "--config", saved) == 2
    assert f"frames in {saved}: it should be greater" in capsys.readouterr().err


def test_help_is_quick() -> None:
    """Bounded generously: a busy machine must not fail it, torch or litellm would."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "lvlm2p", "--help"], capture_output=True)
    assert done.returncode == 0 and time.monotonic() - start < 3
