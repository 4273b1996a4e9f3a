"""A vision-language model, loaded into this process through transformers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from teachers.chat.reading import Reader, open_reader
from teachers.errors import TeacherNotReadyError

_SAMPLE = 2**20
"""Bytes at either end of a file that name its content."""


def content_digest(folder: Path) -> str:
    """Names a model's files by content, wherever they lie: names, sizes, first and last MiB."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.suffix == ".md" or path.name.startswith("."):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


class LocalModel:
    """A loaded model. Not thread-safe: one caller at a time.

    On a GPU where there is one, in the precision that it was saved in; else on the CPU in float32.
    """

    def __init__(self, name: str, model: str) -> None:
        """``name``: the teacher's, for messages. ``model``: folder or hub id.

        Raises:
            TeacherNotReadyError: it can't be loaded; the sentence says why.
        """
        import torch
        from transformers import AutoModelForImageTextToText, GenerationConfig
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = "auto" if self.device.type == "cuda" else torch.float32
        try:
            loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)
            self.reader: Reader = open_reader(model, loaded)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise TeacherNotReadyError(
                f"teacher {name!r}: the model {model} can't be loaded: {_one_line(error)}; "
                "name a folder or a hub id with -T model=..."
            ) from error
        self.model: Any = loaded.to(self.device).eval()
        self.ends = _end_tokens(self.model, self.reader.tokenizer)
        pad = self.reader.tokenizer.pad_token_id
        self.pad = self.ends[0] if pad is None else int(pad)
        # The folder's own sampling defaults would otherwise be merged into every call.
        self.model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            eos_token_id=self.ends, pad_token_id=self.pad, do_sample=False
        )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    ends = {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}
    return sorted(ends)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
