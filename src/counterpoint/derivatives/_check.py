"""Whether gradients are those of the function: differences of a goal against backpropagation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from counterpoint.errors import Ending, InputError

_STEP = 1e-6
"""Of a difference, times max(1, ``|w|``)."""
_NEAR = 1e-3
"""Relative error that still counts as a difference's own."""
_ROUNDING = 10 * torch.finfo(torch.float64).eps
"""Relative error of a value."""
_TOLD = 0.1
"""Largest share of a gradient that rounding may be while the difference tells anything."""


class Agreement(Ending):
    """How the comparison of a gradient with differences ended, from the best to the worst."""

    RIGHT = "the gradient is that of the differences"
    KINK = "the function bends beside the point; the gradient is right on one side of it"
    UNTOLD = (
        "differences cannot tell: they are lost in rounding, do not settle as the step shrinks, or "
        "are not finite"
    )
    WRONG = "the gradient is not that of the differences"


_GRAVITY = list(Agreement)


@dataclass(frozen=True)
class Verdict:
    """What was found about one tensor's gradient.

    Attributes:
        agreement: right, right beside a kink, not to be told, or wrong.
        error: largest distance of an entry from the difference that it is judged by; 0 if right.
        place: index of that entry; None if right.
        gradient: what backpropagation gives there.
        difference: what the central difference gives there.
        output: number of the output whose gradient that is, counted as flattened; None if right
            or if the function gives one number.
    """

    agreement: Agreement
    error: float = 0.0
    place: tuple[int, ...] | None = None
    gradient: float = 0.0
    difference: float = 0.0
    output: int | None = None

    def sentence(self, name: str) -> str:
        """One line about the tensor of this name."""
        if self.agreement is Agreement.RIGHT:
            return f"{name}: {self.agreement.sentence}"
        numbers = f"gradient {self.gradient:.6g}, difference {self.difference:.6g}"
        where = f"{name}{list(self.place or ())}"
        of = "" if self.output is None else f", output {self.output}"
        return f"{name}: {self.agreement.sentence} (at {where}{of}: {numbers})"


@dataclass(frozen=True)
class GradientCheck:
    """Verdicts by name.

    Attributes:
        verdicts: one for every tensor that was checked.
    """

    verdicts: Mapping[str, Verdict]

    @property
    def ok(self) -> bool:
        """Whether no gradient is found wrong; a kink is none, nor what cannot be told."""
        return all(one.agreement is not Agreement.WRONG for one in self.verdicts.values())

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        odd = [
            one.sentence(name)
            for name, one in self.verdicts.items()
            if one.agreement is not Agreement.RIGHT
        ]
        count = len(self.verdicts)
        named = "1 tensor" if count == 1 else f"{count} tensors"
        if not odd:
            return f"the gradient of {named} is right"
        return f"{len(odd)} of {named}: {'; '.join(odd)}"


def check_gradients(
    function: Callable[[], Tensor], parameters: Mapping[str, Tensor]
) -> GradientCheck:
    """Compare the gradient by every entry of named tensors with central differences.

    By every output on its own, so that errors cannot cancel: one backward pass an output and two
    evaluations an entry, and two more where gradient and difference are apart. Steps are
    h = 1e-6 max(1, ``|w|``), as rounded. A gradient is right within 0.1 per cent of the slopes on
    the two sides and rounding, ``10 eps |f| / h``. Rounding above a tenth of those slopes and of
    the output's largest gradient by the tensor leaves the difference unable to tell. A function
    that bends at the point or within a step of it (slopes from the two sides differ, and do not
    meet as smooth ones do when the step is a tenth) has a kink there, and a gradient between those
    slopes is no error.

    Args:
        function: gives one number (or a tensor of them) from tensors that it reads where they are,
            such as ``lambda: goals(model, batch)["fit"]``; the same each time it is called.
        parameters: the tensors, by name, in float64 and requiring gradients; such as
            ``dict(model.named_parameters())``. They are changed while checked, and put back.

    Raises:
        InputError: a tensor cannot be checked, or the function is noisy or gives what is no float64
            tensor of finite values.

    >>> weight = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    >>> check_gradients(lambda: weight.square().sum(), {"weight": weight}).sentence
    'the gradient of 1 tensor is right'
    >>> found = check_gradients(lambda: (weight * weight.detach()).sum(), {"weight": weight})
    >>> found.ok, found.verdicts["weight"].agreement.sentence
    (False, 'the gradient is not that of the differences')
    """
    _check_parameters(parameters)
    with torch.enable_grad():
        _check_function(function)
        return GradientCheck({name: _verdict(function, one) for name, one in parameters.items()})


