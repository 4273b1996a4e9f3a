"""Which Qwen-VL fits this GPU; asked of nvidia-smi, so that torch need not be imported."""

from __future__ import annotations

import os
import shutil
import subprocess

from lvlm2p.teachers.errors import TeacherNotReadyError

MODELS_BY_MEMORY: tuple[tuple[float, str], ...] = (
    (92, "Qwen/Qwen3-VL-32B-Instruct"),
    (76, "Qwen/Qwen3-VL-30B-A3B-Instruct"),
    (22, "Qwen/Qwen3-VL-8B-Instruct"),
    (14, "Qwen/Qwen3-VL-4B-Instruct"),
    (0, "Qwen/Qwen3-VL-2B-Instruct"),
)
"""Least memory in GB -> model: 2 bytes a parameter, and room for images and few-shot prompts."""


def default_model(memory_gb: float | None, on_gpu: bool) -> str:
    """The largest current instruct model for a GPU of this size; the smallest without one.

    Raises:
        TeacherNotReadyError: there is a GPU, but its memory is not known.
    """
    if on_gpu and memory_gb is None:
        raise TeacherNotReadyError(
            "nvidia-smi does not tell this GPU's memory, so name a model: "
            "--model Qwen/Qwen3-VL-8B-Instruct takes about 22 GB"
        )
    return next(name for least, name in MODELS_BY_MEMORY if (memory_gb or 0) >= least)


def gpu_memory_gb() -> float | None:
    """Memory of the smallest visible NVIDIA GPU, or None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = None if visible is None else {name.strip() for name in visible.split(",")}
    sizes = []
    for line in answer.stdout.splitlines():
        index, uuid, mebibytes = (cell.strip() for cell in line.split(","))
        if mebibytes.isdigit() and (chosen is None or chosen & {index, uuid}):
            sizes.append(int(mebibytes) * 2**20 / 1e9)
    return min(sizes, default=None)
