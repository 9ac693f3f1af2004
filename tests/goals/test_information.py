"""Roots of the Fisher information and drawn targets: what they are, for every likelihood."""

import itertools
import math

import pytest
import torch
from numpy.polynomial.hermite import hermgauss

from counterpoint.errors import InputError
from counterpoint.goals import (
    Bernoulli,
    Categorical,
    HeteroscedasticNormal,
    NegativeBinomial,
    Normal,
    Poisson,
)
from counterpoint.goals._noise import uniforms


def gram(root):
    """The matrix that a root is of, dense: (batch, outputs, outputs)."""
    flat = root.flatten(2) if root.ndim > 2 else root.unsqueeze(2)
    return torch.einsum("kbi,kbj->bij", flat, flat)


def scores(likelihood, output, target):
    """Gradients of the row losses in the outputs: (batch, outputs)."""
    output = output.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.nll_each(output, target).sum(), output)
    return gradient.flatten(1) if gradient.ndim > 1 else gradient.unsqueeze(1)


def hessians(likelihood, output, target):
    """Hessians of the row losses in the outputs: (batch, outputs, outputs)."""

    def one(row, observed):
        return likelihood.nll_each(row.reshape(1, *output.shape[1:]), observed).sum()

    rows = [
        torch.autograd.functional.hessian(lambda row, y=y: one(row, y), f.flatten())
        for f, y in zip(output, target.split(1), strict=True)
    ]
    return torch.stack(rows)


def expected_information(likelihood, output, targets, probabilities):
    """E grad grad' with the expectation a sum over all the targets there are."""
    total = torch.zeros(len(output), output[0].numel(), output[0].numel(), dtype=torch.float64)
    for target, probability in zip(targets, probabilities, strict=True):
        gradient = scores(likelihood, output, target)
        total += probability[:, None, None] * gradient[:, :, None] * gradient[:, None, :]
    return total


def test_root_squares_to_the_hessian_of_a_natural_parameter(case):
    output, target = case.batch(5)
    root = case.make().root(output)
    assert root.shape[1:] == output.shape
    # of another output the Hessian depends on the target; its information has tests of its own
    expected = hessians(case.make(), output, target) if case.make().natural else gram(root)
    torch.testing.assert_close(gram(root), expected, rtol=1e-12, atol=1e-14)


def test_root_squares_to_the_information_of_drawn_targets(case):
    output, _ = case.batch(1)
    likelihood = case.make()
    many = output.expand(40_000, *output.shape[1:])
    gradient = scores(likelihood, many, likelihood.draw(many, torch.Generator().manual_seed(0)))
    found = gradient.unsqueeze(2) * gradient.unsqueeze(1)
    error = found.std(0) / len(many) ** 0.5
    assert ((found.mean(0) - gram(likelihood.root(output))[0]).abs() <= 5 * error + 1e-12).all()


def test_draws_scatter_as_the_distribution_says(case):
    output, _ = case.batch(1)
    likelihood = case.make()
    many = output.expand(40_000, *output.shape[1:])
    drawn = likelihood.draw(many, torch.Generator().manual_seed(1))
    if isinstance(likelihood, Categorical):
        drawn = torch.nn.functional.one_hot(drawn, output.shape[1]).double()
        mean = likelihood.distribution(output).probs
        variance = mean * (1 - mean)
    else:
        distribution = likelihood.distribution(output)
        mean, variance = distribution.mean, distribution.variance
    assert ((drawn.mean(0) - mean[0]).abs() < 5 * (variance[0] / len(many)).sqrt()).all()
    torch.testing.assert_close(drawn.var(0), variance[0], rtol=0.1, atol=0)


def test_draws_are_targets(case):
    output, target = case.batch(6)
    likelihood = case.make()
    drawn = likelihood.draw(output.requires_grad_(), torch.Generator().manual_seed(0))
    assert not drawn.requires_grad
    assert likelihood.nll_each(output, drawn).isfinite().all()
    classes = isinstance(likelihood, Categorical)
    assert drawn.shape == (output.shape[:1] if classes else target.shape)


