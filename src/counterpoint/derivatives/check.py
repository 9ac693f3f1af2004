"""Whether gradients are those of the function: differences of a goal against backpropagation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["Finding", "GradientCheck", "Verdict", "check_gradients"]

_STEP = 1e-6
_NEAR = 1e-3
"""Relative error that still counts as a difference's own."""


class Finding(Enum):
    """What a gradient turned out to be; `sentence` says it in words."""

    RIGHT = "right"
    KINK = "kink"
    WRONG = "wrong"

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Finding.RIGHT: "the gradient is that of the differences",
    Finding.KINK: "the function bends beside the point; the gradient is right on one side of it",
    Finding.WRONG: "the gradient is not that of the differences",
}
_GRAVITY = list(Finding)


@dataclass(frozen=True)
class Verdict:
    """What was found about one tensor's gradient.

    Attributes:
        finding: right, right beside a kink, or wrong.
        error: largest distance of an entry from the difference that it is judged by; 0 if right.
        place: index of that entry; None if right.
        gradient: what backpropagation gives there.
        difference: what the central difference gives there.
    """

    finding: Finding
    error: float = 0.0
    place: tuple[int, ...] | None = None
    gradient: float = 0.0
    difference: float = 0.0

    def sentence(self, name: str) -> str:
        """One line about the tensor of this name."""
        if self.finding is Finding.RIGHT:
            return f"{name}: {self.finding.sentence}"
        numbers = f"gradient {self.gradient:.6g}, difference {self.difference:.6g}"
        where = f"{name}{list(self.place or ())}"
        return f"{name}: {self.finding.sentence} (at {where}: {numbers})"


@dataclass(frozen=True)
class GradientCheck:
    """Verdicts by name.

    Attributes:
        verdicts: one for every tensor that was checked.
    """

    verdicts: Mapping[str, Verdict]

    @property
    def ok(self) -> bool:
        """Whether no gradient is wrong; kinks are none."""
        return all(one.finding is not Finding.WRONG for one in self.verdicts.values())

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        odd = [
            one.sentence(name)
            for name, one in self.verdicts.items()
            if one.finding is not Finding.RIGHT
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

    By `torch.autograd.gradcheck`, at two evaluations an entry; only where that fails is the reason
    looked for. A function that bends at the point or within a step of it (slopes from the two
    sides differ, and do not meet when the step is a tenth) has a kink there, and a gradient between
    those slopes is no error.

    Args:
        function: gives one number (or a tensor of them) from tensors that it reads where they are,
            such as ``lambda: goals(model, batch)["fit"]``; the same each time it is called.
        parameters: the tensors, by name, in float64 and requiring gradients; such as
            ``dict(model.named_parameters())``. They are changed while checked, and put back.

    Raises:
        InputError: a tensor cannot be checked, or the function is noisy.

    >>> weight = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    >>> check_gradients(lambda: weight.square().sum(), {"weight": weight}).sentence
    'the gradient of 1 tensor is right'
    >>> found = check_gradients(lambda: (weight * weight.detach()).sum(), {"weight": weight})
    >>> found.ok, found.verdicts["weight"].finding.sentence
    (False, 'the gradient is not that of the differences')
    """
    _check_parameters(parameters)
    _check_repeats(function)
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


def _check_repeats(function: Callable[[], Tensor]) -> None:
    first, second = function(), function()
    if not torch.equal(first, second):
        apart = (second - first).abs().max().item()
        raise InputError(
            f"function: must give the same each time, found values {apart:.3g} apart at the same "
            "parameters; hold its draws, or model.eval() for dropout"
        )


def _verdict(function: Callable[[], Tensor], one: Tensor) -> Verdict:
    before = one.detach().clone()
    try:
        with torch.enable_grad():
            if torch.autograd.gradcheck(
                lambda _: function(),
                (one,),
                eps=_STEP,
                atol=1e-6,
                rtol=_NEAR,
                raise_exception=False,
            ):
                return Verdict(Finding.RIGHT)
            return _reason(function, one)
    finally:
        with torch.no_grad():
            one.copy_(before)


def _reason(function: Callable[[], Tensor], one: Tensor) -> Verdict:
    """The worst wrong entry, or if none is wrong the worst one at a kink."""
    total = function().sum()
    gradient = (
        torch.autograd.grad(total, one, materialize_grads=True)[0]
        if total.requires_grad
        else torch.zeros_like(one)
    )
    found = [
        _entry(function, one, place, gradient[place].item())
        for place in map(tuple, torch.ones_like(one).nonzero().tolist())
    ]
    return max(found, key=lambda verdict: (_GRAVITY.index(verdict.finding), verdict.error))


def _entry(
    function: Callable[[], Tensor], one: Tensor, place: tuple[int, ...], gradient: float
) -> Verdict:
    """One entry, by differences of one step and of a tenth of it."""
    behind, ahead = _sides(function, one, place, _STEP)
    difference = (behind + ahead) / 2
    error, near = abs(gradient - difference), _NEAR * max(1.0, abs(difference))
    if error <= near:
        return Verdict(Finding.RIGHT)
    within = _sides(function, one, place, _STEP / 10)
    jump, still = abs(ahead - behind), abs(within[1] - within[0])
    # Slopes of a smooth function come ten times as near when the step is a tenth.
    bends = jump > near and (still > jump / 2 or still < jump / 20)
    low, high = sorted((behind, ahead))
    between = low - near <= gradient <= high + near
    finding = Finding.KINK if bends and between else Finding.WRONG
    return Verdict(finding, error, place, gradient, difference)


def _sides(
    function: Callable[[], Tensor], one: Tensor, place: tuple[int, ...], step: float
) -> tuple[float, float]:
    """Slopes from behind and from ahead of an entry."""
    with torch.no_grad():
        value = one[place].item()
        sums = list[float]()
        for shift in (-step, 0.0, step):
            one[place] = value + shift
            sums.append(function().sum().item())
        one[place] = value
    return (sums[1] - sums[0]) / step, (sums[2] - sums[1]) / step
