"""`lvlm2p reproduce`: the runs of each figure, its table, and that it goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lvlm2p.envs import task_for
from lvlm2p.student import ReproduceConfig
from lvlm2p.student.comparison.runs import RecordedRun
from lvlm2p.student.reproduction import figures
from lvlm2p.student.reproduction import run as module
from lvlm2p.student.reproduction.figures import ALONE, FIGURES, TAUGHT, grids_of
from lvlm2p.student.reproduction.run import curves, markdown
from lvlm2p.student.sweep import run as sweep
from lvlm2p.student.sweep.plan import PlannedRun, plan
from lvlm2p.student.window import Window
from tests.test_cli import last_json, run

LAVA = "MiniGrid-LavaGapS6-v0"


def planned(name: Any, **options: Any) -> dict[str, list[PlannedRun]]:
    config = ReproduceConfig(figure=name, **options)
    grids = grids_of(config, FIGURES[name])
    return {line: plan({}, each, Path("out"), name) for line, each in grids.items()}


@pytest.mark.parametrize(("name", "panels"), [("figure3", 8), ("figure4", 2),
                                              ("table-llm4teach", 4)])  # fmt: skip
def test_each_line_has_every_panel_and_seed_in_a_folder_of_its_own(name: str, panels: int) -> None:
    lines = planned(name, seeds=3)
    assert ALONE in lines and len(lines) > 1
    for runs in lines.values():
        assert len(runs) == 3 * panels
        assert {run.config.seed for run in runs} == {0, 1, 2}
    folders = [run.name for runs in lines.values() for run in runs]
    assert len(set(folders)) == len(folders)
    for each in FIGURES[name].reported:
        assert each.line in lines and each.env in FIGURES[name].envs
        assert each.algo in FIGURES[name].algos
        task_for(each.env)


def test_the_expert_errs_as_often_as_the_papers_teacher_and_differently_for_each_seed() -> None:
    runs = [run.config for run in planned("figure3", seeds=2)[TAUGHT]]
    for config in runs:
        wanted = {"error_rate": figures.ERRORS[config.env], "seed": config.seed}
        assert config.teacher_args == wanted
    others = planned("figure3", teacher="tiny-vl")[TAUGHT]
    assert all(r.config.teacher == "tiny-vl" and not r.config.teacher_args for r in others)
    assert all(r.config.teacher == "none" for r in planned("figure4")[ALONE])


def recorded(seed: int, curve: dict[int, float], success: float) -> RecordedRun:
    return RecordedRun(Path("x"), LAVA, seed, {"teacher": "none"}, (seed,), None,
                       {module.METRIC: curve}, success, Window(0.0, False))  # fmt: skip


def test_the_table_sets_the_papers_numbers_beside_ours() -> None:
    name = f"{TAUGHT}, the paper's settings"
    alone = [recorded(0, {100: 0.1, 4_000: 0.95}, 0.5), recorded(1, {4_000: 0.95}, 1.0)]
    taught = [recorded(0, {1_000: 0.85, 2_000: 0.95}, 1.0)]
    panels = {(LAVA, "ppo"): {ALONE: alone, name: taught, TAUGHT: []}}
    table = markdown(ReproduceConfig(figure="figure3", seeds=2), FIGURES["figure3"], panels)
    rows = [line for line in table.splitlines() if LAVA in line]
    assert rows[0].endswith("| 4,000 (2/2) | 4,000 (2/2) | 4,000 (2/2) | 0.750 |  |")
    assert "| 1,000 (1/1) 4.00× | 1,000 (1/1) 4.00× | 2,000 (1/1) 2.00× | 1.000 |" in rows[1]
    assert rows[1].endswith("| 0.91 after 5,260 (2.11×) |")
    assert rows[2].endswith(f"| {TAUGHT} |  |  |  |  |  |")
    assert "`lvlm2p reproduce figure3 --seeds 2`" in table and "2.56 times" in table
    lines = list(csv.reader(curves(panels).splitlines()))
    assert lines[1] == [LAVA, "ppo", ALONE, "0", "100", "0.1"] and len(lines) == 6


def test_a_figure_from_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = []

    def train_them(assignments: Any, workers: int) -> Any:
        for number, assignment in enumerate(assignments):
            trained.append(assignment)
            yield number, assignment.carry_out()

    monkeypatch.setattr(sweep, "train_here", train_them)
    short = {"frames": 64, "n_envs": 4, "n_steps": 16, "kl_minibatches": 1, "eval_every": 0,
             "final_episodes": 1, "kl_schedule": "constant"}  # fmt: skip
    monkeypatch.setattr(module, "QUICK", short)
    lines = {"env": LAVA, "algos": ("ppo",), "envs": (LAVA,)}
    small = {k: v for k, v in vars(FIGURES["figure4"]).items() if k not in lines}
    few = {k: small["lines"][k] for k in (ALONE, "soft, lambda 1")}
    figure = figures.FigurePlan(**{**small, "lines": few, "envs": (LAVA,), "algos": ("ppo",)})
    monkeypatch.setattr(module, "FIGURES", {"figure4": figure})
    out = tmp_path / "out"
    for times in (1, 2):
        assert run("reproduce", "figure4", "--quick", "--out", out, "--json") == 0
        result = last_json(capsys.readouterr().out)
        assert (result["done"], len(trained)) == (2, 2), times
    with Image.open(str(result["picture"])) as picture:
        assert picture.width > 300
    assert "runs are too short" in (out / "table.md").read_text()
    assert len((out / "curves.csv").read_text().splitlines()) > 1
    assert json.loads((out / "sweep.json").read_text())["done"] == 2
