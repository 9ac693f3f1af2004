"""`torch.nn.MultiheadAttention` in its linear maps, so that their use of weights is seen."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.curvature.reading.calls import Arguments


def attend(arguments: Arguments) -> tuple[Tensor, Tensor | None] | None:
    """What ``multi_head_attention_forward`` returns, by operations that a tape can read.

    None where it is one of the rarer forms (queries that are not the keys, extra bias rows, an
    added zero, dropout): those are taken whole.
    """
    get = arguments.get
    query, heads, dropout = get(0, "query"), get(4, "num_heads"), get(10, "dropout_p")
    same = query is get(1, "key") and query is get(2, "value")
    extra = [get(7, "bias_k"), get(8, "bias_v"), get(21, "static_k"), get(22, "static_v")]
    rare = get(9, "add_zero_attn") or get(17, "use_separate_proj_weight", False)
    random = dropout > 0 and get(13, "training", True)
    if not same or rare or random or query.ndim != 3 or any(part is not None for part in extra):
        return None
    length, rows, width = query.shape
    # by the functions of torch themselves: on a tape they are two linear maps
    joint = functional.linear(query, get(5, "in_proj_weight"), get(6, "in_proj_bias"))
    parts = joint.reshape(length, rows, 3, heads, width // heads).permute(2, 1, 3, 0, 4)
    queries, keys, values = parts.unbind(0)
    # softmax(Q K' / √d) V (Vaswani et al. 2017, equation 1)
    scores = queries @ keys.mT / math.sqrt(width // heads)
    for mask in _masks(get(14, "key_padding_mask"), get(16, "attn_mask"), rows, heads):
        scores = scores.masked_fill(mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1)
    mixed = (weights @ values).permute(2, 0, 1, 3).reshape(length, rows, width)
    out = functional.linear(mixed, get(11, "out_proj_weight"), get(12, "out_proj_bias"))
    if not get(15, "need_weights", True):
        return out, None
    return out, weights.mean(1) if get(23, "average_attn_weights", True) else weights


def _masks(padding: Any, attention: Any, rows: int, heads: int) -> list[Tensor]:
    """Masks that broadcast against ``rows x heads x length x length``."""
    masks = list[Tensor]()
    if padding is not None:
        masks.append(padding[:, None, None, :])
    if attention is not None:
        masks.append(
            attention.view(rows, heads, *attention.shape[1:]) if attention.ndim == 3 else attention
        )
    return masks
