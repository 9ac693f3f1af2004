"""What else there is: principal components of whole images, and WebP."""

import io
import math

import numpy as np
import torch
from torch import Tensor

from codec.coder import finer_for
from codec.measures import ms_ssim, psnr
from counterpoint.errors import InputError


class WholeComponents:
    """Rounded principal components of whole images, charged the entropy of each over what is coded.

    That is less than any coder reaches: it takes the frequencies from the images themselves.
    """

    def __init__(self, train: Tensor) -> None:
        flat = train.flatten(1)
        self.middle = flat.mean(0)
        self.axes = torch.linalg.eigh(torch.cov(flat.T))[1].T

    def __call__(self, test: Tensor, budget: float) -> tuple[dict[str, float], Tensor]:
        """By the finest rounding within the budget: measures, and what comes back."""
        found = (test.flatten(1) - self.middle) @ self.axes.T
        fine = 10 * finer_for(budget, lambda finer: _entropy((found * finer * 10).round()))
        numbers = (found * fine).round()
        back = (numbers / fine) @ self.axes + self.middle
        back = back.reshape(test.shape).clamp(0, 1)
        quality = {"psnr": psnr(test, back), "ms_ssim": ms_ssim(test, back)}
        return {"bytes": _entropy(numbers), **quality}, back


def _entropy(numbers: Tensor) -> float:
    """Bits a row, each column by the frequencies of its own values."""
    total = 0.0
    for column in numbers.T.to(torch.int64):
        share = torch.bincount(column - column.min()).double() / len(column)
        total -= (share * share.clamp_min(1e-300).log2()).sum().item()
    return total / 8


def webp(test: Tensor, budget: float) -> dict[str, float] | None:
    """WebP at the best quality whose files are within the budget on average; None if none is.

    Raises:
        InputError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "compress: WebP is in 'pillow'; pip install 'counterpoint[examples]'"
        ) from error
    pixels = test.permute(0, 2, 3, 1).mul(255).round().byte().numpy()
    best = None
    low, high = 0, 100
    while low <= high:
        quality = (low + high) // 2
        files, back = [], []
        for picture in pixels:
            file = io.BytesIO()
            Image.fromarray(picture.squeeze()).save(file, "WEBP", quality=quality, method=6)
            files.append(file.tell())
            shown = Image.open(file).convert("RGB" if picture.shape[-1] == 3 else "L")
            back.append(np.asarray(shown).reshape(picture.shape))
        spent = sum(files) / len(files)
        if spent > budget:
            high = quality - 1
            continue
        again = torch.tensor(np.stack(back)).permute(0, 3, 1, 2) / 255
        best = {"bytes": spent, "psnr": psnr(test, again), "ms_ssim": ms_ssim(test, again)}
        low = quality + 1
    return best if best is None or math.isfinite(best["psnr"]) else None