def test_draws_come_from_the_generator_that_is_passed(case):
    output, _ = case.batch(50)
    likelihood = case.make()
    before = torch.get_rng_state()
    first, again, other = (
        likelihood.draw(output, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_output_without_an_axis_is_one_column(case):
    output, _ = case.batch(3)
    columns = case.make().root(output).shape[0]
    if case.columns is None:
        assert columns == 1
    else:
        assert columns == case.columns - (case.name.startswith("categorical"))


def test_root_has_a_graph(case):
    output, _ = case.batch(2)
    assert torch.autograd.gradcheck(case.make().root, (output.requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_give_float32(case, dtype):
    output, _ = case.batch(4)
    output = output.to(dtype)
    likelihood = case.make().float()
    root = likelihood.root(output)
    assert root.dtype == torch.float32
    torch.testing.assert_close(root, likelihood.root(output.float()), rtol=0, atol=0)
    drawn = likelihood.draw(output, torch.Generator().manual_seed(0))
    assert drawn.dtype in (torch.float32, torch.int64)


def test_root_reads_no_values_on_an_accelerator(case):
    output, _ = case.batch(3)
    root = case.make().to("meta").root(output.to("meta"))
    assert root.device.type == "meta"
    assert root.shape[1:] == output.shape


def test_root_inside_vmap(case):
    output, _ = case.batch(6)
    likelihood = case.make()
    likelihood.validate = False
    each = torch.func.vmap(lambda row: likelihood.root(row.unsqueeze(0)).squeeze(1))(output)
    torch.testing.assert_close(each.movedim(0, 1), likelihood.root(output))


def test_outputs_that_are_not_finite_show(case):
    output, _ = case.batch(3)
    output[0] = float("nan")
    likelihood = case.make()
    root = likelihood.root(output)
    assert root[:, 0].isnan().any()
    assert root[:, 1:].isfinite().all()
    likelihood.draw(output, torch.Generator().manual_seed(0))


def test_outputs_that_cannot_be_used(case):
    output, _ = case.batch(3)
    likelihood = case.make()
    for use in (likelihood.root, lambda found: likelihood.draw(found, torch.Generator())):
        with pytest.raises(InputError, match=r"floating point, found torch\.int64"):
            use(output.long())
        with pytest.raises(InputError, match="output must have at least one row"):
            use(output[:0])


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_categorical_information_is_the_expectation_over_classes(inputs):
    output = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    probabilities = output.softmax(1)
    likelihood = Categorical(inputs)
    if inputs == "probabilities":
        output = probabilities
    expected = expected_information(
        likelihood, output, [torch.full((6,), c) for c in range(5)], probabilities.T
    )
    torch.testing.assert_close(gram(likelihood.root(output)), expected, rtol=1e-12, atol=1e-15)


def test_bernoulli_information_is_the_expectation_over_targets():
    output = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = [
        torch.tensor(target, dtype=torch.float64).expand(4, 3)
        for target in itertools.product((0.0, 1.0), repeat=3)
    ]
    probabilities = [Bernoulli().distribution(output).log_prob(target).exp() for target in targets]
    expected = expected_information(Bernoulli(), output, targets, probabilities)
    torch.testing.assert_close(gram(Bernoulli().root(output)), expected, rtol=1e-12, atol=1e-15)


def test_poisson_information_is_the_expectation_over_counts():
    output = torch.tensor([[-1.0, 2.0], [0.5, 0.0]], dtype=torch.float64)
    counts = [torch.full((2, 1), float(count), dtype=torch.float64) for count in range(80)]
    expected = torch.zeros(2, 2, 2, dtype=torch.float64)
    for column in (0, 1):
        one = output[:, [column]]
        chances = [Poisson().distribution(one).log_prob(count).exp() for count in counts]
        part = expected_information(Poisson(), one, counts, chances)
        expected[:, column, column] = part[:, 0, 0]
    torch.testing.assert_close(gram(Poisson().root(output)), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dispersion", [0.2, 1.0, 3.0])
def test_negative_binomial_information_is_the_expectation_over_counts(dispersion):
    output = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    likelihood = NegativeBinomial(dispersion)
    counts = [torch.full((2, 1), float(count), dtype=torch.float64) for count in range(1000)]
    chances = [likelihood.distribution(output).log_prob(count).exp() for count in counts]
    torch.testing.assert_close(sum(chances), torch.ones(2, dtype=torch.float64))
    expected = expected_information(likelihood, output, counts, chances)
    torch.testing.assert_close(gram(likelihood.root(output)), expected, rtol=1e-10, atol=0)


def test_heteroscedastic_information_is_the_expectation_over_targets():
    output = torch.tensor([[0.3, -1.0], [2.0, 1.5]], dtype=torch.float64)
    # Gauss-Hermite: exact for the polynomials that scores of a normal are
    nodes, weights = hermgauss(8)
    mean, deviation = output[:, :1], (output[:, 1:] / 2).exp()
    targets = [mean + deviation * 2**0.5 * node for node in nodes]
    shares = list(torch.from_numpy(weights / math.pi**0.5)[:, None].expand(8, 2))
    expected = expected_information(HeteroscedasticNormal(), output, targets, shares)
    found = gram(HeteroscedasticNormal().root(output))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "row",
    [
        [200.0, -200.0, 0.0],
        [-200.0, -200.0, 200.0],
        [-200.0, 200.0, 200.0],
        [200.0, 199.0, -200.0],
        [0.0, float("-inf"), 1.0],
        [0.0, float("-inf"), float("-inf")],
        [3e38, -3e38, 0.0],
    ],
)
def test_saturated_categorical_root_is_finite_and_right(row, dtype):
    logits = torch.tensor([row], dtype=dtype)
    root = Categorical().root(logits)
    assert root.isfinite().all()
    p = logits.double().softmax(1)
    expected = p.diag_embed() - p.unsqueeze(2) * p.unsqueeze(1)
    # The naive diagonal p (1 - p) is 0 where 1 - p rounds to 0; a tail sum is not.
    others = torch.stack([p[:, [j for j in range(3) if j != i]].sum(1) for i in range(3)], 1)
    expected.diagonal(dim1=1, dim2=2).copy_(p * others)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-11
    scale = (p * others).sqrt()
    allowed = tolerance * scale.unsqueeze(2) * scale.unsqueeze(1) + torch.finfo(dtype).tiny
    assert ((gram(root.double()) - expected).abs() <= allowed).all()


@pytest.mark.parametrize("logit", [200.0, -200.0])
def test_saturated_bernoulli_root_is_finite_and_right(logit):
    root = Bernoulli().root(torch.tensor([[logit, 0.0]], dtype=torch.float64))
    expected = torch.tensor([[[-100.0, -torch.inf]], [[-torch.inf, 0.5]]], dtype=torch.float64)
    expected = expected.exp()
    expected[1, 0, 1] = 0.5
    torch.testing.assert_close(root, expected, rtol=1e-12, atol=0)
    assert Bernoulli().root(torch.tensor([logit])).isfinite().all()


def test_a_probability_of_zero_has_no_column_and_is_never_drawn():
    likelihood = Categorical("probabilities")
    output = torch.tensor([[0.0, 0.25, 0.75]]).expand(1000, 3)
    root = likelihood.root(output)
    expected = torch.tensor([[0.0, 0, 0], [0, 2.0, 0], [0, 0, 0.75**-0.5]])
    torch.testing.assert_close(root[:, 0], expected)
    drawn = likelihood.draw(output, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == [1, 2]


def test_one_class_has_nothing_to_tell():
    root = Categorical().root(torch.zeros(4, 1))
    assert root.shape == (0, 4, 1)


def test_outputs_with_more_axes_are_a_column_each():
    output = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    root = Poisson().root(output)
    assert root.shape == (12, 2, 3, 4)
    flat = Poisson().root(output.flatten(1))
    torch.testing.assert_close(root.flatten(2), flat)


@pytest.mark.parametrize("rate", [1e8, 1e10, 1e25])
def test_large_rates_are_drawn_with_their_mean_and_variance(rate):
    output = torch.full((20_000,), rate, dtype=torch.float64).log()
    drawn = Poisson().draw(output, torch.Generator().manual_seed(0))
    assert (drawn >= 0).all()
    standard = (drawn - rate) / rate**0.5
    assert abs(standard.mean().item()) < 5 / 20_000**0.5
    assert abs(standard.var().item() - 1) < 0.05


def test_uniform_numbers_are_fine_enough_for_rare_events():
    # In float32 they are multiples of 2**-24, so that one in 2**24 is below any probability.
    drawn = uniforms(torch.zeros(100), torch.Generator().manual_seed(0))
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert ((drawn * 2**24).frac() != 0).all()


def test_gaussian_refuses_another_number_of_outputs():
    likelihood = Normal(noise=torch.tensor([1.0, 2.0]))
    for use in (likelihood.root, lambda found: likelihood.draw(found, torch.Generator())):
        with pytest.raises(InputError, match="output must have 2 columns, one a noise"):
            use(torch.zeros(4, 3))
