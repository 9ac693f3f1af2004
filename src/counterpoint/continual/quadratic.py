"""What a memory of weights holds: quadratics around several points, as one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.continual.growth import as_if_fewer, join, padded
from counterpoint.gaussian import Diagonal, Gaussian, precision_from
from counterpoint.storage import JSONValue

__all__ = ["Quadratic"]


@dataclass(frozen=True, eq=False)
class Quadratic:
    r"""``E(θ) = 1/2 (θ - c)' P (θ - c) + s'(θ - c) + k``: any number of quadratics as one.

    The sum of ``1/2 (θ - μ_k)' P_k (θ - μ_k)`` is one quadratic with ``P = Σ P_k``. Written around
    the newest of the means, nothing has to be inverted, so that weights of which nothing is known
    (precisions of zero) do no harm:

    .. math:: s \leftarrow s + P (c' - c), \qquad
        k \leftarrow k + s^\top (c' - c) + \tfrac12 (c' - c)^\top P (c' - c)

    A diagonal goes one step further: ``c - s / P`` is the mean, and no slope is left.

    Attributes:
        gaussian: ``N(c, P⁻¹)``, with the rows whose evidence is in it as its counts.
        slope: ``s`` by name; none where it is zero.
        constant: ``k``, so that the value is that of the sum, and not only the gradient.
    """

    gaussian: Gaussian
    slope: dict[str, Tensor] | None
    constant: Float[Tensor, ""]

    @classmethod
    def of(cls, gaussian: Gaussian) -> "Quadratic":
        """A Gaussian's energy."""
        first = next(iter(gaussian.mean.values()))
        return cls(gaussian, None, first.new_zeros(()))

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Of the weights."""
        return self.gaussian.precision.shapes

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.constant.device

    def to(self, device: torch.device) -> "Quadratic":
        """The same on another device."""
        moved = {name: value.to(device) for name, value in self.tensors().items()}
        return Quadratic.read(self.spec(), moved)

    def energy(self, weights: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The value, with a graph.

        Raises:
            InputError: names or shapes are not those of the mean.
        """
        value = self.gaussian.energy(weights) + self.constant
        if self.slope is None:
            return value
        mean = self.gaussian.mean
        parts = [((weights[n] - mean[n]) * slope).sum() for n, slope in self.slope.items()]
        return value + torch.stack(parts).sum()

    def gradients(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``P (θ - c) + s``, without a graph."""
        with torch.no_grad():
            apart = {name: weights[name] - mean for name, mean in self.gaussian.mean.items()}
            found = self.gaussian.precision.mv(apart)
            if self.slope is None:
                return found
            return {name: value + self.slope[name] for name, value in found.items()}

    def inject(self, weights: list[Tensor], into: list[Tensor], scale: float) -> None:
        """Add ``scale (P (θ - c) + s)`` in place, in as few launches as a diagonal allows.

        Args:
            weights: in the order of `shapes`.
            into: what is added to, of the same shapes.
            scale: a factor.
        """
        with torch.no_grad():
            if self._lists is None:
                found = self.gradients(dict(zip(self.shapes, weights, strict=True)))
                for target, name in zip(into, self.shapes, strict=True):
                    target.add_(found[name], alpha=scale)
                return
            # as torch's own optimisers do, which have no public spelling for it either
            sub, addcmul = torch._foreach_sub, torch._foreach_addcmul_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            addcmul(into, sub(weights, self._lists[0]), self._lists[1], scale)

    def forgotten(self, keep: float, *, pooled: bool = False) -> "Quadratic | None":
        """``keep E``: the Gaussian to that power; none where nothing is kept.

        Args:
            keep: from 0 to 1.
            pooled: Kronecker factors will be added to, so they are what is scaled.
        """
        if keep == 0:
            return None
        if keep == 1:
            return self
        slope = None if self.slope is None else {n: v * keep for n, v in self.slope.items()}
        gaussian = self.gaussian**keep
        if pooled:
            fewer = as_if_fewer(self.gaussian.precision, keep)
            gaussian = replace(gaussian, precision=fewer)
        return Quadratic(gaussian, slope, self.constant * keep)

    def joined(self, other: Gaussian, *, pooled: bool = False) -> "Quadratic":
        """The sum with a Gaussian's energy; new or longer weights of it are new here, too.

        Args:
            other: whose mean the sum is written around.
            pooled: Kronecker factors are added, which is an approximation of the sum.
        """
        moved = self._moved(other.mean)
        precision = join(moved.gaussian.precision, other.precision, pooled=pooled)
        gaussian = _counted(Gaussian(other.mean, precision), self.gaussian, other)
        return replace(moved, gaussian=gaussian)._settled()

    def recentred(self, other: Gaussian, *, pooled: bool = False) -> "Quadratic":
        """``P_old + P_new`` around the other's mean: what Laplace's method makes of the sum there.

        Args:
            other: whose mean it is.
            pooled: Kronecker factors are added, which is an approximation of the sum.
        """
        precision = join(self.gaussian.precision, other.precision, pooled=pooled)
        gaussian = Gaussian(other.mean, precision)
        return Quadratic.of(_counted(gaussian, self.gaussian, other))

    @cached_property
    def whole(self) -> Gaussian:
        """One Gaussian with this energy, but for the constant: ``N(c - P⁻¹ s, P⁻¹)``.

        Raises:
            InputError: a slope is left and the precision is not positive definite.
        """
        if self.slope is None:
            return self.gaussian
        step = self.gaussian.precision.solve(self.slope)
        mean = {name: value - step[name] for name, value in self.gaussian.mean.items()}
        return replace(self.gaussian, mean=mean)

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds, by name; `spec` says how to read it."""
        gaussian = self.gaussian
        found = {f"mean/{name}": value for name, value in gaussian.mean.items()}
        found |= {f"precision/{name}": v for name, v in gaussian.precision.tensors().items()}
        found |= {f"slope/{name}": value for name, value in (self.slope or {}).items()}
        return {**found, "constant": self.constant}

    def spec(self) -> JSONValue:
        """How `tensors` are to be read."""
        gaussian = self.gaussian
        return {
            "precision": gaussian.precision.spec(),
            "names": list(gaussian.mean),
            "counts": gaussian.counts,
            "tempering": gaussian.tempering,
            "slope": self.slope is not None,
        }

    @classmethod
    def read(cls, spec: JSONValue, tensors: Mapping[str, Tensor]) -> "Quadratic":
        """What `spec` and `tensors` wrote."""
        mean = {name: tensors[f"mean/{name}"] for name in spec["names"]}
        inside = {
            key.removeprefix("precision/"): value
            for key, value in tensors.items()
            if key.startswith("precision/")
        }
        precision = precision_from(spec["precision"], inside)
        gaussian = Gaussian(mean, precision, spec["counts"], spec["tempering"])
        slope = {name: tensors[f"slope/{name}"] for name in mean} if spec["slope"] else None
        return cls(gaussian, slope, tensors["constant"])

    @cached_property
    def _lists(self) -> tuple[list[Tensor], list[Tensor]] | None:
        precision = self.gaussian.precision
        if not isinstance(precision, Diagonal) or self.slope is not None:
            return None
        return [self.gaussian.mean[n] for n in self.shapes], list(precision.values.values())

    def _moved(self, centre: Mapping[str, Tensor]) -> "Quadratic":
        """The same quadratic written around another point, which may have more weights."""
        shapes = self.shapes
        there = {n: centre[n][tuple(map(slice, shape))] for n, shape in shapes.items()}
        apart = {name: there[name] - self.gaussian.mean[name] for name in shapes}
        pulled = self.gaussian.precision.mv(apart)
        slope = self.slope or {name: torch.zeros_like(value) for name, value in apart.items()}
        gain = [(apart[n] * (slope[n] + pulled[n] / 2)).sum() for n in shapes]
        slope = {n: slope[n] + pulled[n] for n in shapes}
        return Quadratic(
            replace(self.gaussian, mean=there),
            padded(slope, {name: value.shape for name, value in centre.items()}),
            self.constant + torch.stack(gain).sum(),
        )

    def _settled(self) -> "Quadratic":
        precision, slope = self.gaussian.precision, self.slope
        if not isinstance(precision, Diagonal) or slope is None:
            return self
        # where the precision is zero so is every part of it, and with them the slope
        steps = {
            name: torch.where(value > 0, slope[name] / value, torch.zeros_like(value))
            for name, value in precision.values.items()
        }
        loss = torch.stack([(slope[n] * step).sum() for n, step in steps.items()]).sum()
        mean = {name: value - steps[name] for name, value in self.gaussian.mean.items()}
        return Quadratic(replace(self.gaussian, mean=mean), None, self.constant - loss / 2)


def _counted(gaussian: Gaussian, old: Gaussian, new: Gaussian) -> Gaussian:
    counts = old.counts + new.counts
    effective = old.counts * old.tempering + new.counts * new.tempering
    tempering = effective / counts if counts else 1.0
    return replace(gaussian, counts=counts, tempering=tempering)
