"""A run that is killed, interrupted or repeated ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.student import TrainConfig, train
from lvlm2p.student.training.checkpoint import checksum
from lvlm2p.student.training.evaluation import evaluation_of
from lvlm2p.student.training.visited import Visited
from lvlm2p.teachers import Counts, Label, Teacher, load_teacher
from lvlm2p.teachers.errors import CheckpointError, RunError

OPTIONS = {
    "env": "MiniGrid-GoToDoor-5x5-v0",
    "frames": 1200,
    "n_envs": 4,
    "n_steps": 32,
    "batch_size": 64,
    "kl_minibatches": 8,
    "kl_images": 2,
    "eval_every": 256,
    "eval_episodes": 5,
    "final_episodes": 5,
    "checkpoint_every": 128,
    "save_visited": True,
    "progress": False,
    "seed": 3,
}

PROGRAM = """
import json, sys
from lvlm2p.student import TrainConfig, train
from lvlm2p.teachers import load_teacher
config = TrainConfig.model_validate(json.loads(sys.argv[1]))
train(config, load_teacher("expert"))
"""


def config(folder: Path, **options: object) -> TrainConfig:
    return TrainConfig.model_validate({**OPTIONS, "run_dir": str(folder), **options})


def outcome(folder: Path) -> list[bytes]:
    names = ("student.safetensors", "metrics.csv", "visited.jsonl")
    label_set = json.loads((folder / "result.json").read_text())["label_set"]
    return [json.dumps(label_set).encode(), *((folder / name).read_bytes() for name in names)]


def process(folder: Path, resume: bool) -> subprocess.Popen[str]:
    options = json.dumps({**OPTIONS, "run_dir": str(folder), "resume": resume})
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, options], stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(config(folder), load_teacher("expert"))
    return folder


def wait_for_rows(folder: Path, rows: int, running: subprocess.Popen[str]) -> None:
    path, until = folder / "metrics.csv", time.monotonic() + 60
    while running.poll() is None and time.monotonic() < until:
        if path.exists() and path.read_bytes().count(b"\n") > rows:
            return
        time.sleep(0.002)


def test_same_seed_same_numbers(whole: Path, tmp_path: Path) -> None:
    train(config(tmp_path / "again"), load_teacher("expert"))
    assert outcome(tmp_path / "again") == outcome(whole)
    train(config(tmp_path / "other", seed=4), load_teacher("expert"))
    assert not set(outcome(tmp_path / "other")) & set(outcome(whole))


def test_killed_three_times_at_random_moments(whole: Path, tmp_path: Path) -> None:
    folder, kills = tmp_path / "run", 0
    for attempt, rows in enumerate(sorted(random.sample(range(9), 3))):
        running = process(folder, resume=attempt > 0)
        wait_for_rows(folder, rows, running)
        time.sleep(random.random() * 0.1)
        running.kill()
        running.wait()
        assert running.stderr is not None
        running.stderr.close()
        kills += running.returncode == -signal.SIGKILL
    assert kills >= 2  # on a fast machine the last one may come too late
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)
    # and once more, when there is nothing left to do
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)


def test_killed_while_a_checkpoint_was_written(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(config(folder, frames=512), load_teacher("expert"))
    (folder / "checkpoint" / "tensors-0123.safetensors.part").write_bytes(b"half of it")
    (folder / "checkpoint" / "tensors-4567.safetensors").write_bytes(b"not named yet")
    with (folder / "metrics.csv").open("a") as file:
        file.write("640,0.5")  # a torn row
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)
    assert len(list((folder / "checkpoint").iterdir())) == 2


def test_ctrl_c_saves_and_says_how_to_go_on(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = {**OPTIONS, "run_dir": str(folder), "checkpoint_every": 0, "progress": True}
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(options)], stderr=subprocess.PIPE, text=True
    )
    wait_for_rows(folder, 3, running)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert f"lvlm2p train --config {folder / 'config.yaml'} --resume" in said.replace("\n", " ")
    assert (folder / "checkpoint" / "state.json").is_file()
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)


class SlowAndShuffled(Teacher):
    """The expert, late and in another order."""

    def __init__(self) -> None:
        self.inner, self.name, self.counts = load_teacher("expert"), "expert", Counts()

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Label]]:
        time.sleep(random.random() * 0.005)
        answers = list(self.inner.ask(views))
        random.shuffle(answers)
        yield from answers  # type: ignore[misc]


def test_nothing_depends_on_when_and_in_which_order_answers_come(
    whole: Path, tmp_path: Path
) -> None:
    train(config(tmp_path / "run"), SlowAndShuffled())
    assert outcome(tmp_path / "run") == outcome(whole)


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    train(config(tmp_path / "a", frames=256, teacher="none"))
    time.sleep(1.1)  # TensorBoard reads files in the order of their names: a second, then whatever
    longer = train(config(tmp_path / "a", frames=512, teacher="none", resume=True))
    whole = train(config(tmp_path / "b", frames=512, teacher="none"))
    assert longer.frames == whole.frames == 512
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
    assert points(tmp_path / "a") == points(tmp_path / "b") == [128, 256, 384, 512]


def points(folder: Path) -> list[int]:
    """Where TensorBoard has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what TensorBoard imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars("losses/value_loss")]


