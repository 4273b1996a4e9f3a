"""Which runs a sweep has, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import UserError
from lvlm2p.student.sweep.plan import PlannedRun, plan, read_plan
from lvlm2p.teachers.errors import ConfigError

LAVA, DOOR = "MiniGrid-LavaGapS5-v0", "MiniGrid-GoToDoor-5x5-v0"


def planned(text: str, folder: Path) -> list[PlannedRun]:
    file = folder / "sweep.yaml"
    file.write_text(text)
    return read_plan(file, folder / "out")


def test_lists_are_multiplied_out_and_seeds_come_in_turn(tmp_path: Path) -> None:
    runs = planned(
        f"env: [{LAVA}, {DOOR}]\nteacher: [none, expert]\nseeds: [3, 1]\nframes: 2k\nlr: 0.01\n",
        tmp_path,
    )
    assert [run.name for run in runs] == [
        f"{env}/ppo_{teacher}/seed-{seed}"
        for seed in (3, 1)
        for env in (LAVA, DOOR)
        for teacher in ("none", "expert")
    ]
    config = runs[-1].config
    assert (config.env, config.teacher, config.seed, config.frames) == (DOOR, "expert", 1, 2_000)
    assert config.run_dir == tmp_path / "out" / runs[-1].name
    assert (config.lr, config.progress) == (0.01, False)
    assert runs[0].chosen == {"env": LAVA, "algo": "ppo", "teacher": "none", "seed": 3}


def test_what_belongs_together_is_a_mapping(tmp_path: Path) -> None:
    text = f"""
env: {LAVA}
seeds: [0, 5]
kl_coef: 0.5
teacher:
  - {{teacher: expert, teacher_args: {{error_rate: 0.05, seed: "{{seed}}"}}, kl_coef: 2}}
  - expert
"""
    runs = planned(text, tmp_path)
    assert [run.name for run in runs] == [
        f"{LAVA}/ppo_expert_error_rate=0.05_kl_coef=2/seed-0",
        f"{LAVA}/ppo_expert_kl_coef=0.5/seed-0",
        f"{LAVA}/ppo_expert_error_rate=0.05_kl_coef=2/seed-5",
        f"{LAVA}/ppo_expert_kl_coef=0.5/seed-5",
    ]
    assert runs[2].config.teacher_args == {"error_rate": 0.05, "seed": 5}
    assert runs[2].chosen["teacher_args"] == {"error_rate": 0.05, "seed": 5}
    assert runs[1].config.teacher_args == {} and runs[1].config.kl_coef == 0.5


def test_grids_and_what_makes_no_difference_without_a_teacher(tmp_path: Path) -> None:
    text = f"""
env: {LAVA}
grids:
  - {{teacher: [none, expert], kl_coef: [0.1, 1]}}
  - {{teacher: none, frames: 500}}
"""
    runs = planned(text, tmp_path)
    assert [run.name for run in runs] == [
        f"{LAVA}/ppo_none/seed-0",
        f"{LAVA}/ppo_expert_kl_coef=0.1/seed-0",
        f"{LAVA}/ppo_expert_kl_coef=1/seed-0",
        f"{LAVA}/ppo_none_frames=500/seed-0",
    ]


def test_names_are_names_of_folders_and_none_is_there_twice(tmp_path: Path) -> None:
    runs = plan({"env": LAVA, "teacher": ["litellm:a/b", "litellm:a:b"]}, [{}], tmp_path, "test")
    names = [run.name for run in runs]
    assert len(set(names)) == 2
    for name in names:
        env, middle, seed = name.split("/")
        assert (env, seed) == (LAVA, "seed-0") and middle.startswith("ppo_litellm-a-b_")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold one 'option: value'"),
        ("[1]", "must hold one 'option: value'"),
        ("{env: [], teacher: none}", "env in .* has no values"),
        ("{teacher: none}", "env: Field required"),
        (f"{{env: {LAVA}, sede: 3}}", "unknown option in .* 'sede': did you mean 'seed'"),
        (f"{{env: {LAVA}, 3: 3}}", "unknown option in .* '3'"),
        (f"{{env: {LAVA}, frames: [10, many]}}", "frames: Input should be a valid integer"),
        (f"{{env: {LAVA}, run_dir: x}}", "run_dir in .* is no option of single runs"),
        (f"{{env: {LAVA}, budget_usd: 3}}", "options of the sweep itself"),
        (f"{{env: {LAVA}, grids: 3}}", "grids in .* must be a list of mappings"),
        (f"{{env: {LAVA}, teacher: [{{tichr: none}}]}}", "unknown option in .* 'tichr'"),
        ("{env: NoSuch-v0}", "NoSuch-v0"),
        (f"{{env: {LAVA}, seed: [{'0, ' * 101}], n_envs: [{'1, ' * 101}]}}", "more than 10,000"),
        ("env: [", "can't be read: it is not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        planned(text, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_plan(tmp_path / "none.yaml", tmp_path)


def test_runs_that_are_the_same_are_there_once(tmp_path: Path) -> None:
    options: dict[str, Any] = {"env": LAVA, "teacher": ["expert", "expert"], "n_steps": [2, None]}
    assert len(plan(options, [{}], tmp_path, "test")) == 1
