from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from rich.console import Console

from lvlm2p.student.comparison.compare import compare
from lvlm2p.student.comparison.config import CompareConfig
from lvlm2p.student.comparison.result import Comparison
from lvlm2p.student.comparison.runs import grouped, read_run
from lvlm2p.student.comparison.show import table
from lvlm2p.student.training.metrics import METRICS
from lvlm2p.teachers.errors import RunError

ENV, OTHER_ENV = "MiniGrid-GoToDoor-6x6-v0", "MiniGrid-LavaGapS5-v0"
SLOW, FAST = (0.0, 0.2, 0.6, 0.8), (0.4, 0.9, 1.0, 1.0)


def made(
    folder: Path,
    success: Sequence[float | None] = FAST,
    *,
    seed: int = 0,
    teacher: str = "expert",
    args: Mapping[str, Any] | None = None,
    final: float | None = 0.9,
    fingerprint: str = "aaa111",
    **options: Any,
) -> Path:
    """The folder of a run as training leaves it: an evaluation every 100 frames."""
    folder.mkdir(parents=True)
    config = {
        "env": ENV,
        "algo": "ppo",
        "teacher": teacher,
        "teacher_args": dict(args or {}),
        "seed": seed,
        "lr": 0.001,
        "kl_coef": 1.0,
    } | options
    about = None if teacher == "none" else {"name": teacher, "fingerprint": fingerprint}
    (folder / "versions.json").write_text(json.dumps({"teacher": about, "config": config}))
    lines = [",".join(METRICS)]
    for i, value in enumerate(success, start=1):
        row = {"frames": 100 * i, "charts/episodic_return": 0.1 * i, "eval/success": value}
        lines.append(",".join("" if row.get(m) is None else repr(row[m]) for m in METRICS))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    if final is not None:
        (folder / "result.json").write_text(json.dumps({"evaluation": {"success": final}}))
    return folder


def compared(tmp_path: Path, *runs: Path, **more: Any) -> Comparison:
    data = {"runs": list(runs), "out": tmp_path / "out", "resamples": 200} | more
    return compare(CompareConfig.model_validate(data))


# ---------------------------------------------------------------- groups


def named(*folders: Path) -> dict[str, list[int]]:
    groups = grouped([read_run(folder, ["eval/success"]) for folder in folders])
    assert len({(group.env, group.name) for group in groups}) == len(groups)
    return {group.name: [run.seed for run in group.runs] for group in groups}


def test_runs_that_differ_in_seeds_are_one_group(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a0", seed=0, args={"seed": "0", "error_rate": "0.1"}, fingerprint="x"),
        made(tmp_path / "n0", seed=0, teacher="none"),
        made(tmp_path / "a1", seed=1, args={"seed": "1", "error_rate": "0.1"}, fingerprint="y"),
        made(tmp_path / "n1", seed=1, teacher="none", kl_coef=9, args={"error_rate": "0.1"}),
    ]
    assert named(*runs) == {"ppo · expert": [0, 1], "ppo · no teacher": [0, 1]}


def test_a_name_says_what_differs_and_nothing_else(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "0", kl_target="soft"),
        made(tmp_path / "1", kl_target="argmax"),
        made(tmp_path / "2", kl_target="argmax", args={"error_rate": 0.1}),
        made(tmp_path / "3", teacher="none", algo="a2c", lr=0.1),
        made(tmp_path / "4", teacher="none", kl_target="soft"),
    ]
    assert list(named(*runs)) == [
        "ppo · expert · kl_target=soft",
        "ppo · expert · kl_target=argmax",
        "ppo · expert · error_rate=0.1 · kl_target=argmax",
        "a2c · no teacher",
        "ppo · no teacher",
    ]


def test_a_teacher_whose_prompt_changed_is_another_one(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a", seed=0, fingerprint="aaaaaaaa"),
        made(tmp_path / "b", seed=1, fingerprint="bbbbbbbb"),
    ]
    assert list(named(*runs)) == [
        "ppo · expert · version aaaaaa",
        "ppo · expert · version bbbbbb",
    ]


def test_a_run_is_named_after_who_made_its_labels(tmp_path: Path) -> None:
    """With --labels that need not be the --teacher of its options."""
    run = made(tmp_path / "a", labels="labels.parquet")
    record = json.loads((run / "versions.json").read_text())
    record["teacher"]["name"] = "tiny-vl"
    (run / "versions.json").write_text(json.dumps(record))
    assert named(run) == {"ppo · tiny-vl": [0]}


def test_another_environment_needs_no_other_name(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a", fingerprint="a"),
        made(tmp_path / "b", env=OTHER_ENV, fingerprint="b"),
    ]
    groups = grouped([read_run(folder, ["eval/success"]) for folder in runs])
    assert [(g.env, g.name) for g in groups] == [(ENV, "ppo · expert"), (OTHER_ENV, "ppo · expert")]


