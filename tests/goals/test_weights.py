"""Row weights: why the divisor is the data set's mean weight and not the batch's own sum."""

import math
from fractions import Fraction

import pytest
import torch

from counterpoint.goals import Categorical

# 1,000 rows: 92 with weight 1 and loss 5, the rest with weight 0.02 and loss 1; batches of 8.
ROWS, HEAVY, BATCH = 1000, 92, 8
MEAN_WEIGHT = (HEAVY * 1 + (ROWS - HEAVY) * 0.02) / ROWS
TRUE = (HEAVY * 5 + (ROWS - HEAVY) * 0.02) / (HEAVY + (ROWS - HEAVY) * 0.02)


def chance(heavy: int) -> float:
    """That a batch drawn without replacement holds so many heavy rows (hypergeometric)."""
    ways = math.comb(HEAVY, heavy) * math.comb(ROWS - HEAVY, BATCH - heavy)
    return float(Fraction(ways, math.comb(ROWS, BATCH)))


def expected_loss(mean_weight: float | str, batch: int = BATCH) -> float:
    """The mean batch loss, over every kind of batch."""
    likelihood = Categorical("probabilities")
    total = 0.0
    for heavy in range(BATCH + 1):
        loss = torch.tensor([5.0] * heavy + [1.0] * (BATCH - heavy), dtype=torch.float64)
        weight = torch.tensor([1.0] * heavy + [0.02] * (BATCH - heavy), dtype=torch.float64)
        likely = (-loss).exp()
        output = torch.stack([likely, 1 - likely], 1)
        target = torch.zeros(BATCH, dtype=torch.long)
        for start in range(0, BATCH, batch):
            part = slice(start, start + batch)
            value = likelihood.nll(
                output[part], target[part], weight[part], mean_weight=mean_weight
            )
            total += chance(heavy) * value.item() * batch / BATCH
    return total


def test_the_default_is_unbiased():
    assert pytest.approx(4.341, abs=5e-4) == TRUE
    assert expected_loss(MEAN_WEIGHT) == pytest.approx(TRUE, rel=1e-12)


def test_the_batch_ratio_is_biased():
    assert expected_loss("batch") == pytest.approx(2.938, abs=5e-4)


def test_one_row_a_batch_and_the_ratio_ignores_the_weights():
    unweighted = (HEAVY * 5 + (ROWS - HEAVY) * 1) / ROWS
    assert expected_loss("batch", batch=1) == pytest.approx(unweighted, rel=1e-12)
    assert expected_loss(MEAN_WEIGHT, batch=1) == pytest.approx(TRUE, rel=1e-12)
