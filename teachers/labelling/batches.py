"""Interviews a round at a time, as rows of data: what ``--engine ray-vllm`` asks and reads.

A row is a state and the replies so far. The interview is played again from them each time, so
that rows can travel between machines, and whatever conducts them need not know what is asked.
Nothing in here needs Ray or vLLM.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import MalformedDataError, parse_json, read_json
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer, Failure, Label
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.states import STATE_COLUMNS, row_of, views_of

if TYPE_CHECKING:
    from lvlm2p.envs import View
    from lvlm2p.teachers.models.hosted.teacher import ChatTeacher

GENERATION = "generation_config.json"

LONGEST_REPLIES = 2**27
"""Characters of the replies to one state, which are JSON of our own."""

MAX_IMAGES = 32
"""ray-vllm: pictures in one prompt at most."""

ERROR = "__inference_error__"
"""ray-vllm: the column in which Ray says why a row has no answer; empty: it has one."""


def engine_options(model: str, workers: int) -> dict[str, Any]:
    """Of ``vLLMEngineProcessorConfig``; the engine is the one that `lvlm2p serve` starts."""
    return {
        "model_source": model,
        "engine_kwargs": {
            "max_model_len": 16_384,
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"image": MAX_IMAGES, "video": 0},
            "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        },
        "concurrency": (workers, workers),
        "batch_size": 64,
        "log_engine_metrics": False,
        "should_continue_on_error": True,  # a question that fails is a row, not the end
        "prepare_multimodal_stage": {"enabled": False},  # see pictures_apart
        "chat_template_stage": {"enabled": True},
        # With pictures in it, only the engine can turn a prompt into tokens.
        "tokenize_stage": {"enabled": False},
        "detokenize_stage": {"enabled": False},
    }


def interviewer(config: LabelConfig) -> ChatTeacher:
    """The teacher whose interviews are conducted; it is never asked itself."""
    from lvlm2p.teachers.models.hosted.teacher import ChatTeacher
    from lvlm2p.teachers.registry import load_teacher

    if config.teacher != "qwen-vl-local":
        raise ConfigError("--engine ray-vllm goes with --teacher qwen-vl-local")
    teacher = load_teacher(config.teacher, options=config.options_of(config.teacher))
    if not isinstance(teacher, ChatTeacher):
        raise ConfigError(f"--engine ray-vllm can't elicit {config.elicit}: use --engine ray")
    if teacher.elicitation.sampled or teacher.elicitation.answer_format.by_letter:
        raise ConfigError(
            f"--engine ray-vllm asks for one text a question, and so can't elicit "
            f"{teacher.elicitation.name}: use --engine ray"
        )
    if not teacher.options.model:
        raise ConfigError("--engine ray-vllm needs -T model=<hub id or folder>")
    return teacher


def served_name(teacher: ChatTeacher) -> str:
    """The model as vLLM names it."""
    return teacher.model.removeprefix(teacher.provider.prefix)


def _continue(teacher: ChatTeacher, row: Mapping[str, Any]) -> Any:
    """The open request of a state's interview, or its Answer: played again from its replies."""
    from lvlm2p.teachers.models.messages import Reply

    (view,) = views_of([row])
    rounds = teacher.interview(view).run()
    try:
        requests = next(rounds)
        for reply in parse_json(row["replies"], LONGEST_REPLIES):
            requests = rounds.send([Reply.from_json(reply)])
    except StopIteration as end:
        return end.value
    (request,) = requests
    return request


class _OnNode:
    """Has the teacher by whose rules it reads, made anew on every node."""

    def __init__(self, config: LabelConfig) -> None:
        self.config = config

    @cached_property
    def teacher(self) -> ChatTeacher:
        """See above."""
        return interviewer(self.config)


class OpenQuestion(_OnNode):
    """Turns a row into what vLLM is asked."""

    @cached_property
    def sampling(self) -> dict[str, Any]:
        """What holds for every question. Like vLLM's server, this goes by the model's own
        ``generation_config.json`` in all that the teacher leaves open."""
        chosen = _recommended(served_name(self.teacher))
        if self.teacher.temperature is not None:
            chosen["temperature"] = self.teacher.temperature
        return {**chosen, "max_tokens": self.teacher.max_tokens}

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """``messages``, ``multimodal_data`` and ``sampling_params``, as Ray wants them."""
        request = _continue(self.teacher, row)
        sampling = dict(self.sampling)
        if request.schema is not None:
            # As text: in a column of structs every schema would get the fields of all others.
            grammar = json.dumps(request.schema.model_json_schema())
            sampling["structured_outputs"] = {"json": grammar}
        messages, images = pictures_apart(request.messages)
        pictures = {"multimodal_data": {"image": images}} if images else {}
        return {"messages": messages, "sampling_params": sampling, **pictures}


