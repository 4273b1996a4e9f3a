"""Other libraries' names of our options: hidden, so that a known command line works here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lvlm2p.teachers.numerals import in_digits, is_number

if TYPE_CHECKING:
    from pydantic import BaseModel

ALIASES = {
    # Stable-Baselines3 and its RL Zoo
    "total_timesteps": "frames",
    "n_timesteps": "frames",
    "learning_rate": "lr",
    "n_epochs": "epochs",
    "clip_range": "clip",
    "eval_freq": "eval_every",
    "n_eval_episodes": "eval_episodes",
    "save_freq": "checkpoint_every",
    # CleanRL
    "env_id": "env",
    "num_envs": "n_envs",
    "num_steps": "n_steps",
    "update_epochs": "epochs",
    "minibatch_size": "batch_size",
    "clip_coef": "clip",
    # both, in other words
    "total_frames": "frames",
    "num_frames": "frames",
}
"""Another library's name, where it means one to one the same -> ours."""


def own_name(name: str, model: type[BaseModel]) -> str:
    """The option of ``model`` that ``name`` means; ``name`` itself where it means none."""
    ours = ALIASES.get(name, name)
    return ours if name not in model.model_fields and ours in model.model_fields else name


def in_own_words(argv: Sequence[str], model: type[BaseModel]) -> list[str]:
    """``argv`` with our options' names, and with numbers in digits."""
    words: list[str] = []
    number = False  # whether the next word is one
    for word in argv:
        if not word.startswith("--"):
            words.append(in_digits(word) if number else word)
            number = False
            continue
        flag, equals, value = word.partition("=")
        given = flag[2:].replace("-", "_")
        name = own_name(given, model)
        field = model.model_fields.get(name)
        number = field is not None and is_number(field.annotation)
        flag = flag if name == given else "--" + name.replace("_", "-")
        words.append(flag + equals + (in_digits(value) if number else value))
        number = number and not equals
    return words
