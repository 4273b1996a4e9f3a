"""The tiny model: a Qwen3-VL from a small configuration, and a fast dense forward for training.

One visual token is one 32-pixel tile (patch 16, merge 2). :func:`see` and :func:`read` compute what
``Qwen3VLForConditionalGeneration.forward`` computes, from the same modules, for a batch of images of
one size: the patch embedding once per distinct tile, attention over all images at once, several
conversations branching off one picture through the attention mask. A test holds them equal to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from tools.tiny_vl import tokens

TILE = 32
MAX_SIDE = 16
"""Most rows or columns of a grid (the row and column heads of training)."""


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """An untrained model whose vocabulary is the tokenizer's."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in tokens.SPECIAL}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "head_dim": 32,
            "max_position_embeddings": 8192,
            "pad_token_id": ids[tokens.PAD],
            "bos_token_id": ids[tokens.START],
            "eos_token_id": ids[tokens.END],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 192,
            "num_heads": 2,
            "out_hidden_size": 96,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": MAX_SIDE**2,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=ids[tokens.IMAGE],
        video_token_id=ids[tokens.VIDEO],
        vision_start_token_id=ids[tokens.VISION_START],
        vision_end_token_id=ids[tokens.VISION_END],
        pad_token_id=ids[tokens.PAD],
        eos_token_id=ids[tokens.END],
        bos_token_id=ids[tokens.START],
        tie_word_embeddings=False,
        dtype="float32",
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids[tokens.END]
    model.generation_config.pad_token_id = ids[tokens.PAD]
    return model


class Heads(nn.Module):
    """What exists in training only: the answers that teach the towers to see.

    On each visual token: its tile's class, its row, its column. On the text tower's image
    positions: which one is the target, the cell ahead, the agent.
    """

    def __init__(self, n_tiles: int, width: int) -> None:
        super().__init__()
        self.tile = nn.Linear(width, n_tiles)
        self.row = nn.Linear(width, MAX_SIDE)
        self.column = nn.Linear(width, MAX_SIDE)
        self.pointer = nn.Linear(width, 3)


def patches_of(tiles: Tensor) -> Tensor:
    """(T, 32, 32, 3) uint8 tiles to the processor's patches, (T * 4, 1536) floats.

    A patch is channel, time (the picture twice), row, column; rescaled to -1..1.
    """
    pixels = (tiles.float() / 255 - 0.5) / 0.5
    parts = pixels.reshape(-1, 2, 16, 2, 16, 3).permute(0, 1, 3, 5, 2, 4)  # T, mh, mw, 3, 16, 16
    return parts.unsqueeze(4).expand(-1, -1, -1, -1, 2, -1, -1).reshape(-1, 3 * 2 * 16 * 16)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def see(
    model: Qwen3VLForConditionalGeneration, patches: Tensor, grids: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The vision tower on ``grids`` (B, H, W) of indices into the distinct tiles' ``patches``.

    Returns the visual tokens (B, H * W, width) and those of each deep-stack layer.
    """
    from transformers.vision_utils import (
        get_vision_interpolation_indices_and_weights,
        get_vision_position_ids,
    )

    visual = model.model.visual
    n, height, width = grids.shape
    grid = torch.tensor([[1, 2 * height, 2 * width]])
    indices, weights = get_vision_interpolation_indices_and_weights(
        grid,
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=2,
    )
    position = (visual.pos_embed(indices) * weights[:, :, None]).sum(1)
    proj = visual.patch_embed.proj
    distinct = F.linear(patches, proj.weight.flatten(1), proj.bias).view(
        -1, 4, visual.config.hidden_size
    )
    x = distinct[grids.flatten(1)].flatten(1, 2) + position
    cos, sin = visual.rotary_pos_emb(x, get_vision_position_ids(grid, 2))
    deep = []
    for number, block in enumerate(visual.blocks):
        y = block.norm1(x)
        q, k, v = (
            block.attn.qkv(y)
            .view(n, y.shape[1], 3, block.attn.num_heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
        y = F.scaled_dot_product_attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        x = x + block.attn.proj(y.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
        if number in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[visual.deepstack_visual_indexes.index(number)]
            deep.append(merger(x).view(n, height * width, -1))
    return visual.merger(x).view(n, height * width, -1), deep


def read(
    model: Qwen3VLForConditionalGeneration,
    embeds: Tensor,
    positions: Tensor,
    mask: Tensor,
    image: slice,
    deep: list[Tensor],
    tap: int = 1,
) -> tuple[Tensor, Tensor]:
    """The text tower on ``embeds`` (B, L, width) whose ``image`` columns are the visual tokens.

    ``positions`` is (3, B, L), ``mask`` (B, 1, L, L), true where a row may look. Returns the last
    hidden states and those after layer ``tap``.
    """
    text = model.model.language_model
    x = embeds
    cos, sin = text.rotary_emb(x, positions)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    tapped = x
    eps = text.config.rms_norm_eps
    for number, layer in enumerate(text.layers):
        attention = layer.self_attn
        y = F.rms_norm(x, x.shape[-1:], layer.input_layernorm.weight, eps)
        shape = (*y.shape[:-1], -1, attention.head_dim)
        q = F.rms_norm(attention.q_proj(y).view(shape), shape[-1:], attention.q_norm.weight, eps)
        k = F.rms_norm(attention.k_proj(y).view(shape), shape[-1:], attention.k_norm.weight, eps)
        v = attention.v_proj(y).view(shape)
        y = F.scaled_dot_product_attention(
            _rotate(q.transpose(1, 2), cos, sin),
            _rotate(k.transpose(1, 2), cos, sin),
            v.transpose(1, 2),
            attn_mask=mask,
        )
        x = x + attention.o_proj(y.transpose(1, 2).flatten(2))
        y = F.rms_norm(x, x.shape[-1:], layer.post_attention_layernorm.weight, eps)
        x = x + layer.mlp(y)
        if number < len(deep):
            x = torch.cat([x[:, : image.start], x[:, image] + deep[number], x[:, image.stop :]], 1)
        if number == tap:
            tapped = x
    return F.rms_norm(x, x.shape[-1:], text.norm.weight, eps), tapped
