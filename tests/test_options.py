"""Options as people write them: groups in --help, other libraries' names, numbers, own folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lvlm2p.aliases import ALIASES, in_own_words
from lvlm2p.envs.errors import Lvlm2pError
from lvlm2p.flags import parse
from lvlm2p.student import TrainCommand, TrainConfig
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.evaluation import EvaluateConfig
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.numerals import in_digits
from tests.golden.commands import run

ENV = "MiniGrid-LavaGapS5-v0"


def train(*argv: str) -> TrainConfig:
    return parse("train", TrainConfig, ["--env", ENV, *argv], None)[0]


# ---------------------------------------------------------------- groups


def boxes(command: str) -> dict[str, list[str]]:
    """Title of each box of --help -> its options, in order."""
    found: dict[str, list[str]] = {}
    for line in run(command, "--help")[1].splitlines():
        if title := re.match(r"╭─ (.+?) ─", line):
            found[title[1]] = []
        elif option := re.match(r"│ (?:-\w.*?, )?--([\w-]+)", line):
            found[list(found)[-1]].append(option[1])
    return found


def test_the_options_of_train_are_grouped_and_the_common_ones_are_first() -> None:
    groups = boxes("train")
    assert list(groups) == [
        *("options", "task options", "teacher options", "budget options", "store options"),
        *("student options", "distillation options", "run options"),
    ]
    assert groups.pop("options") == ["help"]
    assert groups["task options"] == [
        "env",
        "env-arg",
        "max-episode-steps",
        "frames",
        "seed",
        "seeds",
    ]
    assert groups["teacher options"][0] == "teacher" and groups["run options"][0] == "run-dir"
    assert "config" in groups["run options"] and "json" in groups["run options"]


@pytest.mark.parametrize("model", [TrainConfig, TrainCommand, EvaluateConfig, LabelConfig])
def test_every_option_is_in_one_group(model: type[TrainConfig]) -> None:
    listed = [name for names in model.help_groups.values() for name in names]
    assert sorted(listed) == sorted({*model.model_fields, "config", "json"})


# ---------------------------------------------------------------- names and numbers


@pytest.mark.parametrize("other", ALIASES)
def test_other_libraries_names_mean_ours_and_are_hidden(other: str) -> None:
    ours, value = ALIASES[other], "MiniGrid-LavaGapS6-v0" if other == "env_id" else "0.5"
    kind = TrainConfig.model_fields[ours].annotation
    value = value if kind in (str, float) else "3"
    for flag in (f"--{other}", f"--{other.replace('_', '-')}"):
        assert str(getattr(train(flag, value), ours)) == value
        assert str(getattr(train(f"{flag}={value}"), ours)) == value
    assert f"--{other.replace('_', '-')}" not in run("train", "--help")[1]


def test_an_alias_is_a_key_of_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("total_timesteps: 20k\nlearning_rate: 0.5\n")
    config = train("--config", str(file))
    assert (config.frames, config.lr) == (20_000, 0.5)
    file.write_text("total_timesteps: 20k\nframes: 3\n")
    with pytest.raises(Lvlm2pError, match="says frames twice"):
        train("--config", str(file))


def test_an_alias_of_an_option_that_a_command_lacks_is_unknown() -> None:
    assert in_own_words(["--learning-rate", "1"], EvaluateConfig) == ["--learning-rate", "1"]
    assert in_own_words(["--env-id", "x"], EvaluateConfig) == ["--env", "x"]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        *[("20k", "20000"), ("20K", "20000"), ("2e4", "20000"), ("2E+4", "20000")],
        *[("1M", "1000000"), ("1.5M", "1500000"), ("2g", "2000000000"), ("2b", "2000000000")],
        *[("2.5e3", "2500"), ("20_000", "20000"), ("-3", "-3"), ("0", "0"), ("1e3k", "1000000")],
    ],
)
def test_an_integer_as_people_write_it(text: str, digits: str) -> None:
    assert in_digits(text) == digits


@pytest.mark.parametrize(
    "text", ["", "k", "2.5", "1e-3", "2.0005k", "20 k", "20kk", "nan", "inf", "_", "__k", "0x10",
             "1e99999", "9" * 5000, "None", "20kB"],
)  # fmt: skip
def test_what_is_no_integer_stays(text: str) -> None:
    assert in_digits(text) == text


def test_integers_are_read_so_everywhere(tmp_path: Path) -> None:
    config = train("--frames", "20k", "--n-steps=1e2", "--lr", "1e-3", "--ask", "budget:1k",
                   "--seed", "3")  # fmt: skip
    assert (config.frames, config.n_steps, config.lr, config.seed) == (20_000, 100, 0.001, 3)
    assert config.ask == "budget:1k"
    file = tmp_path / "a.yaml"
    file.write_text("frames: 2e4\nn_steps: 1k\nstore: 20k\n")
    config = train("--config", str(file))
    assert (config.frames, config.n_steps, config.store) == (20_000, 1_000, Path("20k"))
    given = {"max_tokens": "4k", "model": "4k", "tokens_per_minute": "1.5M", "timeout": "0.5"}
    options = load_teacher("gpt-4v", options=given).options  # type: ignore[attr-defined]
    assert (options.max_tokens, options.model) == (4_000, "4k")
    assert (options.tokens_per_minute, options.timeout) == (1.5e6, 0.5)
    with pytest.raises(SystemExit):
        train("--frames", "2.5")


def test_what_nobody_gave_is_not_among_what_was_given() -> None:
    assert train().model_fields_set == {"env"}
    assert train("--run-dir", "runs/train").model_fields_set == {"env", "run_dir"}
