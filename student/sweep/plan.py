"""Which runs a sweep has: the options of its file, multiplied out."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_yaml, shorten
from lvlm2p.student.comparison.runs import OF_A_TEACHER
from lvlm2p.student.config import TrainConfig
from lvlm2p.teachers.errors import ConfigError, UnknownNameError
from lvlm2p.teachers.numerals import numbers_in_digits

Options = Mapping[str, Any]

GRIDS = "grids"
"""The key of a list of mappings, each multiplied out by itself with what stands beside the list."""

SEEDS = "seeds"
"""Another name of ``seed``, since there usually are several."""

SEED_OF_THE_RUN = "{seed}"
"""As a teacher's option: the seed of the run."""

OF_THE_SWEEP = ("run_dir", "resume", "progress", "yes", "budget_usd", "budget_calls")
"""Options of ``train`` that a file can't give, because the sweep does."""

IN_EVERY_NAME = ("env", "algo", "teacher", "seed")

MOST = 10_000
"""Runs of a sweep."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str
    """Its folder, below the sweep's."""
    chosen: Options
    """What it has of the options that differ between runs, by name."""
    config: TrainConfig


def read_plan(file: Path, out: Path) -> list[PlannedRun]:
    """The runs that a YAML file names, in folders below ``out``.

    Raises:
        ConfigError: it can't be read, or an option or value is not one of ``train``.
        UserError: it names an unknown option, environment or teacher.
    """
    try:
        data = read_yaml(file)
    except (OSError, MalformedDataError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from None
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{file} must hold one 'option: value' or 'option: [values]' a line")
    grids = data.pop(GRIDS, [{}])
    if not isinstance(grids, list) or not all(isinstance(grid, dict) for grid in grids):
        raise ConfigError(f"{GRIDS} in {file} must be a list of mappings of options")
    return plan(data, grids, out, str(file))


def plan(common: Options, grids: Sequence[Options], out: Path, source: str) -> list[PlannedRun]:
    """The runs of several grids, each with the options that are ``common`` to all.

    Every option may be a list of values; a value that is a mapping sets several options at once,
    such as ``{teacher: expert, teacher_args: {error_rate: 0.05}}``. Runs that would be the same
    (without a teacher, what is said of distillation makes no difference) are there once. They come
    in the order of their seeds, so that a sweep that is stopped has something of everything.

    Args:
        source: who says so, for sentences about mistakes.

    Raises:
        ConfigError, UserError: as :func:`read_plan`.
    """
    own_name = {SEEDS: "seed"}
    options: list[dict[str, Any]] = []
    swept: dict[str, None] = {}
    for grid in grids:
        merged = {own_name.get(key, key): value for key, value in {**common, **grid}.items()}
        for key, value in merged.items():
            several = isinstance(value, list) or key in grid
            if several or (isinstance(value, dict) and key != "teacher_args"):
                swept |= dict.fromkeys(_set_by(key, value))
        options += _multiplied(merged, source)
        if len(options) > MOST:
            raise ConfigError(f"{source} names more than {MOST:,} runs")
    order = {str(seed): i for i, seed in enumerate(dict.fromkeys(o.get("seed") for o in options))}
    found: dict[str, tuple[dict[str, Any], TrainConfig]] = {}
    for chosen in sorted(options, key=lambda each: order[str(each.get("seed"))]):
        config = _config(chosen, source)
        found.setdefault(_identity(config), (chosen, config))
    return _named(list(found.values()), list(swept), out)


def _set_by(key: str, value: Any) -> Iterator[str]:
    """The options that a key of the file sets."""
    values = value if isinstance(value, list) else [value]
    if key == "teacher_args" or not all(isinstance(each, dict) for each in values):
        yield key
    for each in values:
        if key != "teacher_args" and isinstance(each, dict):
            yield from map(str, each)


def _multiplied(options: Options, source: str) -> Iterator[dict[str, Any]]:
    """Each choice of one value for each option."""
    axes = [
        [(key, each) for each in (value if isinstance(value, list) else [value])]
        for key, value in options.items()
    ]
    empty = [key for key, value in options.items() if value == []]
    if empty:
        raise ConfigError(f"{empty[0]} in {source} has no values")
    for point in product(*axes):
        plain = {k: v for k, v in point if k == "teacher_args" or not isinstance(v, dict)}
        for key, value in point:
            if key != "teacher_args" and isinstance(value, dict):
                plain |= value  # what belongs together wins over what stands alone
        yield plain


def _config(options: Options, source: str) -> TrainConfig:
    fields = TrainConfig.model_fields
    for key in options:
        if key in OF_THE_SWEEP:
            raise ConfigError(
                f"{key} in {source} is no option of single runs of a sweep: leave it out (folder "
                "and budget are options of the sweep itself)"
            )
        if key not in fields:
            raise UnknownNameError(f"option in {source}:", str(key), fields)
    kinds = {name: field.annotation for name, field in fields.items()}
    data = numbers_in_digits(options, kinds)
    args = data.get("teacher_args")
    if isinstance(args, dict):
        seed = data.get("seed", 0)
        data["teacher_args"] = {k: seed if v == SEED_OF_THE_RUN else v for k, v in args.items()}
    try:
        return TrainConfig.model_validate({**data, "progress": False})
    except ValidationError as error:
        raise ConfigError(f"{source}: {first_problem(error)}") from None


def _identity(config: TrainConfig) -> str:
    """The same for runs that would learn the same."""
    counts = {**config.what_counts(), "frames": config.frames}
    if config.teacher == "none":
        counts = {key: value for key, value in counts.items() if key not in OF_A_TEACHER}
    return json.dumps(counts, sort_keys=True)


def _named(
    found: Sequence[tuple[dict[str, Any], TrainConfig]], swept: Sequence[str], out: Path
) -> list[PlannedRun]:
    """Runs with folders: environment, algorithm and teacher with what else is swept, seed."""
    rest = [key for key in swept if key not in IN_EVERY_NAME]
    drafts = []
    for given, config in found:
        own = [k for k in rest if k in given]
        if config.teacher == "none":
            own = [key for key in own if key not in OF_A_TEACHER]
        chosen = {key: getattr(config, key) for key in own}
        words = [config.algo, config.teacher, *_in_short({key: given[key] for key in own})]
        name = f"{_slug(config.env)}/{_slug('_'.join(words))}/seed-{config.seed}"
        drafts.append((name, chosen, config))
    times = Counter(name for name, _, _ in drafts)
    runs = []
    for draft, chosen, config in drafts:
        name = draft
        if times[name] > 1:  # they differ in characters that no folder's name has
            digest = hashlib.sha256(_identity(config).encode()).hexdigest()[:8]
            parent, _, seed = name.rpartition("/")
            name = f"{parent}_{digest}/{seed}"
        about = {key: getattr(config, key) for key in IN_EVERY_NAME} | chosen
        placed = config.model_copy(update={"run_dir": out / name})
        runs.append(PlannedRun(name, about, placed))
    return runs


def _in_short(chosen: Options) -> Iterator[str]:
    """``key=value``, also of each of a teacher's own options; its seed follows the run's."""
    for key, value in chosen.items():
        if key == "teacher_args" and isinstance(value, dict):
            yield from _in_short({k: v for k, v in value.items() if v != SEED_OF_THE_RUN})
        else:
            yield f"{key}={value}"


def _slug(text: str) -> str:
    """``text`` as the name of a folder on any file system."""
    return re.sub(r"[^A-Za-z0-9.,=_-]+", "-", shorten(text, 120)).strip(".-") or "run"
