"""Optional packages: which extra of lvlm2p brings which, and the sentence where one is missing.

The core is what labels need: tasks, the exact planner, the store and its files, reports.
``pyproject.toml`` has the same extras; ``tests/test_extras.py`` holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from lvlm2p.envs.errors import UserError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "safetensors", "tensorboard"),
    "local": ("torch", "safetensors", "transformers"),
    "hosted": ("litellm", "aiohttp", "tiktoken"),
    "ray": ("ray",),
    "vllm": ("vllm",),
    "export": ("onnx", "onnxscript"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "aim": ("aim",),
    "minari": ("minari",),
    "box2d": ("Box2D",),
    "atari": ("ale_py",),
    "3d": ("miniworld", "pyglet"),
}
"""Extra -> the packages, by their import names, that its commands can't do without."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """A package of an extra is not installed; the sentence says how to install it."""


def install(extra: str) -> str:
    """The command that installs ``extra``, for a shell."""
    return f"pip install 'lvlm2p[{extra}]'"


def missing(extra: str) -> list[str]:
    """The packages of ``extra`` that are not installed; nothing is imported."""
    return [package for package in EXTRAS[extra] if find_spec(package) is None]


def extra_of(error: ModuleNotFoundError, usual: str = "train") -> str | None:
    """The extra that brings the package which ``error`` misses; ``usual`` where several do.

    None: the package belongs to no extra, so that the fault is not a missing extra.
    """
    package = (error.name or "").partition(".")[0]
    holding = [extra for extra, packages in EXTRAS.items() if package in packages]
    return usual if usual in holding else next(iter(holding), None)


def explained(error: ModuleNotFoundError, what: str) -> ModuleNotFoundError:
    """``error``, or in its place one that names the extra that ``what`` needs."""
    extra = extra_of(error)
    if isinstance(error, MissingPackageError) or extra is None:
        return error
    package = (error.name or "").partition(".")[0]
    return MissingPackageError(
        f"{what} needs the package {package}, which is not installed: {install(extra)}",
        name=error.name,
    )


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], Any]:
    """The public names of ``package`` from its ``__init__.pyi``, each imported on first use.

    As ``lazy_loader.attach_stub``, but a name whose import lacks a package of an extra raises
    :class:`MissingPackageError`.
    """
    import lazy_loader  # type: ignore[import-untyped] # it ships none

    find, names, public = lazy_loader.attach_stub(package, file)

    def __getattr__(name: str) -> Any:
        try:
            return find(name)
        except ModuleNotFoundError as error:
            if (clear := explained(error, f"{package}.{name}")) is error:
                raise
            raise clear from error

    return __getattr__, names, public
