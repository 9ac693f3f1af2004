"""Do failures become rarer as layers are added?"""

import warnings
from collections.abc import Callable, Sequence

import torch

from counterpoint.balance import Balancer, BalanceWarning, Failure, Rule
from counterpoint.landscape._aligned import Aligned
from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape._scaled import Scaled
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import Make, checked_counts
from counterpoint.landscape.questions._walk import Walk


def alarm_rates(
    ns: Sequence[int] = (2, 4, 8, 16),
    *,
    rule: str | Rule = "sum",
    make: Make = lambda layers, seed: Perlin(layers, cells=6, seed=seed),
    scales: Callable[[int], Sequence[float]] | None = None,
    starts: int = 10,
    steps: int = 500,
    step: float = 0.3,
    momentum: float = 0.0,
    seeds: Sequence[int] = range(3),
) -> Measurement:
    """In which share of runs does the monitor raise each alarm, against n?

    Every run is a `Balancer` with its monitor, training one point.

    Args:
        ns: how many aligned layers; at least 2, since one goal cannot fail another.
        rule: of the balancer.
        make: the layers, before they are aligned.
        scales: from n to the layers' heights; equal if None.
        starts: runs a seed.
        steps: of each run; the monitor needs some hundreds.
        step: the learning rate of SGD.
        momentum: of SGD.
        seeds: of fields and starts.

    Raises:
        InputError: no layers or seeds, or an unknown rule.
    """
    checked_counts(ns, seeds)
    runs = {failure: [[0.0] * len(ns) for _ in seeds] for failure in Failure}
    quiet = [[0.0] * len(ns) for _ in seeds]
    for column, n in enumerate(ns):
        for row, seed in enumerate(seeds):
            aligned = Aligned(make(n, seed))
            landscape: Landscape = aligned if scales is None else Scaled(aligned, scales(n))
            begin = landscape.uniform(starts, torch.Generator().manual_seed(seed))
            for start in begin:
                seen = _alarms(Walk(landscape, start), rule, steps, step, momentum)
                quiet[row][column] += (not seen) / starts
                for failure in seen:
                    runs[failure][row][column] += 1 / starts
    named = {failure.word: run for failure, run in runs.items()} | {"none": quiet}
    curves = [Curve.of(name, ns, run) for name, run in named.items()]
    parts = "; ".join(f"{c.name} {c.mean[0]:.2f} to {c.mean[-1]:.2f}" for c in curves)
    return Measurement(
        f"Do alarms become rarer with more layers (rule {rule})?",
        f"Share of runs with an alarm, n = {ns[0]} to {ns[-1]}: {parts}.",
        "layers n",
        "share of runs",
        curves,
        {curve.name: curve.mean[-1] - curve.mean[0] for curve in curves},
        x_log=True,
    )


def _alarms(walk: Walk, rule: str | Rule, steps: int, step: float, momentum: float) -> set[Failure]:
    # a point has d weights: their gradients are cheap, and there is no feature to measure at
    balancer = Balancer(rule, gram="parameters")
    sgd = torch.optim.SGD(walk.parameters(), lr=step, momentum=momentum)
    seen: set[Failure] = set()
    with warnings.catch_warnings():
        # the alarms are what is counted here
        warnings.simplefilter("ignore", BalanceWarning)
        for _ in range(steps):
            sgd.zero_grad()
            noted = balancer.backward(walk(), walk)
            seen |= {alarm.failure for alarm in noted.alarms if not alarm.over}
            sgd.step()
    return seen
