"""What a teacher is told of an environment that nobody has described: actions and rules."""

from __future__ import annotations

import enum
import inspect
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.task import Action

if TYPE_CHECKING:
    import gymnasium as gym

MOVES = {name: f"move one cell {name}" for name in ("up", "down", "left", "right")}

KNOWN: dict[str, dict[str, str]] = {
    "CartPole-*": {
        "left": "push the cart to the left",
        "right": "push the cart to the right",
    },
    "MountainCar-*": {
        "left": "accelerate to the left",
        "nothing": "do not accelerate",
        "right": "accelerate to the right",
    },
    "Acrobot-*": {
        "minus": "apply -1 torque to the joint between the two links",
        "nothing": "apply no torque",
        "plus": "apply +1 torque to the joint between the two links",
    },
    "LunarLander-*": {
        "nothing": "fire no engine",
        "left_engine": "fire the left orientation engine",
        "main_engine": "fire the main engine, which pushes upwards",
        "right_engine": "fire the right orientation engine",
    },
    "FrozenLake*": {name: MOVES[name] for name in ("left", "down", "right", "up")},
    "CliffWalking*": {name: MOVES[name] for name in ("up", "right", "down", "left")},
    "Taxi-*": {
        "south": "drive one cell south, down in the picture",
        "north": "drive one cell north, up in the picture",
        "east": "drive one cell east, right in the picture",
        "west": "drive one cell west, left in the picture",
        "pickup": "pick up the passenger, who must be where the taxi is",
        "dropoff": "drop off the passenger, where the taxi is",
    },
    "Blackjack-*": {"stick": "take no more cards", "hit": "take another card"},
}
"""Gymnasium's own ids -> their actions in order: name and meaning."""

LONGEST_RULES = 3_000
"""Characters that are taken of an environment's docstring."""

TOLD = ("description", "rewards", "reward", "episode end", "episode termination", "starting state")
"""Sections of a docstring that say how the game goes; the others are for programmers."""


def actions_of(env_id: str, env: gym.Env[Any, Any]) -> tuple[Action, ...]:
    """The actions of a discrete environment, named as well as can be."""
    space: Any = env.action_space
    named = _named(env_id, env.unwrapped, int(space.n))
    return tuple(Action(name, i, meaning) for i, (name, meaning) in enumerate(named))


def _named(env_id: str, base: Any, n: int) -> list[tuple[str, str]]:
    for pattern, actions in KNOWN.items():
        if fnmatchcase(env_id, pattern) and len(actions) == n:
            return list(actions.items())
    names = _own_names(base)
    if len(names) == n == len(set(names)) and all(names):
        return [(name, f"the environment calls it {name}") for name in names]
    return [(f"action {i}", f"the environment's action number {i}") for i in range(n)]


def _own_names(base: Any) -> list[str]:
    """What an environment itself calls its actions: in an enumeration, as MiniGrid does, or by
    ``get_action_meanings``, as the Arcade Learning Environment does."""
    numbers = getattr(base, "actions", None)
    if inspect.isclass(numbers) and issubclass(numbers, enum.IntEnum):
        members = sorted(numbers)
        if [int(member) for member in members] == list(range(len(members))):
            return [_plain_name(member.name) for member in members]
    meanings = getattr(base, "get_action_meanings", None)
    if callable(meanings):
        return [_plain_name(str(name)) for name in meanings()]
    return []


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def rules_of(env_id: str, env: gym.Env[Any, Any], sees: str) -> str:
    """What is known of the game, in words: ``sees``, and what the environment's docstring says."""
    goal = f"The game is {env_id}. {sees} Choose the actions that make the sum of rewards highest."
    said = docstring_of(env.unwrapped)
    return f"{goal}\n\nIts documentation says:\n{said}" if said else goal


def docstring_of(base: Any) -> str:
    """The sections of a docstring that say how the game goes; of one without sections, all."""
    own = type(base).__doc__
    text = inspect.cleandoc(own) if own else ""
    parts = re.split(r"^#+ *(.+?) *$", text, flags=re.MULTILINE)
    if len(parts) > 1:
        sections = zip(parts[1::2], parts[2::2], strict=True)
        told = [f"{name}: {body.strip()}" for name, body in sections if name.lower() in TOLD]
        text = "\n\n".join([parts[0].strip(), *told])
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"<[^<>]*>", "", text))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return text if len(text) <= LONGEST_RULES else text[:LONGEST_RULES].rsplit(" ", 1)[0] + " ..."
