"""Every file that somebody else may have written: it is read, or refused in one sentence.

Each reader is given a corpus of what has broken readers, and what hypothesis makes of a good file.
(Label sets and stores: tests/teachers/store.)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lvlm2p.envs import task_named
from lvlm2p.flags import parse
from lvlm2p.prompts import load_prompt
from lvlm2p.student import CompareConfig, PlayConfig, TrainConfig
from lvlm2p.student.comparison.compare import compare
from lvlm2p.student.comparison.files import final_success, read_record, read_rows
from lvlm2p.student.comparison.show import table
from lvlm2p.student.training.run_dir import as_yaml, open_run_dir
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.evaluation import EvaluateConfig
from lvlm2p.teachers.evaluation.states import load_states
from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.labelling.batches import GENERATION, _recommended
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.states import visited_states
from lvlm2p.teachers.models.messages import Reply
from lvlm2p.teachers.wrappers.calibrated import calibrated
from tests.support.hostile import (
    ESCAPES,
    FUZZ,
    NUMBERS,
    YAML_BYTES,
    anything,
    as_json,
    changed,
    returns_or_is_a_sentence,
)
from tests.support.store import states

ENV = "MiniGrid-GoToDoor-6x6-v0"
EXPERT = load_teacher("expert")
VIEW = states(1)[0].to_json()


def run(folder: Path, name: str, data: bytes) -> Path:
    """The folder of a run of which one file is another's."""
    folder.mkdir(exist_ok=True)
    options = {"env": ENV, "seed": 0, "algo": "ppo", "teacher": "none", "teacher_args": {}}
    (folder / "versions.json").write_text(json.dumps({"teacher": None, "config": options}))
    rows = "frames,charts/episodic_return,eval/success\n100,0.5,0.5\n200,0.6,0.7\n"
    (folder / "metrics.csv").write_text(rows)
    (folder / "result.json").write_text('{"evaluation": {"success": 0.5}}')
    (folder / name).write_bytes(data)
    return folder


def compared(folder: Path, name: str) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        result = compare(CompareConfig(runs=[run(folder / "run", name, data)], out=folder / "out"))
        json.dumps(result.as_json(), allow_nan=False)
        return table(result)

    return read


def resumed(folder: Path) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        place = run(folder / "run", "versions.json", data)
        config = TrainConfig(env=ENV, teacher="none", run_dir=place, resume=True)
        with open_run_dir(config, None):
            return place

    return read