def test_the_same_run_twice_does_not_count_twice(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a"), made(tmp_path / "b")
    assert len(compared(tmp_path, a, a).rows[0].group.runs) == 1
    with pytest.raises(
        RunError, match=r"/a and .*/b have the same configuration and the same seed"
    ):
        compared(tmp_path, a, b)


def test_a_row_that_is_being_written_does_not_count(tmp_path: Path) -> None:
    folder = made(tmp_path / "a", (0.1, 0.2))
    with (folder / "metrics.csv").open("a") as file:
        file.write("300,0.5,10,")
    assert read_run(folder, ["eval/success"]).curves == {"eval/success": {100: 0.1, 200: 0.2}}
    whole = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(whole[: whole.rindex("\n") - 1])  # 0.2 without its 2
    assert read_run(folder, ["eval/success"]).curves == {"eval/success": {100: 0.1}}


# ---------------------------------------------------------------- the command


def test_a_teacher_is_measured_against_none(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"a{s}", FAST, seed=s, final=0.9 + s / 100) for s in range(5)]
    runs += [made(tmp_path / f"n{s}", SLOW, seed=s, teacher="none", final=0.8) for s in range(5)]
    result = compared(tmp_path, *runs)
    data = result.as_json()
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == data
    assert data["metric"] == "eval/success" and data["thresholds"] == [0.5, 0.8, 0.9]
    guided, alone = data["groups"]
    assert [cell["median"] for cell in guided["frames_to"]] == [200, 200, 200]
    assert [cell["median"] for cell in alone["frames_to"]] == [300, 400, None]
    assert guided["baseline"] == "ppo · no teacher" and alone["baseline"] is None
    assert guided["sample_efficiency"] == [
        {"value": 1.5, "bound": "exact"},
        {"value": 2.0, "bound": "exact"},
        {"value": 2.0, "bound": "at least"},
    ]
    success = guided["final_success"]
    assert success["mean"] == pytest.approx(0.92) and 0.9 <= success["low"] < 0.92 < success["high"]
    assert success["iqm"] == pytest.approx(0.92)
    assert data["notes"] == ["eval/success is known every 100 frames: no count is finer than that."]


def text_of(result: Comparison) -> str:
    console = Console(width=80, record=True, quiet=False)
    with console.capture() as capture:
        console.print(table(result), markup=False, highlight=False)
    return capture.get()


def test_the_table_fits_a_terminal_and_hides_nothing(tmp_path: Path) -> None:
    long = (*[0.1] * 200, 0.6)
    runs = [made(tmp_path / f"a{s}", seed=s) for s in range(2)]
    runs += [made(tmp_path / f"n{s}", long, seed=s, teacher="none") for s in range(2)]
    text = text_of(compared(tmp_path, *runs))
    for said in ("200 (2/2)", "20,100 (2/2)", "> 20,100 (0/2)", "≥ 100.50×", "90.0%", ENV):
        assert said in text, text
    assert text.count("> 20,100 (0/2)") == 2
    assert "fewer than 5 seeds" in text and "…" not in text


def test_one_seed_is_said_to_be_one_seed(tmp_path: Path) -> None:
    result = compared(tmp_path, made(tmp_path / "a"))
    assert result.notes[1].startswith("One seed only, so no interval: ppo · expert.")
    assert result.as_json()["groups"][0]["final_success"]["low"] is None


def test_an_unfinished_or_shorter_run_is_named(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a0", (0.1, 0.2), seed=0, final=None),
        made(tmp_path / "a1", FAST, seed=1),
    ]
    said = " ".join(compared(tmp_path, *runs).notes)
    assert f"Not ended, or interrupted: {runs[0]}." in said
    assert "differ in length: 200 to 400 frames" in said


def test_runs_without_a_common_frame_are_drawn_one_by_one(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "a0", (0.1, None), seed=0, teacher="none"),
        made(tmp_path / "a1", (None, 0.2, 0.3), seed=1, teacher="none"),
    ]
    for number, folder in enumerate(runs):
        rows = (folder / "metrics.csv").read_text().splitlines()
        kept = [rows[0], *(row for row in rows[1:] if int(row[0]) % 2 != number)]
        (folder / "metrics.csv").write_text("\n".join(kept) + "\n")
    said = " ".join(compared(tmp_path, *runs).notes)
    assert "have no frame in common at which charts/episodic_return and eval/success" in said
    assert "mean curve ends" not in said
    pixels = np.asarray(Image.open(tmp_path / "out" / "curves.png").convert("RGB")).astype(int)
    assert (abs(pixels - (0x5F, 0x63, 0x68)).max(-1) <= 4).sum() > 200


