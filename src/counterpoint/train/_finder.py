"""Which learning rate: one short run in which the rate grows until the loss does."""

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from counterpoint.data import Batch, DataLike, Loader, Unpack, as_loader
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.parameters import device_of, modes_kept
from counterpoint.plain import StrPath
from counterpoint.recipe import Training
from counterpoint.seeding import derive, seeded
from counterpoint.storage import write_file
from counterpoint.train._balance_log import choose_recorder
from counterpoint.train._fit import resolved
from counterpoint.train._groups import Groups
from counterpoint.train._groups import groups as make_groups
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._schedule import Phase
from counterpoint.train._step import EagerStep
from counterpoint.train._weights import frozen, put, snapshot

_REACH = 3  # points on each side that are averaged
_BURST = 4.0  # a loss this many times the first, or the best, ends the run
_WIDTH, _HEIGHT, _MARGIN = 640, 360, 48  # of the figure


@dataclass(frozen=True)
class RateCurve:
    """Loss against learning rate.

    Attributes:
        rates: the rates that were tried, in equal ratios.
        losses: the score (mean of the goals) of the batch at each.
        goals: the same for each goal.
        smooth: the losses, each averaged with its neighbours.
        suggestion: a rate to begin with; see `find_rate`.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    goals: dict[str, tuple[float, ...]]
    smooth: tuple[float, ...]
    suggestion: float

    def svg(self) -> str:
        """The curve as an SVG figure, with the suggestion marked."""
        return _draw(self.rates, self.losses, self.smooth, self.suggestion)

    def draw(self, path: StrPath) -> None:
        """Write the figure to a file."""
        write_file(path, self.svg().encode())


def find_rate(
    model: nn.Module,
    goals: Goals,
    data: DataLike,
    training: Training | None = None,
    *,
    groups: Groups | None = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    unpack: Unpack | None = None,
) -> RateCurve:
    """Try growing learning rates, then put the weights back (Smith 2017, section 3.3).

    The rate grows from `low` to `high` in equal ratios, one batch each, until the loss bursts. The
    suggestion is the rate at which the averaged loss falls steepest, or a tenth of the rate at
    which it is lowest, whichever is smaller; `low` if it never falls.

    Args:
        model: its weights, buffers, gradients and modes, and torch's random state, are as before
            afterwards.
        goals: as in `fit`.
        data: as in `fit`.
        training: batch size, optimiser, weight decay, clip, balance and seed; its rate is not
            used.
        groups: frozen parameters stay frozen; rates keep their ratio to the first group's.
        low: the first rate.
        high: the last rate.
        steps: how many rates.
        unpack: as in `fit`.

    Raises:
        InputError: not 0 < low < high, fewer than 10 steps, or the loss is not finite at once.
    """
    if not 0 < low < high or steps < 10:
        raise InputError(
            "find_rate: expected 0 < low < high and at least 10 steps, found"
            f" low {low:g}, high {high:g}, {steps} steps"
        )
    loader = as_loader(data, unpack)
    training = resolved(training or Training(), loader)
    split = make_groups(model) if groups is None else groups
    rates = [low * (high / low) ** (place / (steps - 1)) for place in range(steps)]
    with modes_kept(model), _as_it_was(model), frozen(model, split.frozen), seeded(training.seed):
        optimiser = Optimiser(model, split, training)
        recorder = choose_recorder(training, None, steps, _unheard)
        step = EagerStep(model, goals, optimiser, training, recorder)
        peak = optimiser.torch.param_groups[0]["peak"]
        found: list[list[float]] = []
        batches = _endless(loader, training, device_of(model))
        model.train()
        for rate, batch in zip(rates, batches, strict=False):
            values = torch.stack(step(batch, Phase(rate / peak, training.momentum))).tolist()
            if _bursts(values, found):
                break
            found.append(values)
    if not found:
        raise InputError(f"find_rate: the loss is not finite at the first step, rate {low:g}")
    return _curve(rates[: len(found)], found, step.names)


def _unheard(_: str) -> None:
    """Rates on the way to a burst raise alarms that mean nothing."""


def _curve(rates: list[float], found: list[list[float]], names: tuple[str, ...]) -> RateCurve:
    losses = [math.fsum(values) / len(values) for values in found]
    smooth = [_around(losses, place) for place in range(len(losses))]
    each = {name: tuple(values[place] for values in found) for place, name in enumerate(names)}
    return RateCurve(tuple(rates), tuple(losses), each, tuple(smooth), _suggest(rates, smooth))


def _suggest(rates: Sequence[float], smooth: Sequence[float]) -> float:
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    slopes = [smooth[place + 1] - smooth[place] for place in range(lowest)]
    if not slopes or min(slopes) >= 0:
        return rates[0]
    steepest = min(range(len(slopes)), key=slopes.__getitem__)
    # a tenth: at the lowest point the rate is already about to burst
    return max(rates[0], min(rates[steepest], rates[lowest] / 10.0))


def _around(losses: Sequence[float], place: int) -> float:
    near = losses[max(place - _REACH, 0) : place + _REACH + 1]
    return math.fsum(near) / len(near)


def _bursts(values: Sequence[float], found: Sequence[Sequence[float]]) -> bool:
    score = math.fsum(values) / len(values)
    if not math.isfinite(score):
        return True
    # before that there are no averages to compare with
    if len(found) < 2 * _REACH:
        return False
    before = [math.fsum(row) / len(row) for row in found]
    # relative to how far the loss has fallen: its zero means nothing
    start, best = _around(before, 0), min(_around(before, place) for place in range(len(before)))
    return score - best > _BURST * max(abs(start - best), abs(start) / 4.0)


def _endless(loader: Loader, training: Training, device: torch.device) -> Iterator[Batch]:
    epoch = 0
    while True:
        # the order of `fit`, so the curve is that of its first epochs
        seed = derive(training.seed, 1, epoch)
        for batch in loader.batches(training.batch_size, seed=seed):
            yield batch.to(device)
        epoch += 1


@contextmanager
def _as_it_was(model: nn.Module) -> Generator[None, None, None]:
    before = snapshot(model)
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        put(model, before)
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _draw(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], mark: float
) -> str:
    """Points for the losses, a line for their averages, a vertical line at the suggestion."""
    left, right = math.log10(rates[0]), math.log10(rates[-1])
    # of the averages, so one burst does not flatten the rest
    low, high = min(smooth), max(smooth)

    def x(rate: float) -> float:
        share = (math.log10(rate) - left) / ((right - left) or 1.0)
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    def y(loss: float) -> float:
        share = min(max((loss - low) / ((high - low) or 1.0), 0.0), 1.0)
        return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)

    def text(at: float, height: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{at:.1f}" y="{height:.1f}" text-anchor="{anchor}">{words}</text>'

    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(rates, smooth, strict=True))
    points = "".join(
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="1.5" fill="currentColor" opacity="0.35"/>'
        for a, b in zip(rates, losses, strict=True)
    )
    bottom, at = _HEIGHT - _MARGIN, x(mark)
    ticks = "".join(
        text(x(10.0**power), bottom + 18, f"1e{power}")
        for power in range(math.ceil(left), math.floor(right) + 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="12" fill="currentColor">'
        f"<title>Loss against learning rate; suggestion {mark:.2g}</title>"
        f'<path d="M{_MARGIN},{_MARGIN}V{bottom}H{_WIDTH - _MARGIN}" fill="none"'
        ' stroke="currentColor" opacity="0.5"/>'
        f'{points}<polyline points="{line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>'
        f'<path d="M{at:.1f},{_MARGIN}V{bottom}" stroke="#d9822b" stroke-dasharray="4 3"/>'
        f"{text(at, _MARGIN - 8, f'{mark:.2g}')}{ticks}"
        f"{text(_WIDTH / 2, _HEIGHT - 10, 'learning rate')}"
        f"{text(_MARGIN - 6, y(high) + 4, f'{high:.3g}', 'end')}"
        f"{text(_MARGIN - 6, y(low) + 4, f'{low:.3g}', 'end')}</svg>\n"
    )
