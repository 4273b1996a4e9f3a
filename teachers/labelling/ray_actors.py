"""`lvlm2p label --engine ray`: the same labelling on many machines, on Ray Data (extra `ray`).

All of Ray is in this module. States go in as Parquet or from the driver; a pool of actors, each
with a teacher of its own behind the label store of its node, asks; every batch is a Parquet part
in the output folder (a shared path, or a cloud's) the moment it is answered. Whatever dies, what
is in the folder is done, and what is in a node's store is not paid for again.

With ``--engine ray-vllm`` the actors are vLLM engines on GPU nodes, through ``ray.data.llm``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.extras import install
from lvlm2p.envs.untrusted import parse_json
from lvlm2p.teachers.errors import (
    ConfigError,
    LabelFileError,
    Lvlm2pError,
    TeacherError,
    TeacherNotReadyError,
)
from lvlm2p.teachers.label import Answer, Entry, Failure
from lvlm2p.teachers.labelling.batches import (
    OpenQuestion,
    WithReply,
    conduct,
    engine_options,
    interviewer,
    served_name,
)
from lvlm2p.teachers.labelling.config import LabelConfig, Labelled
from lvlm2p.teachers.labelling.states import STATE_COLUMNS, find_states, row_of, views_of
from lvlm2p.teachers.progress import Bar, asking, say
from lvlm2p.teachers.spending import Approve, Expense
from lvlm2p.teachers.teacher import Counts, Teacher

if TYPE_CHECKING:
    from lvlm2p.envs import View

BATCH = 256
"""States of one batch at most: what one part holds, and what the death of a node can cost."""

ACTOR_CPUS = 0.5
"""An actor mostly waits. With whole CPUs two actors leave none for reading, and the job hangs."""

ESTIMATED_FROM = 500
"""States from which the price of all is estimated."""

SLICE = 20_000
"""ray-vllm: states whose rounds are done before the next states' begin; each round starts the
engines, and what is not finished when the job dies is asked again."""


def label_on_ray(config: LabelConfig, approve: Approve | None = None) -> Labelled:
    """Label the states that ``config`` names on a Ray cluster; ``config.out`` becomes a folder.

    Raises:
        TeacherNotReadyError: Ray is not installed, or no cluster answers.
        TeacherError: a worker could not ask, or not one state could be labelled.
        LabelFileError: the output folder or the file of states can't be used.
    """
    from lvlm2p.teachers.labelset.parts import Parts

    began = time.monotonic()
    parts = Parts(config.out)
    done = parts.done()
    with _cluster(config) as data:
        states = _states(config, data)
        total = states.count()
        say(f"{config.teacher}: {total:,} states, {len(done):,} of them in {config.out} already")
        if approve is not None and config.engine == "ray":
            _check_spending(config, states, total, len(done), approve)
        work = _with_vllm if config.engine == "ray-vllm" else _with_actors
        counts, errors = work(config, states, total, parts)
    if errors:
        raise TeacherError(f"{len(errors):,} batches could not be asked about: {errors[0]}")
    rows = len(parts.done())
    if counts.asked and counts.failed == counts.asked + counts.cached and not done:
        raise TeacherError(f"not one state could be labelled; the failures are in {config.out}")
    return Labelled(config.out, rows, counts, time.monotonic() - began)


def _check_spending(
    config: LabelConfig, states: Any, total: int, done: int, approve: Approve
) -> None:
    """The estimate, from the first states: those of a cloud's folder are not all read here."""
    teacher = config.load_teacher(config.teacher)
    try:
        estimate = teacher.estimate(views_of(states.take(ESTIMATED_FROM)))
        if total > ESTIMATED_FROM:
            estimate = estimate.scaled(
                max(0, round(estimate.states * (total - done) / ESTIMATED_FROM))
            )
        say(f"{teacher.name}: {estimate}")
        approve([Expense(teacher, estimate)])
    finally:
        teacher.close()


