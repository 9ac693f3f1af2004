"""What tells one data set from another of the same size, at the price of a few rows."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ROWS = 64
"""Rows looked at, from all over."""

_PLAIN = (str, int, float, bool)


def fingerprint(values: Iterable[tuple[str, Any]]) -> str:
    """A digest of named values: some rows of tensors, arrays and lists, and how many there are."""
    digest = hashlib.sha256()
    for name, value in values:
        digest.update(f"{name} {_described(value)}\n".encode())
    return digest.hexdigest()[:16]


def of_data_set(data: Any) -> str | None:
    """A digest of what a data set holds, without a row being read; none where it holds nothing.

    No row is asked for: one that is augmented at random would be another every time.
    """
    held = _held(data)
    return fingerprint(held) if held else None


def _held(data: Any, depth: int = 0) -> list[tuple[str, Any]]:
    found = list[tuple[str, Any]]()
    for name, value in sorted(getattr(data, "__dict__", {}).items()):
        if isinstance(value, Tensor | np.ndarray) or _is_plain(value):
            found.append((name, value))
        elif isinstance(value, tuple) and all(isinstance(one, Tensor) for one in value):
            found += [(f"{name}.{place}", one) for place, one in enumerate(value)]
        elif name in ("dataset", "datasets") and depth < 3:  # a part, or several joined
            inner = value if isinstance(value, Sequence) else [value]
            for place, one in enumerate(inner):
                parts = _held(one, depth + 1)
                found += [(f"{name}.{place}.{part}", held) for part, held in parts]
    return found


def _is_plain(value: Any) -> bool:
    # a number or a name alone may be a counter or a path: only rows say which data they are
    return isinstance(value, list) and bool(value) and isinstance(value[0], _PLAIN)


def _described(value: Any) -> str:
    if isinstance(value, list):
        places = _places(len(value))
        return f"list {len(value)} {[value[place] for place in places]}"
    if isinstance(value, np.ndarray):
        some = value[_places(len(value))] if value.ndim and len(value) else value
        return f"{value.dtype} {value.shape} {_hash(np.ascontiguousarray(some).tobytes())}"
    if isinstance(value, Tensor):
        some = value.detach()
        some = some[_places(len(value))] if value.ndim and len(value) else some
        plain = some.cpu().contiguous().reshape(-1).view(torch.uint8)  # numpy has no bfloat16
        return f"{value.dtype} {tuple(value.shape)} {_hash(plain.numpy().tobytes())}"
    return type(value).__name__


def _places(count: int) -> list[int]:
    return torch.linspace(0, count - 1, min(_ROWS, count)).long().tolist()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
