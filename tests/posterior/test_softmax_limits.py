"""The softmax layer at its limits: nothing to learn, too much to learn, and what is refused."""

import math

import numpy as np
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import Posterior, Softmax, TuningEnding
from counterpoint.posterior.softmax._multinomial import Multinomial
from counterpoint.seeding import generator
from softmax_cases import augmented, loss, multinomial, rows

# torch's own loading of its function transforms calls what it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def test_features_that_carry_nothing_are_capped():
    layer = Softmax.fit(torch.zeros(90, 3), torch.arange(90) % 3, 3)
    assert layer.status is TuningEnding.PRIOR_CAPPED
    predictive = layer.predict(torch.zeros(1, 3))
    torch.testing.assert_close(
        predictive.probabilities, torch.full((1, 3), 1 / 3).double(), rtol=1e-6, atol=0
    )


def test_a_prior_at_its_floor_is_named():
    x, labels = rows(21)
    layer = Softmax.fit(x, labels, 3, torch.full((120,), 1e14))
    assert layer.status is TuningEnding.PRIOR_FLOORED


def test_separable_rows_stay_finite():
    x = torch.linspace(-1, 1, 40)[:, None]
    layer = Softmax.fit(10 * x, (x[:, 0] > 0).long(), 2)
    assert math.isfinite(layer.log_evidence)
    assert layer.status.converged
    predictive = layer.predict(10 * x)
    assert bool(torch.isfinite(predictive.log_prob((x[:, 0] > 0).long())).all())


def test_a_class_without_rows():
    x, labels = rows(16, classes=2)
    layer = Softmax.fit(x, labels, 3)
    assert layer.status.converged
    assert float(layer.predict(x).probabilities[:, 2].mean()) < 0.1


def test_labels_of_one_class_only():
    layer = Softmax.fit(rows(17)[0], torch.zeros(120, dtype=torch.long), 2)
    assert layer.status.converged
    assert float(layer.predict(rows(17)[0]).probabilities[:, 0].min()) > 0.5


@pytest.mark.parametrize("count", [1, 3])
def test_more_features_than_rows(count):
    x, labels = rows(18, count, 8)
    layer = Softmax.fit(x, labels, 3)
    predictive = layer.predict(x)
    assert bool(torch.isfinite(predictive.probabilities).all())
    assert math.isfinite(layer.prior)


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_state_comes_back(dense_limit):
    x, labels = rows(19)
    layer = Softmax.fit(x, labels, 3, dense_limit=dense_limit)
    back = Softmax.from_state(layer.state())
    assert (back.prior, back.log_evidence, back.effective) == (
        layer.prior,
        layer.log_evidence,
        layer.effective,
    )
    assert (back.status, back.evaluations, back.classes) == (layer.status, layer.evaluations, 3)
    a, b = layer.predict(x), back.predict(x)
    assert torch.equal(a.probabilities, b.probabilities)
    assert torch.equal(a.knowledge, b.knowledge)
    assert isinstance(back, Posterior)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": None}, "must hold 'mean'"),
        ({"mean": torch.zeros(5, 1).double()}, "'mean' must be float64"),
        ({"mean": torch.full((5, 3), torch.nan).double()}, "finite"),
        ({"numbers": -torch.ones(4).double()}, "positive prior"),
        ({"numbers": torch.ones(3).double()}, "numbers"),
        ({"matrix": -2 * torch.eye(10).double()}, "positive definite"),
        ({"matrix": torch.zeros(3, 3).double()}, r"'matrix' must have shape \(10, 10\)"),
        ({"matrix": None}, "no tensor 'left'"),
        ({"status": torch.tensor([-1])}, "codes"),
        ({"status": torch.zeros(0, dtype=torch.long)}, "status"),
    ],
)
def test_a_made_up_state_is_refused(change, words):
    state = {**Softmax.fit(*rows(0), 3, prior=1.0).state(), **change}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(InputError, match=words):
        Softmax.from_state(state)


