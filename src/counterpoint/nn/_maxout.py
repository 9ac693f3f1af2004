"""The largest of several linear maps."""

from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.errors import InputError


class Maxout(nn.Module):
    r"""Units that are the largest of k linear functions: activations that are learnt.

    .. math:: h_i(x) = \max_{j \leq k} \left( w_{ij}^\top x + b_{ij} \right)

    A unit is convex and piecewise linear; ReLU, leaky ReLU and the absolute value are units of
    two pieces. It has k times the weights of a linear layer, and no activation follows it. No
    piece is flat unless it is learnt so, which is why its authors pair it with dropout.

    Source: Goodfellow et al., "Maxout Networks" (arXiv 1302.4389), section 3.

    Args:
        inputs: entries of a row.
        outputs: units.
        pieces: linear functions a unit, k.

    Raises:
        InputError: a number is below 1.

    >>> import torch
    >>> unit = Maxout(1, 1, pieces=2)  # |x| is the larger of x and -x
    >>> unit.linear.weight.data = torch.tensor([[1.0], [-1.0]])
    >>> unit.linear.bias.data = torch.zeros(2)
    >>> unit(torch.tensor([[-3.0], [2.0]])).tolist()
    [[3.0], [2.0]]
    """

    def __init__(self, inputs: int, outputs: int, pieces: int = 2) -> None:
        super().__init__()
        if min(inputs, outputs, pieces) < 1:
            raise InputError(
                "Maxout: inputs, outputs and pieces must be at least 1, found "
                f"{inputs}, {outputs} and {pieces}"
            )
        self.outputs, self.pieces = outputs, pieces
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The largest piece of every unit."""
        return self.linear(x).unflatten(-1, (self.outputs, self.pieces)).amax(-1)
