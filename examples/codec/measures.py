"""How near images are to what they were."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001)
"""Of the first scales (Wang, Simoncelli and Bovik 2003); small images have no more than three."""


def psnr(images: Tensor, back: Tensor) -> float:
    """Decibels of the mean squared error over all images, rounded to 8 bits as a file would be."""
    error = (back.mul(255).round() / 255 - images).square().mean().item()
    return -10 * math.log10(max(error, 1e-12))


def ms_ssim(images: Tensor, back: Tensor, window: int = 7, sigma: float = 1.5) -> float:
    """Multi-scale structural similarity, with scales and windows for small images."""
    line = torch.arange(window) - window // 2
    kernel = (-0.5 * (line / sigma).square()).exp()
    kernel = kernel / kernel.sum()
    value, colours = torch.ones(len(images)), images.shape[1]
    scales = min(len(WEIGHTS), int(math.log2(images.shape[-1] / window)) + 1)
    weights = [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]
    row = kernel.reshape(1, 1, 1, -1).repeat(colours, 1, 1, 1)

    def smooth(x: Tensor) -> Tensor:
        across = F.conv2d(x, row, groups=colours)
        return F.conv2d(across, row.transpose(2, 3), groups=colours)

    for scale, weight in enumerate(weights):
        first, second = smooth(images), smooth(back)
        both = smooth(images * back) - first * second
        spread = smooth(images**2) - first**2 + smooth(back**2) - second**2
        part = (2 * both + 0.03**2) / (spread + 0.03**2)
        if scale == scales - 1:  # brightness counts at the coarsest scale alone
            squares = first**2 + second**2 + 0.01**2
            part = part * (2 * first * second + 0.01**2) / squares
        value = value * part.flatten(1).mean(1).clamp_min(0) ** weight
        images, back = F.avg_pool2d(images, 2), F.avg_pool2d(back, 2)
    return value.mean().item()


def off_by(latent: Tensor) -> dict[str, float]:
    """Root mean square, over a latent's numbers, of what each moment is off from what it should be.

    Means from 0, variances from 1, correlations from 0 (over all pairs).
    """
    flat = latent.reshape(-1, latent.shape[-1]).double()
    spread = torch.cov(flat.T)
    scale = spread.diagonal().sqrt()
    correlation = spread / scale[:, None] / scale - torch.eye(len(scale), dtype=torch.float64)
    pairs = len(scale) * (len(scale) - 1)
    return {
        "mean": flat.mean(0).square().mean().sqrt().item(),
        "variance": (spread.diagonal() - 1).square().mean().sqrt().item(),
        "correlation": (correlation.square().sum() / pairs).sqrt().item(),
    }
