"""From messages to a model's input tensors: chat template, pictures, left padding.

There are two. Qwen-VL's own (:class:`QwenEncoder`) does what its processor does, picture by picture
so that those seen before are not processed again, and works where torchvision is missing: there
``AutoProcessor`` fails, since Qwen's video processor needs it. Every other architecture goes
through its ``AutoProcessor`` (:class:`ProcessorEncoder`).
"""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lvlm2p.prompts import Message

_REMEMBERED = 512
"""Processed pictures kept: few-shot examples come again with every view."""


class InputEncoder(Protocol):
    """Makes input tensors of conversations."""

    tokenizer: Any

    def render(self, batch: Sequence[Sequence[Message]]) -> tuple[list[str], list[list[str]]]:
        """For each conversation, the text that the model reads, ready for its answer, and the
        pictures' data URLs."""
        ...

    def tensors(self, texts: Sequence[str], urls: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Input tensors for a batch, padded on the left."""
        ...


def open_encoder(folder: str, model: Any) -> InputEncoder:
    """The encoder for a loaded model."""
    if model.config.model_type.startswith(("qwen2_vl", "qwen2_5_vl", "qwen3_vl")):
        return QwenEncoder(folder, model)
    return ProcessorEncoder(folder)


class QwenEncoder:
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL, with or without torchvision."""

    def __init__(self, folder: str, model: Any) -> None:
        from transformers import AutoImageProcessor, AutoTokenizer

        from lvlm2p.teachers.models.local.qwen_patches import Patches, embed_by_product

        embed_by_product(model)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, padding_side="left", trust_remote_code=False
        )
        self.image_processor: Any = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, trust_remote_code=False
        )
        self.patches = Patches(self.image_processor)
        self.image_id = int(model.config.image_token_id)
        self.image_token = str(self.tokenizer.convert_ids_to_tokens(self.image_id))
        self.merged = int(model.config.vision_config.spatial_merge_size) ** 2
        self._seen: OrderedDict[str, tuple[Any, Any]] = OrderedDict()

    def render(self, batch: Sequence[Sequence[Message]]) -> tuple[list[str], list[list[str]]]:
        """See :class:`InputEncoder`. Each picture's place is as long as its tokens are many."""
        shown = [_with_image_parts(messages) for messages in batch]
        urls = [row for _, row in shown]
        self._process([url for row in urls for url in row])
        return [self._text(plain, row) for plain, row in shown], urls

    def _text(self, plain: list[Message], urls: list[str]) -> str:
        text: str = self.tokenizer.apply_chat_template(
            plain, tokenize=False, add_generation_prompt=True
        )
        first, *others = text.split(self.image_token)
        return first + "".join(
            self.image_token * (int(self._seen[url][1].prod()) // self.merged) + rest
            for url, rest in zip(urls, others, strict=True)
        )

    def tensors(self, texts: Sequence[str], urls: Sequence[Sequence[str]]) -> dict[str, Any]:
        """See :class:`InputEncoder`."""
        import torch

        encoded = self.tokenizer(
            list(texts), return_tensors="pt", padding=True, add_special_tokens=False
        )
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        inputs = {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": self.kinds(ids)}
        flat = [url for row in urls for url in row]
        if flat:
            inputs["pixel_values"] = torch.cat([self._seen[url][0] for url in flat])
            inputs["image_grid_thw"] = torch.stack([self._seen[url][1] for url in flat])
        return inputs

    def kinds(self, ids: Any) -> Any:
        """1 where a token stands for a part of a picture, else 0."""
        return (ids == self.image_id).int()

    def _process(self, urls: Sequence[str]) -> None:
        """Process the pictures that were not seen lately."""
        for url in urls:
            if url not in self._seen:
                self._seen[url] = self._processed(_open(url))
        for url in urls:
            self._seen.move_to_end(url)
        while len(self._seen) > max(_REMEMBERED, len(urls)):
            self._seen.popitem(last=False)

    def _processed(self, picture: Any) -> tuple[Any, Any]:
        """Pixel values (patches, values) and grid (3,) of one picture."""
        if self.patches.fits(*picture.size):
            return self.patches.of(np.asarray(picture))
        done = self.image_processor(images=[picture], return_tensors="pt")
        return done["pixel_values"], done["image_grid_thw"][0]


class ProcessorEncoder:
    """Any architecture whose ``AutoProcessor`` works here."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoProcessor

        self.processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, trust_remote_code=False
        )
        self.tokenizer: Any = self.processor.tokenizer
        self.tokenizer.padding_side = "left"

    def render(self, batch: Sequence[Sequence[Message]]) -> tuple[list[str], list[list[str]]]:
        """See :class:`InputEncoder`."""
        shown = [_with_image_parts(messages) for messages in batch]
        render = self.processor.apply_chat_template
        texts = [render(plain, tokenize=False, add_generation_prompt=True) for plain, _ in shown]
        return texts, [row for _, row in shown]

    def tensors(self, texts: Sequence[str], urls: Sequence[Sequence[str]]) -> dict[str, Any]:
        """See :class:`InputEncoder`."""
        pictures = [[_open(url) for url in row] for row in urls]
        arguments = {"images": pictures} if any(pictures) else {}
        return dict(
            self.processor(text=list(texts), **arguments, return_tensors="pt", padding=True)
        )


def _with_image_parts(messages: Sequence[Message]) -> tuple[list[Message], list[str]]:
    """Messages as chat templates want them, and the data URLs of their pictures in order."""
    plain: list[Message] = []
    urls: list[str] = []
    for message in messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        urls += [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        shown = [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
        plain.append({"role": message["role"], "content": shown})
    return plain, urls


def _open(url: str) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
