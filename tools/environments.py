"""Write the table of docs/environments.md anew from what the environments say.

python -m tools.environments
"""

from __future__ import annotations

from pathlib import Path

from lvlm2p.envs import VectorEnv
from lvlm2p.envs.arguments import split_arguments
from lvlm2p.envs.generic.checked import CHECKED
from lvlm2p.envs.limits import has_limit

PAGE = Path(__file__).parents[1] / "docs" / "environments.md"
HEAD = "| environment | student sees | actions | expert | a success is |\n|---|---|---|---|---|\n"


def row(env_id: str) -> str:
    """One line of the table."""
    env = VectorEnv(env_id, 1, 0)
    task, space = env.task, env.space
    env.close()
    sees = f"{space.kind} {' x '.join(map(str, space.shape))}"
    names = ", ".join(task.action_names)
    names = names if len(task.actions) < 8 else f"{len(task.actions)}: {names[:30]}..."
    planner = "exact" if task.planner is not None else "no"
    limit = "" if has_limit(env_id) else " (no time limit)"
    return f"| `{env_id}`{limit} | {sees} | {names} | {planner} | {task.success_words} |\n"


def table(env_ids: tuple[str, ...] = CHECKED) -> str:
    """The whole table; without an environment whose package is not installed."""
    return HEAD + "".join(row(env_id) for env_id in env_ids if is_there(env_id))


def is_there(env_id: str) -> bool:
    """Whether the package of an environment is installed."""
    from importlib.util import find_spec

    needs = {"LunarLander-v3": "Box2D", "ALE": "ale_py"}
    package = needs.get(split_arguments(env_id)[0].partition("/")[0])
    return package is None or find_spec(package) is not None


def main() -> None:
    """Write the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, start, after = text.partition(HEAD)
    assert start, f"{PAGE} has no table"
    rest = after.partition("\n\n")
    PAGE.write_text(f"{before}{table()}\n{rest[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
