"""Scale and shift after a normalisation: ``y = x̂ · w + b``."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from counterpoint.curvature.reading.calls._call import Arguments, Call, Entry
from counterpoint.gaussian import FullJacobian


@dataclass(frozen=True)
class Affine(Call):
    """Layer, RMS, batch (eval mode), group and instance normalisation.

    Attributes:
        weight: name of ``w``.
        bias: name of ``b``.
        inputs: ``x̂``, examples first: the input, normalised.
        trailing: how many last dimensions ``w`` has; 0 where it has the channels, dimension 1.
    """

    axis: int
    names: tuple[str, ...]
    positions: int
    weight: str | None
    bias: str | None
    inputs: Float[Tensor, "rows ..."]
    trailing: int

    @classmethod
    def layer(cls, arguments: Arguments) -> "Affine | None":
        """From ``layer_norm(input, normalized_shape, weight, bias, eps)``."""
        given, shape = arguments.get(0, "input"), arguments.get(1, "normalized_shape")
        eps = arguments.get(4, "eps", 1e-5)
        return cls._of(
            arguments,
            functional.layer_norm(given.detach(), shape, eps=eps),
            ("weight", "bias"),
            2,
            len(shape),
        )

    @classmethod
    def rms(cls, arguments: Arguments) -> "Affine | None":
        """From ``rms_norm(input, normalized_shape, weight, eps)``."""
        given, shape = arguments.get(0, "input"), arguments.get(1, "normalized_shape")
        normal = functional.rms_norm(given.detach(), shape, eps=arguments.get(3, "eps"))
        return cls._of(arguments, normal, ("weight",), 2, len(shape))

    @classmethod
    def group(cls, arguments: Arguments) -> "Affine | None":
        """From ``group_norm(input, num_groups, weight, bias, eps)``."""
        given, groups = arguments.get(0, "input"), arguments.get(1, "num_groups")
        eps = arguments.get(4, "eps", 1e-5)
        normal = functional.group_norm(given.detach(), groups, eps=eps)
        return cls._of(arguments, normal, ("weight", "bias"), 2, 0)

    @classmethod
    def batch(cls, arguments: Arguments) -> "Affine | None":
        """From ``batch_norm(input, running_mean, running_var, weight, bias, training, ...)``.

        None in training, where examples are not independent.
        """
        if arguments.get(5, "training", False):
            return None
        given, mean = arguments.get(0, "input"), arguments.get(1, "running_mean")
        variance, eps = arguments.get(2, "running_var"), arguments.get(7, "eps", 1e-5)
        # without weight and bias: x̂, which is the derivative of y by w
        normal = functional.batch_norm(given.detach(), mean, variance, eps=eps)
        return cls._of(arguments, normal, ("weight", "bias"), 3, 0)

    @classmethod
    def _of(
        cls,
        arguments: Arguments,
        normal: Tensor,
        roles: tuple[str, ...],
        first: int,
        trailing: int,
    ) -> "Affine | None":
        """`roles` are the arguments from place `first` on."""
        axes = (0, 1) if trailing else (0,)
        inputs, axis = arguments.rows_first(normal, axes), arguments.place(axes, normal)
        if inputs is None or axis is None or (trailing and axis >= normal.ndim - trailing):
            return None
        named = {role: arguments.weight(first + at, role) for at, role in enumerate(roles)}
        # a weight in another role (as a running mean) has a derivative that this does not read
        if set(arguments.names()) != {name for name in named.values() if name is not None}:
            return None
        weight, bias = named["weight"], named.get("bias")
        # 2 and not counted: more than one position keeps sums of squares from being pooled
        return cls(axis, arguments.names(), 2, weight, bias, inputs, trailing)

    def kept(self) -> tuple[Tensor, ...]:
        """Nothing of the forward pass: the normalised input is its own copy."""
        return ()

    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """Sums over the positions of an example."""
        found = list[Entry]()
        if self.weight is not None:
            scaled = deltas * self.inputs[rows].to(deltas.dtype)[:, None]
            found.append(FullJacobian(self.weight, self._summed(scaled)))
        if self.bias is not None:
            found.append(FullJacobian(self.bias, self._summed(deltas)))
        return found

    def _summed(self, values: Float[Tensor, "rows columns ..."]) -> Tensor:
        if self.trailing:
            over = tuple(range(2, values.ndim - self.trailing))
        else:
            over = tuple(range(3, values.ndim))
        return torch.sum(values, over) if over else values
