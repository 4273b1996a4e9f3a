"""Write the golden files anew from what the code does now.

    python -m tests.golden.update                # all
    python -m tests.golden.update help report    # some

Look at the difference before you commit it: labels are paid for, and a fingerprint, a view key or
a row's name that has changed means that all of them are asked again. ``store/`` and ``store.json``
are not written here: they are what version 0.1.0 wrote (see make_store.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.golden import commands, questions, rows
from tests.golden.compare import path_of

MAKERS: dict[str, Callable[[Path], Any]] = {
    "views": lambda folder: questions.views(),
    "prompts": lambda folder: questions.prompts(),
    "fingerprints": lambda folder: questions.fingerprints(),
    "rows": rows.rows,
    "parquet": rows.parquet,
    "help": lambda folder: commands.helps(),
    "commands": commands.answers,
    "report": commands.report,
    "names": lambda folder: commands.public_names(),
}
"""Name of a golden file -> what makes its value, in an empty folder."""


def main() -> None:
    for name in sys.argv[1:] or MAKERS:
        with tempfile.TemporaryDirectory() as folder:
            value = MAKERS[name](Path(folder))
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        path_of(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
