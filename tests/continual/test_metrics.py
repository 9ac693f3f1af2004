"""The sums of the matrix of accuracies, against the papers' formulas by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.continual import Accuracies
from counterpoint.errors import InputError

SHARE = st.floats(0, 1)
MATRICES = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(SHARE, min_size=k, max_size=k), min_size=k, max_size=k)
)


def accuracies(rows, before=None):
    matrix = torch.tensor(rows, dtype=torch.float64)
    start = None if before is None else torch.tensor(before, dtype=torch.float64)
    return Accuracies([f"t{j}" for j in range(matrix.shape[1])], matrix, start)


def test_by_hand():
    found = accuracies([[0.9, 0.4, 0.2], [0.95, 0.8, 0.3], [0.5, 0.6, 1.0]], [0.3, 0.5, 0.1])
    assert found.average == pytest.approx((0.5 + 0.6 + 1.0) / 3)
    assert found.learnt == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert found.forgetting == pytest.approx(((0.95 - 0.5) + (0.8 - 0.6)) / 2)
    assert found.backward == pytest.approx(((0.5 - 0.9) + (0.6 - 0.8)) / 2)
    assert found.forward == pytest.approx(((0.4 - 0.5) + (0.3 - 0.1)) / 2)
    assert found.last.tolist() == [0.5, 0.6, 1.0]
    lines = found.table().splitlines()
    assert lines[1].split() == ["before", "30.0", "50.0", "10.0"]
    assert lines[3].split() == ["after", "t1", "95.0", "80.0", "30.0"]
    assert lines[-1].endswith("backward transfer -30.0, forward transfer 5.0")
    assert len({len(line) for line in lines[:-1]}) == 1


@given(MATRICES)
def test_what_always_holds(rows):
    found, k = accuracies(rows), len(rows)
    # what is left is what was learnt, and what happened to it since
    assert found.average == pytest.approx(found.learnt + found.backward * (k - 1) / k)
    # the best there ever was is at least the accuracy when it had just been learnt
    assert found.forgetting >= -found.backward - 1e-12
    assert -1 <= found.forgetting <= 1
    assert -1 <= found.backward <= 1


def test_learnt_at_once_there_is_an_average_alone():
    found = accuracies([[0.5, 1.0]])
    assert found.average == 0.75
    assert found.table().splitlines()[-1] == "average 75.0"
    for name in ("learnt", "forgetting", "backward", "forward"):
        with pytest.raises(InputError, match="at once"):
            getattr(found, name)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: accuracies([[0.5, 1], [1, 1], [0, 0]]), "found 3 x 2"),
        (lambda: accuracies([[50.0, 100.0], [0.0, 1.0]]), "shares from 0 to 1"),
        (lambda: accuracies([[0.5, float("nan")], [1, 1]]), "shares from 0 to 1"),
        (lambda: accuracies([[0.5, 1], [1, 1]], [0.5]), "before each of 2 tasks, found 1"),
        (lambda: accuracies([[0.5]]).forgetting, "need two tasks"),
        (lambda: accuracies([[0.5, 1], [1, 1]]).forward, "before anything is learnt"),
    ],
)
def test_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
