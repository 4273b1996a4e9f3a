"""A vision-language model, loaded into this process through transformers."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from lvlm2p.teachers.errors import TeacherNotReadyError
from lvlm2p.teachers.models.local.processor import InputEncoder, open_encoder


def content_digest(folder: Path) -> str:
    """Names a model's files by content, wherever they lie: their names and every byte of them.

    Raises:
        TeacherNotReadyError: a file can't be read.
    """
    digest = hashlib.sha256()
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file())
        paths = [path for path in found if path.suffix != ".md" and not path.name.startswith(".")]
        for path in paths:
            now = path.stat()
            content = _file_digest(path.resolve(), now.st_size, now.st_mtime_ns)
            digest.update(f"{path.name}\0".encode() + content)
    except OSError as error:
        raise TeacherNotReadyError(f"the model in {folder} can't be read: {error}") from error
    return digest.hexdigest()[:16]


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> bytes:
    """Every teacher of a process asks for it, and a large file takes seconds; ``size`` and
    ``mtime_ns`` are there to tell when it is another file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


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
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                model, dtype=dtype, trust_remote_code=False
            )
            self.encoder: InputEncoder = open_encoder(model, loaded)
            self.model: Any = loaded.to(self.device).eval()
            self.ends = _end_tokens(self.model, self.encoder.tokenizer)
            pad = self.encoder.tokenizer.pad_token_id
            self.pad = self.ends[0] if pad is None else int(pad)
        except Exception as error:  # whatever transformers meets in a folder of anyone's making
            raise TeacherNotReadyError(
                f"teacher {name!r}: the model {model} can't be loaded: {_why(error)}"
            ) from error
        # The folder's own sampling defaults would otherwise be merged into every call.
        self.model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            eos_token_id=self.ends, pad_token_id=self.pad, do_sample=False
        )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    ends = {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}
    return sorted(ends)


def _why(error: Exception) -> str:
    """What is wrong with a folder, and what mends it."""
    said, kind = _one_line(error), type(error).__name__
    if "trust_remote_code" in str(error):
        return "it wants Python code from its folder to be run, and such code is never run here"
    if kind == "SafetensorError":
        return f"its weights are damaged, half downloaded or a git-lfs pointer ({said})"
    if "ignore_mismatched_sizes" in said:
        return "its weights do not have the shapes that its config.json tells"
    if not isinstance(error, OSError | ValueError | ImportError):
        return f"{kind}: {said}"
    return f"{said}; name a folder or a hub id with -T model=..."


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
