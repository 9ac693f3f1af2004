"""Input gradients and slopes along directions, at many points, by any scheme."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.derivatives._function import Function, checked_directions, checked_points
from counterpoint.derivatives._scheme import Scheme, Slopes
from counterpoint.derivatives._schemes import scheme as scheme_of


def gradients(
    function: Function, x: Shaped[Tensor, "..."], scheme: str | Scheme = "auto"
) -> Float[Tensor, "rows outputs inputs"]:
    r"""All input gradients, at every point the Jacobian :math:`J_n`.

    Its entries are :math:`J_{nmd} = \partial f_m(x_n) / \partial x_{nd}`.

    They have a graph to the weights that the function reads, so that what is made of them can be
    minimised; under `torch.no_grad` they have none, and cost less.

    Args:
        function: from ``(rows, inputs)`` to ``(rows, outputs)`` or ``(rows,)``; see `Function`.
        x: points, ``(rows, inputs)``.
        scheme: a name of `SCHEMES`, or a scheme with its own step.

    Returns:
        Three axes always, also for one input or one output; in units of outputs per input.

    Raises:
        InputError: x, the function or the scheme cannot be used.

    >>> import torch
    >>> gradients(torch.square, torch.tensor([[1.0, 3.0]])).tolist()
    [[[2.0, 0.0], [0.0, 6.0]]]
    """
    return values_and_gradients(function, x, scheme)[1]


def values_and_gradients(
    function: Function, x: Shaped[Tensor, "..."], scheme: str | Scheme = "auto"
) -> tuple[Float[Tensor, "rows outputs"], Float[Tensor, "rows outputs inputs"]]:
    """The values beside `gradients`, at no further evaluation.

    Args:
        function: as `gradients`.
        x: points, ``(rows, inputs)``.
        scheme: as `gradients`.

    Raises:
        InputError: as `gradients`.

    >>> import torch
    >>> with torch.no_grad():
    ...     values_and_gradients(torch.square, torch.tensor([[3.0]]))
    (tensor([[9.]]), tensor([[[6.]]]))
    """
    values, slopes = _slopes(scheme, function, checked_points(x), None)
    return values, slopes.permute(1, 2, 0)


def directional(
    function: Function,
    x: Shaped[Tensor, "..."],
    directions: Shaped[Tensor, "..."],
    scheme: str | Scheme = "auto",
) -> Float[Tensor, "*ways rows outputs"]:
    r"""Slopes along directions v, Jacobian-vector products (JVP).

    They are :math:`\sum_d v_{nd} \, \partial f_m(x_n) / \partial x_{nd}`.

    Args:
        function: as `gradients`.
        x: points, ``(rows, inputs)``.
        directions: ``(rows, inputs)``, one a point, or ``(ways, rows, inputs)``; of any length, to
            which the slope is in proportion (a difference steps along its unit vector).
        scheme: as `gradients`.

    Returns:
        ``(rows, outputs)``, or ``(ways, rows, outputs)``.

    Raises:
        InputError: as `gradients`, or directions that do not fit x.

    >>> import torch
    >>> product = lambda x: x[:, 0] * x[:, 1]
    >>> directional(product, torch.tensor([[2.0, 5.0]]), torch.ones(1, 2)).tolist()
    [[7.0]]
    """
    return values_and_directional(function, x, directions, scheme)[1]


def values_and_directional(
    function: Function,
    x: Shaped[Tensor, "..."],
    directions: Shaped[Tensor, "..."],
    scheme: str | Scheme = "auto",
) -> tuple[Float[Tensor, "rows outputs"], Float[Tensor, "*ways rows outputs"]]:
    """The values beside `directional`, at no further evaluation.

    Args:
        function: as `gradients`.
        x: points, ``(rows, inputs)``.
        directions: as `directional`.
        scheme: as `gradients`.

    Raises:
        InputError: as `directional`.

    >>> import torch
    >>> with torch.no_grad():
    ...     values_and_directional(torch.square, torch.tensor([[3.0]]), torch.tensor([[2.0]]))
    (tensor([[9.]]), tensor([[12.]]))
    """
    points = checked_points(x)
    ways = checked_directions(directions, points)
    values, slopes = _slopes(scheme, function, points, ways)
    return values, slopes if directions.ndim == 3 else slopes[0]


def _slopes(
    scheme: str | Scheme,
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Slopes:
    """By the scheme; inference mode, in which nothing can be differentiated, is left for it."""
    # a step that is compiled is not in it, and torch cannot trace the question
    if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        return scheme_of(scheme).slopes(function, x, directions)
    # tensors made in inference mode can be differentiated as little, hence the clones
    with torch.inference_mode(False), torch.no_grad():
        ways = None if directions is None else directions.clone()
        return scheme_of(scheme).slopes(function, x.clone(), ways)
