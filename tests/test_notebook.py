"""The notebook runs, cell by cell, without a key."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
LESS = {
    "STATES, FRAMES = 50, 10_000": "STATES, FRAMES = 5, 128",
    "episodes=10": "episodes=1",
    "store=STORE)": "store=STORE, n_envs=4, n_steps=16, final_episodes=2, eval_every=0,"
    ' kl_schedule="constant")',
}
"""What takes long in the notebook, and what does for a test."""


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of a notebook's own display: a list of what was shown."""
    shown: list[SimpleNamespace] = []
    display = ModuleType("IPython.display")
    display.__dict__["display"] = shown.append
    display.__dict__["Image"] = lambda data=None, filename=None: SimpleNamespace(
        data=data or Path(str(filename)).read_bytes()
    )
    ipython = ModuleType("IPython")
    ipython.__dict__["version_info"] = (9, 0)  # matplotlib asks
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)

    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for long, short in LESS.items():
        assert sum(source.count(long) for source in code) == 1, long
        code = [source.replace(long, short) for source in code]
    names: dict[str, object] = {}
    for source in code:
        *lines, last = source.rstrip().splitlines()
        if last.startswith("Image("):  # the value of a cell's last line is shown
            lines.append(f"display({last})")
        else:
            lines.append(last)
        exec("\n".join(lines), names)  # noqa: S102 - our own notebook

    said = capsys.readouterr().out
    assert "its best action is optimal in" in said and "taught: success" in said
    assert [picture.data[:4] for picture in shown] == [b"\x89PNG", b"\x89PNG", b"GIF8"]
