"""Options of ``lvlm2p export``. Light to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SUFFIX = {"onnx": ".onnx", "torchscript": ".pt", "torch-export": ".pt2"}
"""Of the file, where none is named."""


class StudentExportConfig(BaseModel):
    """Options of ``lvlm2p export``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    run: Path
    """Folder of the run whose student is written."""

    format: Literal["onnx", "torchscript", "torch-export"] = "onnx"
    """onnx: for ONNX Runtime and others (extra `export`); torchscript: for torch.jit.load, from
    C++ too; torch-export: for torch.export.load."""

    out: Path | None = None
    """The file to write; None: student.onnx (.pt, .pt2) in the run's folder."""

    @property
    def file(self) -> Path:
        """The file to write."""
        return self.out or self.run / f"student{SUFFIX[self.format]}"


@dataclass(frozen=True)
class ExportedStudent:
    """What was written."""

    out: str
    format: str
    env: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p export --json``."""
        return asdict(self)

    def summary(self) -> str:
        """The same in words."""
        return (
            f"{self.out}: {self.bytes:,} bytes, acts in {self.env}; it takes "
            f"{', '.join(self.inputs)} and gives {', '.join(self.outputs)}"
        )
