"""How many tokens a picture counts, by each provider's published rule; None: it publishes none.

OpenAI     https://platform.openai.com/docs/guides/images-vision#calculating-costs
           tiles: the picture is scaled down into 2,048 x 2,048 pixels, then to a shortest side
           of 768; a base, and so many for each tile of 512 x 512. detail=low: the base alone.
           patches: of 32 x 32 pixels, after scaling down to at most 1,536 of them, times a
           factor. What detail=low would change there is not said: it is counted in full.
Anthropic  https://docs.claude.com/en/docs/build-with-claude/vision#calculate-image-costs
           width x height / 750, after scaling down to 1,568 pixels a side and 1,600 tokens.
Google     https://ai.google.dev/gemini-api/docs/tokens, .../media-resolution
           Gemini 3 and later: 1,120 a picture at the default resolution. Gemini 2: 258 up to
           384 x 384 pixels, else 258 for each tile of 768 x 768. Gemini 1.5: 258 a picture.
Qwen-VL    its processor: a token for 32 x 32 pixels (Qwen3-VL), 28 x 28 (Qwen2-VL, 2.5-VL).
"""

from __future__ import annotations

import math
import re

LOW = "low"
"""``image_detail``: as few tokens as the provider offers."""

TILES: tuple[tuple[str, int, int], ...] = (
    (r"gpt-4o-mini", 2833, 5667),
    (r"gpt-4(o|\.5|-turbo|\.1(?!-mini|-nano))", 85, 170),
    (r"gpt-5(-chat-latest)?$|gpt-5-\d{4}-", 70, 140),
    (r"(o1|o3)(-pro)?($|-\d{4}-)", 75, 150),
)
"""OpenAI's models that count tiles: pattern, base, tokens a tile."""

PATCHES: tuple[tuple[str, float], ...] = (
    (r"(gpt-4\.1|gpt-5)-mini", 1.62),
    (r"(gpt-4\.1|gpt-5)-nano", 2.46),
    (r"o4-mini", 1.72),
)
"""OpenAI's models that count patches: pattern, tokens a patch."""

MOST_PATCHES = 1_536


def picture_tokens(model: str, width: int, height: int, detail: str | None = None) -> int | None:
    """Tokens of a picture of ``width`` x ``height`` pixels; None: the rule is not known.

    Args:
        model: litellm's ``provider/model``; also of those who pass the models of others on.
        detail: ``image_detail``; None: the provider's default, which is to look closely.
    """
    name = model.rpartition("/")[2]
    if "claude" in name:
        return _claude(width, height)
    if "gemini" in name:
        return _gemini(name, width, height)
    if found := re.search(r"qwen(\d?)(\.\d)?.*vl", name, re.IGNORECASE):
        side = 28 if found[1] == "2" else 32
        return math.ceil(width / side) * math.ceil(height / side)
    return _openai(name, width, height, detail)


def _openai(name: str, width: float, height: float, detail: str | None) -> int | None:
    for pattern, base, each in TILES:
        if re.match(pattern, name):
            if detail == LOW:
                return base
            shrink = min(1.0, 2048 / max(width, height))
            shrink *= min(1.0, 768 / (shrink * min(width, height)))
            return base + each * _covering(width * shrink, height * shrink, 512)
    for pattern, times in PATCHES:
        if re.match(pattern, name):
            return math.ceil(times * _patches(width, height))
    return None


def _patches(width: float, height: float) -> int:
    """As OpenAI's page works it out: 1,800 x 2,400 pixels become 1,452 patches."""
    if (patches := _covering(width, height, 32)) <= MOST_PATCHES:
        return patches
    shrink = math.sqrt(MOST_PATCHES * 32**2 / (width * height))
    sides = width * shrink / 32, height * shrink / 32
    shrink *= min(math.floor(side) / side for side in sides)
    return _covering(width * shrink, height * shrink, 32)


def _covering(width: float, height: float, side: int) -> int:
    """Squares that cover it; a hundredth of a pixel more is a rounding error."""
    return math.ceil(width / side - 1e-4) * math.ceil(height / side - 1e-4)


def _claude(width: float, height: float) -> int:
    shrink = min(1.0, 1568 / max(width, height))
    return min(1_600, math.ceil(width * height * shrink**2 / 750))


def _gemini(name: str, width: int, height: int) -> int:
    if "gemini-1" in name:
        return 258
    if "gemini-2" not in name:
        return 1_120
    return 258 if max(width, height) <= 384 else 258 * _covering(width, height, 768)
