"""Writing a student as ONNX, TorchScript or an exported PyTorch program."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from lvlm2p.envs import VectorEnv, task_for
from lvlm2p.envs.extras import explained
from lvlm2p.student.export.config import ExportedStudent, StudentExportConfig
from lvlm2p.student.export.standalone import StandaloneStudent
from lvlm2p.student.training.trained import load_student
from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.files import write_atomically

FORMAT = "lvlm2p exported student 1"

TRACED = 3
"""Environments side by side while the network is followed; it then takes any number."""


def export_student(config: StudentExportConfig) -> ExportedStudent:
    """Write the student of a run into a file that needs none of this project.

    Raises:
        RunError, CheckpointError: there is no student, or the file can't be written.
        MissingPackageError: a package of the extra ``export`` is missing.
    """
    student = load_student(config.run)
    network = StandaloneStudent(student).eval().requires_grad_(False)
    about = {
        "format": FORMAT,
        "env": student.env,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "state_size": student.policy.initial_state(0).shape[-1],
        "mission": _mission(student.env),
        "actions": {action.index: action.name for action in task_for(student.env).actions},
    }
    write: dict[str, Callable[[StandaloneStudent, str], bytes]] = {
        "onnx": _onnx,
        "torchscript": _torchscript,
        "torch-export": _program,
    }
    with torch.no_grad(), _quietly():
        data = write[config.format](network, json.dumps(about))
    try:
        config.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(config.file, data)
    except OSError as error:
        raise RunError(f"{config.file} can't be written: {error.strerror}") from None
    return ExportedStudent(
        out=str(config.file),
        format=config.format,
        env=student.env,
        inputs=tuple(network.inputs),
        outputs=tuple(network.outputs),
        bytes=len(data),
    )


def _mission(env_id: str) -> str:
    """What the student reads in one episode; where the environment has no missions, nothing."""
    env = VectorEnv(env_id, 1, seed=0)
    (mission,) = env.reset().mission
    env.close()
    return mission


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporters warn of what does not concern us, and their loggers too."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _any_number(network: StandaloneStudent) -> Any:
    """Dynamic shapes: every input may have any number of rows."""
    rows = torch.export.Dim("environments", min=1)
    first, *others = ({0: rows} for _ in network.inputs)
    return (first, tuple(others))


def _torchscript(network: StandaloneStudent, about: str) -> bytes:
    # PyTorch ships no types for its tracer.
    traced = torch.jit.trace(network, network.examples(TRACED), check_trace=False)  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    torch.jit.save(traced, file, _extra_files={"lvlm2p.json": about})
    return file.getvalue()


def _exported(network: StandaloneStudent) -> torch.export.ExportedProgram:
    examples, shapes = network.examples(TRACED), _any_number(network)
    return torch.export.export(network, examples, dynamic_shapes=shapes)


def _program(network: StandaloneStudent, about: str) -> bytes:
    file = io.BytesIO()
    torch.export.save(_exported(network), file, extra_files={"lvlm2p.json": about})
    return file.getvalue()


def _onnx(network: StandaloneStudent, about: str) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 (the exporter uses it)
    except ModuleNotFoundError as error:
        raise explained(error, "--format onnx") from error
    program = torch.onnx.export(
        _exported(network),
        input_names=network.inputs,
        output_names=network.outputs,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"lvlm2p": about})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