def _check_parameters(parameters: Mapping[str, Tensor]) -> None:
    if not parameters:
        raise InputError("parameters: must name a tensor at least, found none")
    for name, one in parameters.items():
        if one.dtype != torch.float64:
            raise InputError(
                f"parameters: {name!r} must be float64 for differences to tell, found {one.dtype}; "
                "write model.double(), and the batch's .double()"
            )
        if not one.requires_grad:
            raise InputError(f"parameters: {name!r} must require a gradient; .requires_grad_()")
        if not one.is_leaf:
            raise InputError(
                f"parameters: {name!r} must be a leaf that the function reads, found the result of "
                f"{type(one.grad_fn).__name__}; pass what it was made of"
            )
        _check_finite(f"parameters: {name!r} must be finite", one)


def _check_function(function: Callable[[], object]) -> None:
    first, second = _values(function()), _values(function())
    if first.shape != second.shape:
        raise InputError(
            f"function: must give the same each time, found {len(first)} and {len(second)} values"
        )
    if not torch.equal(first, second):
        apart = (second - first).abs().max().item()
        raise InputError(
            f"function: must give the same each time, found values {apart:.3g} apart at the same "
            "parameters; hold its draws, or model.eval() for dropout"
        )


def _values(found: object) -> Tensor:
    """What the function gave, flattened."""
    if not isinstance(found, Tensor):
        kind = type(found).__name__
        goal = "; choose one goal" if isinstance(found, Mapping) else ""
        raise InputError(f"function: must give a tensor, found {kind}{goal}")
    if found.dtype != torch.float64 or not found.numel():
        raise InputError(
            f"function: must give float64 values for differences to tell, found {found.numel()} of "
            f"{found.dtype}"
        )
    _check_finite("function: must give finite values at the parameters as they are", found)
    return found.flatten()


def _check_finite(rule: str, found: Tensor) -> None:
    odd = found.detach()[~found.isfinite()]
    if len(odd):
        raise InputError(f"{rule}, found {odd[0].item()} in {len(odd)} of {found.numel()}")


def _verdict(function: Callable[[], Tensor], one: Tensor) -> Verdict:
    """The worst entry's."""
    before = one.detach().clone()
    try:
        # afresh for each tensor: the graph of the last one may be freed
        values = function().flatten()
        jacobian = _jacobian(values, one)
        scale = jacobian.flatten(1).abs().amax(1) if one.numel() else values
        look = partial(_slopes, function, values.detach(), one)
        places = map(tuple, torch.ones_like(one).nonzero().tolist())
        found = [_entry(look, place, jacobian[:, *place], scale) for place in places]
    finally:
        with torch.no_grad():
            one.copy_(before)
    worst = max(found, key=_gravity, default=Verdict(Agreement.RIGHT))
    return Verdict(Agreement.RIGHT) if worst.agreement is Agreement.RIGHT else worst


def _gravity(verdict: Verdict) -> tuple[int, float]:
    # NaN sorts nowhere
    error = verdict.error if verdict.error == verdict.error else float("inf")
    return _GRAVITY.index(verdict.agreement), error


def _jacobian(values: Tensor, one: Tensor) -> Tensor:
    """Every output's gradient by the tensor, (outputs, *shape)."""
    if not values.requires_grad:
        return one.new_zeros(len(values), *one.shape)
    rows = [
        torch.autograd.grad(value, one, retain_graph=True, materialize_grads=True)[0]
        for value in values
    ]
    return torch.stack(rows)


