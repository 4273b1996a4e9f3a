"""`label --engine ray-vllm` with a real Ray and a real vLLM, on CPU: the served model's labels.

Ray and vLLM are installed apart here (the CPU build's pins and ours differ in details), so the
test lays one environment over the other. The GPU that each engine wants is one in name only.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.teachers import TeacherError
from lvlm2p.teachers.labelset.parquet import read_rows
from tests.vllm.conftest import ROOT, Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]  # 3 minutes and more on two cores

JOB = """
import json, sys
import ray
from lvlm2p.teachers.labelling import ray_actors as ray_engine
from lvlm2p.teachers.labelling import batches as rounds
from lvlm2p.teachers import TeacherError
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.run import label_states

def on_cpu(model, workers):
    options = rounds.engine_options(model, workers)
    length = {"max_model_len": 8192, "max_num_batched_tokens": 16384}
    here = {"dtype": "float32", "enforce_eager": True, "enable_chunked_prefill": False}
    options["engine_kwargs"] |= {**length, **here}
    return options

ray_engine.engine_options = on_cpu
ray.init(num_cpus=8, num_gpus=1, include_dashboard=False, log_to_driver=False)
try:
    label_states(LabelConfig.model_validate_json(sys.argv[1]))
except TeacherError as error:
    assert "not one state" in str(error)
"""


PROMPTS = [
    {"prompt": "direct", "elicit": "choice", "shots": 0},  # one round; the grammar makes labels
    {"elicit": "stated", "shots": 1},  # rounds, and pictures in examples; mostly failures
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that finds vLLM's packages first, then ours."""
    folder = tmp_path_factory.mktemp("both")
    venv.create(folder)
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    (theirs,) = (ROOT / ".venv-vllm" / "lib").glob("python3.*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    lines = [f"import site; site.addsitedir({str(place)!r})\n" for place in (theirs, ours)]
    (site / "both.pth").write_text("".join(lines))
    return folder / "bin" / "python"


def rows(path: Path) -> dict[str, tuple[Any, ...]]:
    """What does not depend on when and where a state was asked about."""
    differs = {"created", "latency_s", "message"}
    return {
        row["key"]: tuple(value for name, value in row.items() if name not in differs)
        for row in read_rows(path)
    }


@pytest.mark.parametrize("prompt", PROMPTS, ids=["direct", "stated"])
def test_labels_are_those_of_the_server(
    server: Running,
    python: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompt: dict[str, Any],
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from lvlm2p.teachers.labelling.config import LabelConfig
    from lvlm2p.teachers.labelling.run import label_states

    asking: dict[str, Any] = {
        "teacher": "qwen-vl-local",
        **prompt,
        "env": "MiniGrid-LavaGapS5-v0",
        "states": 6,
    }
    args = {"model": server.model, "temperature": 0}
    served = LabelConfig.model_validate(
        {
            **asking,
            "teacher_args": {**args, "api_base": server.api_base},
            "store": tmp_path / "store",
            "out": str(tmp_path / "served.parquet"),
        }
    )
    with contextlib.suppress(TeacherError):  # a model that knows nothing may fail at every state
        label_states(served)
    job = {**asking, "teacher_args": args, "engine": "ray-vllm", "workers": 1}
    job["out"] = str(tmp_path / "ray")
    environment = {"HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [python, "-c", JOB, json.dumps(job)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = rows(tmp_path / "ray")
    kinds = {row["kind"] for row in read_rows(tmp_path / "ray")}
    assert "label" in kinds or prompt["elicit"] == "stated"
    assert len(found) == 6 and found == rows(tmp_path / "served.parquet")
