"""Labelling on a local Ray cluster: the same labels, and the death of a worker costs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lvlm2p.teachers import LabelFileError, LabelStore, TeacherNotReadyError
from lvlm2p.teachers.label import Entry
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.run import label_states
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.parts import Parts
from tests.support.store import FakeTeacher, states

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[3]
DOOR = "MiniGrid-GoToDoor-6x6-v0"
STATES = 60
RULES = "Knock first."

PLUGIN = '''
import os, time
from tests.support.store import FakeTeacher, note
from pathlib import Path

class Slow(FakeTeacher):
    """Answers slowly, and says to a file which process answers, by which rules."""

    @classmethod
    def build(cls, name, options, context):
        return cls(cls.answer)

    @staticmethod
    def answer(view, teacher):
        note(Path(os.environ["SLOW_LOG"]), f"{os.getpid()} {view.key} {view.task.rules}")
        time.sleep(float(os.environ["SLOW_S"]))
        return teacher.label_for(view)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """A teacher called `slow`, installed for child processes."""
    place = tmp_path / "plugin"
    info = place / "slow_teacher-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "slow_teacher.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-teacher\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lvlm2p.teachers]\nslow = slow_teacher:Slow\n")
    paths = f"{place}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": paths, "SLOW_S": "0.1", "SLOW_LOG": str(tmp_path / "log")}


def start(folder: Path, env: dict[str, str], engine: str, out: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lvlm2p", "label", "--teacher", "slow"]
    command += ["--env", DOOR, "--states", str(STATES), "--engine", engine, "--json"]
    command += ["--rules", RULES]
    command += ["--out", str(folder / out), "--store", str(folder / f"store-{engine}")]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, cwd=folder)


def asked(env: dict[str, str]) -> list[tuple[int, str]]:
    log = Path(env["SLOW_LOG"])
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def finished(process: subprocess.Popen[str]) -> dict[str, object]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    result: dict[str, object] = json.loads(out.splitlines()[-1])
    return result


def answers(path: Path) -> dict[str, list[float]]:
    return {row["key"]: row["probabilities"] for row in read_rows(path)}


def test_a_worker_killed_in_mid_job_loses_nothing(tmp_path: Path, plugin: dict[str, str]) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    job = start(tmp_path, plugin, "ray", "ray")
    deadline = time.monotonic() + 240
    while len(asked(plugin)) < 15:
        assert time.monotonic() < deadline and job.poll() is None
        time.sleep(0.05)
    victim = asked(plugin)[-1][0]
    os.kill(victim, signal.SIGKILL)
    result = finished(job)
    assert result["rows"] == STATES
    counted = Counter(key for _, key in asked(plugin))
    assert len(counted) == STATES and sum(counted.values()) <= STATES + 1  # the one in flight
    assert len({pid for pid, _ in asked(plugin)}) >= 2
    said = Path(plugin["SLOW_LOG"]).read_text().splitlines()
    assert all(line.endswith(RULES) for line in said)  # every worker was told
    with LabelStore(tmp_path / "store-ray") as store:
        assert len(store.get_many("fa4e", list(counted))) == STATES
    plugin |= {"SLOW_S": "0", "SLOW_LOG": str(tmp_path / "local-log")}
    assert finished(start(tmp_path, plugin, "local", "local.parquet"))["rows"] == STATES
    assert answers(tmp_path / "ray") == answers(tmp_path / "local.parquet")


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    config = LabelConfig(teacher="expert", env=DOOR, engine="ray", out=str(tmp_path / "out"))
    with pytest.raises(TeacherNotReadyError, match=r"lvlm2p\[ray\]"):
        label_states(config)


def test_parts_are_complete_and_replace_themselves(tmp_path: Path) -> None:
    fake = FakeTeacher()
    parts = Parts(str(tmp_path / "out"))
    batch = [Entry(view, fake.label_for(view)) for view in states(5)]
    parts.write(batch)
    parts.write(batch)
    parts.write([])
    assert len(parts.names()) == 1 and parts.done() == {view.key for view in states(5)}
    (tmp_path / "out" / "part-torn.parquet.writing").write_bytes(b"PAR1")
    assert len(Parts(str(tmp_path / "out")).done()) == 5
    assert len(answers(tmp_path / "out")) == 5
    (tmp_path / "file").write_text("x")
    with pytest.raises(LabelFileError, match="writes a folder"):
        Parts(str(tmp_path / "file"))
