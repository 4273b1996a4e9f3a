"""What commands do around their work: fresh folders, what is listed, and how they end."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import version
from pathlib import Path

import pytest

from lvlm2p.envs import covered_ids, sample_states
from lvlm2p.student import TrainConfig
from lvlm2p.student.training.run_dir import run_dir_named
from lvlm2p.teachers import Failure, load_teacher
from lvlm2p.teachers.errors import MissingLabelsError, TeacherNotReadyError
from lvlm2p.teachers.teacher import Counts
from tests.test_cli import ENV, SMALL, last_json, run

BIG = "MiniGrid-Dynamic-Obstacles-16x16-v0"


# ---------------------------------------------------------------- what there is


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flag) == 0
    assert capsys.readouterr().out == f"lvlm2p {version('lvlm2p')}\n"


def test_envs_lists_what_is_supported(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("envs", "--json") == 0
    rows = last_json(capsys.readouterr().out)["tasks"]
    assert isinstance(rows, list)
    assert sorted(env for row in rows for env in row["envs"]) == covered_ids()
    lava = next(row for row in rows if row["task"] == "lava-gap")
    assert lava["planner"] is True and lava["actions"] == ["left", "right", "forward"]
    assert run("envs") == 0
    text = capsys.readouterr().out
    assert "lava-gap" in text and ENV in text and "exact" in text


# ---------------------------------------------------------------- the folder of a run


def test_a_run_without_a_folder_gets_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/train", "runs/train-2"):
        assert run("train", *SMALL, "--teacher", "none", "--json") == 0
        assert last_json(capsys.readouterr().out)["run_dir"] == folder
        assert (tmp_path / folder / "result.json").is_file()
    assert run("train", *SMALL, "--teacher", "none", "--frames", "192", "--resume", "--json") == 0
    assert last_json(capsys.readouterr().out)["run_dir"] == "runs/train-2"
    assert run("train", *SMALL, "--teacher", "none", "--run-dir", "runs/train") == 2
    assert "runs/train exists" in capsys.readouterr().err

    # a folder of runs: the second has another length, so each is a run of its own
    assert run("compare", "runs", "--out", "out", "--json") == 0
    assert len(last_json(capsys.readouterr().out)["groups"]) == 1  # type: ignore[arg-type]


def test_a_run_that_never_began_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("train", *SMALL, "--teacher", "expert", "-T", "bogus=1") == 2
    assert not (tmp_path / "runs").exists()


def test_two_runs_that_begin_together_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(env=ENV)
    with run_dir_named(config) as one, run_dir_named(config) as other:
        assert (one.run_dir, other.run_dir) == (Path("runs/train"), Path("runs/train-2"))


# ---------------------------------------------------------------- hints


def test_a_hint_with_a_space_in_a_path_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my labels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVLM2P_STORE", str(folder))
        (view,) = sample_states(ENV, 1, 0)
        from lvlm2p.teachers import LabelStore

        teacher = load_teacher("expert", store=LabelStore(), offline=True)
        with pytest.raises(MissingLabelsError) as caught:
            teacher.label([view])
    command = str(caught.value).split("`")[1]
    assert shlex.split(command)[-2:] == ["--store", str(folder)]


# ---------------------------------------------------------------- in vain


def test_tiny_vl_refuses_sizes_that_it_was_not_made_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (view,) = sample_states(BIG, 1, 0)
    with pytest.raises(TeacherNotReadyError, match=r"5x5 to 8x8 cells only, not on 16x16"):
        load_teacher("tiny-vl").label([view])
    out = tmp_path / "a.parquet"
    assert run("label", "--teacher", "tiny-vl", "--env", BIG, "--states", "3", "--out", out) == 3
    assert "16x16" in capsys.readouterr().err and not out.exists()


def counted(failed: int, good: int) -> Counts:
    counts = Counts()
    failure = Failure(task="t", teacher="t", fingerprint="f", failure="empty", message="nothing")
    for _ in range(failed):
        counts.add_asked(failure)
    counts.asked += good
    return counts


def test_nearly_all_is_nine_tenths() -> None:
    assert counted(0, 0).trouble("") is None
    assert counted(89, 11).trouble("") is None
    assert counted(90, 10).trouble("9 rows in x") == (
        "90 of 100 answers failed, the first: empty: nothing; written all the same: 9 rows in x"
    )
    both = counted(0, 1) + counted(9, 0)
    assert both.first_failure == "empty: nothing" and both.trouble("") is not None


@pytest.mark.parametrize(("labelled", "code"), [(0, 3), (10, 0)])
def test_a_command_whose_answers_failed_does_not_end_well(
    labelled: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`expert` says nothing about all states but some: by far too few, or a tenth and more."""
    from lvlm2p.teachers.expert import ExpertTeacher

    answer = ExpertTeacher._answer

    def some(self: ExpertTeacher, view: object) -> object:
        label = answer(self, view)  # type: ignore[arg-type]
        if self.options.confidence == 1:  # the baseline's
            return label
        if len(said) < labelled:
            said.append(view)
            return label
        kept = label.model_dump(include={"task", "teacher", "fingerprint"})
        return Failure(**kept, failure="empty", message="nothing said")

    said: list[object] = []
    monkeypatch.setattr(ExpertTeacher, "_answer", some)
    shared = ("--teacher", "expert", "--env", ENV, "--json")
    assert run("train", *SMALL, *shared[:2], "--store", tmp_path / "a", "--json",
               "--run-dir", tmp_path / "run") == code  # fmt: skip
    captured = capsys.readouterr()
    assert last_json(captured.out)["frames"] == 128
    assert ("nothing said" in captured.err and "run" in captured.err) == bool(code)
    said.clear()
    assert run("evaluate", *shared, "--store", tmp_path / "b", "--states", "20", "--episodes", "0",
               "--probes", "0") == code  # fmt: skip
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["results"]) == 1
    assert ("0 of 20 states got a label (empty)" in captured.err) == bool(code)
    said.clear()
    assert run("label", *shared, "--store", tmp_path / "c", "--states", "20",
               "--out", tmp_path / "a.parquet") == code  # fmt: skip
    assert ("20 states could be labelled" in capsys.readouterr().err) == bool(code)
