"""The teachers that are to be measured, and why one of them can't be: the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lvlm2p.envs import Task
from lvlm2p.teachers.errors import ConfigError, Lvlm2pError, TeacherError
from lvlm2p.teachers.registry import members_of
from lvlm2p.teachers.teacher import Teacher


class Load(Protocol):
    """Makes a teacher by its name; another ``sample`` gives fresh answers to the same questions."""

    def __call__(self, name: str, sample: int = 0) -> Teacher:
        """See the class."""


@dataclass
class Candidate:
    """One teacher by its name."""

    name: str
    teacher: Teacher | None = None
    again: Teacher | None = None
    """The same teacher, made to give a fresh sample; None: it is not probed."""
    trouble: Lvlm2pError | None = None
    """Why it can't be asked anything (more)."""
    refused: dict[str, str] = field(default_factory=dict)
    """Environment -> why it can't be measured there."""
    members: tuple[str, ...] = ()
    """The candidates that it is made of, where all of them are measured as well: what is asked
    about the state set is asked by them."""

    def loaded(self) -> Iterator[Teacher]:
        """The teachers behind it."""
        yield from (teacher for teacher in (self.teacher, self.again) if teacher is not None)

    def fits(self, env_id: str, task: Task) -> bool:
        """Whether it can be asked about ``task``; where not, why is kept."""
        if self.trouble is not None:
            self.refused[env_id] = str(self.trouble)
        elif self.teacher is not None and (why := self.teacher.supports(task)) is not None:
            self.refused[env_id] = f"teacher {self.name!r} can't be evaluated here: {why}"
        return env_id not in self.refused

    def fail(self, env_id: str, error: TeacherError) -> None:
        """It could not answer; it is not asked again elsewhere."""
        self.trouble = error
        self.refused[env_id] = str(error)


def load_candidates(names: Sequence[str], load: Load, again: bool) -> list[Candidate]:
    """All of them, those too that can't be used: a package is missing, an option is wrong.

    Raises:
        UserError: what is wrong concerns all, such as a name that nobody knows or a store.
    """
    return [_candidate(name, names, load, again) for name in names]


def _candidate(name: str, names: Sequence[str], load: Load, again: bool) -> Candidate:
    members = members_of(name)
    candidate = Candidate(name, members=members if set(members) <= set(names) else ())
    try:
        candidate.teacher = load(name)
        if again:
            candidate.again = load(name, sample=1)
    except (ConfigError, TeacherError) as error:
        candidate.trouble = error
    return candidate


def check_any_fits(candidates: Sequence[Candidate], tasks: Mapping[str, Task]) -> None:
    """Whether there is anything to measure.

    Raises:
        TeacherError: no teacher can be used anywhere; the sentence says why of each.
        ConfigError: the only one there is can't be used in one of the environments.
    """
    fitting = [candidate.fits(env, task) for env, task in tasks.items() for candidate in candidates]
    if not any(fitting) or (len(candidates) == 1 and not all(fitting)):
        raise nobody(candidates)


def nobody(candidates: Sequence[Candidate]) -> Lvlm2pError:
    """That no teacher could be measured: what was wrong with it, or with each of them."""
    if len(candidates) == 1:
        (only,) = candidates
        return only.trouble or ConfigError(next(iter(only.refused.values())))
    whys = (f"{one.name}: {next(iter(one.refused.values()))}" for one in candidates)
    return TeacherError(f"none of the teachers can be measured; {'; '.join(whys)}")
