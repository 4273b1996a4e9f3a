"""`make release`: build sdist and wheel, check them, install the wheel into an empty environment.

    python tools/release.py --out dist [--quick] [--final]

`--quick` leaves out the installation from the index and the demo; `--final` refuses a version that
the changelog does not have. Nothing is uploaded.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def version() -> str:
    """The version, from its one place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def changelog_has(name: str, text: str) -> bool:
    """Whether the changelog has a section for this version."""
    return re.search(rf"^## \[{re.escape(name)}\]", text, re.MULTILINE) is not None


def call(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command and show it; its output. It ends the release where it fails."""
    print("$", *command, flush=True)
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=known, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nrelease: failed: {' '.join(map(str, command))}")
    return done.stdout


def build(out: Path) -> tuple[Path, Path]:
    """The sdist and the wheel that is built from it, in ``out``."""
    for old in [*out.glob("lvlm2p-*.whl"), *out.glob("lvlm2p-*.tar.gz")]:
        old.unlink()
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    (sdist,), (wheel,) = out.glob("lvlm2p-*.tar.gz"), out.glob("lvlm2p-*.whl")
    return sdist, wheel


def check(sdist: Path, wheel: Path, name: str) -> None:
    """That both are well-formed, of this version, and hold the licence and the shipped model."""
    call(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    with tarfile.open(sdist) as packed:
        in_sdist = {member.partition("/")[2] for member in packed.getnames()}
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    model = "teachers/models/local/tiny_vl/checkpoint/model.safetensors"
    lacking = {"LICENSE", "README.md", "pyproject.toml", f"lvlm2p/{model}"} - in_sdist
    lacking |= {f"lvlm2p/{model}", f"lvlm2p-{name}.dist-info/licenses/LICENSE"} - in_wheel
    if lacking:
        sys.exit(f"release: not packed: {', '.join(sorted(lacking))}")


def try_out(wheel: Path, name: str, folder: Path) -> None:
    """Install the wheel where nothing is installed, ask its version, run the demo with it."""
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    pins = ROOT / "constraints.txt"
    pip = (binaries / "python", "-m", "pip", "install", "-q", "--no-compile", "-c", pins)
    call(*pip, f"{wheel}[train,local]")
    said = call(binaries / "lvlm2p", "--version", cwd=folder).strip()
    if said != f"lvlm2p {name}":
        sys.exit(f"release: the wheel says {said!r}, pyproject.toml {name!r}")
    print(call(binaries / "python", ROOT / "tools" / "demo.py", cwd=folder))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=ROOT / "dist")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--final", action="store_true")
    given = options.parse_args()
    name = version()
    if not changelog_has(name, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")):
        said = f"CHANGELOG.md has no section [{name}]: name Unreleased so, with its date"
        sys.exit(f"release: {said}") if given.final else print(f"release: note: {said}")
    given.out.mkdir(parents=True, exist_ok=True)
    sdist, wheel = build(given.out.resolve())
    check(sdist, wheel, name)
    if not given.quick:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            try_out(wheel, name, Path(folder))
    print(f"release: {sdist.name} and {wheel.name} are sound, in {given.out}")


if __name__ == "__main__":
    main()
