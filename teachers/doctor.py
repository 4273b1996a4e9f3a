"""`lvlm2p doctor`: what is installed, which keys are set, GPU, and whether the store is sound.

For a bug report: nothing that it prints is a secret. Of a key it says the variable, not the value.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from lvlm2p.envs.extras import EXTRAS, install, missing
from lvlm2p.teachers.label import tool_version

if TYPE_CHECKING:
    from rich.table import Table

PACKAGES = (
    *("gymnasium", "minigrid", "numpy", "pillow", "pydantic", "pyarrow", "diskcache", "tyro"),
    *("torch", "transformers", "litellm", "aiohttp", "tensorboard", "ray", "vllm"),
)
"""Distributions whose version a bug report needs."""


class DoctorConfig(BaseModel):
    """Options of ``lvlm2p doctor``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    store: Path | None = None
    """Folder of the label store; None: $LVLM2P_STORE, else the user's cache folder."""

    def run(self) -> Diagnosis:
        """Look; nothing is changed, and nobody is asked over the network."""
        from lvlm2p.teachers.serving.gpu import gpu_memory_gb

        return Diagnosis(
            version=tool_version(),
            python=platform.python_version(),
            system=platform.platform(),
            processors=os.cpu_count() or 0,
            folder=str(Path(__file__).resolve().parents[1]),
            packages={name: _version(name) for name in PACKAGES},
            extras={extra: missing(extra) for extra in EXTRAS},
            keys=_keys(),
            gpu_memory_gb=gpu_memory_gb(),
            store=_store(self.store),
        )


@dataclass(frozen=True)
class StoreState:
    """Whether a label store can be used.

    Attributes:
        state: "sound", "none yet", or "broken".
        why: what is wrong with a broken one.
    """

    path: str
    state: str
    why: str = ""
    labels: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        packages: version by distribution; None: not installed.
        extras: the packages that each extra lacks; empty: it is complete.
        keys: names of the variables that hold a key.
        gpu_memory_gb: of the smallest visible NVIDIA GPU; None: none is seen.
    """

    version: str
    python: str
    system: str
    processors: int
    folder: str
    packages: dict[str, str | None]
    extras: dict[str, list[str]]
    keys: list[str]
    gpu_memory_gb: float | None
    store: StoreState

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def summary(self) -> Table:
        """The same, a line for each."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._rows():
            table.add_row(Text(name), Text(value))
        return table

    def _rows(self) -> list[tuple[str, str]]:
        gpu = "none is seen" if self.gpu_memory_gb is None else f"{self.gpu_memory_gb:.0f} GB"
        store = self.store
        held = f": {store.labels:,} labels, {store.failures:,} failures"
        said = {"sound": held, "broken": f": {store.why}"}.get(store.state, "")
        return [
            ("lvlm2p", f"{self.version or 'not installed'} in {self.folder}"),
            ("Python", f"{self.python}, {sys.executable}"),
            ("system", f"{self.system}, {self.processors} processors"),
            ("GPU", gpu),
            ("keys set", ", ".join(self.keys) or "none"),
            ("store", f"{store.path}: {store.state}{said}"),
            *((f"[{extra}]", _extra(extra, lacks)) for extra, lacks in self.extras.items()),
            *((name, version or "not installed") for name, version in self.packages.items()),
        ]


def _extra(extra: str, lacks: list[str]) -> str:
    return f"lacks {', '.join(lacks)}: {install(extra)}" if lacks else "complete"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _keys() -> list[str]:
    """Names alone: variables of the providers, and whatever else is called a key for an API."""
    from lvlm2p.teachers.models.hosted.providers import PROVIDERS

    known = {name for provider in PROVIDERS.values() for name in provider.variables}
    named = known | {name for name in os.environ if name.endswith("_API_KEY")}
    return sorted(name for name in named if os.environ.get(name, "").strip())


def _store(directory: Path | None) -> StoreState:
    from lvlm2p.teachers.errors import StoreError
    from lvlm2p.teachers.store.database import holds_store
    from lvlm2p.teachers.store.stats import stats
    from lvlm2p.teachers.store.store import LabelStore, store_path

    path = store_path(directory)
    if not path.exists() or (path.is_dir() and not holds_store(path)):
        return StoreState(str(path), "none yet")
    try:
        with LabelStore(path, create=False) as store:
            found = stats(store).as_json()
            return StoreState(str(path), "sound", "", found["labels"], found["failures"])
    except StoreError as error:
        return StoreState(str(path), "broken", str(error))
