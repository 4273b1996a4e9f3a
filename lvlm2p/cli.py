"""The command line: each subcommand is a call into one of the four packages.

Progress goes to stderr and results to stdout; with ``--json`` the last line of stdout is one JSON
object. Exit codes: 0 done, 2 the input is wrong, 3 the teacher could not answer, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lvlm2p.envs.errors import Lvlm2pError, UnknownNameError
from lvlm2p.envs.extras import explained
from lvlm2p.envs.untrusted import plain
from lvlm2p.flags import Argv, parse
from lvlm2p.output import end, show
from lvlm2p.process import signals_as_ctrl_c, tolerate_streams

# ---------------------------------------------------------------- the commands


def train(argv: Argv) -> None:
    """Train a PPO or A2C student, with a teacher or without one (--teacher none)."""
    from lvlm2p.student import TrainCommand

    config, json = parse("train", TrainCommand, argv, train.__doc__)
    from lvlm2p.student import train as run  # after the help has been printed: this loads torch
    from lvlm2p.student import train_seeds
    from lvlm2p.teachers.spending import approval

    cheaper = ["--ask random:0.25"] if config.ask == "all" else []
    approve = approval(config, cheaper)
    if config.seeds is not None:
        several = train_seeds(config, approve)
        show(several.as_json(), several.summary(), json)
        several.check()
        end(several.trouble())
        return
    result = run(config.one_run(), approve=approve)
    show(result.as_json(), result.summary(), json)
    end(result.trouble())


def evaluate(argv: Argv) -> None:
    """Measure how good teachers are on their own, and write a report; no student."""
    from lvlm2p.teachers.evaluation import EvaluateConfig

    config, json = parse("evaluate", EvaluateConfig, argv, evaluate.__doc__)
    from lvlm2p.teachers.evaluation import evaluate as run
    from lvlm2p.teachers.evaluation import write_report
    from lvlm2p.teachers.evaluation.report.terminal import summarise
    from lvlm2p.teachers.spending import approval

    load = partial(config.load_teacher, budget=config.new_budget())
    cheaper = ["fewer --states, --episodes, --probes"]
    student = (config.reference or "").removeprefix("student:")
    reference = None
    if student and student != config.reference:
        from lvlm2p.student.reference import student_reference

        reference = student_reference(student)
    report = run(config, load, approve=approval(config, cheaper), reference=reference)
    if report.out is not None:
        write_report(report, report.out)
    show(report.as_json(), summarise(report.results), json)
    end(report.trouble())


def label(argv: Argv) -> None:
    """Label states ahead of time, into the label store and a Parquet file."""
    from lvlm2p.teachers.labelling.config import LabelConfig

    config, json = parse("label", LabelConfig, argv, label.__doc__)
    from lvlm2p.teachers.labelling.run import label_states
    from lvlm2p.teachers.spending import approval

    result = label_states(config, approval(config, ["fewer --states"]), spare=True)
    show(result.as_json(), result.summary(), json)
    end(result.trouble())


def labels(argv: Argv) -> None:
    """The label store: stats, export, import, verify, prune, show."""
    from lvlm2p.teachers.store import commands

    options: dict[str, type[Any]] = {
        "stats": commands.StatsConfig,
        "export": commands.ExportConfig,
        "import": commands.ImportConfig,
        "verify": commands.VerifyConfig,
        "prune": commands.PruneConfig,
        "show": commands.ShowConfig,
    }
    command, rest = pick(
        "lvlm2p labels", {name: model.__doc__ for name, model in options.items()}, argv
    )
    carry_out(f"labels {command}", options[command], rest, options[command].__doc__)


def envs(argv: Argv) -> None:
    """Which environments are supported: their ids by task, and which have an exact planner."""
    from lvlm2p.envs.listing import EnvsConfig

    carry_out("envs", EnvsConfig, argv, envs.__doc__)


def task(argv: Argv) -> None:
    """What a teacher will be told of an environment; --write starts a task of your own."""
    from lvlm2p.envs.starter import TaskConfig

    carry_out("task", TaskConfig, argv, task.__doc__)


def teachers(argv: Argv) -> None:
    """Who can teach: models, what they can elicit, prices, and what is missing."""
    from lvlm2p.teachers.listing import TeachersConfig

    carry_out("teachers", TeachersConfig, argv, teachers.__doc__)


def serve(argv: Argv) -> None:
    """Start vLLM with the right flags, on 127.0.0.1, and wait until it is healthy."""
    from lvlm2p.teachers.serving.serve import ServeConfig
    from lvlm2p.teachers.serving.serve import serve as run

    config, _ = parse("serve", ServeConfig, argv, serve.__doc__)
    raise SystemExit(run(config))


def play(argv: Argv) -> None:
    """Watch a student: an animated GIF of its episodes, or a window (--render human)."""
    from lvlm2p.student import PlayConfig

    config, json = parse("play", PlayConfig, argv, play.__doc__)
    from lvlm2p.student import play as run
    from lvlm2p.teachers.spending import approval

    teacher = None if config.teacher == "none" else config.load_teacher(config.teacher)
    result = run(config, teacher, approval(config, ["fewer --episodes"]))
    show(result.as_json(), result.summary(), json)
    written = str(result.out or "nothing")
    end(teacher.counts.trouble(written) if teacher is not None else None)


def export(argv: Argv) -> None:
    """Write a trained student as ONNX, TorchScript or a torch.export program."""
    from lvlm2p.student.export.config import StudentExportConfig

    config, json = parse("export", StudentExportConfig, argv, export.__doc__)
    from lvlm2p.student import export_student as run

    result = run(config)
    show(result.as_json(), result.summary(), json)


def compare(argv: Argv) -> None:
    """Learning curves of runs with confidence bands, and their sample efficiency."""
    from lvlm2p.student import CompareConfig

    config, json = parse("compare", CompareConfig, argv, compare.__doc__)
    from lvlm2p.student import compare as run
    from lvlm2p.student.comparison.show import table

    result = run(config)
    show(result.as_json(), table(result), json)


def sweep(argv: Argv) -> None:
    """Many training runs from one YAML file: tasks, teachers, recipes, seeds, any option."""
    from lvlm2p.student import SweepConfig

    config, json = parse("sweep", SweepConfig, argv, sweep.__doc__)
    from lvlm2p.student import sweep as run
    from lvlm2p.teachers.options import TeacherOptions
    from lvlm2p.teachers.spending import approval

    limits = config.model_dump(include={"budget_usd", "budget_calls", "yes"})
    # of --symmetry it need not speak: it is an option of the file's
    options = TeacherOptions(symmetry="canonical", **limits)
    result = run(config, approval(options, ["`symmetry: canonical` or fewer runs in the file"]))
    show(result.as_json(), result.table(), json)
    if (trouble := result.trouble()) is not None:
        raise trouble


def doctor(argv: Argv) -> None:
    """What is installed and set here, and whether the store is sound: for a bug report."""
    from lvlm2p.teachers.doctor import DoctorConfig

    carry_out("doctor", DoctorConfig, argv, doctor.__doc__)


def reproduce(argv: Argv) -> None:
    """The papers' figures: figure3, figure4, table-llm4teach; picture, CSV and a table."""
    from lvlm2p.student import ReproduceConfig

    config, json = parse("reproduce", ReproduceConfig, argv, reproduce.__doc__)
    from lvlm2p.student import reproduce as run
    from lvlm2p.teachers.options import TeacherOptions
    from lvlm2p.teachers.spending import approval

    limits = config.model_dump(include={"budget_usd", "budget_calls", "yes"})
    result = run(config, approval(TeacherOptions(symmetry="canonical", **limits), ["--seeds 1"]))
    show(result.as_json(), result.table, json)
    if (trouble := result.trouble()) is not None:
        raise trouble


