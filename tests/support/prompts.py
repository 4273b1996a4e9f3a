"""What the tests of prompts share."""

from __future__ import annotations

import shutil
from pathlib import Path

from lvlm2p.prompts.examples import POOLS
from lvlm2p.prompts.prompt import TEXTS


def copied(tmp_path: Path, name: str = "two-turn") -> Path:
    """The prompt ``name`` as a user's own folder, with texts, shared texts and examples."""
    folder = tmp_path / "my-prompt"
    shutil.copytree(TEXTS / name, folder)
    shutil.copytree(TEXTS / "shared", folder, dirs_exist_ok=True)
    shutil.copytree(POOLS, folder / "examples")
    return folder
