"""Minimise goals over a model's weights with all rows at once."""

import math
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from counterpoint.data import Batch, Unpack, as_batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.parameters import Pattern, modes_kept
from counterpoint.seeding import seeded
from counterpoint.train._progress import reporter
from counterpoint.train.full_batch._flat import chosen, flattened
from counterpoint.train.full_batch._methods import Method, method_named
from counterpoint.train.full_batch._noise import changed, first_point
from counterpoint.train.full_batch._objective import Objective, Point, Score
from counterpoint.train.full_batch._observer import IterateObserver, Look
from counterpoint.train.full_batch._outcome import Ended, MinimizeEnding, Minimum


def minimize(
    goals: Goals,
    model: nn.Module,
    batch: Any = None,
    *,
    method: str = "l-bfgs",
    parameters: Pattern | None = None,
    iterations: int = 500,
    tolerance: float = 1e-6,
    weights: Mapping[str, float] | None = None,
    rate: float = 1e-2,
    callback: Look | None = None,
    progress: bool | str = True,
    unpack: Unpack | None = None,
) -> Minimum:
    r"""Find weights at which the mean of the goals is least, by a full-batch method.

    The score is :math:`\frac1K \sum_k c_k L_k(w)`, the plain rule of `fit` when all factors are 1.

    ==================== ================================ ==========================================
    method               an iteration costs               it is
    ==================== ================================ ==========================================
    ``steepest-descent`` a few gradients                  against the gradient, with a line search
    ``newton``           the Hessian, and solving with it exact, damped where indefinite
    ``trust-exact``      the Hessian, some factorisations Newton in a trust region (scipy)
    ``bfgs``             1-2 gradients, P² operations     quasi-Newton with the whole matrix
    ``l-bfgs``           1-2 gradients                    quasi-Newton from 10 past steps (scipy)
    ``cg``               2-3 gradients                    Polak-Ribière conjugate gradients (scipy)
    ``newton-cg``        products with the Hessian        Newton, solved inexactly (scipy)
    ``trust-ncg``        products with the Hessian        the same in a trust region (scipy)
    ``trust-krylov``     products with the Hessian        trust region solved by Lanczos (scipy)
    ``adam``             1 gradient                       torch's; the one that bears noise
    ==================== ================================ ==========================================

    Networks of ReLU have no curvature of their own for Newton's methods to use, and kinks at which
    searches may end early; smooth activations have neither drawback.

    While it goes on the model computes in float64, its chosen parameters being views of one vector.
    Afterwards it has its own type, memory, `requires_grad`, gradients, buffers and modes back, and
    the best weights of all that were evaluated; also after an error or Ctrl-C. The `Parameter`
    objects stay the same throughout. Goals are computed in the modes that the model is in; draws
    from torch's global generators begin at seed 0 and leave the caller's state as it was.

    Args:
        goals: ``goals(model, batch) -> {name: scalar}``, deterministic but for ``"adam"``.
        model: minimised where it is; buffers are put back as they were.
        batch: all rows; floating-point tensors arrive as float64, on the model's device.
        method: one of the table.
        parameters: what to minimise over; none means all that ask for a gradient. The others are
            held.
        iterations: at most.
        tolerance: for the largest entry of the score's gradient, without sign.
        weights: name of a goal -> its factor c; 1 for those not named.
        rate: of Adam alone.
        callback: told of every iteration (`Moment`: epoch and step are the iteration, the model
            holds its weights in float64); a true return stops.
        progress: as in `fit`.
        unpack: reads the batch; none means `counterpoint.data.as_batch`.

    Raises:
        InputError: an unknown method, bad settings, a noisy goal (named), no parameter to minimise
            over, or more weights than the method's matrix may have (4,000, of `bfgs` 10,000).
        NonFiniteError: a goal is not finite at the start (named).

    Newton's method is at the bottom of a bowl in one step:

    >>> bowl = nn.Linear(1, 1, bias=False)
    >>> def goals(model, batch):
    ...     return {"bowl": (model.weight**2 + 3 * model.weight + 1).sum()}
    >>> found = minimize(goals, bowl, method="newton", progress=False)
    >>> found.iterations, round(found.score, 6), bowl.weight.item()
    (1, -1.25, -1.5)
    """
    how = method_named(method)
    _check_settings(iterations, tolerance, rate)
    over = chosen(model, parameters)
    _check_size(method, how, sum(value.numel() for value in over.values()))
    with ExitStack() as stack:
        stack.enter_context(seeded(0))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(modes_kept(model))
        flat = stack.enter_context(flattened(model, over))
        device = next(iter(over.values())).device
        objective = Objective(Score(model, goals, _double(batch, unpack, device), weights), flat)
        label = progress if isinstance(progress, str) else method
        report = reporter(progress and label, iterations, iterations)
        stack.callback(report.close)
        observe = IterateObserver(
            objective,
            model,
            report,
            iterations=iterations,
            tolerance=tolerance,
            callback=callback,
        )
        with _best_put(objective):
            start = first_point(objective, flat.read(), noise_allowed=how.noise)
            ending = _run(how, objective, observe, start, rate)
            best = start if objective.best is None else objective.best
            if best.slope <= tolerance:
                ending = (
                    MinimizeEnding.CONVERGED
                )  # a line search may end there before its method looks
            # last, so that it outranks a convergence that was one of the draws
            if changed(objective):
                ending = MinimizeEnding.NOISY
    return Minimum(
        method=method,
        status=ending,
        score=best.score,
        goals=best.goals,
        slope=best.slope,
        iterations=observe.iterations,
        evaluations=objective.evaluations,
        seconds=observe.seconds,
        history=tuple(observe.history),
    )


def _run(
    how: Method, objective: Objective, observe: IterateObserver, start: Point, rate: float
) -> MinimizeEnding:
    try:
        observe.start(start)
        return how.run(objective, observe, start, rate)
    except Ended as ended:
        return ended.ending


@contextmanager
def _best_put(objective: Objective) -> Generator[None, None, None]:
    try:
        yield
    finally:
        if objective.best is not None:
            objective.put(objective.best.where)


def _double(batch: Any, unpack: Unpack | None, device: torch.device) -> Batch:
    found = Batch((), {}, None, None, 0) if batch is None else as_batch(batch, unpack).to(device)
    return found.map(lambda v: v.double() if v.is_floating_point() else v)


def _check_settings(iterations: int, tolerance: float, rate: float) -> None:
    if iterations < 1:
        raise InputError(f"iterations: must be at least 1, found {iterations}")
    if not 0 <= tolerance < math.inf:
        raise InputError(f"tolerance: must be finite and not negative, found {tolerance}")
    if not 0 < rate < math.inf:
        raise InputError(f"rate: must be finite and above 0, found {rate}")


def _check_size(method: str, how: Method, size: int) -> None:
    if how.most is not None and size > how.most:
        raise InputError(
            f"method {method!r}: {size:,} weights are above the limit of {how.most:,} for a whole"
            " matrix of them; use 'l-bfgs', 'trust-krylov' or 'newton-cg' (products with vectors),"
            " or fewer parameters="
        )
