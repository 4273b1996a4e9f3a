"""The tiny model: a Qwen3-VL from a small configuration, and a fast dense forward for training.

One visual token is one 32-pixel tile (patch 16, merge 2). :func:`see` and :func:`read` do what
``Qwen3VLForConditionalGeneration.forward`` does, with its weights, for a batch of images of one
size: the patch embedding once per distinct tile, attention over all images at once, several
conversations branching off one picture through the attention mask. A test holds them equal to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

from tools.tiny_vl import tokens

TILE = 32
MAX_SIDE = 16
"""Most rows or columns of a grid (the row and column heads of training)."""


def make_model(tokenizer: PreTrainedTokenizerFast) -> Any:
    """An untrained model whose vocabulary is the tokenizer's."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    configure: Any = Qwen3VLConfig
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in tokens.SPECIAL}
    config = configure(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
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
    model: Any = Qwen3VLForConditionalGeneration(config)  # type: ignore[no-untyped-call]
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


class _Unit(torch.autograd.Function):
    """``x / rms(x)`` along the last dimension: RMSNorm without its weight, in few passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = rms.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y: Tensor = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        along = (grad * y).mean(-1, keepdim=True)
        return torch.addcmul(grad, y, along, value=-1).mul_(scale), None


def _unit(x: Tensor, eps: float) -> Tensor:
    unit: Tensor = _Unit.apply(x, eps)  # type: ignore[no-untyped-call]
    return unit


def _pairs(weight: Tensor, heads: int) -> Tensor:
    """Rows of a projection so ordered that the two halves that rotate together lie side by side.

    Queries and keys are ordered alike, so their products stay what they are, and a rotation is one
    multiplication of complex numbers.
    """
    rows: Tensor = weight.view(heads, 2, -1, *weight.shape[1:])
    return rows.transpose(1, 2).reshape(weight.shape)


def _rotate(x: Tensor, turns: Tensor) -> Tensor:
    return torch.view_as_real(torch.view_as_complex(x.view(*x.shape[:-1], -1, 2)) * turns).flatten(
        -2
    )


def _turns(cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[-1] // 2
    return torch.complex(cos[..., :half].contiguous(), sin[..., :half].contiguous())


def see(model: Any, patches: Tensor, grids: Tensor) -> tuple[Tensor, list[Tensor]]:
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
    turns = _turns(*visual.rotary_pos_emb(x, get_vision_position_ids(grid, 2)))
    deep = []
    for number, block in enumerate(visual.blocks):
        y = block.norm1(x)
        heads = block.attn.num_heads
        weight, bias = (
            torch.cat([_pairs(t[:wide], 2 * heads), t[wide:]])
            for t, wide in (
                (t, 2 * len(t) // 3) for t in (block.attn.qkv.weight, block.attn.qkv.bias)
            )
        )
        y = F.linear(y, weight, bias).view(n, y.shape[1], 3 * heads, -1).transpose(1, 2)
        qk = _rotate(y[:, : 2 * heads], turns)
        y = F.scaled_dot_product_attention(qk[:, :heads], qk[:, heads:], y[:, 2 * heads :])
        x = x + block.attn.proj(y.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
        if number in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[visual.deepstack_visual_indexes.index(number)]
            deep.append(merger(x).view(n, height * width, -1))
    return visual.merger(x).view(n, height * width, -1), deep


def read(
    model: Any,
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
    turns = _turns(*text.rotary_emb(x, positions)).unsqueeze(1)
    tapped = x
    eps = text.config.rms_norm_eps
    for number, layer in enumerate(text.layers):
        a, heads = layer.self_attn, text.config.num_attention_heads
        rows = [_pairs(a.q_proj.weight, heads), _pairs(a.k_proj.weight, heads), a.v_proj.weight]
        y = F.linear(_unit(x, eps), torch.cat(rows) * layer.input_layernorm.weight)
        y = y.view(*y.shape[:-1], 3 * heads, a.head_dim)
        scales = torch.stack([_pairs(a.q_norm.weight, 1), _pairs(a.k_norm.weight, 1)])
        qk = _unit(y[:, :, : 2 * heads], eps) * scales.repeat_interleave(heads, 0)
        qk = _rotate(qk.transpose(1, 2), turns)
        v = y[:, :, 2 * heads :].transpose(1, 2)
        y = F.scaled_dot_product_attention(qk[:, :heads], qk[:, heads:], v, attn_mask=mask)
        x = x + a.o_proj(y.transpose(1, 2).flatten(2))
        mlp = layer.mlp
        rows = [mlp.gate_proj.weight, mlp.up_proj.weight]
        gate, up = F.linear(
            _unit(x, eps), torch.cat(rows) * layer.post_attention_layernorm.weight
        ).chunk(2, -1)
        x = x + mlp.down_proj(F.silu(gate) * up)
        if number < len(deep):
            x = torch.cat([x[:, : image.start], x[:, image] + deep[number], x[:, image.stop :]], 1)
        if number == tap:
            tapped = x
    return _unit(x, eps) * text.norm.weight, tapped
