"""What is in the wheel, and that plug-ins work where pip installed them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("envs", "prompts", "teachers", "student")


def tracked(*paths: str) -> set[str]:
    command = ["git", "ls-files", "-z", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_wheel_holds_every_data_file(tmp_path: Path) -> None:
    for name in tracked():  # a copy, since a build folder left in the tree would leak into it
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "source" / name)
    for name in PACKAGES:
        (tmp_path / "source" / "lvlm2p" / name).symlink_to(f"../{name}")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    done = subprocess.run([*command, tmp_path, tmp_path / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("lvlm2p-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {f"lvlm2p/{name}" for name in tracked(*PACKAGES)} | tracked(
        "lvlm2p/*.py", "lvlm2p/py.typed"
    )
    assert held == ours, "see package-data in pyproject.toml"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing in it but the plug-ins of examples/, which pip
    installed; lvlm2p and its dependencies are there by path."""
    folder = tmp_path_factory.mktemp("plugins")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    paths = f"{ROOT}\n{sysconfig.get_path('purelib')}\n"
    Path(site.stdout.strip(), "lvlm2p.pth").write_text(paths)
    plugins = [folder / name for name in ("plugin_teacher", "plugin_task")]
    for plugin in plugins:  # copies: pip leaves a build folder
        shutil.copytree(ROOT / "examples" / plugin.name, plugin)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
    ]
    command = [*pip, "--no-build-isolation", "--disable-pip-version-check", *plugins]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def ran(python: Path, folder: Path, *argv: str, code: int = 0) -> str:
    """What the command printed on stdout."""
    command: list[str | Path] = [python, "-m", "lvlm2p", *argv]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    clean["LVLM2P_STORE"] = str(folder / "store")
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_teacher_that_is_a_package_teaches(elsewhere: Path, tmp_path: Path) -> None:
    run = partial(ran, elsewhere, tmp_path)
    rows = {row["name"]: row for row in json.loads(run("teachers", "--json"))["teachers"]}
    assert rows["my-teacher"]["ready"] and rows["my-teacher"]["usd_per_1000"] == 0.0

    def label(*options: str, teacher: str = "my-teacher") -> dict[str, int]:
        ask = ("label", "--teacher", teacher, "--env", "MiniGrid-LavaGapS5-v0", *options)
        counts: dict[str, int] = json.loads(run(*ask, "--states", "20", "--json"))["labels"]
        return counts

    first = label("--budget-calls", "5")
    assert (first["asked"], first["failed"], first["missing"]) == (5, 0, 15)
    rest = label()
    assert (rest["asked"], rest["cached"], rest["failed"]) == (15, 5, 0)
    # and so it does as a member: what is stored already is asked of nobody
    both = label(teacher="ensemble:my-teacher,expert")
    assert (both["asked"], both["cached"], both["failed"]) == (20, 0, 0)
    run("label", "--teacher", "my-teacher", "--env", "x", "-T", "sre=1", code=2)


def test_a_task_that_is_a_package_is_known_to_every_command(
    elsewhere: Path, tmp_path: Path
) -> None:
    run = partial(ran, elsewhere, tmp_path)
    run("label", "--teacher", "expert", "--env", "FrozenLake-v1", "--out", "labels.parquet")
    assert "11 rows" in run("labels", "export", "all.parquet")
    assert "0 bad" in run("labels", "import", "all.parquet")
