"""Start vLLM for the teacher ``qwen-vl-local``, wait until it answers, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lvlm2p.teachers.errors import ConfigError, TeacherError, TeacherNotReadyError
from lvlm2p.teachers.serving.gpu import default_model, gpu_memory_gb
from lvlm2p.teachers.serving.process import launch, stop_group, tail
from lvlm2p.teachers.terminal import console

HOST = "127.0.0.1"
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class ServeConfig(BaseModel):
    """Options of ``lvlm2p serve``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    teacher: Annotated[Literal["qwen-vl-local", "tiny-vl"], tyro.conf.Positional] = "qwen-vl-local"
    """What to serve for --teacher qwen-vl-local: a model of your choice, or the small one that
    ships with this package."""

    model: str | None = None
    """Folder or hub id of a vision-language model; None: the largest Qwen3-VL for this GPU."""

    port: int = Field(default=8000, ge=1, le=65535)
    """Port on 127.0.0.1."""

    vllm: Path | None = None
    """The vllm executable; None: the one on PATH, else .venv-vllm/bin/vllm."""

    device: Literal["auto", "gpu", "cpu"] = "auto"
    """auto: the GPU if nvidia-smi shows one."""

    images: int = Field(default=32, ge=1)
    """Most images in one request: one for each few-shot example and one for the question."""

    max_model_len: int | None = Field(default=None, ge=1)
    """Most tokens in a prompt and its answer; None: 16384 on a GPU, 8192 on a CPU."""

    gpu_memory: float = Field(default=0.9, gt=0, le=1)
    """Share of the GPU's memory that vLLM may take."""

    vllm_args: str = ""
    """Further flags for vLLM, as one string: --vllm-args="--tensor-parallel-size 2"."""

    log: Path | None = None
    """File for what vLLM prints; None: serve-PORT.log in the user's cache folder."""

    timeout_s: float = Field(default=600, gt=0)
    """Longest wait until the server is healthy; the first start downloads the model."""

    @model_validator(mode="after")
    def _one_model(self) -> ServeConfig:
        if self.teacher == "tiny-vl" and self.model is not None:
            raise ValueError("tiny-vl is a model: leave out --model, or serve qwen-vl-local")
        return self

    @field_validator("vllm_args")
    @classmethod
    def _readable(cls, value: str) -> str:
        shlex.split(value)  # an open quote is a ValueError
        return value


