"""The distance to the nearest rows that were learnt from."""

import numpy as np
import pytest

from counterpoint.estimators import neighbour_distance

KNOWN = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 100.0, 0.01]
POINTS = np.random.default_rng(1).normal(size=(7, 3))


def by_hand(known, points, neighbours, own=False):
    apart = np.sqrt(((points[:, None] - known) ** 2).sum(2))
    return np.sort(apart, 1)[:, own : neighbours + own].mean(1)


@pytest.mark.parametrize("neighbours", [1, 5])
@pytest.mark.parametrize("standardise", [False, True])
def test_is_the_mean_over_the_nearest(neighbours, standardise):
    scale = KNOWN.std(0) if standardise else 1.0
    options = {"neighbours": neighbours, "standardise": standardise}
    found = neighbour_distance(KNOWN, POINTS, **options)
    np.testing.assert_allclose(found, by_hand(KNOWN / scale, POINTS / scale, neighbours))
    # a known row is no neighbour of itself, unless it is asked for as a point
    alone = neighbour_distance(KNOWN, **options)
    np.testing.assert_allclose(alone, by_hand(KNOWN / scale, KNOWN / scale, neighbours, own=True))
    assert (neighbour_distance(KNOWN, KNOWN, **options) < alone).all()


def test_units_do_not_matter_once_standardised():
    factors = np.array([1e3, 1e-3, 7.0])
    found, scaled = (
        neighbour_distance(KNOWN * by, POINTS * by, neighbours=3, standardise=True)
        for by in (1.0, factors)
    )
    np.testing.assert_allclose(scaled, found)
