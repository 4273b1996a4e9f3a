"""Options of ``lvlm2p evaluate``. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from lvlm2p.envs.options import MADE
from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError
from lvlm2p.teachers.options import ANSWERING, BUDGET, STORED, TeacherOptions


class EvaluateConfig(TeacherOptions):
    """Which teachers, on which environments, how thoroughly, and where the report goes."""

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "task": ("env", *MADE, "states", "states_file", "reference", "episodes", "probes", "seed"),
        "teacher": ("teacher", "members", *ANSWERING),
        "budget": BUDGET,
        "store": STORED,
        "run": ("out", "overwrite", "config", "json"),
    }

    teacher: list[str] = Field(min_length=1)
    """Teachers to measure, beside the planner and the uniform baseline, which always are."""
    members: bool = True
    """Measure the members of an ensemble or a cascade, too, each in a row of its own. An ensemble's
    are asked no state twice; the dear ones of a cascade are asked about all states then."""
    env: list[str] = Field(min_length=1)
    """Environments: Gymnasium ids, such as MiniGrid-GoToDoor-6x6-v0."""
    states: int = Field(default=200, ge=1)
    """States per environment, spread evenly over the distance to the goal; the same for every
    teacher."""
    states_file: Path | None = None
    """Take the states from this file (the states.jsonl of an earlier report) instead of drawing
    them."""
    episodes: int = Field(default=50, ge=0)
    """Episodes that each teacher plays, once by its most probable action and once by drawing
    from its probabilities. 0: none."""
    probes: int = Field(default=50, ge=0)
    """States that are asked again with a blank picture, turned or mirrored, and word for word, to
    see what the answer depends on. 0: none."""
    reference: str | None = None
    """Whose choices top-1 and mass are measured against, in place of the planner's: student:RUN (a
    run's folder) or a label set (labels.parquet), whose states are then the ones asked about."""
    seed: int = 0
    """Decides the states, the episodes and the draws."""
    out: Path | None = None
    """Folder for the report: index.html, report.json, report.md, labels.parquet, states.jsonl."""
    overwrite: bool = False
    """Replace the report that is in --out. Without it the command refuses before it asks."""

    @model_validator(mode="after")
    def _options_of_teachers_that_are_there(self) -> Self:
        for key in self._for_all():
            owner, dot, own = key.rpartition(".")
            if dot:
                raise ValueError(
                    f"-T {key}: {owner!r} is not among the teachers ({', '.join(self.teacher)}), "
                    f"so nobody gets {own!r}"
                )
        return self

    def measured(self) -> list[str]:
        """The teachers that get a row: those that were named, each after its members."""
        if not self.members or self.labels is not None:
            return self.teacher
        named = [one for name in self.teacher for one in (*self._members_of(name), name)]
        return list(dict.fromkeys(named))

    def options_of(self, name: str) -> dict[str, Any]:
        """The options of one teacher: those for all, and above them those that name it. A member
        that was not named itself has those that it has in there."""
        whole = next((one for one in self.teacher if name in self._members_of(one)), None)
        if name not in self.teacher and whole is not None:
            from lvlm2p.teachers.registry import options_of_members

            return options_of_members(whole, self.options_of(whole))[name]
        owned, members = self._owned(), self._members_of(name)
        own = {key: value for (owner, key), value in owned.items() if owner == name}
        theirs = {f"{one}.{key}": value for (one, key), value in owned.items() if one in members}
        return self._for_all() | theirs | own

    def _members_of(self, name: str) -> tuple[str, ...]:
        from lvlm2p.teachers.registry import members_of

        return members_of(name) if self.labels is None else ()

    def check_options(self) -> None:
        """Whether every option is one of the teachers that it is given to.

        Raises:
            ConfigError: one that is given to all is not. (One that names its teacher concerns
                that one only, and is found out when it is loaded.)
        """
        from lvlm2p.teachers.registry import check_keys

        for name in self.teacher if self.labels is None else []:
            for key in self._for_all():
                try:
                    check_keys(name, [key])
                except TeacherNotReadyError:
                    break
                except ConfigError as error:
                    if len(self.teacher) == 1:
                        raise
                    raise ConfigError(
                        f"{error}; for one of several teachers write -T NAME.{key}=VALUE"
                    ) from None

    def _for_all(self) -> dict[str, Any]:
        owned = {f"{owner}.{key}" for owner, key in self._owned()}
        given = super().options_of("").items()
        return {key: value for key, value in given if key not in owned}

    def _owned(self) -> dict[tuple[str, str], Any]:
        """(teacher or member, key) -> value: of keys that begin with a name, the longest counts."""
        owned: dict[tuple[str, str], Any] = {}
        members = [member for name in self.teacher for member in self._members_of(name)]
        for key, value in self.teacher_args.items():
            owners = [name for name in (*self.teacher, *members) if key.startswith(f"{name}.")]
            if owners:
                owner = max(owners, key=len)
                owned[owner, key.removeprefix(f"{owner}.")] = value
        return owned

    @model_validator(mode="after")
    def _states_of_one_source(self) -> Self:
        if self.reference is not None and self.states_file is not None:
            raise ValueError("--reference brings its own states: leave out --states-file")
        return self

    @field_validator("teacher", "env")
    @classmethod
    def _once_each(cls, names: list[str]) -> list[str]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named twice")
        return names
