"""`lvlm2p task`: what a teacher will be told of an environment, and a file to improve it in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.options import EnvironmentOptions

if TYPE_CHECKING:
    from lvlm2p.envs.task import Task, View

STARTER = '''"""What a teacher is told of {env_id}. Improve the words, and look at them again with

    lvlm2p task --env {module}:{name}

Every command takes that name; `name` below names the answers in the label store.
"""

from dataclasses import replace

from lvlm2p.envs import Action, register_task, task_for

RULES = """\\
{rules}
"""

ACTIONS = (  # those that a teacher may choose: leave out what is never of use
{actions}
)

task = register_task(
    replace(
        task_for({env_id!r}),
        name={module!r},
        env_ids=({name!r},),
        rules=RULES,
        actions=ACTIONS,
        # success=lambda episode: episode.total_return > 0,
    )
)
'''


class TaskConfig(EnvironmentOptions):
    """Options of ``lvlm2p task``."""

    env: str
    """Any Gymnasium id with discrete actions."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of the episode whose first state is shown."""

    picture: Path = Path("task.png")
    """The PNG file to write what a teacher sees to; it is replaced."""

    write: Path | None = None
    """A new Python file, such as my_task.py: a task of your own to improve."""

    def run(self) -> TaskShown:
        """Look.

        Raises:
            UserError: the environment can't be made, or a file not be written.
        """
        from lvlm2p.envs.make import make_env, view_of

        env = make_env(self.env)
        env.reset(seed=self.seed)
        view = view_of(env)
        env.close()
        picture = None if view.task.draw is None else self.picture
        if picture is not None:
            _write(picture, view.png(), "wb")
        if self.write is not None:
            _write(self.write, starter(view.task, self.env, self.write).encode(), "xb")
        return TaskShown(self.env, view, picture, self.write)


def starter(task: Task, env: str, file: Path) -> str:
    """The text of a module that registers ``task`` anew, to be improved.

    Raises:
        UserError: ``file`` can't be imported under its name.
    """
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise UserError(f"--write {file}: it must be the name of a Python module, as my_task.py.")
    rules = task.rules.replace("\\", "\\\\").replace('"""', "'''")
    lines = [f"    Action({a.name!r}, {a.index}, {a.meaning!r})," for a in task.actions]
    return STARTER.format(
        env_id=env,
        name=env.partition("?")[0].rpartition(":")[2],
        module=file.stem,
        rules=rules,
        actions="\n".join(lines),
    )


def _write(path: Path, data: bytes, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(data)
    except FileExistsError:
        raise UserError(f"{path} exists: name a new file, or remove it.") from None
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror or error}.") from error


@dataclass(frozen=True)
class TaskShown:
    """What a teacher will be told."""

    env: str
    view: View
    picture: Path | None
    """None: there is none."""
    starter: Path | None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        task = self.view.task
        return {
            "env": self.env,
            "task": task.name,
            "rules": task.rules,
            "actions": [asdict(action) for action in task.actions],
            "mission": self.view.mission,
            "text": self.view.text,
            "picture": None if self.picture is None else str(self.picture),
            "success": task.success_words,
            "planner": task.planner is not None,
            "starter": None if self.starter is None else str(self.starter),
        }

    def summary(self) -> str:
        """The same for people."""
        task = self.view.task
        picture = "none: ask a teacher that reads text" if self.picture is None else self.picture
        planner = "exact, so --teacher expert works" if task.planner else "none, so no accuracy"
        lines = [
            f"task {task.name}",
            f"picture: {picture}",
            f"mission: {self.view.mission}",
            f"success: {task.success_words}",
            f"planner: {planner}",
            f"\nrules:\n{task.rules}",
            "\nactions:",
            *(f"  {action.name}: {action.meaning}" for action in task.actions),
        ]
        if self.view.text:
            lines.append(f"\nin words:\n{self.view.text}")
        if self.starter is not None:
            name = self.env.rpartition(":")[2]
            lines.append(f"\n{self.starter}: improve it, then say --env {self.starter.stem}:{name}")
        return "\n".join(lines)