@dataclass(frozen=True)
class _Slopes:
    """Every output's slopes on the two sides of an entry, and their rounding."""

    behind: Tensor
    ahead: Tensor
    rounding: Tensor

    @property
    def central(self) -> Tensor:
        return (self.behind + self.ahead) / 2

    @property
    def size(self) -> Tensor:
        return torch.maximum(self.behind.abs(), self.ahead.abs())

    @property
    def jump(self) -> Tensor:
        return (self.ahead - self.behind).abs()

    @property
    def near(self) -> Tensor:
        return _NEAR * self.size + self.rounding


def _slopes(
    function: Callable[[], Tensor],
    values: Tensor,
    one: Tensor,
    place: tuple[int, ...],
    share: float,
) -> _Slopes:
    """By a share of the step; the values are those at the point itself."""
    at = one[place].item()
    step = share * _STEP * max(1.0, abs(at))
    # The steps used are those that the entry, as rounded, really goes.
    low, high = at - step, at + step
    below, above = (_moved(function, one, place, to) for to in (low, high))
    with torch.no_grad():
        one[place] = at
    size = torch.stack([below, values, above]).abs().amax(0)
    return _Slopes(
        (values - below) / (at - low), (above - values) / (high - at), _ROUNDING * size / step
    )


def _moved(
    function: Callable[[], Tensor], one: Tensor, place: tuple[int, ...], to: float
) -> Tensor:
    with torch.no_grad():
        one[place] = to
    return function().detach().flatten().clone()


def _entry(
    look: Callable[[tuple[int, ...], float], _Slopes],
    place: tuple[int, ...],
    gradient: Tensor,
    scale: Tensor,
) -> Verdict:
    """One entry's worst output, by differences of one step and, where apart, of a tenth of it."""
    far = look(place, 1.0)
    error = (gradient - far.central).abs()
    gravity = _lost(far, gradient, scale).long() * _GRAVITY.index(Agreement.UNTOLD)
    apart = ~((error <= far.near) & error.isfinite())
    if bool(apart.any()):
        within = look(place, 0.1)
        gravity = torch.where(apart, _reason(far, within, gradient), gravity)
    worst = gravity == gravity.max()
    output = int(torch.where(worst, error.nan_to_num(torch.inf), -1).argmax())
    return Verdict(
        _GRAVITY[int(gravity[output])],
        error[output].item(),
        place,
        gradient[output].item(),
        far.central[output].item(),
        None if len(error) == 1 else output,
    )


def _lost(far: _Slopes, gradient: Tensor, scale: Tensor) -> Tensor:
    """Where rounding hides what the gradient is; nothing is hidden where nothing moves."""
    still = (gradient == 0) & (far.size == 0)
    return ~still & (far.rounding > _TOLD * torch.maximum(scale, far.size))


def _reason(far: _Slopes, within: _Slopes, gradient: Tensor) -> Tensor:
    """Gravity of the agreement where gradient and difference are apart."""
    error, closer = ((gradient - one.central).abs() for one in (far, within))
    # Slopes of a smooth function come ten times as near when the step is a tenth, central ones a
    # hundred times; those that are rounding alone go apart.
    nearer = (closer <= error / 50) & error.isfinite()
    right = closer.isfinite() & (nearer | (closer <= _NEAR * within.size))
    low, high = torch.minimum(far.behind, far.ahead), torch.maximum(far.behind, far.ahead)
    between = (low - far.near <= gradient) & (gradient <= high + far.near)
    stays = (within.jump > far.jump / 5) & (within.jump < 2 * far.jump)
    smooth = within.jump <= within.near
    beside = (within.jump < far.jump / 20) & smooth
    # a jump that stays as the step shrinks, or one beside the point that the small step no longer
    # meets
    kink = (far.jump > far.near) & ((stays & between) | (beside & right))
    moved = (far.central - within.central).abs()
    steady = (moved <= error / 2) & (within.jump <= torch.maximum(error, 2 * far.jump))
    settled = steady | (smooth & (closer <= error)) | ~gradient.isfinite()
    told = settled & far.central.isfinite() & within.central.isfinite()
    found = torch.where(told, _GRAVITY.index(Agreement.WRONG), _GRAVITY.index(Agreement.UNTOLD))
    found = found.masked_fill(right, _GRAVITY.index(Agreement.RIGHT))
    # last: a kink explains what would otherwise count as wrong
    return found.masked_fill(kink, _GRAVITY.index(Agreement.KINK))