def spoiled():
    x, labels = rows(0)
    x[7, 2] = torch.nan
    return x, labels, 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (spoiled(), "features: row 7 must be finite"),
        ((*rows(0), 1), "at least 2 are needed, found 1"),
        ((*rows(0, classes=4), 3), "must be a class from 0 to 2, found 3"),
        ((rows(0)[0], rows(0)[1] - 1, 3), "must be a class from 0 to 2, found -1"),
        ((rows(0)[0], rows(0)[1][:9], 3), "expected 120, one a row, found 9"),
        ((*rows(0), 3, torch.zeros(120)), "at least one of positive weight"),
        (
            (*rows(0), 3, -torch.ones(120)),
            "weight must be .*found -1 in row 0",
        ),
        ((torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 3), "at least one of positive"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        Softmax.fit(*arguments)


@pytest.mark.parametrize("name", ["prior", "start"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_prior_and_start_must_be_positive(name, value):
    with pytest.raises(InputError, match=f"{name}: must be positive"):
        Softmax.fit(*rows(0), 3, **{name: value})


def test_prediction_refuses_what_it_cannot_use():
    layer = Softmax.fit(*rows(0), 3, prior=1.0)
    x = rows(0)[0]
    with pytest.raises(InputError, match="expected 4 columns"):
        layer.predict(x[:, :3])
    with pytest.raises(InputError, match="did you mean 'closed'"):
        layer.predict(x, link="close")
    with pytest.raises(InputError, match="at least 2"):
        layer.predict(x, link="montecarlo", samples=1)


def test_held_out_rows_prefer_the_tuned_prior():
    every, truth = rows(20, 4_060, 20, 2, spread=0.3)
    x, labels, new, truth = every[:60], truth[:60], every[60:], truth[60:]
    score = {
        name: float(Softmax.fit(x, labels, 2, prior=prior).predict(new).log_prob(truth).mean())
        for name, prior in {"tuned": None, "weak": 1e-4, "strong": 1e4}.items()
    }
    assert score["tuned"] > max(score["weak"], score["strong"])
    assert np.isfinite(list(score.values())).all()


def test_a_sample_of_rows_has_the_curvature_on_average():
    x, labels = rows(22, 3_000)
    part = multinomial(x, labels, 3, torch.rand(3_000, generator=generator(1)).double())
    probabilities = (2 * augmented(x)[:, :3]).softmax(1)
    whole = part.curvature(probabilities)
    sample = Multinomial.curvature(*part.sampled(probabilities, 2_000))
    assert float((sample - whole).norm() / whole.norm()) < 0.1


def test_the_kronecker_form_has_the_trace_of_the_curvature():
    x, labels = rows(23)
    part = multinomial(x, labels, 3)
    probabilities = (2 * augmented(x)[:, :3]).softmax(1)
    product = part.kronecker(probabilities).dense()
    torch.testing.assert_close(product.trace(), part.curvature(probabilities).trace())
    equal = torch.full((120, 3), 1 / 3).double()
    torch.testing.assert_close(part.kronecker(equal).dense(), part.curvature(equal))


def test_certain_rows_teach_nothing_and_break_nothing():
    x, labels = rows(24)
    part = multinomial(x, labels, 3)
    certain = torch.nn.functional.one_hot(labels, 3).double()
    assert bool(torch.isfinite(part.kronecker(certain).dense()).all())
    assert float(Multinomial.curvature(*part.sampled(certain, 50)).abs().max()) == 0.0


def test_many_weights_are_searched_with_factors():
    x, labels = rows(25, 400, 330, 11, spread=0.2)  # more weights than a sample preconditions
    layer = Softmax.fit(x, labels, 11, prior=20.0, dense_limit=0)
    weights = layer.mean.requires_grad_()
    loss(weights, x, labels).backward()
    assert float((weights.grad + 20.0 * weights.detach()).abs().max()) < 1e-4


@pytest.mark.parametrize("prior", [1e-30, 1e-12, 1e30])
@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_extreme_priors_end_finite(prior, dense_limit):
    x = torch.linspace(-1, 1, 40)[:, None].expand(40, 3)  # separable, and three times the same
    labels = (x[:, 0] > 0.1).long()
    layer = Softmax.fit(x, labels, 2, prior=prior, dense_limit=dense_limit)
    assert layer.status in {TuningEnding.GIVEN, TuningEnding.UNFINISHED}
    predictive = layer.predict(x)
    for value in (layer.mean, predictive.probabilities, predictive.knowledge):
        assert bool(torch.isfinite(value).all())
