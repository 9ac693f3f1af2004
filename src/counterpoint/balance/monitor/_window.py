r"""The last steps, and the numbers that several diagnostics share.

Over a window of H steps with losses ``L``, weights ``w``, norms ``|g_k|``, cosines and positions
``p``, and with ``d_t = p_{t+1} - p_t``:

- score ``F = mean_k L_k / scale_k``, where the scale is the goal's mean ``|L_k|`` at its start;
- progress: first half minus second half of the window, in standard errors of ten block means
  each: the greater of that of F and, less 1, the greatest of a single goal. Blocks, since
  neighbouring losses are not independent;
- gain: the same for F in the first twenty steps of the run minus this window;
- lift: the same difference in standard deviations of F in this window, which any number of steps
  leaves as it is;
- steady: rms ``|d|`` in the second half over that in the first (< 1: coming to rest);
- speed: rms ``|d|`` over rms ``|p|``;
- harmony: ``|sum_k w_k g_k| / sum_k w_k |g_k|``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

_BLOCKS = 20  # of a window; ten for each half, enough for an error of a mean
_TINY = 1e-300  # keeps a division by zero from being one


@dataclass(frozen=True)
class Diagnosis:
    """What one diagnostic saw in one window: about which goals, by which numbers."""

    goals: tuple[str, ...]
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Window:
    """H steps of K goals, on the CPU in float64; what is unknown is NaN."""

    names: tuple[str, ...]
    losses: Float[Tensor, "steps goals"]
    weights: Float[Tensor, "steps goals"]
    norms: Float[Tensor, "steps goals"]
    cosines: Float[Tensor, "steps goals goals"]
    positions: Float[Tensor, "steps size"]
    start_losses: Float[Tensor, "first goals"]
    start_norms: Float[Tensor, "first goals"]

    @cached_property
    def measured(self) -> bool:
        """Whether there are a norm and an angle of every goal at every step."""
        return bool(self.norms.isfinite().all() and self.cosines.isfinite().all())

    @cached_property
    def located(self) -> bool:
        """Whether there is a position of every step."""
        return bool(self.positions.shape[1]) and bool(self.positions.isfinite().all())

    @cached_property
    def moves(self) -> Float[Tensor, "moves size"]:
        """The displacements d, (H - 1, size)."""
        return self.positions.diff(dim=0)

    @cached_property
    def score(self) -> Float[Tensor, " steps"]:
        """F of every step."""
        return (self.losses / self.scale).mean(1)

    @cached_property
    def progress(self) -> float:
        """How much better the second half is than the first, in standard errors."""
        half = len(self.losses) // 2
        whole = _drop(self.score[:half], self.score[half:])
        # the greatest of K chance values is larger than one of them: less 1 makes up for it
        single = [_drop(each[:half], each[half:]) - 1.0 for each in self.losses.T]
        return max(whole, *single)

    @cached_property
    def gain(self) -> float:
        """How much better this window is than the first steps of the run, in standard errors."""
        return _drop((self.start_losses / self.scale).mean(1), self.score)

    @cached_property
    def lift(self) -> float:
        """How much better this window is than the first steps, in standard deviations of F."""
        start = (self.start_losses / self.scale).mean()
        return float((start - self.score.mean()) / self.score.std().clamp_min(_TINY))

    @cached_property
    def steady(self) -> float:
        """Length of the moves in the second half relative to the first."""
        half = len(self.moves) // 2
        before, after = _rms(self.moves[:half]), _rms(self.moves[half:])
        return after / max(before, _TINY)

    @cached_property
    def speed(self) -> float:
        """Length of a move relative to the length of the weights."""
        return _rms(self.moves) / max(_rms(self.positions), _TINY)

    @cached_property
    def pulls(self) -> Float[Tensor, "steps goals"]:
        """w_k |g_k|, (H, K)."""
        return self.weights * self.norms

    @cached_property
    def harmony(self) -> Float[Tensor, " steps"]:
        """Length of the combined gradient relative to that of its parts, one a step."""
        square = torch.einsum("tk,tkl,tl->t", self.pulls, self.cosines, self.pulls)
        return square.clamp_min(0.0).sqrt() / self.pulls.sum(1).clamp_min(_TINY)

    @cached_property
    def liveliness(self) -> float:
        """What all goals pull now relative to what they pulled at their start, equal weights."""
        start = self.start_norms.mean(0).clamp_min(_TINY)
        return float((self.norms[len(self.norms) // 2 :] / start).mean())

    @cached_property
    def scale(self) -> Float[Tensor, " goals"]:
        """The size that a loss had at its start, (K,)."""
        return self.start_losses.abs().mean(0).clamp_min(1e-30)


def _rms(rows: Float[Tensor, "rows size"]) -> float:
    return float(rows.square().sum(1).mean().sqrt())


def _drop(before: Float[Tensor, " before"], after: Float[Tensor, " after"]) -> float:
    """Difference of means in standard errors."""
    error = _error(before) + _error(after)
    # at least a hundredth of the spread: a drift far below a cycle's amplitude is no progress
    floor = 0.01 * float(torch.cat([before, after]).std()) + 1e-4 * float(after.abs().mean())
    return float(before.mean() - after.mean()) / max(error**0.5, floor, _TINY)


def _error(values: Float[Tensor, " values"]) -> float:
    """Square of the standard error of a mean, from means of blocks."""
    size = max(1, len(values) // (_BLOCKS // 2))
    blocks = values[: len(values) // size * size].view(-1, size).mean(1)
    return float(blocks.var()) / len(blocks)
