"""Qwen-VL's patches of a picture, without the steps that cost a small model most.

Same numbers as transformers' own, but for the order in which a product's terms are summed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Patches:
    """What an image processor of the Qwen2-VL kind makes of a picture that needs no resizing.

    A pixel's value is looked up in a table of 256; the processor computes it for every pixel.
    """

    def __init__(self, processor: Any) -> None:
        self.patch = int(processor.patch_size)
        self.merge = int(processor.merge_size)
        self.frames = int(processor.temporal_patch_size)
        self._processor = processor
        values = np.arange(256, dtype=np.float64)
        if processor.do_rescale:
            values = values * processor.rescale_factor
        table = np.repeat(values.astype(np.float32)[None], 3, axis=0)
        if processor.do_normalize:
            mean = np.array(processor.image_mean, np.float32)[:, None]
            table = (table - mean) / np.array(processor.image_std, np.float32)[:, None]
        self._table: NDArray[np.float32] = table

    def fits(self, width: int, height: int) -> bool:
        """Whether the processor would leave a picture of this size as it is."""
        side = self.patch * self.merge
        if width % side or height % side:
            return False
        count: int = self._processor.get_number_of_image_patches(height, width)
        return not self._processor.do_resize or count * self.patch**2 == width * height

    def of(self, picture: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Patches (patches, 3 * frames * patch * patch) and grid (3,) of a (H, W, 3) picture."""
        height, width, _ = picture.shape
        rows, columns = height // self.patch, width // self.patch
        cut = picture.reshape(
            *(rows // self.merge, self.merge, self.patch),
            *(columns // self.merge, self.merge, self.patch),
            3,
        ).transpose(0, 3, 1, 4, 6, 2, 5)
        flat = cut.reshape(rows * columns, 3, self.patch**2)
        values = np.stack([self._table[channel][flat[:, channel]] for channel in range(3)], axis=1)
        shown = np.repeat(values[:, :, None], self.frames, axis=2).reshape(rows * columns, -1)
        return torch.from_numpy(shown), torch.tensor([1, rows, columns])


class _Product(nn.Module):
    """A convolution over inputs of exactly the kernel's size: a matrix product."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.convolution = convolution

    @property
    def weight(self) -> torch.Tensor:
        """The kernel: the model looks at its precision."""
        return self.convolution.weight

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(patches, channels, frames, side, side) -> (patches, width)."""
        conv = self.convolution
        if tuple(patches.shape[2:]) != conv.kernel_size:
            out: torch.Tensor = conv(patches)
            return out
        return F.linear(patches.flatten(1), conv.weight.flatten(1), conv.bias)


def embed_by_product(model: nn.Module) -> None:
    """Let Qwen-VL embed its patches by a product; as a Conv3d it takes ten times as long."""
    for module in list(model.modules()):
        projection = getattr(module, "proj", None)
        if type(module).__name__.endswith("PatchEmbed") and isinstance(projection, nn.Conv3d):
            module.proj = _Product(projection)
