"""Tokens of a picture, worked by hand from each provider's published rule."""

from __future__ import annotations

import pytest

from lvlm2p.teachers.models.hosted.pictures import picture_tokens
from lvlm2p.teachers.models.hosted.prices import price_of_1000


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        # one tile; 1024 -> 768, 2 x 2 tiles; 2048 x 4096 -> 1024 x 2048 -> 768 x 1536, 2 x 3 tiles
        *[("openai/gpt-4o", 192, 192, 85 + 170), ("openai/gpt-4.1", 192, 192, 255)],
        *[("openai/gpt-4o", 1024, 1024, 765), ("openai/gpt-4o", 2048, 4096, 1105)],
        ("openai/gpt-4o-2024-11-20", 192, 192, 255),
        *[("openai/gpt-4o-mini", 192, 192, 8500), ("openai/gpt-4o-mini", 1024, 1024, 25_501)],
        *[("openai/gpt-5", 192, 192, 210), ("openai/gpt-5-2025-08-07", 192, 192, 210)],
        *[("openai/o1", 192, 192, 225), ("openai/o3", 192, 192, 225)],
        # 6 x 6 patches; 1024 of them; 1800 x 2400 pixels are scaled to 1,452 patches
        *[("openai/gpt-4.1-mini", 192, 192, 59), ("openai/gpt-5-mini", 192, 192, 59)],
        *[("openai/gpt-4.1-nano", 192, 192, 89), ("openai/gpt-5-nano", 192, 192, 89)],
        *[("openai/o4-mini", 192, 192, 62), ("openai/gpt-4.1-mini", 1024, 1024, 1659)],
        *[("openai/o4-mini", 1800, 2400, 2498), ("openai/gpt-4.1-mini", 193, 192, 69)],
        # pixels / 750; the long side is scaled to 1568
        *[("anthropic/claude-haiku-5-5", 192, 192, 50), ("anthropic/claude-x", 1092, 1092, 1590)],
        *[("bedrock/anthropic.claude-x", 200, 200, 54), ("anthropic/claude-x", 3136, 200, 210)],
        ("anthropic/claude-x", 1568, 1568, 1600),
        *[("gemini/gemini-3.8-flash", 192, 192, 1120), ("gemini/gemini-1.5-pro", 999, 999, 258)],
        *[("gemini/gemini-2.5-flash", 384, 384, 258), ("gemini/gemini-2.5-pro", 385, 384, 258)],
        ("vertex_ai/gemini-2.5-pro", 800, 1600, 2 * 3 * 258),
        *[("hosted_vllm/Qwen/Qwen3-VL-8B-Instruct", 192, 224, 42)],
        *[("openrouter/qwen/qwen2.5-vl-7b", 192, 224, 56)],
    ],
)
def test_by_hand(model: str, width: int, height: int, tokens: int) -> None:
    assert picture_tokens(model, width, height) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        *[("openai/gpt-4o", 85), ("openai/gpt-4.1", 85), ("openai/gpt-4o-mini", 2833)],
        *[("openai/gpt-5", 70), ("openai/o3", 75), ("openai/gpt-4.1-mini", 1659)],
    ],
)
def test_a_low_detail_counts_the_base_alone_where_there_is_one(model: str, tokens: int) -> None:
    assert picture_tokens(model, 1024, 1024, "low") == tokens
    assert picture_tokens(model, 1024, 1024, "high") == picture_tokens(model, 1024, 1024)


@pytest.mark.parametrize(
    "model", ["openai/gpt-5.4", "openai/gpt-6-luna", "openai/some-vl", "xai/grok-4", "openai/o3-x"]
)
def test_what_nobody_has_published_is_unknown(model: str) -> None:
    assert picture_tokens(model, 192, 192) is None
    assert price_of_1000(model) is None


def test_gpt_4o_mini_pays_as_much_for_a_picture_as_gpt_4o() -> None:
    """33 times the tokens at a seventeenth of the price: twice the dollars, and no bargain."""
    mini, large = (price_of_1000(f"openai/gpt-4o{name}", shots=0) for name in ("-mini", ""))
    text = price_of_1000("openai/gpt-4.1-mini", shots=0)
    assert mini is not None and large is not None and text is not None
    pictures = 2 * 8500 * 0.15e-6 * 1000  # in both turns
    assert pictures < mini < pictures + text
