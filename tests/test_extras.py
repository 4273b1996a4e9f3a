"""The core alone is of use, and what it lacks is one sentence that names the extra."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.cli import COMMANDS
from lvlm2p.envs.extras import EXTRAS, MissingPackageError, explained, extra_of

ROOT = Path(__file__).parents[1]
ABSENT = sorted({package for packages in EXTRAS.values() for package in packages})


def without(absent: list[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where these packages are not installed."""
    script = str(ROOT / "tests/support/without.py")
    command = [sys.executable, script, ",".join(absent), "-c", code]
    path = {**os.environ, "PYTHONPATH": str(ROOT), "LVLM2P_STORE": str(folder / "store")}
    return subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True)


def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = read["project"]
    return found


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!;, ]", one)[0].replace("-", "_") for one in requirements}


def test_pyproject_has_the_extras_that_sentences_name() -> None:
    has = project()["optional-dependencies"]
    brought = {"tiktoken", "mlflow"}  # by litellm, mlflow-skinny
    for extra, packages in EXTRAS.items():
        assert set(packages) - brought <= named(has[extra]), extra
    assert not named(project()["dependencies"]) & set(ABSENT)


def test_what_an_error_names() -> None:
    missing = ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    assert extra_of(missing) == "train" and extra_of(missing, usual="local") == "local"
    assert extra_of(ModuleNotFoundError("no", name="litellm.types")) == "hosted"
    assert extra_of(ModuleNotFoundError("no", name="my_torch")) is None
    said = explained(missing, "it")
    assert isinstance(said, MissingPackageError) and said.exit_code == 2
    assert said.name == "torch.nn" and isinstance(said, ImportError)
    assert str(said).endswith("torch, which is not installed: pip install 'lvlm2p[train]'")
    other = ModuleNotFoundError("no", name="mine")
    assert explained(other, "it") is other and explained(said, "another") is said


CORE = """
import contextlib, io, sys
from lvlm2p.cli import main
def run(line):
    try:
        return main(line.split())
    except SystemExit as end:
        return end.code
def quiet(line):
    with contextlib.redirect_stdout(io.StringIO()):
        return run(line)
helps = [quiet(f"{name} --help") for name in COMMANDS]
assert not any(helps), helps
env = "--env MiniGrid-LavaGapS5-v0"
assert quiet(f"label --teacher expert {env} --states 5 --out labels.parquet") == 0
assert quiet("labels stats") == quiet("labels verify") == 0
assert quiet("labels import labels.parquet") == 0
few = "--states 5 --episodes 1 --probes 1"
assert quiet(f"evaluate --teacher expert {env} {few} --out report") == 0
assert run("teachers --json") == 0
for line, code in [
    (f"train {env} --teacher none", 2),
    (f"train {env} --teacher expert", 2),
    ("play --run x", 2),
    (f"label --teacher tiny-vl {env} --states 1", 3),
    (f"label --teacher gemini {env} --states 1 --yes", 3),
    (f"label --teacher qwen-vl-local -T api_base=http://127.0.0.1:9/v1 {env} --states 1", 3),
    (f"label --teacher expert {env} --states 1 --engine ray --out parts", 3),
]:
    assert quiet(line) == code, line
try:
    from lvlm2p.student import load_student
except ImportError as error:
    print(error, file=sys.stderr)
assert not set(sys.modules) & set(ABSENT)
"""


def test_the_core_labels_stores_and_evaluates(tmp_path: Path) -> None:
    done = without(ABSENT, f"COMMANDS, ABSENT = {list(COMMANDS)}, {ABSENT}\n{CORE}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").exists()
    rows = {row["name"]: row for row in json.loads(done.stdout)["teachers"]}
    assert rows["expert"]["ready"] and not rows["tiny-vl"]["ready"] and not rows["gemini"]["ready"]
    assert rows["gpt-4v"]["note"] == "pip install 'lvlm2p[hosted]'"
    named_in = re.findall(r"^lvlm2p.*pip install 'lvlm2p\[(\w+)\]'$", done.stderr, re.MULTILINE)
    expected = ["train", "train", "train", "local", "hosted", "hosted", "ray", "train"]
    assert named_in == expected, done.stderr
    assert "Traceback" not in done.stderr


def test_another_missing_package_is_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from lvlm2p import cli

    def broken(argv: object) -> None:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    monkeypatch.setitem(cli.COMMANDS, "envs", broken)
    with pytest.raises(ModuleNotFoundError, match="mine"):
        cli.main(["envs"])


@pytest.mark.parametrize(("env", "extra"), [("LunarLander-v3", "box2d"), ("ALE/Pong-v5", "atari")])
def test_an_environment_names_its_extra(env: str, extra: str, tmp_path: Path) -> None:
    (package,) = EXTRAS[extra]
    words = ["train", "--env", env, "--teacher", "none"]
    code = f"from lvlm2p.cli import main; sys.exit(main({words}))"
    done = without([package], code, tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.strip() == (
        f"lvlm2p: environment '{env}' needs the package {package}, which is not installed: "
        f"pip install 'lvlm2p[{extra}]'"
    )


def test_minigrids_pictures_that_its_wheel_lacks(tmp_path: Path) -> None:
    words = ["train", "--env", "MiniGrid-WFC-MazeSimple-v0", "--teacher", "none"]
    code = f"from lvlm2p.cli import main; sys.exit(main({words}))"
    done = without(["imageio"], code, tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "needs imageio, networkx and pictures" in done.stderr