def test_each_algorithm_has_its_own_baseline(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "0", teacher="none", algo="ppo"),
        made(tmp_path / "1", teacher="none", algo="a2c"),
        made(tmp_path / "2", algo="a2c"),
        made(tmp_path / "3", algo="ppo"),
    ]
    rows = compared(tmp_path, *runs).rows
    assert [row.baseline for row in rows] == [None, None, "a2c · no teacher", "ppo · no teacher"]


def test_without_a_run_alone_the_first_group_is_the_baseline(tmp_path: Path) -> None:
    runs = [made(tmp_path / "0", lr=0.1), made(tmp_path / "1", lr=0.2)]
    assert [row.baseline for row in compared(tmp_path, *runs).rows] == [
        None,
        "ppo · expert · lr=0.1",
    ]


def test_environments_are_never_mixed(tmp_path: Path) -> None:
    runs = [
        made(tmp_path / "0", teacher="none"),
        made(tmp_path / "1", env=OTHER_ENV),
        made(tmp_path / "2"),
        made(tmp_path / "3", env=OTHER_ENV, teacher="none", success=SLOW),
    ]
    result = compared(tmp_path, *runs)
    assert [row.group.env for row in result.rows] == [ENV, ENV, OTHER_ENV, OTHER_ENV]
    assert [str(row.ratios[0]) for row in result.rows if row.ratios] == ["1.00×", "1.50×"]
    text = text_of(result)
    assert text.index(ENV) < text.index(OTHER_ENV)
    with Image.open(tmp_path / "out" / "curves.png") as two:
        height = two.height
    compared(tmp_path, runs[0], runs[2])
    with Image.open(tmp_path / "out" / "curves.png") as one:
        assert height > 1.5 * one.height


def test_the_picture_has_lines_and_bands_in_the_colours_of_the_groups(tmp_path: Path) -> None:
    spread = [made(tmp_path / f"a{s}", (0.1 * s, 0.2 * s), seed=s) for s in range(4)]
    alone = made(tmp_path / "n", SLOW, teacher="none")
    compared(tmp_path, *spread, alone)
    pixels = np.asarray(Image.open(tmp_path / "out" / "curves.png").convert("RGB")).astype(int)

    def count(color: tuple[int, int, int]) -> int:
        return int((abs(pixels - color).max(-1) <= 4).sum())

    assert count((0x00, 0x72, 0xB2)) > 500  # a line of the first group
    assert count((0x5F, 0x63, 0x68)) > 500  # and the grey one without a teacher
    shade = tuple(round(255 + 0.18 * (c - 255)) for c in (0x00, 0x72, 0xB2))
    assert count((shade[0], shade[1], shade[2])) > 2000  # and its band
    compared(tmp_path, spread[0], alone)
    pixels = np.asarray(Image.open(tmp_path / "out" / "curves.png").convert("RGB")).astype(int)
    assert count((shade[0], shade[1], shade[2])) < 300


def test_the_metric_is_the_training_return_where_nobody_was_evaluated(tmp_path: Path) -> None:
    evaluated, not_so = made(tmp_path / "a"), made(tmp_path / "b", (None,) * 8, seed=1)
    result = compared(tmp_path, evaluated, not_so, thresholds=(0.35,))
    assert result.metric == "charts/episodic_return"
    assert result.rows[0].reaches[0].frames == (400, 400)
    with pytest.raises(RunError, match=r"/b has no values of eval/success"):
        compared(tmp_path, evaluated, not_so, metric="eval/success")


def test_what_cannot_be_compared_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run in .*nowhere"):
        compared(tmp_path, tmp_path / "nowhere")
    folder = made(tmp_path / "a")
    (folder / "metrics.csv").write_text(",".join(METRICS) + "\n" + "1,,")
    with pytest.raises(RunError, match=r"metrics\.csv has no values yet"):
        compared(tmp_path, folder)
    (folder / "metrics.csv").write_text(",".join(METRICS) + "\nmany,1\n")
    with pytest.raises(RunError, match=r"metrics\.csv, line 2, is not a row"):
        compared(tmp_path, folder)
    (folder / "metrics.csv").unlink()
    with pytest.raises(RunError, match=r"metrics\.csv is missing"):
        compared(tmp_path, folder)
    (folder / "versions.json").write_text("[1]")
    with pytest.raises(RunError, match=r"versions\.json can't be read"):
        compared(tmp_path, folder)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="file/out can't be written"):
        compared(tmp_path, made(tmp_path / "b"), out=tmp_path / "file" / "out")


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": [float("nan")]},
        {"runs": []},
        {"thresholds": []},
        {"metric": "eval/sucess"},
        {"resamples": 1},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CompareConfig.model_validate({"runs": ["a"]} | wrong)
