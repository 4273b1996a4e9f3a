"""What is in the wheel, and that what the documentation tells third parties to write works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from lvlm2p import cli

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


def blocks(page: str, kind: str) -> list[str]:
    """The code of a page of the documentation."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def install(folder: Path, pyproject: str, code: str) -> None:
    """What `pip install` would leave of a package of one module."""
    project = tomllib.loads(pyproject)
    (module,) = project["tool"]["setuptools"]["py-modules"]
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    name, version = project["project"]["name"], project["project"]["version"]
    facts = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"].items()
    lines = [f"[{group}]\n{k} = {v}\n" for group, points in groups for k, v in points.items()]
    (facts / "entry_points.txt").write_text("\n".join(lines))


def test_the_teacher_of_the_documentation_teaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,), (pyproject,) = (
        blocks("writing-a-teacher.md", "python"),
        blocks("writing-a-teacher.md", "toml"),
    )
    install(tmp_path, pyproject, code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def label(*options: str) -> dict[str, int]:
        ask = ["label", "--teacher", "my-teacher", "--env", "MiniGrid-LavaGapS5-v0", *options]
        assert cli.main([*ask, "--states", "20", "--json"]) == 0
        counts: dict[str, int] = json.loads(capsys.readouterr().out)["labels"]
        return counts

    try:
        assert cli.main(["teachers", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["teachers"]}
        assert rows["my-teacher"]["ready"] and rows["my-teacher"]["usd_per_1000"] == 0.0
        first = label("--budget-calls", "5")
        assert (first["asked"], first["failed"], first["missing"]) == (5, 0, 15)
        rest = label()
        assert (rest["asked"], rest["cached"], rest["failed"]) == (15, 5, 0)
        assert label("-T", "sure=0.9")["asked"] == 20
        assert cli.main(["label", "--teacher", "my-teacher", "--env", "x", "-T", "sre=1"]) == 2
    finally:
        sys.modules.pop("my_teacher", None)


def test_the_task_of_the_documentation_is_known_to_every_command(tmp_path: Path) -> None:
    (code, *_), (pyproject,) = blocks("tasks.md", "python"), blocks("tasks.md", "toml")
    install(tmp_path, pyproject, code)

    def run(*argv: str) -> str:
        command = [sys.executable, "-m", "lvlm2p", *argv, "--store", "store"]
        path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("label", "--teacher", "expert", "--env", "FrozenLake-v1", "--out", "labels.parquet")
    assert "11 rows" in run("labels", "export", "all.parquet")
    assert "0 bad" in run("labels", "import", "all.parquet")
