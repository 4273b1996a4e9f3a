"""Interviews a round at a time, for `--engine ray-vllm`: the same answers as in one go."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pytest
from PIL import Image

from lvlm2p.teachers import ConfigError, Failure, Label
from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.labelling import ray_actors as ray_engine
from lvlm2p.teachers.labelling.batches import (
    ERROR,
    OpenQuestion,
    WithReply,
    engine_options,
    interviewer,
    pictures_apart,
    served_name,
    sort_out,
)
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.states import row_of
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.parts import Parts
from lvlm2p.teachers.models.hosted.teacher import ChatTeacher
from lvlm2p.teachers.models.messages import Reply
from tests.support.chat import ANALYSIS, CHOICE, STATED, some_views

DOOR = "MiniGrid-GoToDoor-6x6-v0"


class Configure(Protocol):
    def __call__(self, *, args: dict[str, str] = ..., **options: Any) -> LabelConfig: ...


@pytest.fixture
def config(tmp_path: Path) -> Configure:
    """Options of `lvlm2p label` for a model whose folder says how it is best sampled."""
    how = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "eos_token_id": 1}
    (tmp_path / "generation_config.json").write_text(json.dumps(how))

    def configure(*, args: dict[str, str] = {}, **options: Any) -> LabelConfig:  # noqa: B006
        made = {"teacher": "qwen-vl-local", "env": DOOR, "engine": "ray-vllm", **options}
        return LabelConfig(teacher_args={"model": str(tmp_path), **args}, **made)

    return configure


def rounds(asking: LabelConfig, replies: list[dict[str, Any]]) -> tuple[Label | Failure, list[Any]]:
    """The answer about one state whose model says ``replies``, and what it was asked."""
    question, read = OpenQuestion(asking), WithReply(asking)
    row: dict[str, Any] = {**row_of(some_views(1)[0]), "replies": "[]"}
    asked = []
    for reply in replies:
        asked.append(question(row))
        said = {"num_input_tokens": 100, "num_generated_tokens": 10, ERROR: "", **reply}
        row = {**read({**row, **said}), ERROR: said[ERROR]}
        still_open, _, answers = sort_out(question.teacher, [row])
        if answers:
            return answers[0], asked
        (row,) = still_open
    raise AssertionError("the interview goes on")


def at_once(teacher: ChatTeacher, texts: list[str]) -> Label | Failure:
    """The same interview without rows and rounds."""
    interview = teacher.interview(some_views(1)[0]).run()
    next(interview)
    usage = Usage(calls=1, prompt_tokens=100, completion_tokens=10)
    for text in texts:
        reply = Reply(text, model=served_name(teacher), usage=usage, cost_usd=0.0)
        try:
            interview.send([reply])
        except StopIteration as end:
            answer: Label | Failure = end.value
            return answer
    raise AssertionError("the interview goes on")


@pytest.mark.parametrize(
    ("elicit", "texts"),
    [
        ("stated", [ANALYSIS, STATED]),
        ("stated", ["I see a door.", ANALYSIS, "up, I think", STATED]),
        ("choice", [ANALYSIS, CHOICE]),
        ("choice", ["no", "no"]),
    ],
)
def test_the_answer_is_that_of_an_interview_in_one_go(
    config: Configure, elicit: str, texts: list[str]
) -> None:
    asking = config(elicit=elicit)
    answer, asked = rounds(asking, [{"generated_text": text} for text in texts])
    expected = at_once(interviewer(asking), texts)
    assert answer.model_dump(exclude={"created"}) == expected.model_dump(exclude={"created"})
    assert len(asked) == len(texts) == answer.usage.calls
    assert isinstance(answer, Failure) == (texts == ["no", "no"])


def test_what_fails_in_the_engine_is_a_failure_and_can_be_asked_again(config: Configure) -> None:
    answer, _ = rounds(config(), [{"generated_text": "", ERROR: "ValueError: prompt too long"}])
    assert isinstance(answer, Failure) and answer.failure == "unavailable"
    assert "prompt too long" in answer.message and not answer.lasting


def test_what_was_cut_off_is_no_label(config: Configure) -> None:
    asking = config(args={"max_tokens": "10"})
    answer, _ = rounds(asking, [{"generated_text": ANALYSIS}])
    assert isinstance(answer, Failure) and answer.failure == "truncated"


def test_pictures_go_beside_the_text_in_their_order(config: Configure) -> None:
    asking = config(shots=2)
    (view,) = some_views(1)
    teacher = interviewer(asking)
    (request,) = next(teacher.interview(view).run())
    messages, images = pictures_apart(request.messages)
    urls = [
        part["image_url"]["url"]
        for message in request.messages
        for part in message["content"]
        if isinstance(part, dict) and part["type"] == "image_url"
    ]
    assert len(images) == len(urls) == 3
    assert all(isinstance(image, Image.Image) for image in images)
    style = teacher.prompted(view.task)[0].style
    assert np.array_equal(np.asarray(images[-1]), view.image(style))
    assert base64.b64decode(urls[-1].partition(",")[2]) == view.png(style)
    marks = json.dumps(messages).count('{"type": "image"}')
    assert marks == 3 and "base64" not in json.dumps(messages)
    assert [m["role"] for m in messages] == [m["role"] for m in request.messages]


def test_sampling_is_the_teachers_and_else_the_models_own(config: Configure) -> None:
    replies = [{"generated_text": text} for text in (ANALYSIS, STATED)]
    _, asked = rounds(config(), replies)
    first, second = (question["sampling_params"] for question in asked)
    own = {"temperature": 0.0, "top_p": 0.8, "top_k": 20, "max_tokens": 512}
    assert {name: first[name] for name in own} == own and len(first) == len(own) + 1
    grammars = [json.loads(q["structured_outputs"]["json"]) for q in (first, second)]
    assert "agent_row" in grammars[0]["properties"] and "forward" in grammars[1]["properties"]
    _, asked = rounds(config(args={"temperature": "0.4"}), replies)
    assert asked[0]["sampling_params"]["temperature"] == 0.4


class FakeRay(ModuleType):
    """What of Ray and vLLM interviews go through. ``says``: what comes of a row's question after
    so many earlier ones."""

    vLLMEngineProcessorConfig = staticmethod(lambda **options: options)

    def __init__(self, says: Callable[[int], Iterator[str]]) -> None:
        super().__init__("ray.data.llm")
        self.says = says

    def build_processor(self, _: object, preprocess: Any, postprocess: Any) -> Any:
        def reply(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
            question = preprocess(row)
            for text in self.says(len(json.loads(row["replies"]))):
                said = {"generated_text": text, "num_input_tokens": 9, "num_generated_tokens": 9}
                yield {**postprocess({**row, **question, **said}), ERROR: ""}

        return lambda rows: Batches([answer for row in rows for answer in reply(row)])


class Batches(list[dict[str, Any]]):
    """Rows as Ray Data hands them on."""

    def iter_batches(self, batch_size: int, batch_format: str) -> Iterator[Batches]:
        yield self

    def to_pylist(self) -> list[dict[str, Any]]:
        return self


@pytest.fixture
def label_all(
    config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[dict[str, Any]]]:
    """Labels three states through a FakeRay, and returns the rows that were written."""

    def label(says: Callable[[int], Iterator[str]], **args: str) -> list[dict[str, Any]]:
        for name in ("ray", "ray.data"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, "ray.data.llm", FakeRay(says))
        monkeypatch.setattr(ray_engine, "_dataset", lambda rows, _: rows)
        out = str(tmp_path / "out")
        states = Batches(row_of(view) for view in some_views(3))
        asking = config(args=args, elicit="choice", out=out)
        counts, errors = ray_engine._with_vllm(asking, states, 3, Parts(out))
        rows = list(read_rows(tmp_path / "out"))
        assert counts.asked == len(rows) and not errors
        return rows

    return label


@pytest.mark.parametrize("reask", [0, 1, 2, 3])
def test_every_state_is_asked_as_often_as_the_options_say(
    label_all: Callable[..., list[dict[str, Any]]], reask: int
) -> None:
    def says(asked: int) -> Iterator[str]:
        turn, again = divmod(asked, 1 + reask)
        yield (ANALYSIS, CHOICE)[turn] if again == reask else "no"

    rows = label_all(says, reask=str(reask))
    assert [row["kind"] for row in rows] == 3 * ["label"]
    assert {row["calls"] for row in rows} == {2 * (1 + reask)}


def test_a_row_that_ray_loses_is_a_failure(
    label_all: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = label_all(lambda asked: iter(()))
    assert [row["failure"] for row in rows] == 3 * ["unavailable"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pydantic's, in Ray's own classes
def test_ray_knows_every_option_of_the_engine() -> None:
    """Ray refuses fields that it does not know; no cluster and no vLLM is needed to ask."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.data.llm import PrepareMultimodalStageConfig, vLLMEngineProcessorConfig
    from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMOutputData

    found = vLLMEngineProcessorConfig(**engine_options("org/some-vl", 3))
    assert found.concurrency == (3, 3) and found.should_continue_on_error
    assert not PrepareMultimodalStageConfig(**found.prepare_multimodal_stage).enabled
    read = {"generated_text", "num_input_tokens", "num_generated_tokens"}
    assert read <= set(vLLMOutputData.model_fields)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"teacher": "gemini"}, "goes with --teacher qwen-vl-local"),
        ({"elicit": "logprobs"}, "can't elicit logprobs: use --engine ray"),
        ({"args": {"model": ""}}, "needs -T model="),
    ],
)
def test_options_that_it_can_not_take(
    config: Configure, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        interviewer(config(**options))
