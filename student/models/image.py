"""Images: uint8, height x width x channels, from 8 pixels a side upwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lvlm2p.student.models.mission import (
    MISSION_FEATURES,
    Features,
    MissionEmbedding,
    MissionReading,
    orthogonal_linear,
)

CHANNELS = (16, 32, 32)
SMALLEST_SIDE = 8
LARGEST_SIDE = 8
"""The last feature map is averaged down to this many places a side, if it has more."""
FINEST = 128
"""Places a side that a network looks at; of larger images, means of 2 x 2, 3 x 3, ... pixels."""


class ImagePreprocessing(nn.Module):
    """Pixels between 0 and 1, on at most FINEST places a side."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.together = _averaged(shape)

    def forward(self, pixels: Tensor, mission: Tensor) -> Tensor:
        """(B, height, width, channels) uint8 to (B, channels, height, width), for any mission."""
        image = pixels.permute(0, 3, 1, 2).float() / 255.0
        return image if self.together == 1 else avg_pool2d(image, self.together, ceil_mode=True)


def _averaged(shape: tuple[int, ...]) -> int:
    """How many pixels a side become one."""
    return -(-max(shape[:2]) // FINEST)


class ImageFeatures(Features):
    """Three convolutions; beside their features, each place's similarity to the mission.

    Args:
        shape: (height, width, channels) of an image.
        hidden: how many features come out.
    """

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        height, width, channels = shape
        together = _averaged(shape)
        height, width = -(-height // together), -(-width // together)
        layers: list[nn.Module] = []
        for outputs in CHANNELS:
            # a side is halved as long as it is long; small images keep all of their places
            stride = (2 if height > LARGEST_SIDE else 1, 2 if width > LARGEST_SIDE else 1)
            height, width = (-(-height // stride[0]), -(-width // stride[1]))
            layers += [nn.Conv2d(channels, outputs, 3, stride, padding=1), nn.ReLU()]
            channels = outputs
        self.convolutions = nn.Sequential(*layers)
        kernel = (-(-height // LARGEST_SIDE), -(-width // LARGEST_SIDE))
        self.pool = nn.AvgPool2d(kernel, ceil_mode=True)
        places = -(-height // kernel[0]) * -(-width // kernel[1])
        self.mission = MissionEmbedding()
        self.similarity_query = nn.Linear(MISSION_FEATURES, channels, bias=False)
        self.from_image = orthogonal_linear(places * (channels + 1), hidden)
        self.from_mission = orthogonal_linear(MISSION_FEATURES, hidden, bias=False)

    def read(self, tokens: Tensor) -> MissionReading:
        """What this tower makes of missions, from their token ids (M, words)."""
        missions = self.mission(tokens)
        return MissionReading(self.from_mission(missions), self.similarity_query(missions))

    def forward(self, image: Tensor, mission: Tensor, reading: MissionReading) -> Tensor:
        """Images (B, channels, height, width) and the rows (B,) of their missions: (B, hidden)."""
        places = self.pool(self.convolutions(image)).flatten(2)  # (B, channels, places)
        mission_similarity = reading.query[mission].unsqueeze(1) @ places
        x = self.from_image(torch.cat([places, mission_similarity], 1).flatten(1))
        return self.activation(x + reading.bias.index_select(0, mission))
