"""Yes-or-no and count predictions against numerical integration."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm, poisson

from counterpoint.posterior import BernoulliPredictive, PoissonPredictive


def one(value):
    return torch.tensor([[value]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("log_rate", "variance", "count"),
    [(0.0, 1.0, 0), (0.0, 1.0, 7), (math.log(100), 0.25, 100), (math.log(1000), 1.0, 1000),
     (math.log(1000), 0.04, 1000), (3.0, 4.0, 2), (-5.0, 2.0, 3)],
)  # fmt: skip
def test_log_prob_is_the_integral(log_rate, variance, count):
    deviation = math.sqrt(variance)

    def integrand(r):
        return poisson.pmf(count, math.exp(r)) * norm.pdf(r, log_rate, deviation)

    peak = math.log(max(count, 0.5))
    low, high = min(log_rate, peak) - 12 * deviation, max(log_rate, peak) + 4 * deviation
    truth, _ = quad(integrand, low, high, points=[log_rate, peak], limit=400)
    found = PoissonPredictive(one(log_rate), one(variance)).log_prob(one(float(count)))
    assert float(found) == pytest.approx(math.log(truth), abs=1e-5)


def test_a_rate_that_is_known_is_a_poisson():
    found = PoissonPredictive(one(math.log(3.0)), one(0.0)).log_prob(one(2.0))
    assert float(found) == pytest.approx(poisson.logpmf(2, 3.0), abs=1e-6)


def test_moments_of_draws():
    made = PoissonPredictive(one(1.0), one(0.3))
    draws = made.sample(torch.Generator().manual_seed(0), 100_000)
    assert float(draws.mean()) == pytest.approx(float(made.mean), rel=0.01)
    assert float(draws.var()) == pytest.approx(float(made.noise + made.knowledge), rel=0.05)


def test_saturated_answers_have_a_log_probability():
    sure = BernoulliPredictive(one(1.0), one(0.0))
    assert float(sure.log_prob(one(1.0))) == 0.0
    assert float(sure.log_prob(one(0.0))) == -math.inf
