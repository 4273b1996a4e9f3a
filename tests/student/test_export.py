"""A student as a file: the same actions as the student itself, without this project."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import onnxruntime
import pytest
import torch
from minigrid.wrappers import FullyObsWrapper
from numpy.typing import NDArray

from lvlm2p.envs import Observation, VectorEnv
from lvlm2p.envs.extras import MissingPackageError
from lvlm2p.student import StudentExportConfig, export_student
from lvlm2p.student.export.config import SUFFIX
from lvlm2p.student.models.inputs import MISSION_LENGTH, token_ids
from lvlm2p.student.training.trained import Student
from tests.support.mazes import register_mazes
from tests.support.students import student_of
from tests.test_cli import last_json, run

DOOR = "MiniGrid-GoToDoor-6x6-v0"
CARRIES = "MiniGrid-DoorKey-6x6-v0"
example = import_module("examples.act_with_onnx")

Format = Literal["onnx", "torchscript", "torch-export"]


@pytest.fixture(autouse=True)
def _mazes() -> None:
    register_mazes()


def runner(file: Path, form: Format) -> Any:
    """What gives the file's outputs for arrays in the order of its inputs."""
    if form == "onnx":
        session = onnxruntime.InferenceSession(file)
        names = [one.name for one in session.get_inputs()]
        return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))
    if form == "torchscript":
        network: Any = torch.jit.load(file)  # type: ignore[no-untyped-call]
    else:
        network = torch.export.load(file).module()
    return lambda *arrays: [
        tensor.detach().numpy() for tensor in network(*map(torch.from_numpy, arrays))
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("form", ["onnx", "torchscript", "torch-export"])
def test_the_same_actions_in_1000_states(
    form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = student_of(DOOR, tmp_path)
    out = tmp_path / f"file{SUFFIX[form]}"
    assert run("export", "--run", tmp_path, "--format", form, "--out", out, "--json") == 0
    said = last_json(capsys.readouterr().out)
    assert said["inputs"] == ["observation", "carrying", "tokens"] and said["env"] == DOOR
    assert said["bytes"] == out.stat().st_size
    act, given, chosen = runner(out, form), [], []
    for env_id in (DOOR, CARRIES):  # GoToDoor has nothing to carry
        env = FullyObsWrapper(gym.make(env_id))
        seen, _ = env.reset(seed=3)
        env.action_space.seed(3)
        for _ in range(500):
            arrays = example.inputs(env, seen)
            given.append(arrays)
            shown = Observation(arrays["observation"], arrays["carrying"], [seen["mission"]])
            chosen.append(int(student.act(shown)[0]))
            seen, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                seen, _ = env.reset()
    together = [np.concatenate([arrays[name] for arrays in given]) for name in said["inputs"]]
    assert (together[1] != 0).any() and len({*chosen}) > 3
    assert act(*together)[0].argmax(1).tolist() == chosen
    assert [int(act(*one.values())[0].argmax()) for one in given[::50]] == chosen[::50]
    if form == "onnx":
        example.main(str(out), DOOR, 2)
        assert capsys.readouterr().out.count("return") == 2
        source = Path(example.__file__ or "").read_text()
        assert "import lvlm2p" not in source and "from lvlm2p" not in source


def stepped(student: Student, file: Path, form: Format) -> None:
    """Both act for 60 steps in three environments, each with a memory of its own."""
    env = VectorEnv(student.env, 3, 1)
    act = runner(file, form)
    observation = env.reset()
    state: NDArray[Any] = np.zeros((3, 2, 2 * student.policy.hidden), np.float32)
    for _ in range(60):
        start = env.episode_start
        wanted = student.probabilities(observation, start)
        padded = [(token_ids(said) + [0] * 32)[:MISSION_LENGTH] for said in observation.mission]
        arrays = [observation.values, np.array(padded)]
        if student.policy.memory == "none":
            (logits,) = act(*arrays)
        else:
            logits, state = act(*arrays, state, start)
        got = np.exp(logits - logits.max(1, keepdims=True))
        assert np.allclose(got / got.sum(1, keepdims=True), wanted, atol=1e-5)
        observation = env.step(wanted.argmax(1)).obs
    env.close()


CASES = [
    ("Maze-Vector-v0", "lstm", "onnx"),
    ("Maze-Image-v0", "none", "torchscript"),
    ("Maze-Vector-v0", "none", "torch-export"),
    pytest.param("Maze-Image-v0", "lstm", "onnx", marks=pytest.mark.slow),
    pytest.param("Maze-Image-v0", "lstm", "torchscript", marks=pytest.mark.slow),
    pytest.param("Maze-Image-v0", "lstm", "torch-export", marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(("env_id", "memory", "form"), CASES)
def test_images_vectors_and_memory(
    env_id: str, memory: Literal["none", "lstm"], form: Format, tmp_path: Path
) -> None:
    student = student_of(env_id, tmp_path, memory)
    done = export_student(StudentExportConfig(run=tmp_path, format=form))
    assert done.out == str(tmp_path / f"student{SUFFIX[form]}")
    assert done.outputs == (("logits",) if memory == "none" else ("logits", "next_state"))
    stepped(student, Path(done.out), form)
    if form == "onnx":
        about = onnxruntime.InferenceSession(done.out).get_modelmeta().custom_metadata_map
        said = json.loads(about["lvlm2p"])
        assert said["mission"] == "take the way that the sign shows" and said["state_size"] == 32
        assert said["actions"] == {"0": "forward", "1": "left", "2": "right"}


def test_what_is_wrong_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "--run", tmp_path) == 2
    assert "no trained student" in capsys.readouterr().err
    student_of("Maze-Vector-v0", tmp_path)
    (tmp_path / "file").write_text("")
    asked = ("export", "--run", tmp_path, "--format", "torchscript")
    assert run(*asked, "--out", tmp_path / "file" / "x") == 2
    assert "can't be written" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lvlm2p\[export\]'"):
        export_student(StudentExportConfig(run=tmp_path))