def lines_of(folder: Path, name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def put(data: bytes) -> Any:
        (folder / name).write_bytes(data + b"\n")
        return read(folder / name)

    return put


def prompted(folder: Path, name: str) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        path = folder / "prompt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (folder / "prompt" / "prompt.yaml").write_text("style: {tile: 32}\nshots: 1\n")
        (folder / "prompt" / "direct.md").write_text("{{ mission }} {{ picture }}")
        path.write_bytes(data)
        prompt = load_prompt(str(folder / "prompt"), task_named("go-to-door"), elicit="choice")
        return prompt.conversation(states(1)[0])

    return read


def configured(folder: Path, command: str, model: Any, *more: str) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        (folder / "config.yaml").write_bytes(data)
        argv = ["--config", str(folder / "config.yaml"), *more]
        try:
            return parse(command, model, argv, None)[0]
        except SystemExit as error:  # of tyro, which has said what is wrong
            assert error.code == 2
            return None

    return read


def generation(folder: Path) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        (folder / GENERATION).write_bytes(data)
        return _recommended(str(folder))

    return read


def readers(folder: Path) -> dict[str, Callable[[bytes], Any]]:
    """By the name of the file: puts the bytes where it is read, and reads it."""

    def file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
        return lambda data: [(folder / name).write_bytes(data), read(folder / name)]

    return {
        "report.json": file("report.json", lambda path: calibrated(EXPERT, path)),
        "budget.json": file("budget.json", lambda path: Budget(ledger=path)),
        "states.jsonl": lines_of(folder, "states.jsonl", lambda path: load_states(path, [ENV])),
        "visited.jsonl": lines_of(folder, "visited.jsonl", lambda _: visited_states(folder)),
        "versions.json": compared(folder, "versions.json"),
        "versions.json, resumed": resumed(folder),
        "result.json": compared(folder, "result.json"),
        "metrics.csv": compared(folder, "metrics.csv"),
        "prompt.yaml": prompted(folder, "prompt.yaml"),
        "examples.json": prompted(folder, "examples/go-to-door/examples.json"),
        "direct.md": prompted(folder, "direct.md"),
        "generation_config.json": generation(folder),
        "train": configured(folder, "train", TrainConfig, "--env", ENV),
        "evaluate": configured(folder, "evaluate", EvaluateConfig, "--teacher", "expert"),
        "label": configured(folder, "label", LabelConfig, "--env", ENV, "--teacher", "expert"),
        "compare": configured(folder, "compare", CompareConfig, "run"),
        "play": configured(folder, "play", PlayConfig, "run"),
    }


NAMES = tuple(readers(Path()))


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus(name: str, tmp_path: Path) -> None:
    read = readers(tmp_path)[name]
    for data in (*YAML_BYTES, ESCAPES.encode(), *(as_json(number) for number in NUMBERS)):
        returns_or_is_a_sentence(read, data)


REPORT_ROW = {
    "teacher": "expert",
    "task": "go-to-door",
    "fingerprint": EXPERT.fingerprint_for(task_named("go-to-door")),
    "temperature": {"value": 1.5, "nll_before": 1.0, "nll_after": 1.0, "at_bound": False},
}
OPTIONS = {
    "env": ENV,
    "seed": 0,
    "algo": "ppo",
    "teacher": "expert",
    "teacher_args": {"seed": 1},
    "n_envs": 16,
}
EXAMPLE = {
    "picture": "a.png",
    "view": VIEW,
    "analysis": {
        "agent_row": 1,
        "agent_column": 1,
        "agent_direction": "up",
        "target_row": 1,
        "target_column": 1,
        "ahead": "wall",
    },
    "probabilities": {"left": 1.0, "right": 0.0, "forward": 0.0, "done": 0.0},
    "action": "left",
}


def wrapped(good: dict[str, Any], wrap: Callable[[Any], Any]) -> st.SearchStrategy[Any]:
    return anything | changed(good).map(wrap)


MADE: dict[str, st.SearchStrategy[Any]] = {
    "report.json": wrapped(REPORT_ROW, lambda row: {"results": [REPORT_ROW, row]}),
    "budget.json": wrapped({"calls": 1, "kept": 1, "charged": True, "usd": 1.0}, lambda x: x),
    "states.jsonl": wrapped({"env": ENV, "view": VIEW}, lambda x: x),
    "visited.jsonl": wrapped(VIEW, lambda x: x),
    "versions.json": wrapped(OPTIONS, lambda x: {"teacher": None, "config": x}),
    "versions.json, resumed": wrapped(OPTIONS, lambda x: {"teacher": None, "config": x}),
    "result.json": wrapped({"success": 0.5}, lambda x: {"evaluation": x}),
    "prompt.yaml": wrapped({"style": {"tile": 32}, "shots": 0, "about": ""}, lambda x: x),
    "examples.json": wrapped(EXAMPLE, lambda x: {"style": {"tile": 8}, "examples": [EXAMPLE, x]}),
    "generation_config.json": wrapped({"temperature": 0.5, "top_k": 5}, lambda x: x),
}


@pytest.mark.parametrize("name", MADE)
def test_any_value_in_any_place(name: str, tmp_path: Path) -> None:
    read = readers(tmp_path)[name]

    @FUZZ
    @given(MADE[name])
    def check(value: Any) -> None:
        returns_or_is_a_sentence(lambda: read(as_json(value)))

    check()


@pytest.mark.parametrize("name", ["train", "evaluate", "label", "compare", "play"])
def test_any_value_as_an_option(name: str, tmp_path: Path) -> None:
    models: dict[str, type[BaseModel]] = {
        "train": TrainConfig,
        "evaluate": EvaluateConfig,
        "label": LabelConfig,
        "compare": CompareConfig,
        "play": PlayConfig,
    }
    read = readers(tmp_path)[name]
    options = st.sampled_from(sorted(models[name].model_fields))

    @FUZZ
    @given(st.dictionaries(options, anything, max_size=2))
    def check(values: dict[str, Any]) -> None:
        def use() -> None:
            config = read(yaml.safe_dump(values).encode())
            if isinstance(config, TrainConfig):
                as_yaml(config).encode()
                json.dumps(config.what_counts())
            if config is not None:
                config.model_dump_json()

        returns_or_is_a_sentence(use)

    check()


@FUZZ
@given(st.dictionaries(st.sampled_from(["temperature", "samples", "model", "seed"]), anything))
def test_any_value_as_a_teachers_option(options: dict[str, Any]) -> None:
    for name in ("expert", "gemini", "tiny-vl"):
        returns_or_is_a_sentence(load_teacher, name, options=options)


CELLS = ("1" * 400, "9" * 5_000, "1e999", "nan", "-1", "", "x", "1.5", '"', '"' + "x" * 200_000)


@pytest.mark.parametrize("cell", [*CELLS, "\x00", "é", "1_0", ",,,,,"])
def test_any_cell_of_a_table_of_metrics(cell: str, tmp_path: Path) -> None:
    read = readers(tmp_path)["metrics.csv"]
    head = "frames,charts/episodic_return,eval/success\n"
    for row in (f"{cell},0.5,0.5\n", f"100,{cell},0.5\n", f"{cell}\n"):
        returns_or_is_a_sentence(read, (head + row + "200,0.6,0.7\n").encode())
        returns_or_is_a_sentence(read, (row + head).encode())


def test_numbers_of_runs_have_their_ranges(tmp_path: Path) -> None:
    good = run(tmp_path / "run", "other", b"")
    assert final_success(good / "result.json") == 0.5
    assert read_record(good / "versions.json").config.env == ENV
    for success in ("1.5", "-0.1", "NaN", '"a"', "[]", "1e999", "9" * 5_000):
        path = run(
            tmp_path / "run", "result.json", b'{"evaluation": {"success": %s}}' % (success.encode())
        )
        said = str(returns_or_is_a_sentence(final_success, path / "result.json"))
        assert "result.json can't be read" in said
    for frames in ("-1", "1.5", "1e3", "9" * 20, "x"):
        text = f"frames,eval/success\n{frames},0.5\n".encode()
        path = run(tmp_path / "run", "metrics.csv", text)
        said = str(returns_or_is_a_sentence(read_rows, path / "metrics.csv", ["eval/success"]))
        assert "metrics.csv, line 2, is not a row of metrics" in said
    text = b"frames,eval/success\n100,1e300\n200,-1e300\n300,inf\n400,0.25\n"
    rows = read_rows(run(tmp_path / "run", "metrics.csv", text) / "metrics.csv", ["eval/success"])
    assert [row.get("eval/success") for row in rows] == [None, None, None, 0.25]


def test_a_picture_of_an_example_lies_beside_it(tmp_path: Path) -> None:
    """A prompt folder can't have other files of this machine sent to a provider."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    read = readers(tmp_path)["examples.json"]
    for name, says in (
        ("../../../secret.png", "lies beside"),
        (str(secret), "lies beside"),
        ("..", "lies beside|can't be read"),
        ("a\x00.png", "can't be read"),
        ("direct.png", "no PNG"),
    ):
        (tmp_path / "prompt/examples/go-to-door").mkdir(parents=True, exist_ok=True)
        (tmp_path / "prompt/examples/go-to-door/direct.png").write_bytes(b"secret")
        pool = {"style": {"tile": 32}, "examples": [{**EXAMPLE, "picture": name}]}
        with pytest.raises(Exception, match=says) as caught:
            read(as_json(pool))
        assert type(caught.value).__name__ == "PromptError"


@FUZZ
@given(changed(Reply("text", usage=Usage(calls=1), cost_usd=0.5).to_json()) | anything)
def test_any_value_as_a_reply_of_the_journal(value: Any) -> None:
    found = returns_or_is_a_sentence(lambda: Reply.from_json(value))
    if isinstance(found, Reply):
        assert found.cost_usd is None or found.cost_usd >= 0
        assert found.usage + found.usage


def test_files_without_an_end_are_read_in_part(tmp_path: Path) -> None:
    zero = Path("/dev/zero")
    if not zero.exists():
        pytest.skip("no device without an end")
    for read in (
        lambda: calibrated(EXPERT, zero),
        lambda: Budget(ledger=zero),
        lambda: parse("train", TrainConfig, ["--config", str(zero), "--env", ENV], None),
        lambda: load_states(zero, [ENV]),
    ):
        assert "larger than" in str(returns_or_is_a_sentence(read)) or read is not None
    shutil.rmtree(tmp_path)