def test_ctrl_c_during_the_evaluation_at_the_end(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"

    def interrupted(act: Any, env: str, episodes: int, seed: int, *more: Any) -> Any:
        if episodes == 1_000_000:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluation_of(act, env, episodes, seed, *more)

    monkeypatch.setattr("lvlm2p.student.training.loop.evaluation_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config(folder, final_episodes=1_000_000), load_teacher("expert"))
    said = " ".join(capsys.readouterr().err.split())
    assert f"lvlm2p train --config {folder / 'config.yaml'} --resume" in said
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)


# ---------------------------------------------------------------- what is refused


def test_an_existing_folder_is_refused(whole: Path) -> None:
    with pytest.raises(RunError, match=r"exists: choose another --run-dir, or .* --resume"):
        train(config(whole), load_teacher("expert"))


def test_a_folder_in_use_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    running = process(folder, resume=False)
    wait_for_rows(folder, 1, running)
    running.send_signal(signal.SIGSTOP)
    with pytest.raises(RunError, match="another process is training in"):
        train(config(folder, resume=True), load_teacher("expert"))
    running.kill()
    running.communicate()
    train(config(folder, resume=True), load_teacher("expert"))
    assert outcome(folder) == outcome(whole)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to resume"):
        train(config(tmp_path / "nowhere", resume=True))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(RunError, match="not the folder of a run"):
        train(config(tmp_path / "photos", resume=True))


@pytest.mark.parametrize(
    ("key", "value"),
    [("lr", 0.01), ("env", "MiniGrid-LavaGapS5-v0"), ("seed", 9), ("ask", "random:0.5")],
)
def test_a_changed_configuration_is_refused_by_name(whole: Path, key: str, value: object) -> None:
    with pytest.raises(RunError, match=rf"was made with {key} = .*, not {value!r}"):
        train(config(whole, resume=True, **{key: value}), load_teacher("expert"))


def test_a_changed_teacher_is_refused(whole: Path) -> None:
    other = load_teacher("expert", options={"error_rate": "0.5"})
    changed = config(whole, resume=True, teacher_args={"error_rate": "0.5"})
    with pytest.raises(RunError, match="teacher_args"):
        train(changed, other)
    with pytest.raises(RunError, match="another teacher"):
        train(config(whole, resume=True), other)


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't be written"):
        train(config(tmp_path / "file" / "run"))


DAMAGES: dict[str, dict[str, Any]] = {
    "sizes": {"sizes": []},
    "actions": {"env": {"actions": []}},
    "no frames": {"frames": None},
    "counts": {"counts": {"asked": "many"}},
}


@pytest.mark.parametrize(
    "damage",
    ["truncated", "garbage", "pickle", "json", "deep", "version", "missing", "metrics", "visited",
     *DAMAGES],
)  # fmt: skip
def test_a_broken_checkpoint_is_refused(whole: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    state = folder / "checkpoint" / "state.json"
    head = json.loads(state.read_text())
    tensors = folder / "checkpoint" / head["tensors"]
    if damage == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif damage == "garbage":
        tensors.write_bytes(b"\xff" * 1000)
    elif damage == "pickle":
        plant_pickle(tensors, tmp_path / "ran")
    elif damage == "json":
        state.write_text("{")
    elif damage == "deep":
        state.write_text("[" * 100_000)
    elif damage in DAMAGES:
        head["state"] |= DAMAGES[damage]
        state.write_text(json.dumps({**head, "checksum": checksum(head)}))
    elif damage == "metrics":
        (folder / "metrics.csv").write_text("frames\n")
    elif damage == "visited":
        (folder / "visited.jsonl").write_text("{}\n")
    elif damage == "version":
        state.write_text(json.dumps({**head, "format": "lvlm2p checkpoint 99"}))
    else:
        tensors.unlink()
    before = {path.name: path.read_bytes() for path in (folder / "checkpoint").iterdir()}
    with pytest.raises(CheckpointError, match="start the run again") as error:
        train(config(folder, resume=True), load_teacher("expert"))
    assert "\n" not in str(error.value) and not (folder / "metrics.csv").read_bytes().count(0)
    assert not (tmp_path / "ran").exists()
    after = {path.name: path.read_bytes() for path in (folder / "checkpoint").iterdir()}
    assert after == before


@pytest.mark.parametrize("record", ['{"config": [], "teacher": null}', "[" * 100_000, "[]"])
def test_a_broken_record_is_refused(whole: Path, tmp_path: Path, record: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "versions.json").write_text(record)
    with pytest.raises(RunError, match=r"versions\.json can't be read"):
        train(config(folder, resume=True), load_teacher("expert"))


def test_a_run_killed_before_it_wrote_anything_is_begun(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("lock", "config.yaml.part"):
        (folder / name).write_text("")
    options = {"frames": 128, "teacher": "none", "resume": True}
    assert train(config(folder, **options)).frames == 128


def plant_pickle(path: Path, witness: Path) -> None:
    """A file as torch.save writes it, that would create ``witness`` if it were unpickled; its
    checksum is made to fit, as an attacker would."""
    import hashlib

    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (witness,)

    torch.save({"network": Evil()}, path)
    state = path.parent / "state.json"
    head = json.loads(state.read_text())
    head["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    state.write_text(json.dumps({**head, "checksum": checksum(head)}))


def test_a_pickled_student_is_refused(tmp_path: Path) -> None:
    import torch

    from lvlm2p.student import load_student

    with pytest.raises(RunError, match="no trained student"):
        load_student(tmp_path)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"network": Evil()}, tmp_path / "student.safetensors")
    with pytest.raises(CheckpointError, match="can't be read as a student"):
        load_student(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_visited_states_are_written_once(whole: Path) -> None:
    lines = (whole / "visited.jsonl").read_text().splitlines()
    keys = {View.from_json(json.loads(line)).key for line in lines}
    assert len(keys) == len(lines) > 100
    visited = Visited(whole / "visited.jsonl")
    visited.cut((whole / "visited.jsonl").stat().st_size)
    visited([View.from_json(json.loads(lines[0]))])
    assert visited.size() == sum(len(line) + 1 for line in lines)
    visited.close()
