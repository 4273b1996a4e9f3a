"""The whole evaluation: every teacher on every environment, beside two baselines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lvlm2p.envs import Task, View, task_for
from lvlm2p.envs.registry import told
from lvlm2p.teachers.errors import ConfigError, Lvlm2pError, RunError, TeacherError
from lvlm2p.teachers.evaluation.agreement import agreements
from lvlm2p.teachers.evaluation.candidates import (
    Candidate,
    Load,
    check_any_fits,
    load_candidates,
    nobody,
)
from lvlm2p.teachers.evaluation.config import EvaluateConfig
from lvlm2p.teachers.evaluation.forecast import forecast
from lvlm2p.teachers.evaluation.measuring import EvalSpec, Measured, Progress, measure
from lvlm2p.teachers.evaluation.reference import Reference, label_set_reference, notes, referred
from lvlm2p.teachers.evaluation.report.report import Report
from lvlm2p.teachers.evaluation.results import Evaluation, Results, Unusable
from lvlm2p.teachers.evaluation.states import Case, draw_states, first_environment, load_states
from lvlm2p.teachers.expert import ExpertTeacher, RandomTeacher
from lvlm2p.teachers.label import tool_version
from lvlm2p.teachers.progress import Bar, asking, say
from lvlm2p.teachers.spending import Approve, Expense
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher


def evaluate(
    config: EvaluateConfig,
    load: Load,
    progress: Progress | None = None,
    approve: Approve | None = None,
    reference: Reference | None = None,
) -> Report:
    """Measure every teacher of ``config``; nothing is written.

    A teacher that can't be used (no key, a missing package, a wrong option, a task that it does
    not know) is in the report with the reason, and the others are measured.

    Args:
        config: what is measured.
        load: makes a teacher by name; ``config.load_teacher`` is one.
        progress: told how far it is; None: a bar on stderr.
        approve: raises, before anybody is asked, where it would cost too much.
        reference: gives the states of each environment with the right choices, where
            ``config.reference`` names a student.

    Raises:
        UserError: an unknown name, an unusable state set or output folder.
        TeacherError: not one teacher could be measured.
    """
    with told(config.env, config.rules):
        return _evaluated(config, load, progress, approve, reference)


def _evaluated(
    config: EvaluateConfig,
    load: Load,
    progress: Progress | None,
    approve: Approve | None,
    reference: Reference | None,
) -> Report:
    _check_out(config.out, config.overwrite)
    config.check_options()
    cases = _cases(config, reference)
    candidates = load_candidates(config.measured(), load, again=config.probes > 0)
    try:
        tasks = {env: states[0].view.task for env, states in cases.items()}
        check_any_fits(candidates, tasks)
        specs = [
            EvalSpec(env_id, states, config.episodes, config.probes, config.seed)
            for env_id, states in cases.items()
        ]
        if approve is not None and config.labels is None and not config.offline:
            expenses = [expense for one in candidates for expense in _expenses(one, specs)]
            check_any_fits(candidates, tasks)
            _have_approved(expenses, approve, config.out)
        found, baselines = _measure_all(candidates, specs, progress)
    except KeyboardInterrupt:
        asked = sum(teacher.counts.asked for one in candidates for teacher in one.loaded())
        say(
            f"stopped: {asked:,} answers more are in the label store; "
            "the same command goes on from there"
        )
        raise
    finally:
        for candidate in candidates:
            for teacher in candidate.loaded():
                teacher.close()
    if not found:
        raise nobody(candidates)
    lost = tuple(
        Unusable(teacher=candidate.name, env=env, why=candidate.refused[env])
        for env in cases
        for candidate in candidates
        if env in candidate.refused
    )
    return Report(_results(config, found, baselines, lost), cases, found, config.out)


def _results(
    config: EvaluateConfig,
    found: dict[tuple[str, str], Measured],
    baselines: Sequence[Evaluation],
    unusable: tuple[Unusable, ...],
) -> Results:
    return Results(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=tool_version(),
        seed=config.seed,
        results=tuple(measured.evaluation for measured in found.values()),
        baselines=tuple(baselines),
        agreement=tuple(agreements(config.env, config.measured(), found)),
        unusable=unusable,
        notes=tuple(notes(config.env, config.reference)),
    )


def _expenses(candidate: Candidate, specs: Sequence[EvalSpec]) -> list[Expense]:
    """What a teacher will be asked in all environments; empty where it is known to be nothing."""
    teacher = candidate.teacher
    if teacher is None or teacher.instant:
        return []
    try:
        fitting = [spec for spec in specs if candidate.fits(spec.env, spec.task)]
        estimate = sum(
            (forecast(candidate, spec) for spec in fitting), CostEstimate(0, 0, 0.0, 0.0)
        )
        expense = Expense(teacher, estimate)
        if expense.billed:
            teacher.check_ready()
    except TeacherError as error:
        candidate.trouble = error
        return []
    say(f"{teacher.name}: {estimate}")
    return [expense]


def _have_approved(expenses: Sequence[Expense], approve: Approve, out: Path | None) -> None:
    """``approve`` them; where it refuses, the folder that was made for the report goes again."""
    try:
        approve(expenses)
    except Lvlm2pError:
        if out is not None:
            with suppress(OSError):  # it is not empty
                out.rmdir()
        raise


def _measure_all(
    candidates: Sequence[Candidate], specs: Sequence[EvalSpec], progress: Progress | None
) -> tuple[dict[tuple[str, str], Measured], list[Evaluation]]:
    """What was measured by (environment, teacher), and the baselines."""
    baselines: list[Evaluation] = []
    found: dict[tuple[str, str], Measured] = {}
    asked = [teacher for candidate in candidates for teacher in candidate.loaded()]
    with Bar(live=lambda: _progress(asked)) as bar:
        tell = progress or bar.restart
        for spec in specs:
            expert, uniform = _baselines(spec)
            baselines += [row for row in (expert, uniform) if row is not None]
            for one in candidates:
                if not one.fits(spec.env, spec.task) or one.teacher is None:
                    continue
                try:
                    measured = measure(one.teacher, one.again, spec, uniform, progress=tell)
                    found[spec.env, one.name] = measured
                except TeacherError as error:
                    one.fail(spec.env, error)
    return found, baselines


def _progress(teachers: Sequence[Teacher]) -> list[str]:
    counts = sum((teacher.counts for teacher in teachers), Counts())
    return asking(counts, in_flight=sum(teacher.in_flight for teacher in teachers))


def evaluate_teacher(
    teacher: Teacher,
    task: Task | str,
    *,
    states: int | Sequence[View] = 200,
    episodes: int = 50,
    probes: int = 50,
    seed: int = 0,
    again: Teacher | None = None,
) -> Evaluation:
    """Measure one teacher, from Python; the same numbers as ``lvlm2p evaluate``.

    Args:
        teacher: who is asked.
        task: the Gymnasium id of an environment; or a task, of which the first environment (in
            order of name) is taken.
        states: how many states to draw, or the states themselves.
        episodes: how many to play by the most probable action, and as many by drawing.
        probes: how many states to ask about again in another form.
        seed: decides states, episodes and draws.
        again: the same teacher loaded with another ``sample``, to see whether it repeats itself.

    Raises:
        UserError: an unknown environment, or a task that the teacher can't advise on.
    """
    env_id = task if isinstance(task, str) else first_environment(task)
    if isinstance(states, int):
        cases = draw_states(env_id, states, seed)
    else:
        cases = [Case(view) for view in states]
    if not cases:
        raise ConfigError("an evaluation needs at least one state")
    _check_support([teacher], {env_id: cases})
    spec = EvalSpec(env_id, cases, episodes, probes, seed)
    _, uniform = _baselines(spec)
    return measure(teacher, again, spec, uniform).evaluation


def _check_out(out: Path | None, overwrite: bool) -> None:
    """Find out now, and not when everything has been paid for."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
        there = (out / "report.json").exists()
    except OSError as error:
        raise RunError(f"can't write the report to {out}: {error.strerror or error}") from error
    if there and not overwrite:
        raise RunError(
            f"there is a report in {out} already: --overwrite replaces it (answers that are in the "
            "label store are not asked again); or name another folder"
        )