def _recommended(model: str) -> dict[str, Any]:
    """How the model's makers say that it is best sampled; empty where they say nothing."""
    path = Path(model) / GENERATION
    if not path.parent.is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = Path(hf_hub_download(model, GENERATION))
        except EntryNotFoundError:
            return {}
    try:
        said = read_json(path) if path.exists() else {}
        if not isinstance(said, dict):
            raise MalformedDataError("it is no mapping")
    except (OSError, MalformedDataError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    names = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p")
    return {name: said[name] for name in names if said.get(name) is not None}


def pictures_apart(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Messages with a mark in each picture's place, and the pictures, in their order.

    Ray's own stage for this is bound to one release of vLLM, and joins texts and pictures in an
    order of its own.
    """
    from PIL import Image

    said: list[dict[str, Any]] = []
    images: list[Any] = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            parts = []
            for part in content:
                if part["type"] == "image_url":
                    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                    images.append(Image.open(io.BytesIO(data)).convert("RGB"))
                    parts.append({"type": "image"})
                else:
                    parts.append({"type": "text", "text": part["text"]})
            content = parts
        said.append({"role": message["role"], "content": content})
    return said, images


class WithReply(_OnNode):
    """Adds the model's reply to those that the row has."""

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row without what only this round needed."""
        from lvlm2p.teachers.label import Usage
        from lvlm2p.teachers.models.messages import Reply

        tokens = row["num_generated_tokens"]
        reply = Reply(
            row["generated_text"],
            # vLLM's reason is not passed on; a text as long as allowed was cut off.
            finish="length" if tokens >= self.teacher.max_tokens else "stop",
            model=served_name(self.teacher),
            usage=Usage(calls=1, prompt_tokens=row["num_input_tokens"], completion_tokens=tokens),
            cost_usd=0.0,
        )
        so_far = parse_json(row["replies"], LONGEST_REPLIES)
        replies = json.dumps([*so_far, reply.to_json()])
        return {**{name: row[name] for name in STATE_COLUMNS}, "replies": replies}


def sort_out(
    teacher: ChatTeacher, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[View], list[Answer]]:
    """Rows whose interviews go on, and the views and answers of those that have ended."""
    still_open: list[dict[str, Any]] = []
    views: list[View] = []
    answers: list[Answer] = []
    for row in rows:
        (view,) = views_of([row])
        if row[ERROR]:
            answer = teacher.interview(view).failure("unavailable", f"vLLM: {row[ERROR]}"[:500])
        else:
            answer = _continue(teacher, row)
        if isinstance(answer, Label | Failure):
            views.append(view)
            answers.append(answer)
        else:
            still_open.append({name: row[name] for name in (*STATE_COLUMNS, "replies")})
    return still_open, views, answers


def conduct(
    teacher: ChatTeacher,
    views: Sequence[View],
    ask: Callable[[list[dict[str, Any]]], Iterable[list[dict[str, Any]]]],
) -> Iterator[tuple[list[View], list[Answer]]]:
    """Interview about all ``views``, which are distinct; each gets one answer, batch by batch.

    Args:
        ask: puts the open question of every row to the model; the rows come back in batches, with
            its replies.
    """
    waiting = {view.key: view for view in views}
    rows = [{**row_of(view), "replies": "[]"} for view in views]
    for _ in range(_most_rounds(teacher, views)):
        if not rows:
            break
        batches, rows = ask(rows), []
        for batch in batches:
            still_open, ended, answers = sort_out(teacher, batch)
            rows += still_open
            for view in ended:
                waiting.pop(view.key, None)
            yield ended, answers
    if waiting:  # never by our rules: a row was lost on its way
        lost = list(waiting.values())
        why = "vLLM: the question came back without an answer, or not at all"
        yield lost, [teacher.interview(view).failure("unavailable", why) for view in lost]


def _most_rounds(teacher: ChatTeacher, views: Sequence[View]) -> int:
    """Every question of an interview, asked again as often as the teacher does."""
    tasks = {view.task for view in views}
    questions = max((len(teacher.prompted(task)[0].questions) for task in tasks), default=0)
    return questions * (1 + teacher.options.reask)
