"""The tiny model's tokenizer: bytes, and the words and sentences of its own small world on top.

A byte-level BPE without merges: a piece of text that is in the vocabulary as a whole is one token,
everything else falls back to bytes, so any text can be encoded and decoded exactly. Fragments of
the JSON answers (``{"agent_row":``) and the fixed sentences of the prompt are single tokens: short
answers are fast answers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END, IMAGE, VIDEO = (
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SPECIAL = (PAD, START, END, VISION_START, VISION_END, IMAGE, VIDEO)

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
DIRECTIONS = ("right", "down", "left", "up")
TASKS = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")
ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
ANALYSIS, STATED, CHOICE, LETTER = (
    "Describe the scene.",
    "Give each action a probability.",
    "Choose one action.",
    "Answer with one letter.",
)
"""The prompt's last sentence of a turn; the prompt files in ``prompts/`` say the same."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for item in message['content'] -%}"
    "{%- if item['type'] in ('image', 'image_url') -%}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif 'text' in item -%}{{ item['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def pieces() -> list[str]:
    """Every text that is one token, longest first (as the splitting pattern needs them)."""
    letters = "ABCDEFG"
    texts = ["user\n", "assistant\n", "system\n"]
    texts += ["Task: ", "\nActions: ", "\nMission: ", "\nCarrying: ", *TASKS]
    texts += [ANALYSIS, STATED, CHOICE, LETTER]
    for position, letter in enumerate(letters):
        texts += [f"{', ' if position else ''}{letter} {action}" for action in ACTIONS]
    texts += ["go to the", "get a", "go get a", "fetch a", "go fetch a", "you must fetch a"]
    texts += [
        "get to the green goal square",
        "avoid the lava and get to the green goal square",
        "find the opening and get to the green goal square",
    ]
    texts += [" " + colour for colour in COLOURS] + [" door", " key", " ball", " box"]
    texts += ['{"agent_row":', ',"agent_column":', ',"agent_direction":"', '","target_row":']
    texts += [',"target_column":', ',"ahead":"', '"}', '{"action":"']
    texts += ["empty", "wall", "lava", "goal", *DIRECTIONS]
    texts += [f"{colour} {kind}" for colour in COLOURS for kind in ("door", "key", "ball", "box")]
    for action in ACTIONS:
        texts += [action, f'{{"{action}":', f',"{action}":']
    texts += [json.dumps(i / 100) for i in range(101)] + [str(i) for i in range(25)]
    unique = dict.fromkeys(texts)
    return sorted(unique, key=lambda text: (-len(text), text))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; the same every time."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    whole = pieces()
    written = [byte_level.pre_tokenize_str(text)[0][0] for text in whole]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*alphabet, *written]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    pattern = "|".join(re.escape(text).replace("\\\n", "\\n") for text in whole if len(text) > 1)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START, VISION_START, VISION_END, IMAGE, VIDEO],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=8192,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
