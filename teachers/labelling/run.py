"""`lvlm2p label`: label states ahead of time, into the store and a Parquet file.

The store makes it resumable: what was answered before a crash is read, not asked. States are
asked about in large batches and written as they come, so memory does not grow with their number.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lvlm2p.teachers.errors import ConfigError, TeacherError
from lvlm2p.teachers.label import Answer, Entry, Failure
from lvlm2p.teachers.labelling.config import LabelConfig, Labelled
from lvlm2p.teachers.labelling.states import find_states
from lvlm2p.teachers.progress import Bar, asking, say
from lvlm2p.teachers.spending import Approve, Expense
from lvlm2p.teachers.teacher import Teacher, checked_answers

if TYPE_CHECKING:
    from lvlm2p.envs import View

BATCH = 2_048
"""States asked about at once: enough to keep every connection busy but for a short tail."""


def label_states(
    config: LabelConfig, approve: Approve | None = None, *, spare: bool = False
) -> Labelled:
    """Label the states that ``config`` names.

    Args:
        config: the command's options.
        approve: raises, before anybody is asked, where it would cost too much.
        spare: refuse to replace a file that was named and has answers the new one lacks, unless
            ``config.overwrite``; the command line does.

    Raises:
        UserError: an option, a file or the store can't be used.
        TeacherError: nobody could be asked, or not one state could be labelled.
    """
    from lvlm2p.envs.registry import told

    with told([config.env] if config.env else [], config.rules):
        if config.engine != "local":
            from lvlm2p.teachers.labelling.ray_actors import label_on_ray

            return label_on_ray(config, approve)
        return _labelled(config, approve, spare)


def _labelled(config: LabelConfig, approve: Approve | None, spare: bool) -> Labelled:
    from lvlm2p.teachers.labelset.paths import writable_file
    from lvlm2p.teachers.labelset.replacement import check_replaceable

    out = writable_file(config.out)
    views = find_states(config)
    teacher = config.load_teacher(config.teacher)
    try:
        if spare and "out" in config.model_fields_set and not config.overwrite:
            check_replaceable(
                out, ((teacher.fingerprint_for(view.task), view.key) for view in views)
            )
        return label_here(teacher, views, out, config.images, approve)
    finally:
        teacher.close()


def label_here(
    teacher: Teacher,
    views: Sequence[View],
    out: Path,
    images: bool = False,
    approve: Approve | None = None,
) -> Labelled:
    """Label ``views`` in this process, and write them in their order."""
    from lvlm2p.teachers.labelset.parquet import write_labels

    for task in {view.task for view in views}:
        reason = teacher.supports(task)
        if reason is not None:
            raise ConfigError(reason)
    estimate = teacher.estimate(views)
    say(f"{teacher.name}: {len(views):,} states; {estimate}")
    if approve is not None:
        approve([Expense(teacher, estimate)])
    began = time.monotonic()
    failures: list[Failure] = []
    counts = teacher.counts
    try:
        rows = write_labels(out, _answered(teacher, views, failures), images)
    except KeyboardInterrupt:
        say(
            f"stopped: {counts.asked:,} answers more are in the label store; "
            "the same command goes on from there"
        )
        raise
    if failures and counts.asked + counts.cached == counts.failed:
        paid = f" ({counts.cost_usd:,.4f} dollars were paid)" if counts.cost_usd else ""
        raise TeacherError(
            f"not one of {len(views):,} states could be labelled{paid}; the first failure: "
            f"{failures[0].failure}: {failures[0].message}"
        )
    return Labelled(str(out), rows, counts, time.monotonic() - began)


def _answered(teacher: Teacher, views: Sequence[View], failures: list[Failure]) -> Iterator[Entry]:
    """Each view with its answer, in order; those that nobody was asked about are left out."""
    what = f"labelling with {teacher.name}"

    def live() -> list[str]:
        return asking(teacher.counts, in_flight=teacher.in_flight)

    with Bar(what, len(views), live=live) as bar:
        size = len(views) if teacher.by_batch else BATCH
        for start in range(0, len(views), max(1, size)):
            batch = views[start : start + size]
            answers: dict[int, Answer] = {}
            for index, answer in checked_answers(teacher, batch):
                answers[index] = answer
                bar.advance()
            for index, view in enumerate(batch):
                answer = answers[index]
                if isinstance(answer, Failure):
                    failures[:] = failures or [answer]
                    if answer.not_asked:
                        continue
                yield Entry(view, answer)
