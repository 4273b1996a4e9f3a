"""Running code of a teacher, which may be a third party's: the user must know whose it was."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from lvlm2p.envs.extras import extra_of, install
from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.errors import Lvlm2pError, TeacherError, TeacherNotReadyError


@contextlib.contextmanager
def blaming(name: str) -> Iterator[None]:
    """Run code of the teacher ``name``, which may be a third party's and raise anything.

    Raises:
        TeacherError: it raised what is no error of ours, or tried to end the program, in one
            sentence that names it.
        TeacherNotReadyError: a package that it needs is missing.
    """
    try:
        yield
    except (Lvlm2pError, KeyboardInterrupt, GeneratorExit):
        raise
    except ModuleNotFoundError as error:
        raise lacks(name, error) from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        raise TeacherError(f"teacher {name!r} failed: {in_a_line(error)} ({place})") from error
    except BaseException as error:  # SystemExit, or a cancelled task of its own
        raise ended(name, error) from error


def ended(name: str, error: BaseException) -> TeacherError:
    """That the teacher ``name`` raised what ends a thread or a program."""
    what = in_a_line(error)
    return TeacherError(f"teacher {name!r} ended the thread in which it was asked ({what})")


def lacks(name: str, error: ModuleNotFoundError) -> TeacherNotReadyError:
    """That the teacher ``name`` needs a package that is not installed, and how to install it."""
    extra = extra_of(error, usual="local")
    package = (error.name or "").partition(".")[0]
    how = install(extra) if extra else f"pip install {package}"
    return TeacherNotReadyError(f"teacher {name!r} needs the package {package}: {how}")


def in_a_line(error: BaseException) -> str:
    """Kind and text of an error that may be anybody's."""
    return shorten(" ".join(f"{type(error).__name__}: {error}".split()), 500).removesuffix(":")
