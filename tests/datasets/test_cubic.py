"""The cubic with a gap."""

import numpy as np
import pytest

from counterpoint.datasets import cubic_gap
from counterpoint.errors import InputError


def test_points_are_on_both_sides_of_the_gap_and_targets_are_the_cubic():
    x, y = cubic_gap(0, rows=101, noise=0.0, gap=1.0, boundary=3.0)
    assert x.shape == (101, 1)
    assert np.array_equal(y, x[:, 0] ** 3)
    assert (x < 0).sum() == 50
    assert (np.abs(x).min(), np.abs(x).max()) == (1.0, 3.0)
    assert np.diff(x[:, 0]).min() > 0


def test_noise_is_normal_of_the_given_deviation_and_the_seeds_own():
    x, y = cubic_gap(3, rows=20_000, noise=2.0)
    rest = y - x[:, 0] ** 3
    assert rest.std() == pytest.approx(2.0, abs=0.05)
    assert abs(rest.mean()) < 0.05
    assert np.array_equal(y, cubic_gap(3, rows=20_000, noise=2.0)[1])
    assert not np.array_equal(y, cubic_gap(4, rows=20_000, noise=2.0)[1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rows": 1}, "rows must be at least 2"),
        ({"noise": -1.0}, "noise must be 0 or more"),
        ({"noise": float("nan")}, "noise must be 0 or more"),
        ({"gap": 4.0}, "found gap 4, boundary 4"),
        ({"gap": -1.0}, "gap must be 0 or more"),
        ({"boundary": float("inf")}, "below a finite boundary"),
    ],
)
def test_wrong_arguments_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        cubic_gap(0, **wrong)
