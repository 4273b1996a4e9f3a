"""The error tree of the whole project.

    Lvlm2pError                    one sentence for people, no traceback            exit 1
    ├── UserError                  the input is wrong                               exit 2
    │   ├── UnknownNameError       a name nobody registered (names the nearest)
    │   ├── ConfigError            a flag, a YAML key or a teacher option
    │   ├── PromptError            a prompt folder (defined in prompts)
    │   ├── RunError               a run directory: exists, changed, unwritable
    │   ├── CheckpointError        a checkpoint that is broken or refused
    │   ├── StoreError             a label store that is broken, foreign or refused
    │   ├── LabelFileError         a label or state file that can't be used
    │   └── MissingPackageError    a package of an extra is missing (defined in envs.extras)
    └── TeacherError               the teacher could not answer                     exit 3
        ├── TeacherNotReadyError   a key, a server or a package is missing
        ├── MissingLabelsError     offline, and the store lacks labels
        └── AnswerError            one answer is of no use; becomes a Failure, never reaches a user

Whatever a provider does wrong while a run is under way is a :class:`lvlm2p.teachers.label.Failure`,
a value and not an exception: it is counted, masked and shown.
"""

from __future__ import annotations

from lvlm2p.envs.errors import Lvlm2pError, UnknownNameError, UserError

__all__ = [
    "AnswerError",
    "CheckpointError",
    "ConfigError",
    "LabelFileError",
    "Lvlm2pError",
    "MissingLabelsError",
    "RunError",
    "StoreError",
    "TeacherError",
    "TeacherNotReadyError",
    "UnknownNameError",
    "UserError",
]


class ConfigError(UserError):
    """A flag, a key of a YAML file or a ``-T key=value`` that can't be used."""


class RunError(UserError):
    """A run directory that exists, was made with another configuration or can't be written."""


class CheckpointError(UserError):
    """A checkpoint that is broken, or refused because reading it could run code."""


class StoreError(UserError):
    """A label store that is broken, foreign, of another version, or refused."""


class LabelFileError(UserError):
    """A file of labels or of states that can't be used."""


class TeacherError(Lvlm2pError):
    """The teacher could not answer, and without it there is nothing to do."""

    exit_code = 3


class TeacherNotReadyError(TeacherError):
    """A key, a server or a package is missing; the sentence names what mends it."""


class MissingLabelsError(TeacherError):
    """Offline, and some states have no label in the store."""


class AnswerError(TeacherError):
    """One answer that no written rule can turn into a label. Teachers turn it into a Failure."""