@dataclass(frozen=True)
class Server:
    """A vLLM that is up. Leaving the ``with`` block stops it and all its children."""

    process: subprocess.Popen[bytes]
    model: str
    api_base: str
    log: Path

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns when the whole process group is gone."""
        stop_group(self.process)


def serve(config: ServeConfig) -> int:
    """Run the server until Ctrl-C or SIGTERM; the value is the exit code."""
    ready = False
    with _stop_signals(), contextlib.suppress(KeyboardInterrupt), start(config) as server:
        ready = True
        print(f"{server.model} answers at {server.api_base}; Ctrl-C stops it", flush=True)
        code = server.process.wait()
        raise TeacherError(f"vLLM stopped by itself {_exit_and_log(code, server.log)}")
    return 0 if ready else 130


def start(config: ServeConfig) -> Server:
    """Start vLLM and wait until it is healthy.

    Raises:
        TeacherNotReadyError: vLLM is not installed, or no model was named and none is known to fit.
        ConfigError: the port is taken or the log can't be written.
        TeacherError: vLLM died or was not healthy in time.
    """
    executable = find_vllm(config.vllm)
    memory = gpu_memory_gb() if config.device != "cpu" else None
    on_gpu = config.device == "gpu" or memory is not None
    model = config.model or _shipped(config) or default_model(memory, on_gpu)
    _check_port(config.port)
    log = config.log or _cache_folder() / f"serve-{config.port}.log"
    process = launch(
        _command(config, executable, model, on_gpu), _environment(executable, model, on_gpu), log
    )
    try:
        _wait(process, config, model, log)
    except BaseException:
        stop_group(process)
        raise
    return Server(process, model, f"http://{HOST}:{config.port}/v1", log)


def find_vllm(flag: Path | None = None) -> Path:
    """The vllm executable: ``flag``, else on PATH, else in ``.venv-vllm`` here or by the project.

    Raises:
        TeacherNotReadyError: there is none; the sentence says how to install it.
    """
    install = "python3 -m venv .venv-vllm && .venv-vllm/bin/pip install vllm"
    if flag is not None:
        if flag.is_file() and os.access(flag, os.X_OK):
            return flag.absolute()
        raise TeacherNotReadyError(f"--vllm {flag} is not an executable; to install it: {install}")
    found = shutil.which("vllm")
    beside = [Path.cwd(), Path(__file__).resolve().parents[2]]
    candidates = [Path(found)] if found else []
    candidates += [folder / ".venv-vllm" / "bin" / "vllm" for folder in beside]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise TeacherNotReadyError(
        f"vLLM is not installed (neither on PATH nor in .venv-vllm/); to install it: {install}"
    )


def _command(config: ServeConfig, executable: Path, model: str, on_gpu: bool) -> list[str]:
    length = config.max_model_len or (16384 if on_gpu else 8192)
    flags: list[object] = ["--host", HOST, "--port", config.port, "--max-model-len", length]
    # Few-shot examples are the same in every request: their images and text are computed once.
    flags += ["--enable-prefix-caching"]
    flags += ["--limit-mm-per-prompt", json.dumps({"image": config.images, "video": 0})]
    # vLLM's default grammar lets raw control characters into JSON strings; guidance does not.
    grammar = {"backend": "guidance", "disable_any_whitespace": True}
    flags += ["--structured-outputs-config", json.dumps(grammar)]
    if on_gpu:
        flags += ["--gpu-memory-utilization", config.gpu_memory]
    else:
        # A split prefill of images fails on vLLM's CPU build: a batch holds two whole prompts.
        flags += ["--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill"]
        flags += ["--max-num-batched-tokens", 2 * length]
    if config.teacher == "tiny-vl":
        flags += ["--served-model-name", config.teacher]
    return [str(executable), "serve", model, *map(str, flags), *shlex.split(config.vllm_args)]


def _shipped(config: ServeConfig) -> str | None:
    """The folder of the model that ships with this package, where that is asked for."""
    folder = Path(__file__).parents[1] / "models" / "local" / "tiny_vl" / "checkpoint"
    return str(folder) if config.teacher == "tiny-vl" else None


def _environment(executable: Path, model: str, on_gpu: bool) -> dict[str, str]:
    # vLLM has a virtual environment of its own; ours must not leak into it.
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment["PATH"] = f"{executable.parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["VLLM_NO_USAGE_STATS"] = "1"
    if Path(model).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if not on_gpu:
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        environment["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        environment["TORCHDYNAMO_DISABLE"] = "1"
    return environment


def _wait(process: subprocess.Popen[bytes], config: ServeConfig, model: str, log: Path) -> None:
    begin = time.monotonic()
    shown = console(stderr=True)
    if not shown.is_terminal:
        shown.print(f"starting vLLM with {model}; its log is {log}", soft_wrap=True)
    with shown.status("") as status:
        while (elapsed := time.monotonic() - begin) < config.timeout_s:
            status.update(f"starting vLLM with {model}: {elapsed:.0f} s (log: {log})")
            code = process.poll()
            if code is not None:
                raise TeacherError(f"vLLM stopped while starting {_exit_and_log(code, log)}")
            if _healthy(config.port):
                shown.print(f"vLLM is ready after {elapsed:.0f} s")
                return
            time.sleep(0.5)
    raise TeacherError(
        f"vLLM was not healthy after {config.timeout_s:g} s (--timeout-s); "
        f"the end of its log, {log}:\n{tail(log)}"
    )


def _healthy(port: int) -> bool:
    # No proxy: the address is this machine's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {HOST} can't be used ({error.strerror}); choose one with --port"
            ) from None


def _exit_and_log(code: int, log: Path) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"({how}); the end of its log, {log}:\n{tail(log)}"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvlm2p"


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, and Ctrl-C as itself even where a script's ``&`` had it ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
