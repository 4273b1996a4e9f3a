"""Where tensors live."""

from __future__ import annotations

import torch

from lvlm2p.teachers.errors import ConfigError


def torch_device(name: str) -> torch.device:
    """The device that ``--device`` names; ``auto``: cuda if there is one, else cpu.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # each backend raises its own, down to AssertionError
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"--device {name}: this PyTorch can't use it here ({reason}); say cpu, or auto"
        ) from None
    return device
