"""Which states are labelled: drawn from play, visited by a run, or listed in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lvlm2p.envs import View, sample_states, task_for
from lvlm2p.envs.untrusted import parse_json
from lvlm2p.teachers.errors import LabelFileError, Lvlm2pError
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.progress import say

DEFAULT_STATES = 1_000
"""So many are drawn from play where nobody says how many."""

VISITED = "visited.jsonl"
"""In a run's folder: the states that it has visited, one View as JSON a line."""

STATE_COLUMNS = ["task", "mission", "carrying", "blank", "state"]
"""Columns of a label set that say which state a row is about."""


def find_states(config: LabelConfig) -> list[View]:
    """The states to label, distinct, always the same for the same ``config``."""
    if config.from_run is not None:
        return visited_states(config.from_run)[: config.states]
    if config.from_file is not None:
        return states_in(Path(config.from_file))[: config.states]
    assert config.env is not None
    return _sampled(config, config.env)


def _sampled(config: LabelConfig, env_id: str) -> list[View]:
    if config.all_states:
        return sample_states(env_id, config.states, config.seed, policy="all")
    wanted = config.states or DEFAULT_STATES

    def tell(found: int, frames: int) -> None:
        more = (
            "--all-states lists every reachable one, and " if task_for(env_id).deterministic else ""
        )
        say(
            f"only {found:,} distinct states of {env_id} were found in {frames:,} frames of "
            f"{config.policy} play, not {wanted:,}: {more}another --policy or --seed may find more"
        )

    return sample_states(env_id, wanted, config.seed, policy=config.policy, on_shortfall=tell)


def states_in(path: Path) -> list[View]:
    """The distinct states of a label set, whoever labelled them.

    Raises:
        LabelFileError: the file is no label set, or no row of it is a state. Rows that are none are
            passed over, and counted on stderr.
    """
    from lvlm2p.teachers.labelset.parquet import read_rows
    from lvlm2p.teachers.labelset.schema import view_from_row

    rows = enumerate(read_rows(path, keep=STATE_COLUMNS))
    return _usable(path, ((f"row {n:,}", partial(view_from_row, row)) for n, row in rows))


def visited_states(run: Path) -> list[View]:
    """The states that a training run has visited, in the order in which it did.

    Raises:
        LabelFileError: there is no such run, or its list names no states. Lines that are no state
            are passed over, and counted on stderr.
    """
    path = run / VISITED
    try:
        with path.open("rb") as file:
            lines = enumerate(file, start=1)
            whole = ((n, line) for n, line in lines if line.endswith(b"\n"))  # the last may be torn
            return _usable(path, ((f"line {n:,}", partial(_view_in, line)) for n, line in whole))
    except OSError as error:
        raise LabelFileError(
            f"{run} has no usable {VISITED}, the list of states that a training run visits: {error}"
        ) from error


def _view_in(line: bytes) -> View:
    return View.from_json(parse_json(line))


def _usable(path: Path, saved: Iterable[tuple[str, Callable[[], View]]]) -> list[View]:
    """The distinct views that can be read; ``saved``: where in ``path`` each is, and its reader."""
    views: dict[str, View] = {}
    bad: list[str] = []
    for where, read in saved:
        try:
            view = read()
        except Lvlm2pError as error:
            bad.append(f"{where}: not a state: {error}")
        else:
            views.setdefault(view.key, view)
    if not views:
        raise LabelFileError(f"{path} names no states{f'; {bad[0]}' if bad else ''}")
    if bad:
        say(f"{path}: {len(bad):,} bad states are passed over; the first is {bad[0]}")
    return list(views.values())


def row_of(view: View) -> dict[str, Any]:
    """The :data:`STATE_COLUMNS` of a state."""
    return {"task": view.task.name} | {
        name: getattr(view, name) for name in STATE_COLUMNS if name != "task"
    }


def views_of(rows: Iterable[Mapping[str, Any]]) -> list[View]:
    """The distinct states of some rows."""
    from lvlm2p.teachers.labelset.schema import view_from_row

    return list({view.key: view for view in map(view_from_row, rows)}.values())
