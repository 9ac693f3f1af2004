"""Units that add and multiply: the arithmetic is fixed, and what is wired to what is learnt."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.errors import InputError


class NAU(nn.Module):
    r"""Neural addition units: sums and differences of inputs.

    .. math:: z_i = \sum_j W_{ij} x_j, \qquad W = \min(\max(\hat{W}, -1), 1)

    Once every entry of W is -1, 0 or 1, which `sparsity` asks for, a unit says what it computes,
    and is as right far from the training rows as on them.

    Source: Madsen & Johansen, "Neural Arithmetic Units" (arXiv 2001.05016), equations 6 and 7, and
    section 2.3 for the initial weights.

    Args:
        inputs: entries of a row.
        outputs: units.

    Raises:
        InputError: a number is below 1.

    >>> unit = NAU(2, 1)
    >>> _ = unit.weight.data.copy_(torch.tensor([[1.0, -7.0]]))  # -7 counts as -1
    >>> unit(torch.tensor([[5.0, 3.0], [1e6, 1.0]])).tolist()
    [[2.0], [999999.0]]
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        _check("NAU", inputs, outputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.reset_parameters()

    @property
    def wiring(self) -> Float[Tensor, "outputs inputs"]:
        """The weights between -1 and 1."""
        return self.weight.clamp(-1.0, 1.0)

    def reset_parameters(self) -> None:
        """Draw the weights: of variance 2 / (inputs + outputs), and none beyond 1/2."""
        nn.init.uniform_(
            self.weight, *_around(0.0, min(0.5, math.sqrt(6 / sum(self.weight.shape))))
        )

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The sums."""
        return functional.linear(x, self.wiring)


class NMU(nn.Module):
    r"""Neural multiplication units: products of some of the inputs.

    .. math:: z_i = \prod_j \left( W_{ij} x_j + 1 - W_{ij} \right),
        \qquad W = \min(\max(\hat{W}, 0), 1)

    An input of weight 0 is left out (a factor of 1). It neither divides nor takes powers. A product
    of many factors leaves the range of its numbers soon: on the CPU this is refused.

    Source: as of `NAU`, equations 8 and 9.

    Args:
        inputs: entries of a row.
        outputs: units.

    Raises:
        InputError: a number is below 1; inputs or products are not finite.

    >>> unit = NMU(3, 1)
    >>> _ = unit.weight.data.copy_(torch.tensor([[1.0, 0.0, 1.0]]))
    >>> unit(torch.tensor([[5.0, 9.0, 3.0]])).tolist()
    [[15.0]]
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        _check("NMU", inputs, outputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.reset_parameters()

    @property
    def wiring(self) -> Float[Tensor, "outputs inputs"]:
        """The weights between 0 and 1."""
        return self.weight.clamp(0.0, 1.0)

    def reset_parameters(self) -> None:
        """Draw the weights from 1/4 to 3/4."""
        nn.init.uniform_(self.weight, *_around(0.5, 0.25))

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The products."""
        wiring = self.wiring
        found = (wiring * x.unsqueeze(-2) + 1.0 - wiring).prod(-1)
        if _beyond(found):
            raise InputError(_outside(x))
        return found


def sparsity(model: nn.Module) -> Float[Tensor, ""]:
    r"""How far the wiring of `NAU` and `NMU` is from -1, 0 and 1: a goal to be minimised.

    .. math:: \sum_l \mathrm{mean}_{ij} \min \left( |W_{ij}|, \left| 1 - |W_{ij}| \right| \right)

    A sum over the units of the model. The weights count as they are, not as they are clamped: one
    beyond the range, where the fit has no slope, is brought back to its edge by this alone. Begin
    to count it only when the fit is good: from the start it settles what is not yet known.

    Source: as of `NAU`, equation 10 and section 3.1.

    Args:
        model: with such units somewhere in it.

    Raises:
        InputError: there are none.

    >>> unit = NAU(2, 1)
    >>> _ = unit.weight.data.copy_(torch.tensor([[0.9, -0.5]]))
    >>> round(sparsity(unit).item(), 6)  # (0.1 + 0.5) / 2
    0.3
    """
    weights = [unit.weight.abs() for unit in model.modules() if isinstance(unit, NAU | NMU)]
    if not weights:
        raise InputError("sparsity: the model has no NAU or NMU")
    return torch.stack([torch.minimum(one, (1.0 - one).abs()).mean() for one in weights]).sum()


def _around(middle: float, reach: float) -> tuple[float, float]:
    return middle - reach, middle + reach


def _check(name: str, inputs: int, outputs: int) -> None:
    if min(inputs, outputs) < 1:
        raise InputError(
            f"{name}: inputs and outputs must be at least 1, found {inputs} and {outputs}"
        )


def _beyond(found: Tensor) -> bool:
    # a look at the values would stall a device and break a graph that is being compiled
    if torch.compiler.is_compiling() or found.device.type != "cpu":
        return False
    try:
        return not bool(found.isfinite().all())
    except RuntimeError:  # inside torch.func.vmap nobody may look
        return False


def _outside(x: Tensor) -> str:
    kind = str(x.dtype).removeprefix("torch.")
    if not x.isfinite().all():
        return f"NMU: inputs must be finite, found {x[~x.isfinite()][0].item()} among them"
    return (
        f"NMU: a product of {x.shape[-1]} inputs of up to {x.abs().max().item():.3g} is beyond the "
        f"range of {kind}; scale the inputs, multiply fewer, or use float64"
    )
