"""`lvlm2p serve` with a stand-in for vLLM: what is started, waited for, said and cleaned up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from lvlm2p.teachers.errors import ConfigError, TeacherError, TeacherNotReadyError
from lvlm2p.teachers.serving import gpu
from lvlm2p.teachers.serving import serve as serving
from lvlm2p.teachers.serving.serve import ServeConfig, find_vllm, start
from tests.support.noise import no_http

HEALTHY = """
import http.server, json, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("noise", flush=True)
if os.environ.get("FAKE_DIES"):
    sys.exit("RuntimeError: no memory left for the KV cache")
if os.environ.get("FAKE_STUBBORN"):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.environ.get("FAKE_HANGS"):
    import time
    time.sleep(600)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        seen = {"argv": sys.argv[1:], "env": dict(os.environ), "child": child.pid}
        self.wfile.write(json.dumps(seen).encode())

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake_vllm(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "vllm"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\n{HEALTHY}")
    path.chmod(0o755)
    return path


@pytest.fixture
def config(fake_vllm: Path, tmp_path: Path) -> ServeConfig:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ServeConfig(
        model=str(tmp_path), vllm=fake_vllm, port=port, device="cpu", log=tmp_path / "vllm.log"
    )


def ask(api_base: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{api_base}/anything", timeout=5) as answer:
        seen: dict[str, object] = json.load(answer)
    return seen


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, f"still running: {[p for p in pids if alive(p)]}"
        time.sleep(0.05)


def flag(seen: dict[str, object], name: str) -> str:
    argv = seen["argv"]
    assert isinstance(argv, list)
    return str(argv[argv.index(name) + 1])


def test_a_healthy_server_is_waited_for_and_stopped_with_its_children(config: ServeConfig) -> None:
    with start(config) as server:
        seen = ask(server.api_base)
        assert server.api_base == f"http://127.0.0.1:{config.port}/v1"
    assert config.log is not None and "noise" in config.log.read_text()
    assert server.process.poll() is not None
    assert isinstance(seen["child"], int)
    wait_until_gone(seen["child"])


def test_the_model_in_the_box_has_a_name(config: ServeConfig) -> None:
    shipped = config.model_copy(update={"teacher": "tiny-vl", "model": None})
    with start(shipped) as server:
        seen = ask(server.api_base)
    assert isinstance(seen["argv"], list)
    assert (Path(seen["argv"][1]) / "model.safetensors").is_file()
    assert flag(seen, "--served-model-name") == "tiny-vl"
    with pytest.raises(ValueError, match="tiny-vl is a model: leave out --model"):
        ServeConfig(teacher="tiny-vl", model="Qwen/A")


def test_flags_and_environment(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    arguments = '--seed 7 --served-model-name "a b"'
    with start(config.model_copy(update={"images": 17, "vllm_args": arguments})) as server:
        seen = ask(server.api_base)
    assert isinstance(seen["argv"], list) and isinstance(seen["env"], dict)
    assert seen["argv"][:2] == ["serve", config.model]
    assert seen["argv"][-2:] == ["--served-model-name", "a b"]
    assert flag(seen, "--host") == "127.0.0.1"
    assert json.loads(flag(seen, "--limit-mm-per-prompt")) == {"image": 17, "video": 0}
    grammar = {"backend": "guidance", "disable_any_whitespace": True}
    assert json.loads(flag(seen, "--structured-outputs-config")) == grammar
    assert "--enable-prefix-caching" in seen["argv"] and "--enforce-eager" in seen["argv"]
    assert seen["env"]["HF_HUB_OFFLINE"] == "1", "a folder needs no network"
    assert "PYTHONPATH" not in seen["env"]
    assert seen["env"]["PATH"].startswith(str(config.vllm and config.vllm.parent))


def test_on_a_gpu_there_are_no_cpu_flags(
    config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "gpu_memory_gb", lambda: 25.0)
    with start(config.model_copy(update={"device": "auto", "model": None})) as server:
        seen = ask(server.api_base)
    assert server.model == "Qwen/Qwen3-VL-8B-Instruct"
    assert isinstance(seen["argv"], list) and isinstance(seen["env"], dict)
    assert "--enforce-eager" not in seen["argv"]
    assert flag(seen, "--gpu-memory-utilization") == "0.9"
    assert "TORCHDYNAMO_DISABLE" not in seen["env"] and "HF_HUB_OFFLINE" not in seen["env"]


def test_a_dead_server_is_one_sentence_with_the_end_of_its_log(
    config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DIES", "1")
    with pytest.raises(TeacherError, match=r"(?s)exit code 1.*vllm\.log.*no memory left"):
        start(config)
    assert [p for p in psutil.process_iter(["cmdline"]) if str(config.port) in str(p.info)] == []


def test_a_server_that_hangs_is_stopped(
    config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_HANGS", "1")
    with pytest.raises(TeacherError, match=r"not healthy after 1 s \(--timeout-s\)"):
        start(config.model_copy(update={"timeout_s": 1.0}))
    assert [p for p in psutil.process_iter(["cmdline"]) if str(config.port) in str(p.info)] == []


def test_a_stubborn_server_is_killed(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STUBBORN", "1")
    monkeypatch.setattr("lvlm2p.teachers.serving.process.STOP_TIMEOUT_S", 0.5)
    with start(config) as server:
        seen = ask(server.api_base)
    assert isinstance(seen["child"], int)
    wait_until_gone(server.process.pid, seen["child"])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)]
)
def test_the_command_leaves_nothing_behind(
    config: ServeConfig, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "lvlm2p", "serve", "qwen-vl-local", "--device", "cpu"]
    command += ["--model", str(config.model), "--vllm", str(config.vllm)]
    command += ["--port", str(config.port), "--log", str(config.log)]
    # As a shell script's `&` does, SIGINT is ignored from the start.
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    with subprocess.Popen(ignoring, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{config.port}/v1" in process.stdout.readline()
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 2
        process.send_signal(number)
        assert process.wait(30) == code
    survivors = [child.pid for child in started]
    if number == signal.SIGKILL:  # the kernel tells the server; a real one then ends its children
        survivors = survivors[:1]
        os.kill(started[1].pid, signal.SIGKILL)
    wait_until_gone(*survivors)


def test_what_speaks_no_http_is_not_healthy() -> None:
    with no_http() as port:
        assert not serving._healthy(port)


def test_missing_vllm_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(serving, "__file__", str(tmp_path / "teachers" / "serving.py"))
    with pytest.raises(TeacherNotReadyError, match=r"\.venv-vllm/bin/pip install vllm"):
        find_vllm()
    with pytest.raises(TeacherNotReadyError, match="--vllm nowhere is not an executable"):
        find_vllm(Path("nowhere"))


def test_vllm_is_found_by_flag_then_path_then_folder(
    fake_vllm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / ".venv-vllm" / "bin" / "vllm"
    here.parent.mkdir(parents=True)
    here.symlink_to(fake_vllm)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(fake_vllm.parent))
    assert find_vllm(here) == here
    assert find_vllm() == fake_vllm
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_vllm() == here


def test_a_script_that_cannot_run_is_named(config: ServeConfig) -> None:
    assert config.vllm is not None
    config.vllm.write_text("#!/nowhere/python\n")
    with pytest.raises(TeacherNotReadyError, match="vllm can't be run"):
        start(config)


def test_wrong_input_is_one_sentence(config: ServeConfig, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", config.port))
        taken.listen()
        with pytest.raises(ConfigError, match=f"port {config.port} .* choose one with --port"):
            start(config)
    with pytest.raises(ConfigError, match=r"--log .* can't be written"):
        start(config.model_copy(update={"log": tmp_path}))
    with pytest.raises(ValueError, match="No closing quotation"):
        ServeConfig(vllm_args="'open")


@pytest.mark.parametrize(
    ("memory", "size"),
    [(8.6, "2B"), (17.2, "4B"), (25.7, "8B"), (51.5, "8B"), (85.5, "30B-A3B"), (150.8, "32B")],
)
def test_the_default_model_fits_the_gpu(memory: float, size: str) -> None:
    assert gpu.default_model(memory, on_gpu=True) == f"Qwen/Qwen3-VL-{size}-Instruct"


def test_gpu_memory_comes_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, GPU-a, 24564'\necho '1, GPU-b, 8192'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu.gpu_memory_gb() == pytest.approx(8.59, abs=0.01)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpu.gpu_memory_gb() == pytest.approx(25.76, abs=0.01)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.gpu_memory_gb() is None
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.gpu_memory_gb() is None
    with pytest.raises(TeacherNotReadyError, match="name a model"):
        gpu.default_model(None, on_gpu=True)
