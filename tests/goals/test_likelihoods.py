"""Each likelihood's own values, limits and refusals."""

import math
import subprocess
import sys
import warnings

import pytest
import torch
from scipy.stats import nbinom

from counterpoint.errors import InputError
from counterpoint.goals import (
    Bernoulli,
    Categorical,
    HeteroscedasticNormal,
    NegativeBinomial,
    Normal,
    Poisson,
)

TARGETS = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]], dtype=torch.float64)
PREDICTIONS = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.8, 0.3]], dtype=torch.float64)


def close(found, expected):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=6e-7)


def test_gaussian_is_half_the_squared_error_and_a_constant():
    mse = (PREDICTIONS - TARGETS).square().mean()
    close(mse, 0.21)
    nll = Normal().nll(PREDICTIONS, TARGETS) / 3
    close(nll, 1.023939)
    close(nll, mse / 2 + math.log(2 * math.pi) / 2)
    close(Normal(noise=0.21).nll(PREDICTIONS, TARGETS) / 3, 0.638615)


def test_learned_noise_ends_at_the_mean_squared_error():
    likelihood = Normal("learned").double()
    optimiser = torch.optim.LBFGS(
        likelihood.parameters(), tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        loss = likelihood.nll(PREDICTIONS, TARGETS)
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(likelihood.noise.item(), 0.21, rtol=1e-6, atol=0)


@pytest.mark.filterwarnings("ignore:categorical likelihood")
def test_categorical_values():
    given = Categorical("probabilities")
    for target in (TARGETS, torch.tensor([0, 2])):
        close(given.nll_each(PREDICTIONS, target), [0.105361, 1.203973])
        close(given.nll(PREDICTIONS, target), 0.654667)
        close(given.nll_each(PREDICTIONS / 1.3, target), [0.367725, 1.466337])
        close(given.nll(PREDICTIONS / 1.3, target), 0.917031)
        close(Categorical().nll_each(PREDICTIONS, target), [0.689727, 1.267950])
        close(Categorical().nll(PREDICTIONS, target), 0.978838)


def test_bernoulli_values():
    output = PREDICTIONS.logit()
    close(Bernoulli().nll_each(output, TARGETS), [0.551648, 3.036554])
    close(Bernoulli().nll(output, TARGETS), 1.794101)
    close(Bernoulli().nll(output, TARGETS) / 3, 0.598034)


def test_rows_that_do_not_sum_to_one_warn():
    with pytest.warns(UserWarning, match=r"output rows must sum to 1, found 1.3 in row 0"):
        Categorical("probabilities").nll(PREDICTIONS, torch.tensor([0, 2]))
    target = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.0, 0.0]], dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"target rows must sum to 1, found 0.5 in row 1"):
        Categorical().nll(PREDICTIONS, target)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rounding_is_no_reason_to_warn(dtype):
    rows = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0)).softmax(1).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Categorical("probabilities").nll(rows, torch.zeros(50, dtype=torch.long))


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_a_class_that_cannot_happen_and_did_not_costs_nothing(inputs):
    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    output = (logits if inputs == "logits" else logits.softmax(1)).requires_grad_()
    target = torch.tensor([[0.5, 0.5, 0.0]])
    loss = Categorical(inputs).nll(output, target)
    (gradient,) = torch.autograd.grad(loss, output)
    assert loss.item() == pytest.approx(math.log(2))
    assert gradient.isfinite().all()


def test_a_class_that_cannot_happen_and_did_is_infinite():
    output = torch.tensor([[1.0, 0.0]])
    assert Categorical("probabilities").nll(output, torch.tensor([1])).item() == math.inf


def test_bernoulli_far_out_neither_overflows_nor_loses_digits():
    output = torch.tensor([1e4, -1e4, -30.0])
    each = Bernoulli().nll_each(output, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(each, torch.tensor([1e4, 1e4, math.log1p(math.exp(-30))]))


def test_targets_of_any_counting_type():
    output = torch.tensor([0.3, -0.2])
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float64):
        target = torch.tensor([0, 1]).to(kind)
        assert Bernoulli().nll(output, target) == Bernoulli().nll(output, target.float())
    for kind in (torch.uint8, torch.int32, torch.float64):
        target = torch.tensor([0, 3]).to(kind)
        assert Poisson().nll(output, target) == Poisson().nll(output, target.float())
        if not kind.is_floating_point:
            classes = torch.eye(4)[:2]
            assert Categorical().nll(classes, target) == Categorical().nll(classes, target.long())


