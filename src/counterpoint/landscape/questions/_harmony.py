"""Can it be said before training whether two goals will get on?"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from counterpoint.landscape._aligned import Aligned
from counterpoint.landscape._descend import descend
from counterpoint.landscape._landscape import Evaluation, Landscape
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import Make, checked_counts

MEASURES = ("common low region", "cosine of gradients", "gap of minima")


def harmony(here: Evaluation, low: float = 0.1) -> dict[str, float]:
    """Three numbers that say how well two goals get on, from places drawn at random.

    Args:
        here: of two layers at N places, drawn from where training may go.
        low: what counts as low: the lowest such share of each goal's values.

    Returns:
        "common low region": the share of places that are low for both, over ``low ** 2``, which
        independent goals have; "cosine of gradients": its mean, weighted by the product of the
        lengths; "gap of minima": what the best common place costs beyond each goal's own best,
        ``min_x mean_k L_k(x) - mean_k min_x L_k(x)``, in standard deviations of the goals.
    """
    values = here.values.double()
    edges = values.quantile(low, dim=0)
    both = (values <= edges).all(1).double().mean() / low**2
    a, b = here.gradients.double().unbind(1)
    cosine = (a * b).sum() / (a.norm(dim=1) * b.norm(dim=1)).sum().clamp_min(1e-300)
    unit = values / values.std(0).clamp_min(1e-300)
    gap = unit.mean(1).min() - unit.amin(0).mean()
    return dict(zip(MEASURES, (float(both), float(cosine), float(gap)), strict=True))


def foretold(
    aparts: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6),
    *,
    make: Make = lambda layers, seed: Perlin(layers, cells=4, seed=seed),
    along: str = "mean",
    starts: int = 100,
    steps: int = 400,
    step: float = 0.1,
    seeds: Sequence[int] = range(20),
) -> Measurement:
    """Which number, known before training, foretells what two goals lose by being one?

    The outcome of a pair is what descent from random places ends with, as mean loss above the
    goals' own minima, over the standard deviation of the loss. Pairs are moved apart so that some
    are in harmony and some are not; the number that is reported is Spearman's rank correlation of
    each measure with the outcome over all pairs.

    Args:
        aparts: how far the minima of the two are from one point, in cells.
        make: a pair of layers, before it is aligned.
        along: the composition that is descended.
        starts: how many places a pair is descended from.
        steps: of the descent.
        step: its learning rate.
        seeds: of the pairs.

    Raises:
        InputError: no seeds, or an unknown composition.
    """
    checked_counts([2], seeds)
    known: dict[str, list[list[float]]] = {name: [] for name in MEASURES}
    outcomes: list[list[float]] = []
    for seed in seeds:
        rows = [
            _pair(Aligned(make(2, seed), apart=apart, seed=seed), along, starts, steps, step, seed)
            for apart in aparts
        ]
        outcomes.append([outcome for _, outcome in rows])
        for name in MEASURES:
            known[name].append([measures[name] for measures, _ in rows])
    flat = [value for row in outcomes for value in row]
    ranks = {
        name: float(np.corrcoef(rankdata([v for row in rows for v in row]), rankdata(flat))[0, 1])
        for name, rows in known.items()
    }
    curves = [Curve.of(name, aparts, rows) for name, rows in known.items()]
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in ranks.items())
    return Measurement(
        "Can harmony be seen before training?",
        f"Rank correlation with the loss at the end over {len(flat)} pairs: {parts}.",
        "minima apart (cells)",
        "measure",
        [Curve.of("loss at the end", aparts, outcomes), *curves],
        ranks,
    )


def _pair(
    pair: Landscape, along: str, starts: int, steps: int, step: float, seed: int
) -> tuple[dict[str, float], float]:
    drawn = torch.Generator().manual_seed(seed)
    here = pair(pair.uniform(4000, drawn))
    begin = pair.uniform(starts, drawn)
    ends = pair(descend(pair, begin, along, steps=steps, step=step).ends).values
    # aligned layers have minimum 0 each, so the mean is what is lost
    lost: Tensor = ends.mean() / here.values.std()
    return harmony(here), float(lost)
