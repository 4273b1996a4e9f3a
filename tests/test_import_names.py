"""A user's own folders envs/, prompts/, teachers/ and student/ do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.foreign import check

ROOT = Path(__file__).parents[1]


def test_a_source_checkout_beside_packages_of_the_same_names(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*argv: str) -> str:
        command = [sys.executable, *argv]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    check(tmp_path, run)
