"""The softmax last layer against autograd, scikit-learn and brute force."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from counterpoint.gaussian import Dense, Kronecker
from counterpoint.posterior import Softmax, TuningEnding
from counterpoint.posterior.softmax._multinomial import contrasts, jacobian
from counterpoint.seeding import generator
from softmax_cases import augmented, loss, multinomial, rows

# torch's own loading of its function transforms calls what it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_contrasts_are_orthonormal_and_blind_to_a_common_shift(classes):
    basis = contrasts(classes)
    torch.testing.assert_close(basis.T @ basis, torch.eye(classes - 1).double())
    torch.testing.assert_close(basis.sum(0), torch.zeros(classes - 1).double())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_likelihood_gradient_and_curvature_are_autograds(classes):
    x, labels = rows(0, 30, classes=classes)
    weight = torch.rand(30, generator=generator(1)).double()
    part = multinomial(x, labels, classes, weight)
    basis = contrasts(classes)
    point = torch.randn(5, classes - 1, generator=generator(2), dtype=torch.float64)

    def objective(v):
        return -loss(v @ basis.T, x, labels, weight)

    logits = part.logits(point)
    probabilities = logits.softmax(1)
    assert part.log_likelihood(logits) == pytest.approx(float(objective(point)), rel=1e-13)
    torch.testing.assert_close(part.gradient(probabilities), torch.func.grad(objective)(point))
    hessian = -torch.func.hessian(objective)(point)  # width, contrasts, width, contrasts
    flat = hessian.permute(1, 0, 3, 2).reshape(5 * (classes - 1), -1)
    torch.testing.assert_close(part.curvature(probabilities), flat, rtol=1e-12, atol=1e-12)
    direction = torch.randn(5, classes - 1, generator=generator(3), dtype=torch.float64)
    wanted = (flat @ direction.T.reshape(-1)).view(classes - 1, 5).T
    torch.testing.assert_close(part.product(probabilities, direction), wanted)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("prior", [1e-3, 1.0, 100.0])
def test_the_optimum_is_scikit_learns(classes, prior):
    x, labels = rows(1, classes=classes)
    weight = torch.rand(120, generator=generator(5)).double()
    layer = Softmax.fit(x, labels, classes, weight, prior=prior)
    # With two classes scikit-learn has one vector, the difference: |w|²/2 is our |W|².
    strength = 2 / prior if classes == 2 else 1 / prior
    peer = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
    peer.fit(augmented(x).numpy(), labels.numpy(), sample_weight=weight.numpy())
    wanted = torch.from_numpy(peer.coef_).T
    found = layer.mean[:, 1:] - layer.mean[:, :1] if classes == 2 else layer.mean
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.mean.sum(1), torch.zeros(5).double(), rtol=0, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    classes=st.integers(2, 4),
    log_prior=st.floats(-4, 3),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_the_gradient_vanishes_at_the_optimum(seed, classes, log_prior, scale):
    x, labels = rows(seed, 40, classes=classes)
    prior = 10**log_prior
    layer = Softmax.fit(scale * x, labels, classes, prior=prior)
    weights = layer.mean.requires_grad_()
    loss(weights, scale * x, labels).backward()
    steep = scale * 40
    assert float((weights.grad + prior * weights.detach()).abs().max()) < 1e-5 * max(steep, 1)
    assert layer.status is TuningEnding.GIVEN


def brute_evidence(x, labels, classes, prior):
    """Laplace's evidence with weights of all C classes, from autograd's Hessian."""
    layer = Softmax.fit(x, labels, classes, prior=prior)
    weights, size = layer.mean, layer.mean.numel()
    hessian = torch.func.hessian(lambda w: loss(w, x, labels))(weights).reshape(size, size)
    fit = -float(loss(weights, x, labels)) - prior / 2 * float(weights.square().sum())
    shifted = torch.linalg.slogdet(hessian + prior * torch.eye(size).double()).logabsdet
    return fit + size / 2 * math.log(prior) - float(shifted) / 2, layer.log_evidence


@pytest.mark.parametrize("classes", [2, 4])
def test_log_evidence_is_laplaces(classes):
    wanted, found = brute_evidence(*rows(2, classes=classes), classes, 0.7)
    assert found == pytest.approx(wanted, rel=1e-10)


def test_log_evidence_is_near_the_integral():
    source = generator(7)
    x = torch.randn(80, 1, generator=source, dtype=torch.float64)
    labels = (x[:, 0] + torch.randn(80, generator=source).double() > 0.2).long()
    layer = Softmax.fit(x, labels, 2)
    line = torch.linspace(-12, 12, 481).double()
    slope, bias = torch.meshgrid(line, line, indexing="ij")
    logits = slope[..., None] * x[:, 0] + bias[..., None]
    log_joint = torch.nn.functional.logsigmoid(logits * (2 * labels - 1)).sum(-1)
    # The difference of two N(0, 1/α) weights is N(0, 2/α).
    variance = 2 / layer.prior
    log_prior = -(slope**2 + bias**2) / (2 * variance) - math.log(2 * math.pi * variance)
    wanted = (log_joint + log_prior).flatten().logsumexp(0) + 2 * math.log(24 / 480)
    assert layer.log_evidence == pytest.approx(float(wanted), abs=0.05)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("dense_limit", [0, 10_000])
def test_the_prior_has_the_greatest_evidence(classes, dense_limit):
    x, labels = rows(3, 300, classes=classes)
    layer = Softmax.fit(x, labels, classes, dense_limit=dense_limit)
    assert layer.status is TuningEnding.TUNED
    assert layer.evaluations < 15

    def at(factor):
        prior = layer.prior * factor
        given = Softmax.fit(x, labels, classes, prior=prior, dense_limit=dense_limit)
        return given.log_evidence

    for factor in (0.5, 0.8, 1.25, 2.0):
        assert at(factor) < layer.log_evidence
    slope = (at(math.exp(0.05)) - at(math.exp(-0.05))) / 0.1
    assert abs(slope) < 0.02 * layer.effective


def test_the_start_changes_the_way_not_the_end():
    x, labels = rows(4)
    ends = [Softmax.fit(x, labels, 3, start=start) for start in (1e-4, 1.0, 1e4)]
    for end in ends:
        assert math.log(end.prior / ends[0].prior) == pytest.approx(0, abs=0.05)
        assert end.log_evidence == pytest.approx(ends[0].log_evidence, abs=1e-3)


def test_the_same_rows_give_the_same_bits():
    x, labels = rows(5)
    assert torch.equal(Softmax.fit(x, labels, 3).mean, Softmax.fit(x, labels, 3).mean)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_weight_is_a_repetition(classes):
    x, labels = rows(6, classes=classes)
    repeats = torch.arange(120) % 3
    a = Softmax.fit(x, labels, classes, repeats.double(), prior=0.4)
    b = Softmax.fit(
        x.repeat_interleave(repeats, 0), labels.repeat_interleave(repeats), classes, prior=0.4
    )
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-7, atol=1e-7)
    assert a.log_evidence == pytest.approx(b.log_evidence, rel=1e-10)
    torch.testing.assert_close(a.predict(x).knowledge, b.predict(x).knowledge)


def test_two_classes_in_either_order():
    x, labels = rows(7, classes=2)
    a, b = (Softmax.fit(x, y, 2, prior=1.0).predict(x) for y in (labels, 1 - labels))
    torch.testing.assert_close(a.probabilities, b.probabilities.flip(1))
    torch.testing.assert_close(a.knowledge, b.knowledge.flip(1))
    torch.testing.assert_close(a.knowledge[:, 0], a.knowledge[:, 1])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999), order=st.permutations(range(4)))
def test_the_order_of_classes_does_not_matter(seed, order):
    x, labels = rows(seed, 60, classes=4)
    order = torch.tensor(order)
    a = Softmax.fit(x, labels, 4, prior=0.5).predict(x)
    b = Softmax.fit(x, order[labels], 4, prior=0.5).predict(x)
    torch.testing.assert_close(b.probabilities[:, order], a.probabilities, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(b.knowledge[:, order], a.knowledge, rtol=1e-5, atol=1e-8)


def test_dense_draws_have_the_covariance_of_the_hessian():
    x, labels = rows(8)
    layer = Softmax.fit(x, labels, 3, prior=0.5)
    hessian = torch.func.hessian(lambda w: loss(w, x, labels))(layer.mean).reshape(15, 15)
    covariance = torch.linalg.inv(hessian + 0.5 * torch.eye(15))
    # The direction common to all classes keeps its prior; we leave it out.
    project = torch.kron(torch.eye(5), torch.eye(3) - 1 / 3).double()
    draws = layer.weights(generator(0), 60_000).reshape(-1, 15)
    wanted = project @ covariance @ project
    torch.testing.assert_close(draws.T.cov(), wanted, rtol=0, atol=0.03 * float(wanted.max()))


def test_the_kronecker_form_is_named_and_near():
    x, labels = rows(9, 400, spread=0.5)
    dense = Softmax.fit(x, labels, 3, prior=1.0)
    factored = Softmax.fit(x, labels, 3, prior=1.0, dense_limit=9)
    assert isinstance(dense.precision, Dense)
    assert isinstance(factored.precision, Kronecker)
    torch.testing.assert_close(factored.mean, dense.mean, rtol=1e-6, atol=1e-6)
    a, b = dense.predict(x), factored.predict(x)
    torch.testing.assert_close(a.probabilities, b.probabilities, rtol=0, atol=0.01)
    ratio = b.knowledge.mean() / a.knowledge.mean()
    assert 0.7 < float(ratio) < 1.4


def test_the_kronecker_form_is_exact_at_equal_probabilities():
    x, labels = rows(10)
    dense, factored = (
        Softmax.fit(x, labels, 3, prior=1e9, dense_limit=limit) for limit in (1000, 0)
    )
    assert factored.log_evidence == pytest.approx(dense.log_evidence, rel=1e-9)
    draws = {"weight": torch.randn(4, 2, 5, generator=generator(1)).double()}
    torch.testing.assert_close(
        factored.precision.root_solve(draws)["weight"].square().sum(),
        dense.precision.root_solve(draws)["weight"].square().sum(),
        rtol=1e-4,
        atol=0,
    )
    torch.testing.assert_close(
        dense.precision.shift(2.0 - 1e9).pull(jacobian(augmented(x), 3)),
        factored.precision.shift(2.0 - 1e9).pull(jacobian(augmented(x), 3)),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_draws_agree_with_the_covariance_of_the_logits(dense_limit):
    x, labels = rows(11)
    layer = Softmax.fit(x, labels, 3, prior=0.5, dense_limit=dense_limit)
    logits = augmented(x[:3]) @ layer.weights(generator(2), 40_000)
    wanted = layer.precision.pull(jacobian(augmented(x[:3]), 3))
    for row in range(3):
        torch.testing.assert_close(
            logits[:, row].T.cov(), wanted[row], rtol=0, atol=0.03 * float(wanted[row].max())
        )


@pytest.mark.parametrize("classes", [2, 4])
def test_probit_is_near_monte_carlo(classes):
    x, labels = rows(12, 100, classes=classes)
    layer = Softmax.fit(x, labels, classes)
    new = rows(13, 50)[0] * 2
    probit = layer.predict(new)
    drawn = layer.predict(new, link="montecarlo", generator=generator(0), samples=5_000)
    difference = (probit.probabilities - drawn.probabilities).abs()
    assert float(difference.mean()) < 0.01
    assert float(difference.max()) < 0.08
    assert float((probit.knowledge - drawn.knowledge).abs().mean()) < 0.005
    for predictive in (probit, drawn):
        total = predictive.probabilities.sum(1)
        torch.testing.assert_close(total, torch.ones(50).double())
        assert bool((predictive.noise >= 0).all() & (predictive.knowledge >= 0).all())


def test_monte_carlo_follows_its_generator():
    x, labels = rows(14)
    layer = Softmax.fit(x, labels, 3, prior=1.0)
    before = torch.get_rng_state()
    a, b = (layer.predict(x, link="montecarlo", generator=generator(3)) for _ in range(2))
    assert torch.equal(a.probabilities, b.probabilities)
    assert torch.equal(before, torch.get_rng_state())


def test_knowledge_grows_away_from_the_rows_and_shrinks_with_them():
    x, labels = rows(15, 400, 1, 2, spread=1.0)
    layer = Softmax.fit(x, labels, 2, prior=0.1)
    few = Softmax.fit(x[:20], labels[:20], 2, prior=0.1)
    assert float(few.predict(x).knowledge.mean()) > 3 * float(layer.predict(x).knowledge.mean())