def _cases(config: EvaluateConfig, reference: Reference | None) -> dict[str, list[Case]]:
    for env_id in config.env:
        task_for(env_id)
    if config.reference is not None:
        given = reference or label_set_reference(config.reference)
        return {env: referred(given, env, config.states, config.seed) for env in config.env}
    if config.states_file is not None:
        sets = load_states(config.states_file, config.env)
        return {env_id: cases[: config.states] for env_id, cases in sets.items()}
    return {env_id: draw_states(env_id, config.states, config.seed) for env_id in config.env}


def _check_support(teachers: Sequence[Teacher], cases: dict[str, list[Case]]) -> None:
    for teacher in teachers:
        for states in cases.values():
            trouble = teacher.supports(states[0].view.task)
            if trouble:
                raise ConfigError(f"teacher {teacher.name!r} can't be evaluated here: {trouble}")


def _baselines(spec: EvalSpec) -> tuple[Evaluation | None, Evaluation]:
    """The planner (None where there is none) and the uniform baseline."""
    uniform = measure(RandomTeacher(), None, spec, baseline=True).evaluation
    if spec.task.planner is None:
        return None, uniform
    expert = ExpertTeacher(ExpertTeacher.Options(confidence=1.0))
    return measure(expert, None, spec, uniform, baseline=True).evaluation, uniform
