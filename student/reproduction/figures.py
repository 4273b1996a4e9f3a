"""What each figure is made of: its runs, the lines they belong to, and what the papers report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lvlm2p.student.reproduction.config import ReproduceConfig
from lvlm2p.student.sweep.plan import SEED_OF_THE_RUN

ERRORS = {
    "MiniGrid-LavaGapS6-v0": 0.005,
    "MiniGrid-Dynamic-Obstacles-8x8-v0": 0.012,
    "MiniGrid-Fetch-6x6-N2-v0": 0.012,
    "MiniGrid-GoToDoor-6x6-v0": 0.0105,
}
"""The paper's four tasks, in the sizes of its pictures (of Fetch there is none), and in how many
states the expert errs so that it succeeds in about 0.96 of episodes (measured: .94 of LavaGap's,
where each of eight layouts is solved or not; .97, .97 and .98)."""

LAVA = "MiniGrid-LavaGapS6-v0"
DOORS = ("SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergedDoorKey")
ALONE, TAUGHT = "no teacher", "with the teacher"
QUICK = {"frames": 2_048, "eval_every": 512, "eval_episodes": 10, "final_episodes": 20}

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Reported:
    """A number that a paper gives."""

    env: str
    algo: str
    line: str
    says: str


@dataclass(frozen=True)
class FigurePlan:
    """A figure as a sweep: options for each line in each panel."""

    title: str
    lines: Mapping[str, Callable[[str, str], list[dict[str, Any]]]]
    """By name: the grids of an environment and a teacher."""
    envs: Sequence[str]
    algos: Sequence[str]
    teacher: str
    reported: Sequence[Reported]
    notes: Sequence[str]


def taught(env: str, teacher: str, **more: Any) -> list[dict[str, Any]]:
    """A grid with the teacher; the expert errs as often as it should."""
    chosen: dict[str, Any] = {"env": env, "teacher": teacher, **more}
    if teacher == "expert" and env in ERRORS:
        chosen["teacher_args"] = {"error_rate": ERRORS[env], "seed": SEED_OF_THE_RUN}
    return [chosen]


def _alone(recipe: str, frames: int) -> Callable[[str, str], list[dict[str, Any]]]:
    return lambda env, teacher: [
        {"env": env, "teacher": "none", "recipe": recipe, "frames": frames}
    ]


def _with(frames: int, **more: Any) -> Callable[[str, str], list[dict[str, Any]]]:
    return lambda env, teacher: taught(env, teacher, frames=frames, **more)


FIGURE_3 = FigurePlan(
    title="Lee et al. 2025, figure 3: with and without the teacher",
    lines={
        ALONE: _alone("tuned-none", 150_000),
        f"{ALONE}, the paper's settings": _alone("paper", 150_000),
        f"{TAUGHT}, the paper's settings": _with(40_000, recipe="paper"),
        TAUGHT: _with(4_000, recipe="fast"),
    },
    envs=tuple(ERRORS),
    algos=("ppo", "a2c"),
    teacher="expert",
    reported=(
        Reported(LAVA, "ppo", f"{TAUGHT}, the paper's settings", "0.91 after 5,260 (2.11×)"),
        Reported(LAVA, "ppo", f"{ALONE}, the paper's settings", "0.91 after about 11,100"),
        Reported(LAVA, "a2c", f"{TAUGHT}, the paper's settings", "0.91 after 9,180"),
        Reported(LAVA, "a2c", f"{ALONE}, the paper's settings", "0.91 after about 20,000"),
    ),
    notes=(
        "The paper reports 2.56 times fewer samples for PPO and 2.86 for A2C, averaged over the "
        "four tasks.",
        "The paper does not say which size its LavaGap has nor whether samples are counted for "
        "each of its three environments or together: its pictures show 6 x 6.",
    ),
)

FIGURE_4 = FigurePlan(
    title="Lee et al. 2025, figure 4: soft against hard labels, and lambda",
    lines={
        ALONE: _alone("paper", 60_000),
        **{
            f"{words}, lambda {weight:g}": _with(
                60_000, recipe="paper", kl_target=target, kl_coef=weight
            )
            for words, target in (("soft", "soft"), ("hard", "argmax"))
            for weight in (0.1, 1.0, 10.0)
        },
    },
    envs=(LAVA, "MiniGrid-GoToDoor-6x6-v0"),
    algos=("ppo",),
    teacher="expert",
    reported=(),
    notes=("The paper reports that soft labels are better than hard ones, and that lambda near 1 "
           "is best.",),
)  # fmt: skip

TABLE_LLM4TEACH = FigurePlan(
    title="Zhou et al. 2024: the DoorKey tasks, taught by plans",
    lines={ALONE: _alone("tuned-none", 200_000), TAUGHT: _with(200_000, recipe="fast")},
    envs=tuple(f"LVLM2P-{name}-v0" for name in DOORS),
    algos=("ppo",),
    teacher="plans:original",
    reported=tuple(
        Reported(f"LVLM2P-{name}-v0", "ppo", TAUGHT, f"its teacher alone succeeds in {success}")
        for name, success in zip(DOORS, ("1.000", "0.545", "0.625", "0.096"), strict=True)
    ),
    notes=(
        "The teacher's success was measured by running the published code with its table of plans, "
        "1,000 episodes (seeds 0 to 999).",
    ),
)

FIGURES: Mapping[str, FigurePlan] = {
    "figure3": FIGURE_3,
    "figure4": FIGURE_4,
    "table-llm4teach": TABLE_LLM4TEACH,
}


def _shorter(grid: Mapping[str, Any], quick: bool) -> dict[str, Any]:
    """Without its own number of frames, if it is for :data:`QUICK`."""
    return {key: value for key, value in grid.items() if not (quick and key == "frames")}


def grids_of(config: ReproduceConfig, figure: FigurePlan) -> dict[str, list[dict[str, Any]]]:
    """The grids of each line, for all panels."""
    seeds = list(range(config.seeds or (1 if config.quick else 5)))
    teacher = config.teacher or figure.teacher
    return {
        name: [
            {**_shorter(grid, config.quick), "algo": list(figure.algos), "seed": seeds}
            for env in figure.envs
            for grid in make(env, teacher)
        ]
        for name, make in figure.lines.items()
    }
