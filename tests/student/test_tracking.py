"""Runs where people already look: TensorBoard, W&B, MLflow, Aim."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lvlm2p.envs.extras import MissingPackageError
from lvlm2p.student import TrainConfig, TrainResult, train
from lvlm2p.student.training import trackers
from lvlm2p.student.training.tracking import Tracker, Value, hyper_parameters
from tests.support.chat import KEY

SMALL = {
    "env": "MiniGrid-GoToDoor-5x5-v0",
    "teacher": "none",
    "frames": 128,
    "n_envs": 4,
    "n_steps": 16,
    "eval_every": 64,
    "eval_episodes": 1,
    "final_episodes": 1,
    "hidden": 8,
    "progress": False,
}


def run(folder: Path, track: str, **options: Any) -> TrainResult:
    return train(
        TrainConfig.model_validate({**SMALL, "run_dir": folder, "track": track, **options})
    )


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What a tracker is told."""
    told: list[tuple[Any, ...]] = []

    class Recorder(Tracker):
        def __init__(self, run_dir: Path, parameters: Mapping[str, Value]) -> None:
            told.append(("begin", dict(parameters)))

        def numbers(self, values: Mapping[str, float], frames: int) -> None:
            told.append(("numbers", frames, dict(values)))

        def picture(self, name: str, path: Path, frames: int) -> None:
            with Image.open(path) as image:
                told.append(("picture", name, image.format, frames))

        def result(self, values: Mapping[str, float]) -> None:
            told.append(("result", dict(values)))

        def close(self, done: bool) -> None:
            told.append(("close", done))

    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Recorder)
    return told


def test_a_tracker_is_told_the_whole_run(recorded: list[tuple[Any, ...]], tmp_path: Path) -> None:
    result = run(tmp_path / "run", "tensorboard")
    kinds = [told[0] for told in recorded]
    assert kinds == ["begin", "numbers", "numbers", "result", "picture", "picture", "close"]
    assert recorded[0][1]["lr"] == 1e-3 and recorded[0][1]["frames"] == 128
    assert [told[1] for told in recorded[1:3]] == [64, 128]
    assert "losses/policy_loss" in recorded[1][2]
    assert recorded[3][1]["final/return"] == result.evaluation.mean_return
    assert recorded[4:6] == [("picture", "curves", "PNG", 128), ("picture", "episodes", "GIF", 128)]
    assert recorded[6] == ("close", True)


def test_no_key_reaches_a_tracker(tmp_path: Path) -> None:
    options = {"api_base": f"http://u:{KEY}@x", "key_file": KEY, "api_key": KEY, "model": "m"}
    config = TrainConfig(env=SMALL["env"], teacher="gemini", teacher_args=options, run_dir=tmp_path)
    found = hyper_parameters(config)
    assert KEY not in str(found)
    assert found["teacher_args.model"] == "m" and found["teacher"] == "gemini"


def test_a_tracker_that_fails_is_said_once_and_costs_no_run(
    recorded: list[tuple[Any, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(trackers.TRACKERS["tensorboard"], "numbers", fails)
    assert run(tmp_path / "a", "tensorboard").frames == 128
    assert capsys.readouterr().err.count("has failed, and the run goes on without: no network") == 1
    assert [told[0] for told in recorded] == ["begin"]
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", fails)
    assert run(tmp_path / "b", "tensorboard").frames == 128
    assert "can't begin" in capsys.readouterr().err


def test_a_missing_package_is_one_sentence_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvlm2p.student.training.trackers.missing", lambda extra: [extra])
    with pytest.raises(MissingPackageError, match=r"pip install 'lvlm2p\[aim\]'"):
        run(tmp_path / "run", "aim")
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_pictures_and_hyper_parameters(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

    run(tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert events.Tags()["images"] == ["curves", "episodes"]
    (gif,) = events.Images("episodes")
    assert gif.encoded_image_string.startswith(b"GIF8") and gif.step == 128
    assert (gif.width, gif.height) > (100, 100)
    plugin = events.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data
    assert plugin.plugin_name == "hparams" and b"gae_lambda" in plugin.content
    assert "final/success" in events.Tags()["scalars"]


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(sys, "argv", ["lvlm2p", "-T", f"key={KEY}"])
    run(tmp_path / "run", "wandb")
    (log,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    until = time.monotonic() + 60  # another process writes it, in its own time
    while b"final/success" not in log.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    data = log.read_bytes()
    assert b"final/success" in data and b"gae_lambda" in data
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/files/media/**/*.gif"))


def test_mlflow_in_the_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    result = run(tmp_path / "run", "mlflow")
    client = mlflow.MlflowClient((tmp_path / "run" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("lvlm2p")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["gae_lambda"] == "0.95"
    assert found.data.metrics["final/return"] == result.evaluation.mean_return
    history = client.get_metric_history(found.info.run_id, "losses/policy_loss")
    assert [point.step for point in history] == [64, 128]
    names = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert names == {"curves.png", "episodes.gif"}
    more = {**SMALL, "frames": 192, "resume": True, "run_dir": tmp_path / "run"}
    train(TrainConfig.model_validate({**more, "track": "mlflow"}))
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_aim_is_told_what_it_understands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its package, which needs an old SQLAlchemy and is not installed here."""
    told: list[Any] = []

    class Run(dict):  # type: ignore[type-arg]
        hash = "abc123"
        name = ""

        def __init__(self, **options: Any) -> None:
            assert options["log_system_params"] is False
            assert options["capture_terminal_logs"] is False

        def track(self, value: Any, name: str, step: int) -> None:
            told.append((name, step))

        def close(self) -> None:
            told.append(dict(self))

    module: Any = type(sys)("aim")
    module.Run = Run
    module.Image = str
    monkeypatch.setitem(sys.modules, "aim", module)
    monkeypatch.setattr("lvlm2p.student.training.trackers.missing", lambda extra: [])
    run(tmp_path / "run", "aim")
    assert ("losses/policy_loss", 64) in told and ("episodes", 128) in told
    assert told[-1]["hparams"]["gae_lambda"] == 0.95 and "final/return" in told[-1]["result"]
