"""A likelihood made by following CONTRIBUTING: absolute errors."""

import math

import torch
from torch.distributions import Independent, Laplace

from counterpoint.goals import Likelihood
from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    check_same_shape,
)


class Laplacian(Likelihood):
    """``Σ_k |y_k - f_k| / b + log 2b``; the median is no natural parameter."""

    def __init__(self, scale=1.0, *, validate=True):
        super().__init__(validate=validate)
        self.scale = scale

    def nll_each(self, output, target):
        check_output("laplacian", output)
        target = check_same_shape("laplacian", output, target)
        return as_rows((target - output).abs() / self.scale + math.log(2 * self.scale))

    def distribution(self, output):
        return Independent(Laplace(output, torch.full_like(output, self.scale)), output.ndim - 1)

    def root(self, output):
        return as_columns(1 / self.scale + 0 * as_floats(output))

    def draw(self, output, generator):
        u = torch.rand(output.shape, generator=generator, dtype=output.dtype) - 0.5
        return output - self.scale * u.sign() * torch.log1p(-2 * u.abs())
