"""The folder of a run: who may write there, what was configured, with which versions."""

from __future__ import annotations

import errno
import json
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import read_json, shorten
from lvlm2p.student.config import ABOUT_THE_TEACHER, RUN_DIR
from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.files import PART, write_atomically

if TYPE_CHECKING:
    from filelock import AcquireReturnProxy

    from lvlm2p.student.config import TrainConfig
    from lvlm2p.teachers import Teacher

PACKAGES = ("lvlm2p", "torch", "numpy", "gymnasium", "minigrid", "safetensors", "litellm")

LOCK = "lock"
"""The file that the training process has locked."""


@contextmanager
def run_dir_named(config: TrainConfig) -> Iterator[TrainConfig]:
    """``config`` with the folder of its run: where none is named a fresh one, which is made now, so
    that two runs that begin together don't share it, and removed if nothing is written into it.

    With ``resume`` it is the last such folder.

    Raises:
        RunError: it can't be made.
    """
    if config.resume:
        yield config.model_copy(update={"run_dir": _last_numbered()})
        return
    made = [] if RUN_DIR.parent.exists() else [RUN_DIR.parent]
    folder = _next_numbered()
    try:
        yield config.model_copy(update={"run_dir": folder})
    finally:
        with suppress(OSError):  # it is not empty: a run was written into it
            for empty in (folder, *made):
                empty.rmdir()


def _numbered() -> Iterator[Path]:
    """``runs/train``, ``runs/train-2``, ``runs/train-3`` and so on."""
    yield RUN_DIR
    for number in count(2):
        yield RUN_DIR.with_name(f"{RUN_DIR.name}-{number}")


def _next_numbered() -> Path:
    for folder in _numbered():
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{folder} can't be written: {error.strerror}") from None
        return folder
    raise AssertionError("numbers do not end")


def _last_numbered() -> Path:
    existing = list(takewhile(Path.exists, _numbered()))
    return existing[-1] if existing else RUN_DIR


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the operating system says of a full disk, or a limit on what may be written."""


@contextmanager
def disk_explained(config: TrainConfig) -> Iterator[None]:
    """What the disk refuses while a run goes on is one sentence; the last checkpoint stays.

    Raises:
        RunError: something could not be written, or read.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):  # of an environment: nothing to do with a disk
        raise
    except OSError as error:
        full = error.errno in FULL
        what = "the disk is full" if full else f"{config.run_dir} can't be written"
        do = "free some space" if full else "mend that"
        options = shlex.quote(str(config.run_dir / "config.yaml"))
        raise RunError(
            f"{what} ({error.strerror or error}): {do}, and go on from the run's last checkpoint "
            f"with: lvlm2p train --config {options} --resume"
        ) from error


def open_run_dir(config: TrainConfig, teacher: Teacher | None) -> AcquireReturnProxy:
    """Make the run's folder, or check that it may be resumed.

    The folder belongs to this process until the context manager that is returned is left; the
    operating system releases the lock of a process that was killed.

    Raises:
        RunError: it exists, is not there to resume, was made with another configuration or
            teacher, is in use, or can't be written.
    """
    folder = config.run_dir
    record = versions(config, teacher)
    if config.resume:
        _check_same(folder, record)
    try:
        _check_unused(config)
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
        _check_unused(config)  # until the lock another process could write there
        write_atomically(folder / "config.yaml", as_yaml(config))
        write_atomically(folder / "versions.json", json.dumps(record, indent=2))
    except FileExistsError:
        raise RunError(
            f"{folder} exists: choose another --run-dir, or continue there with --resume"
        ) from None
    except OSError as error:
        raise RunError(f"{folder} can't be written: {error.strerror}") from None
    return lock


def _check_unused(config: TrainConfig) -> None:
    """Raises FileExistsError where a new run would be written over something."""
    folder = config.run_dir
    if config.resume or not folder.exists():
        return
    if not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir()):
        raise FileExistsError


def _lock(folder: Path) -> AcquireReturnProxy:
    from filelock import FileLock, Timeout

    try:
        return FileLock(folder / LOCK).acquire(blocking=False)
    except Timeout:
        raise RunError(
            f"another process is training in {folder}: wait for it, or choose another --run-dir"
        ) from None


def wait_for_folder(folder: Path, seconds: float) -> bool:
    """Whether anything is in the folder of a run; first, for so long at most, another process that
    trains there may save its work and leave."""
    if not folder.is_dir():
        return False
    from filelock import FileLock, Timeout

    with suppress(Timeout, OSError), FileLock(folder / LOCK, timeout=seconds):
        pass
    return any(entry.name != LOCK for entry in folder.iterdir())


def _check_same(folder: Path, now: dict[str, Any]) -> None:
    if not folder.is_dir():
        raise RunError(f"there is nothing to resume: {folder} does not exist; leave out --resume")
    if all(entry.name == LOCK or entry.name.endswith(PART) for entry in folder.iterdir()):
        return  # killed before it wrote anything: it may be resumed from the beginning
    try:
        then = read_json(folder / "versions.json")
        before, teacher = then["config"], then["teacher"]
        if not isinstance(before, dict) or not isinstance(teacher, dict | None):
            raise TypeError("it does not say how the run was configured")
        same_teacher = teacher == now["teacher"]
    except FileNotFoundError:
        if not (folder / "config.yaml").is_file():
            raise RunError(
                f"{folder} is not the folder of a run: there is no config.yaml"
            ) from None
        return  # killed before it trained anything
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder / 'versions.json'} can't be read: {type(error).__name__}: {error}"
        ) from None
    for key, value in now["config"].items():
        if before.get(key) != value and not (same_teacher and key in ABOUT_THE_TEACHER):
            raise RunError(
                f"{folder} was made with {key} = {shorten(repr(before.get(key)))}, not {value!r}: "
                "resume it as it was, or choose another --run-dir"
            )
    if not same_teacher:
        raise RunError(
            f"{folder} was made with another teacher or prompt (fingerprint "
            f"{shorten(str((teacher or {}).get('fingerprint')), 60)}): its files have changed; "
            "choose another --run-dir"
        )


def versions(config: TrainConfig, teacher: Teacher | None) -> dict[str, Any]:
    """What the run depends on, as JSON values."""
    from lvlm2p.envs import task_for

    about = None
    if teacher is not None:
        fingerprint = teacher.fingerprint_for(task_for(config.env))
        about = {"name": teacher.name, "fingerprint": fingerprint}
    return {
        "python": platform.python_version(),
        "platform": sys.platform,
        "packages": {name: _version(name) for name in PACKAGES},
        "teacher": about,
        "config": config.what_counts(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_yaml(config: TrainConfig) -> str:
    """The resolved configuration as a file that ``--config`` takes."""
    import yaml

    options = config.model_dump(mode="json", exclude={"resume", "yes"})
    return "# lvlm2p train --config this-file\n" + yaml.safe_dump(options, sort_keys=False)