def test_a_missing_last_axis_of_one_is_not_broadcast():
    output, target = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])
    log_two_pi = math.log(2 * math.pi)
    for pair in ((output, target), (output.squeeze(1), target.unsqueeze(1))):
        assert Normal().nll(*pair).item() == pytest.approx(log_two_pi / 2)


X, X2 = torch.zeros(2), torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("likelihood", "output", "target", "message"),
    [
        (Normal(), X2, torch.zeros(3, 2),
         "normal likelihood: target must have the output's shape (2, 3), found (3, 2)"),
        (Normal(), X2, X,
         "normal likelihood: target must have the output's shape (2, 3), found (2,)"),
        (Normal(), X, torch.zeros(2, dtype=torch.long),
         "normal likelihood: target must be floating point, found torch.int64; "
         "convert it (for example .float())"),
        (Normal(), X2, torch.tensor([[0, 0, 0], [0, math.nan, 0]]),
         "normal likelihood: target must be finite, found nan in row 1"),
        (Normal(torch.ones(2)), X2, X2,
         "normal likelihood: output must have 2 columns, one a noise, found shape (2, 3)"),
        (Normal("learned", outputs=2), X, X,
         "normal likelihood: output must have 2 columns, one a noise, found shape (2,)"),
        (Categorical(), X, torch.tensor([0, 1]),
         "categorical likelihood: output must have shape (batch, classes), found (2,)"),
        (Categorical(), X2, torch.tensor([0, 3]),
         "categorical likelihood: class number must be between 0 and 2, found 3 in row 1"),
        (Categorical(), X2, torch.tensor([-1, 2]),
         "categorical likelihood: class number must be between 0 and 2, found -1 in row 0"),
        (Categorical(), X2, torch.tensor([[0], [1]]),
         "categorical likelihood: class numbers must have shape (2,), found (2, 1)"),
        (Categorical(), X2, torch.tensor([0.0, 1.0]),
         "categorical likelihood: target rows must have the output's shape (2, 3), "
         "found (2,) of torch.float32; class numbers must be integers"),
        (Categorical(), X2, torch.tensor([True, False]),
         "categorical likelihood: target must be integers or floating-point rows, "
         "found torch.bool"),
        (Categorical(), X2, torch.tensor([[2.0, -1, 0], [0, 1, 0]]),
         "categorical likelihood: target probability must be finite and at least 0, "
         "found -1 in row 0"),
        (Categorical("probabilities"), X2 - 1, torch.tensor([0, 1]),
         "categorical likelihood: probabilities must not be negative, found -1; "
         "for logits use inputs='logits'"),
        (Bernoulli(), X, torch.tensor([0.0, 1.5]),
         "bernoulli likelihood: target must be between 0 and 1, found 1.5 in row 1"),
        (Bernoulli(), X, torch.tensor([0.0, 1j]),
         "bernoulli likelihood: target must be a real number, found torch.complex64"),
        (Poisson(), X, torch.tensor([0, -2]),
         "poisson likelihood: target must be finite and at least 0, found -2 in row 1"),
        (Poisson(), X, torch.tensor([0, math.inf]),
         "poisson likelihood: target must be finite and at least 0, found inf in row 1"),
        (Poisson(), X, torch.tensor([True, False]),
         "poisson likelihood: target must be a count, found torch.bool"),
        (NegativeBinomial(), X, torch.tensor([0, -2]),
         "negative binomial likelihood: target must be finite and at least 0, found -2 in row 1"),
        (NegativeBinomial(), X, torch.tensor([True, False]),
         "negative binomial likelihood: target must be a count, found torch.bool"),
        (HeteroscedasticNormal(), X2, X,
         "heteroscedastic normal likelihood: output must have the shape (batch, 2 * targets), "
         "means before logarithms of variances, found (2, 3)"),
        (HeteroscedasticNormal(), torch.zeros(2, 4), X,
         "heteroscedastic normal likelihood: target must have the shape (2, 2) of the means, "
         "found (2,)"),
        (HeteroscedasticNormal(), torch.zeros(2, 2), torch.zeros(2, dtype=torch.long),
         "heteroscedastic normal likelihood: target must be floating point, found torch.int64; "
         "convert it (for example .float())"),
        (HeteroscedasticNormal(), torch.zeros(2, 2), torch.tensor([0.0, math.nan]),
         "heteroscedastic normal likelihood: target must be finite, found nan in row 1"),
    ],
)  # fmt: skip
def test_bad_batches(likelihood, output, target, message):
    with pytest.raises(InputError) as caught:
        likelihood.nll(output, target)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0.0), "normal likelihood: noise must be positive, found 0"),
        (lambda: Normal(torch.tensor([1.0, -2.0])),
         "normal likelihood: noise must be positive, found -2"),
        (lambda: Normal(math.nan),
         "normal likelihood: noise must be finite, found nan in row 0"),
        (lambda: Normal(torch.ones(2, 2)),
         "normal likelihood: noise must be one variance or one an output, found shape (2, 2)"),
        (lambda: Normal("learned", outputs=0),
         "normal likelihood: outputs must be at least 1, found 0"),
        (lambda: NegativeBinomial(0.0),
         "negative binomial likelihood: dispersion must be from 1e-08 to 1e+08, found 0; without "
         "any, use Poisson"),
        (lambda: Categorical("probs"),
         "categorical likelihood: inputs: expected one of logits, probabilities, found 'probs'"),
    ],
)  # fmt: skip
def test_bad_settings(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message


def test_known_noise_is_kept():
    for noise in (1, 0.21, 1e-12, torch.tensor([1e-8, 1e8]).double(), torch.tensor(3.0)):
        expected = torch.as_tensor(noise, dtype=torch.float64)
        torch.testing.assert_close(Normal(noise).noise, expected, rtol=1e-13, atol=0)


def test_noises_may_be_whole_numbers():
    assert Normal(torch.tensor([1, 4])).noise.tolist() == pytest.approx([1.0, 4.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_negative_binomial_of_no_dispersion_is_poisson(dtype):
    output = torch.linspace(-3, 8, 12, dtype=dtype)
    count = output.exp().round()
    found = NegativeBinomial(1e-8).nll_each(output, count)
    expected = Poisson().nll_each(output.double(), count).to(dtype)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_negative_binomial_is_scipys():
    counts = torch.arange(30, dtype=torch.float64)
    mean, dispersion = 4.0, 0.7
    expected = nbinom.logpmf(counts.numpy(), 1 / dispersion, 1 / (1 + dispersion * mean))
    output = torch.full((30,), mean, dtype=torch.float64).log()
    found = -NegativeBinomial(dispersion).nll_each(output, counts)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-11, atol=0)


def test_learned_dispersion_ends_at_that_of_the_counts():
    likelihood = NegativeBinomial().double()
    output = torch.full((20_000,), 3.0, dtype=torch.float64).log()
    drawn = NegativeBinomial(0.4).draw(output, torch.Generator().manual_seed(0))
    optimiser = torch.optim.LBFGS(likelihood.parameters(), line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = likelihood.nll(output, drawn)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert likelihood.dispersion.item() == pytest.approx(0.4, rel=0.05)


def test_a_variance_of_its_own_is_a_normal_of_that_noise():
    output = torch.tensor([[1.0, -2.0, 0.4, -1.0], [0.0, 3.0, -3.0, 2.0]], dtype=torch.float64)
    target = torch.tensor([[0.5, 1.0], [2.0, 2.5]], dtype=torch.float64)
    found = HeteroscedasticNormal().nll_each(output, target)
    for row in (0, 1):
        one = Normal(noise=output[row, 2:].exp()).nll_each(output[[row], :2], target[[row]])
        torch.testing.assert_close(found[[row]], one)


def test_mean_and_variance_of_a_straight_line_are_found():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4000, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    y = 2 * x + (0.5 * (1 - 2 * x)).exp() * noise  # log variance 1 - 2 x
    with torch.random.fork_rng():
        torch.manual_seed(0)
        line = torch.nn.Linear(1, 2).double()
    optimiser = torch.optim.LBFGS(line.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = HeteroscedasticNormal().nll(line(x), y)
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(
        line.weight.detach(), torch.tensor([[2.0], [-2.0]]).double(), rtol=0, atol=0.25
    )
    assert line.bias[1].item() == pytest.approx(1.0, abs=0.15)


@pytest.mark.slow
def test_whole_graph_compiles():
    code = (
        "import torch; from counterpoint.goals import *\n"
        "torch.set_num_threads(1)\n"
        "x, y, w = torch.ones(4, 1), torch.ones(4), torch.ones(4)\n"
        "for likelihood in (Normal('learned'), Bernoulli(), Poisson(), NegativeBinomial()):\n"
        "    loss = torch.compile(likelihood.nll, fullgraph=True, backend='eager')(x, y, w)\n"
        "    torch.testing.assert_close(loss, likelihood.nll(x, y, w))\n"
        "nll = torch.compile(Categorical().nll, fullgraph=True, backend='eager')\n"
        "torch.testing.assert_close(nll(x, y.long() - 1, w), torch.zeros(()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
