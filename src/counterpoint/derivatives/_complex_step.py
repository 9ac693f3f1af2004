"""A step into the complex plane: no difference is taken, so nothing is lost in rounding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from counterpoint.derivatives._function import Function, together, unit_directions
from counterpoint.derivatives._scheme import Slopes
from counterpoint.derivatives._steps import checked_size
from counterpoint.errors import InputError


@dataclass(frozen=True)
class ComplexStep:
    """``Im f(x + i h v) / h``, exact to machine precision for functions with a complex version.

    Those are made of what is analytic: linear maps, tanh, sigmoid, exp, sine, polynomials. ReLU,
    GELU and softplus are refused by torch; an absolute value inside is not seen and makes the
    result wrong. Real weights meet complex inputs as complex numbers. (Squire and Trapp, Using
    complex variables to estimate derivatives of real functions, SIAM Review 40, 1998.)

    Attributes:
        step: h, so small that its square is lost beside 1.

    Raises:
        InputError: the step is not positive and finite.
    """

    step: float = 1e-20

    def __post_init__(self) -> None:
        checked_size("scheme ComplexStep: step", self.step)

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched complex evaluation.

        Raises:
            InputError: the function has no complex version.
        """
        ways = unit_directions(x) if directions is None else directions
        # Half precision has no complex arithmetic worth the name.
        real = x.to(torch.promote_types(x.dtype, torch.float32)).expand(ways.shape)
        points = torch.complex(real, (ways * self.step).to(real))
        try:
            with _Promoted():
                found = together(function, points)
        except (RuntimeError, TypeError) as error:
            raise InputError(
                "scheme 'complex-step': the function has no complex version "
                f"({_first_line(error)}); choose 'forward-mode' or 'reverse-mode'"
            ) from error
        if not found.is_complex():
            raise InputError(
                "scheme 'complex-step': the function gives real numbers for complex points, so it "
                "is not analytic in them; choose 'forward-mode' or 'reverse-mode'"
            )
        # f(x + i h v) = f(x) + i h v f'(x) - h^2 ...: the real part is f(x) but for h^2, below the
        # last bit
        return found[0].real.to(x.dtype), (found.imag / self.step).to(x.dtype)


class _Promoted(TorchFunctionMode):
    """Lets real tensors meet complex ones: products of matrices do not promote by themselves."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = (args, dict(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
        if any(one.is_complex() for one in tensors):
            args, kwargs = tree_map_only(Tensor, _as_complex, given)
        return func(*args, **(kwargs or {}))


def _as_complex(value: Tensor) -> Tensor:
    return value.to(value.dtype.to_complex()) if value.is_floating_point() else value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
