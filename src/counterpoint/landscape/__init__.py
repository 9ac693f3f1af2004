"""Landscapes to look at: several functions of one point, composed, and who gets where.

A `Landscape` is K functions ("layers") of d variables with exact gradients: noise on a torus
(`noise`), the field's test functions (`functions`). `Aligned` moves layers so that all are lowest
at one point: goals in harmony. A `Composition` makes one direction of them: mean, product, the
steepest, alternation, or any rule of `balance`, the same objects that train networks. `descend`
lets many points go down at once; `questions` asks what one wants to know, each with error bars and
a figure.

>>> import torch
>>> from counterpoint.landscape.noise import Perlin
>>> hills = Aligned(Perlin(layers=8, cells=4, seed=0))
>>> starts = hills.uniform(50, torch.Generator().manual_seed(0))
>>> ends = descend(hills, starts, "alternation", step=0.6, steps=400, settle=200).ends
>>> summed = descend(hills, starts, "mean", step=0.6, steps=600).ends
>>> reached = [(hills.distance(e, hills.minimum) < 0.15).float().mean() for e in (ends, summed)]
>>> bool(reached[0] > reached[1])  # switching leaves the valleys that the layers do not share
True
"""

from counterpoint.landscape._aligned import Aligned, lowest_points
from counterpoint.landscape._composition import (
    COMPOSITIONS,
    Alternation,
    Composition,
    LargestGradient,
    LargestValue,
    LayerSum,
    Mean,
    Product,
    Ruled,
    SoftMaximum,
    Weighted,
    composition,
)
from counterpoint.landscape._descend import Descent, descend
from counterpoint.landscape._landscape import Evaluation, Joined, Landscape
from counterpoint.landscape._scaled import Scaled

__all__ = [
    "COMPOSITIONS",
    "Aligned",
    "Alternation",
    "Composition",
    "Descent",
    "Evaluation",
    "Joined",
    "Landscape",
    "LargestGradient",
    "LargestValue",
    "LayerSum",
    "Mean",
    "Product",
    "Ruled",
    "Scaled",
    "SoftMaximum",
    "Weighted",
    "composition",
    "descend",
    "lowest_points",
]
