"""Recipes: what they set, what goes on top of them, and what is wrong with one in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lvlm2p.envs.errors import Lvlm2pError, UnknownNameError
from lvlm2p.flags import parse
from lvlm2p.student import TrainConfig
from lvlm2p.student import train as train_student
from lvlm2p.student.recipe import DEFAULT, FOLDER, recipe_names
from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.student.training.run_dir import as_yaml
from lvlm2p.teachers.errors import ConfigError

ENV = "MiniGrid-LavaGapS5-v0"


def train(*argv: str) -> TrainConfig:
    return parse("train", TrainConfig, ["--env", ENV, *argv], None)[0]


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_there_are_recipes_for_what_the_documentation_compares() -> None:
    ours = {"fast", "frugal", "tuned-none", "classic"}
    assert set(recipe_names()) == ours | {"llm4teach", "original-code", "paper"}


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_used_and_names_options_alone(name: str, algo: str) -> None:
    config = train("--recipe", name, "--algo", algo)
    assert (config.recipe, config.algo) == (name, algo)
    whole = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert whole.pop("about")
    own = {**whole, **whole.get(algo, {})}
    for key in set(own) - {"ppo", "a2c", "lstm"}:
        assert getattr(config, key) == own[key], key


def test_the_default_recipe_is_the_first() -> None:
    assert recipe_names()[0] == DEFAULT == train().recipe == "fast"
    assert train() == train("--recipe", "fast") == TrainConfig(env=ENV)
    alone = train("--teacher", "none")
    assert alone == train("--recipe", "tuned-none") and alone.recipe == "tuned-none"
    assert train("--teacher", "none", "--recipe", "fast").recipe == "fast"
    none: dict[str, Any] = {"teacher": "none"}
    for env in ("BabyAI-GoToRedBall-v0", "minigrid:MiniGrid-Empty-5x5-v0", "LVLM2P-LavaDoorKey-v0"):
        assert TrainConfig.model_validate({"env": env, **none}).recipe == "tuned-none", env
    classic = TrainConfig.model_validate({"env": "CartPole-v1", **none})
    assert (classic.recipe, classic.lr, classic.n_envs) == ("classic", 3e-4, 1)
    assert TrainConfig.model_validate({"env": "CartPole-v1"}).recipe == "fast"
    assert train("--recipe", "tuned-none", "--teacher", "expert").teacher == "expert"


def test_flags_and_a_file_go_on_top_of_a_recipe(tmp_path: Path) -> None:
    assert (train("--recipe", "paper").n_envs, train("--recipe=paper").kl_target) == (3, "soft")
    config = train("--recipe", "paper", "--n-envs", "5", "--kl-target=argmax")
    assert (config.n_envs, config.kl_target, config.kl_schedule) == (5, "argmax", "constant")
    file = written(tmp_path, "recipe: paper\nkl_target: argmax\n")
    config = train("--config", file, "--n-envs", "16")  # as much as the option's own default
    assert (config.recipe, config.n_envs, config.kl_target) == ("paper", 16, "argmax")
    config = TrainConfig.model_validate({"env": ENV, "recipe": "paper", "n_envs": 7})
    assert (config.n_envs, config.kl_schedule) == (7, "constant")


def test_a_section_is_for_one_algorithm(tmp_path: Path) -> None:
    file = written(tmp_path, "n_envs: 2\nppo:\n  n_steps: 9\na2c:\n  n_steps: 3\n  n_envs: 4\n")
    assert (train("--recipe", file).n_steps, train("--recipe", file).n_envs) == (9, 2)
    a2c = train("--recipe", file, "--algo", "a2c")
    assert (a2c.n_steps, a2c.n_envs) == (3, 4)
    own = train("--recipe", written(tmp_path, "algo: a2c\nppo:\n  lr: 1\na2c:\n  lr: 2\n"))
    assert (own.algo, own.lr) == ("a2c", 2)


def test_a_student_with_memory_learns_from_longer_sequences(tmp_path: Path) -> None:
    for algo in ("ppo", "a2c"):
        for recipe in ("fast", "frugal", "llm4teach"):
            config = train("--recipe", recipe, "--algo", algo, "--memory", "lstm")
            assert config.n_steps is not None and config.n_steps >= 32
    file = written(tmp_path, "memory: lstm\nn_steps: 3\nppo:\n  n_steps: 4\nlstm:\n  n_steps: 9\n")
    assert train("--recipe", file).n_steps == 9
    assert train("--recipe", file, "--memory", "none").n_steps == 4
    assert train("--recipe", file, "--memory", "none", "--algo", "a2c").n_steps == 3


def test_what_a_recipe_sets_nobody_gave() -> None:
    assert train("--recipe", "paper").model_fields_set == {"env", "recipe"}


def test_a_saved_configuration_needs_its_recipe_no_more(tmp_path: Path) -> None:
    recipe = Path(written(tmp_path, "lr: 0.5\n"))
    config = train("--recipe", str(recipe), "--clip", "0.3")
    saved = tmp_path / "config.yaml"
    saved.write_text(as_yaml(config))
    assert f"recipe: {recipe}" in saved.read_text()
    recipe.unlink()
    again = parse("train", TrainConfig, ["--config", str(saved), "--resume"], None)[0]
    assert again.what_counts() == config.what_counts()
    assert (again.lr, again.clip, again.recipe) == (0.5, 0.3, str(recipe))


def test_who_resumes_may_name_the_options_themselves() -> None:
    plain = train("--recipe", "paper").model_dump(exclude={"recipe", "store", "run_dir"})
    same = TrainConfig.model_validate({**plain, "recipe": "fast"})
    assert same.what_counts() == train("--recipe", "paper").what_counts()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kl_taget: soft", "unknown option in recipe .*mine.yaml: 'kl_taget': did you mean 'kl_ta"),
        ("ppo:\n  n_step: 4", "'n_step': did you mean 'n_steps'"),
        ("a2c:\n  n_step: 4", "'n_step': did you mean 'n_steps'"),
        ("seed: 4", "unknown option in recipe .*'seed'"),
        ("run_dir: x", "'run_dir'"),
        ("recipe: paper", "'recipe'"),
        ("n_envs: 0", "n_envs in .*mine.yaml: .*greater than 0"),
        ("n_envs: true", "n_envs in .*mine.yaml"),
        ("algo: dqn", "algo in .*mine.yaml"),
        ("ppo: 3", "ppo in .*mine.yaml must hold one 'key: value' a line, not 3"),
        ("- 3", "must hold one 'key: value' a line"),
        ("a: [", "mine.yaml can't be read: it is not YAML"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Lvlm2pError, match=said) as caught:
        train("--recipe", written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown recipe 'papr': did you mean 'paper'"):
        train("--recipe", "papr")
    with pytest.raises(UnknownNameError, match="unknown recipe 'papr'"):
        TrainConfig(env=ENV, recipe="papr")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml can't be read: No such file"):
        train("--recipe", "nowhere.yaml")


def test_help_names_the_recipes_and_shows_what_the_chosen_one_sets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = {}
    for name in recipe_names():
        with pytest.raises(SystemExit):
            train("--recipe", name, "--help")
        shown[name] = " ".join(capsys.readouterr().out.replace("│", " ").replace("|", " ").split())
        assert all(other in shown[name] for other in recipe_names())
    assert "--n-envs INT Environments stepped side by side. (default: 3)" in shown["paper"]


def run(folder: Path, recipe: str, frames: int = 1_100, **options: Any) -> list[dict[str, float]]:
    """The rows of metrics of a short run."""
    short = {"final_episodes": 2, "eval_every": 0, "progress": False, "run_dir": folder}
    data = {"env": ENV, "recipe": recipe, "frames": frames, **short, **options}
    train_student(TrainConfig.model_validate(data))
    return list(read_metrics(folder / "metrics.csv"))


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_llm4teach_kickstarts_with_memory_and_without(tmp_path: Path, memory: str) -> None:
    options: dict[str, Any] = {"memory": memory, "hidden": 8, "kl_updates": 2}
    rows = run(tmp_path / "run", "llm4teach", **options)
    assert [row["frames"] for row in rows] == [500, 1_000, 1_100]
    assert [row["distill/lambda"] for row in rows] == pytest.approx([10, 9.995, 0])
    run(tmp_path / "halves", "llm4teach", 500, **options)
    rows = run(tmp_path / "halves", "llm4teach", resume=True, **options)  # goes on counting updates
    assert [row["distill/lambda"] for row in rows] == pytest.approx([10, 9.995, 0])


def test_the_run_says_which_recipe_it_was(tmp_path: Path) -> None:
    run(tmp_path / "run", "paper", 50)
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (saved["recipe"], saved["n_envs"], saved["kl_target"]) == ("paper", 3, "soft")
