"""Models in this process that are no Qwen-VL: a random LLaVA, read through its AutoProcessor."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Failure, Label, load_teacher
from lvlm2p.teachers.models.local.checkpoint import LocalModel
from lvlm2p.teachers.models.local.generation import Session
from lvlm2p.teachers.models.local.processor import ProcessorEncoder
from tests.support.chat import first_requests, some_views
from tools.vllm_cpu import random_checkpoint

TEMPLATE = """\
{%- for message in messages %}<|im_start|>{{ message.role }}
{% for part in message.content %}\
{{ "<|image_pad|>" if part.type == "image" else part.text }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import (
        AutoTokenizer,
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = tmp_path_factory.mktemp("words")
    random_checkpoint.make_checkpoint("qwen3-vl", words)
    tokenizer: Any = AutoTokenizer.from_pretrained(words)
    path = tmp_path_factory.mktemp("llava")
    size: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
        **size,
    )
    vision = CLIPVisionConfig(image_size=64, patch_size=16, num_hidden_layers=2, **size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = LlavaForConditionalGeneration(
            LlavaConfig(text_config=text, vision_config=vision, image_token_index=pad)
        )
    model.save_pretrained(path)
    make_processor: Any = LlavaProcessor
    make_processor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=64),
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<|image_pad|>",
        chat_template=TEMPLATE,
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalModel:
    return LocalModel("qwen-vl-hf", str(folder))


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [*some_views(2), *some_views(1, "MiniGrid-GoToDoor-8x8-v0")]


def test_its_own_processor_reads_for_it(local: LocalModel, views: list[View]) -> None:
    encoder = local.encoder
    assert isinstance(encoder, ProcessorEncoder)
    texts, urls = encoder.render([request.messages for request in first_requests(views)])
    assert all(text.endswith("<|im_start|>assistant\n") for text in texts)
    assert all(
        text.count("<|image_pad|>") == len(row) == 2 for text, row in zip(texts, urls, strict=True)
    )
    inputs = encoder.tensors(texts, urls)
    pad = local.model.config.image_token_id
    assert (inputs["input_ids"] == pad).sum(1).tolist() == [2 * 16] * 3, "16 patches a picture"
    assert inputs["pixel_values"].shape[0] == 6
    assert inputs["attention_mask"][:, -1].all(), "padded on the left"


def test_a_batch_says_what_each_row_says_alone(local: LocalModel, views: list[View]) -> None:
    asked = first_requests(views)
    together = Session(local).replies(asked, [0] * len(asked), 6, 0.0)
    for request, reply in zip(asked, together, strict=True):
        (alone,) = Session(local).replies([request], [0], 6, 0.0)
        assert alone.text == reply.text and alone.usage == reply.usage
    assert len({reply.text for reply in together}) > 1, "the picture and the words matter"


def test_candidates_of_several_tokens_are_scored_as_if_written(
    local: LocalModel, views: list[View]
) -> None:
    import torch

    (request,) = first_requests(views[:1], letters=("qxzj", "A"))
    (reply,) = Session(local).replies([request], [0], 8, 0.0)
    tokenizer = local.encoder.tokenizer
    (text,), urls = local.encoder.render([request.messages])
    for word in ("qxzj", "A"):
        score, written = 0.0, text
        for token in tokenizer.encode(word, add_special_tokens=False):
            with torch.inference_mode():
                logits = local.model(**local.encoder.tensors([written], urls)).logits[0, -1]
            score += float(logits.float().log_softmax(-1)[token])
            written += tokenizer.decode([token])
        assert reply.alternatives[word] == pytest.approx(math.exp(score), rel=1e-3)


@pytest.mark.parametrize("elicit", ["logprobs", "stated"])
def test_the_teacher_answers_or_fails_by_type(folder: Path, views: list[View], elicit: str) -> None:
    options = {
        "model": str(folder),
        "elicit": elicit,
        "prompt": "two-turn",
        "shots": 1,
        "max_tokens": 6,
    }
    teacher = load_teacher("qwen-vl-hf", options=options)
    answers = teacher.label(views)
    assert all(isinstance(answer, Label | Failure) for answer in answers)
    assert teacher.counts.asked == 3 and teacher.counts.cost_usd == 0.0
    assert all(answer.usage.prompt_tokens > 0 for answer in answers)
