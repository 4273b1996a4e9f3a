"""Make small random Qwen-VL checkpoints: real serving code is tested without a download.

Usage: python tools/vllm_cpu/random_checkpoint.py qwen3-vl FOLDER [--seed 0]

The folder loads in vLLM (`vllm serve FOLDER`) and in transformers (AutoTokenizer,
AutoImageProcessor, AutoModelForImageTextToText). It knows nothing: what it says is noise, held in
shape by a grammar.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("qwen3-vl", "qwen2.5-vl")
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Sizes that vLLM's CPU attention supports: head_dim must be 32 or one of a few larger ones.
HEAD_DIM, HEADS, CONTEXT = 32, 2, 32768
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type in ("image", "image_url") -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif "text" in part -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""


def make_checkpoint(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a random checkpoint of `family` into `folder`; the same seed gives the same weights."""
    tokenizer = _tokenizer()
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(family, vocabulary)
        _make_talkative(model, vocabulary)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_config())
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    for kind, config in _processor_configs(family).items():
        _write(folder / f"{kind}.json", config)
    return folder


def _tokenizer() -> Tokenizer:
    """Byte-level BPE, hence any text can be said, with merges for the words our prompts use."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [p.read_text() for p in sorted((ROOT / "prompts").rglob("*.md"))] or ["left right"]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _model(family: str, vocabulary: dict[str, int]) -> PreTrainedModel:
    text: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": HEADS * HEAD_DIM,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.1,
        "bos_token_id": None,
        "eos_token_id": vocabulary["<|im_end|>"],
        "pad_token_id": vocabulary["<|endoftext|>"],
        # The sections (time, height, width) sum to head_dim / 2.
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 4, 4]},
    }
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "out_hidden_size": HEADS * HEAD_DIM,
        "initializer_range": 0.1,
    }
    shared: dict[str, Any] = {
        "image_token_id": vocabulary["<|image_pad|>"],
        "video_token_id": vocabulary["<|video_pad|>"],
        "vision_start_token_id": vocabulary["<|vision_start|>"],
        "vision_end_token_id": vocabulary["<|vision_end|>"],
        "tie_word_embeddings": False,
    }
    if family == "qwen3-vl":
        text |= {"head_dim": HEAD_DIM, "mrope_interleaved": True}
        text["rope_parameters"]["mrope_interleaved"] = True
        vision |= {"num_position_embeddings": 256, "deepstack_visual_indexes": [0]}
        three = Qwen3VLConfig(text_config=text, vision_config=vision, **shared)
        return Qwen3VLForConditionalGeneration(three)  # type: ignore[no-untyped-call]
    if family == "qwen2.5-vl":
        vision |= {"fullatt_block_indexes": [1]}
        two = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **shared)
        return Qwen2_5_VLForConditionalGeneration(two)  # type: ignore[no-untyped-call]
    raise SystemExit(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")


@torch.no_grad()
def _make_talkative(model: PreTrainedModel, vocabulary: dict[str, int]) -> None:
    """Give answers a shape: a model of pure noise under a grammar writes until its limit.

    One residual dimension is the same after every text token, another marks a line break, which
    is what an answer begins after. Through the first the output layer prefers what closes
    something and short numbers, so that now and then some add up to 1; through the second an
    answer's first token is a capital letter, if nothing else is asked for. The other dimensions
    keep answers dependent on what is asked.
    """
    embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
    assert isinstance(embedding, torch.Tensor) and isinstance(head, torch.Tensor)
    embedding.normal_()
    embedding[:, 0] = 4.0
    embedding[:, 1] = 0.0
    embedding[vocabulary["\u010a"], 1] = 4.0  # how byte-level tokenizers write a line break
    head.normal_(std=0.3)
    head[:, :2] = 0.0
    for tokens, liking in (('"}],', 4.0), ("0", 2.3), ("1", 2.1), ("-", -3.0)):
        for token in tokens:
            head[vocabulary[token]] *= 0.3  # its liking, not noise, decides
            head[vocabulary[token], 0] = liking
    head[vocabulary["<|im_end|>"], 0] = 1.0
    for letters, liking in (("ABC", 7.0), ("DEFG", 6.0)):  # some tasks have three actions
        for letter in letters:
            head[vocabulary[letter], 1] = liking


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
        "extra_special_tokens": list(SPECIAL_TOKENS),
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }


def _processor_configs(family: str) -> dict[str, dict[str, Any]]:
    three = family == "qwen3-vl"
    patches = {
        "patch_size": 16 if three else 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 320 * 320},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor" if three else "Qwen2_5_VLProcessor",
    }
    video = "Qwen3VLVideoProcessor" if three else "Qwen2VLVideoProcessor"
    return {
        "preprocessor_config": {**patches, "image_processor_type": "Qwen2VLImageProcessor"},
        "video_preprocessor_config": {**patches, "video_processor_type": video},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(make_checkpoint(arguments.family, arguments.folder, arguments.seed))


if __name__ == "__main__":
    main()