COMMANDS: dict[str, Callable[[Argv], None]] = {
    command.__name__: command
    for command in (
        *(train, evaluate, label, labels, teachers, envs, task, serve, play, export, compare),
        *(sweep, reproduce, doctor),
    )
}


# ---------------------------------------------------------------- choosing and showing


def carry_out(command: str, model: type[Any], argv: Argv, doc: str | None) -> None:
    """A command whose options know how to run themselves."""
    config, json = parse(command, model, argv, doc)
    result = config.run()
    show(result.as_json(), result.summary(), json)


def pick(prog: str, known: Mapping[str, str | None], argv: Argv) -> tuple[str, Argv]:
    """The subcommand that ``argv`` names and the rest; ``--help`` lists what there is."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: {prog} COMMAND [OPTIONS]\n")
        for name, doc in known.items():
            print(f"  {name:<10} {(doc or '').strip().splitlines()[0]}")
        print(f"\n{prog} COMMAND --help lists the options of one command.")
        raise SystemExit(0 if argv else 2)
    if argv[0] not in known:
        raise UnknownNameError("command", argv[0], known, f"{prog} --help lists them.")
    return argv[0], argv[1:]


def complain(error: Lvlm2pError) -> int:
    """Say what is wrong, in its one sentence; the exit code."""
    print(f"lvlm2p: {plain(str(error))}", file=sys.stderr)
    return error.exit_code


FULL = (errno.ENOSPC, errno.EDQUOT)


def main(argv: Argv | None = None) -> int:
    """Run one command; the value is the exit code."""
    tolerate_streams()
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in ("--version", "-V"):
        from lvlm2p.teachers.label import tool_version

        print(f"lvlm2p {tool_version()}")
        return 0
    try:
        known = {name: run.__doc__ for name, run in COMMANDS.items()}
        command, rest = pick("lvlm2p", known, words)
        with signals_as_ctrl_c():
            COMMANDS[command](rest)
    except Lvlm2pError as error:
        return complain(error)
    except ModuleNotFoundError as error:
        clear = explained(error, f"lvlm2p {words[0]}")
        if not isinstance(clear, Lvlm2pError):
            raise
        return complain(clear)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe left: not an error of ours
        sys.stderr.close()
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(
            "lvlm2p: the disk is full: make room and give the same command again (train: with "
            "--resume); what was saved or stored before is still there",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