@contextlib.contextmanager
def _cluster(config: LabelConfig) -> Iterator[Any]:
    """A connection to the cluster, as ``ray.data``."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise TeacherNotReadyError(
            f"--engine ray needs the extra `ray`: {install('ray')}"
        ) from error
    ours = not ray.is_initialized()
    if ours:
        # Logical CPUs: whatever this machine has, some must be left beside the actors.
        local = {"num_cpus": max(4, config.workers + 2), "include_dashboard": False}
        options = {"address": config.ray_address} if config.ray_address else local
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            said = str(error).strip().split("\n")[0]
            where = config.ray_address or "on this machine"
            raise TeacherNotReadyError(f"no Ray cluster answers {where}: {said}") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray.data
    finally:
        if ours:
            ray.shutdown()


def _states(config: LabelConfig, data: Any) -> Any:
    """The states as a dataset of :data:`STATE_COLUMNS`."""
    if config.from_file is not None:
        try:
            found = data.read_parquet(config.from_file, columns=STATE_COLUMNS)
            return found.limit(config.states) if config.states else found
        except (OSError, ValueError) as error:
            said = str(error).strip().split("\n")[0]
            raise LabelFileError(f"{config.from_file} can't be read: {said}") from error
    views = find_states(config)
    return _dataset([row_of(view) for view in views], _batch_size(len(views), config.workers))


def _batch_size(states: int, workers: int) -> int:
    """Several batches for each worker, none too large."""
    return max(1, min(BATCH, math.ceil(states / (4 * workers))))


def _dataset(rows: Sequence[Mapping[str, Any]], size: int) -> Any:
    """Rows as a dataset of blocks that workers can share."""
    import pyarrow as pa
    import ray.data

    from lvlm2p.teachers.labelset.schema import SCHEMA

    texts = [pa.field(name, pa.string()) for name in rows[0] if name not in STATE_COLUMNS]
    columns = pa.schema([*(SCHEMA.field(name) for name in STATE_COLUMNS), *texts])
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return ray.data.from_arrow([pa.Table.from_pylist(list(block), columns) for block in blocks])


# ---------------------------------------------------------------- any teacher, as actors


def _with_actors(
    config: LabelConfig, states: Any, total: int, parts: Any
) -> tuple[Counts, list[str]]:
    from ray.data import ActorPoolStrategy

    answered = states.map_batches(
        _Labeller,
        fn_constructor_args=(_share(config).model_dump(mode="json"),),
        batch_size=_batch_size(total, config.workers),
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=config.workers),
        num_cpus=ACTOR_CPUS,
        num_gpus=config.worker_gpus or None,
    )
    counts, errors = Counts(), []
    with Bar(f"labelling on {config.workers} workers", total) as bar:
        for row in answered.iter_rows():
            if row["error"]:
                errors.append(row["error"])
            counts += Counts(**parse_json(row["counts"]))
            bar.advance(*asking(counts), by=row["states"])
    return counts, errors


def _share(config: LabelConfig) -> LabelConfig:
    """What one of the workers may spend."""
    calls, usd = config.budget_calls, config.budget_usd
    return config.model_copy(
        update={
            "budget_calls": None if calls is None else math.ceil(calls / config.workers),
            "budget_usd": None if usd is None else usd / config.workers,
        }
    )


class _Labeller:
    """One actor: a teacher behind this node's store. Ray starts another where one has died."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from lvlm2p.envs.registry import told
        from lvlm2p.teachers.labelset.parts import Parts

        self.config = LabelConfig.model_validate(config)
        # as in the driver; the process is this actor's, so that nobody takes it back
        self.told = told([self.config.env] if self.config.env else [], self.config.rules)
        self.told.__enter__()
        self.parts = Parts(self.config.out)
        self.done = self.parts.done()
        self.teacher: Teacher | None = None  # made by the first batch, whose errors can be told

    def __call__(self, batch: Any) -> dict[str, list[Any]]:
        """Label one batch; a row of bookkeeping comes back."""
        error, counts = "", Counts()
        try:
            counts = self._label(batch.to_pylist())
        except Lvlm2pError as caught:  # a value for the driver: Ray would start the batch again
            error = str(caught)
        done = json.dumps(counts.as_dict())
        return {"states": [batch.num_rows], "counts": [done], "error": [error]}

    def _label(self, rows: Sequence[Mapping[str, Any]]) -> Counts:
        views = [view for view in views_of(rows) if view.key not in self.done]
        if not views:
            return Counts()
        self.teacher = self.teacher or self.config.load_teacher(self.config.teacher)
        for task in {view.task for view in views}:
            reason = self.teacher.supports(task)
            if reason is not None:
                raise ConfigError(reason)
        before = replace(self.teacher.counts)
        _write(self.parts, views, self.teacher.label(views))
        return self.teacher.counts - before


def _write(parts: Any, views: Sequence[View], answers: Sequence[Answer]) -> None:
    parts.write(
        [
            Entry(view, answer)
            for view, answer in zip(views, answers, strict=True)
            if not (isinstance(answer, Failure) and answer.not_asked)
        ]
    )


# ---------------------------------------------------------------- vLLM in process, on GPU nodes


def _with_vllm(
    config: LabelConfig, states: Any, total: int, parts: Any
) -> tuple[Counts, list[str]]:
    """Conduct many interviews side by side, a round of questions at a time, through vLLM engines.

    The labels are those of ``qwen-vl-local`` with the same options: same prompts, same rules of
    reading, same fingerprint.
    """
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    teacher = interviewer(config)
    engine = vLLMEngineProcessorConfig(**engine_options(served_name(teacher), config.workers))
    engines: Any = build_processor(
        engine, preprocess=OpenQuestion(config), postprocess=WithReply(config)
    )

    def ask(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        replied = engines(_dataset(rows, _batch_size(len(rows), config.workers)))
        for batch in replied.iter_batches(batch_size=BATCH, batch_format="pyarrow"):
            yield batch.to_pylist()

    done = parts.done()
    counts = Counts()
    with Bar("labelling with vLLM on Ray", total) as bar:
        for part in states.iter_batches(batch_size=SLICE, batch_format="pyarrow"):
            todo = [view for view in views_of(part.to_pylist()) if view.key not in done]
            for views, answers in conduct(teacher, todo, ask):
                _write(parts, views, answers)
                for answer in answers:
                    counts.add_asked(answer)
                    bar.advance(*asking(counts))
    return counts, []
