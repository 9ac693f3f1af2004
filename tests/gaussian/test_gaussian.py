"""The algebra of Gaussians, the energy and its gradient, and what is kept on disk."""

import json
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.autograd import forward_ad
from torch.distributions import MultivariateNormal, kl_divergence

from counterpoint.errors import InputError
from counterpoint.gaussian import Block, Dense, Diagonal, Gaussian, Isotropic, Kronecker
from counterpoint.storage import write_folder
from gaussian.cases import LAYER, REST, WIDE, definite, diagonal, factors, kronecker, normal
from gaussian.conformance import flat

close = torch.testing.assert_close

STRUCTURES = {
    "isotropic": lambda seed: Isotropic(0.5 + seed, LAYER),
    "diagonal": lambda seed: diagonal(LAYER, seed),
    "dense": lambda seed: Dense(definite(8, seed), LAYER),
    "kronecker": lambda seed: kronecker(seed=seed),
    "block": lambda seed: Block(
        (Dense(definite(2, seed), {"b": LAYER["b"]}), diagonal({"w": LAYER["w"]}, seed))
    ),
}


def gaussian(kind, seed=0, shapes=None):
    precision = STRUCTURES[kind](seed)
    mean = {name: normal(*shape, seed=seed + 50) for name, shape in LAYER.items()}
    return Gaussian(mean, precision, counts=10.0 + seed)


def dense(gaussian, names=("w", "b")):
    """Precision and ``P μ`` in one order."""
    precision = gaussian.precision
    v = {name: torch.eye(8, dtype=torch.float64) for name in names}
    sizes = [LAYER[name].numel() for name in names]
    rows = torch.eye(8, dtype=torch.float64).split(sizes, 1)
    columns = []
    for unit in range(8):
        v = {n: rows[i][unit].reshape(LAYER[n]) for i, n in enumerate(names)}
        columns.append(flat(precision.mv(v), dict.fromkeys(names)))
    matrix = torch.stack(columns, 1)
    return matrix, matrix @ flat(gaussian.mean, dict.fromkeys(names))


def same(a, b, tolerance=1e-7):
    for left, right in zip(dense(a), dense(b), strict=True):
        close(left, right, rtol=tolerance, atol=tolerance)
    for name in a.mean:
        close(a.mean[name], b.mean[name], rtol=tolerance, atol=tolerance)


kinds = st.sampled_from(sorted(STRUCTURES))
seeds = st.integers(0, 40)
powers = st.floats(0.1, 10)


@given(kinds, kinds, seeds, seeds)
@settings(max_examples=60)
def test_products_add_precisions_and_commute(one, two, seed, other):
    a, b = gaussian(one, seed), gaussian(two, other)
    both = a * b
    for found, left, right in zip(dense(both), dense(a), dense(b), strict=True):
        close(found, left + right, rtol=1e-7, atol=1e-7)
    same(both, b * a)
    assert both.counts == 20.0 + seed + other


@given(kinds, kinds, kinds, seeds)
@settings(max_examples=40)
def test_products_are_associative(one, two, three, seed):
    a, b, c = gaussian(one, seed), gaussian(two, seed + 1), gaussian(three, seed + 2)
    same((a * b) * c, a * (b * c))


@given(kinds, kinds, seeds)
@settings(max_examples=40)
def test_a_quotient_undoes_a_product(one, two, seed):
    a, b = gaussian(one, seed), gaussian(two, seed + 1)
    back = (a * b) / b
    same(back, a, 1e-5)
    assert back.counts == pytest.approx(a.counts)
    assert back.tempering == pytest.approx(1.0)


@given(kinds, seeds, powers, powers)
@settings(max_examples=40)
def test_powers(kind, seed, first, second):
    a, b = gaussian(kind, seed), gaussian("diagonal", seed + 1)
    same((a**first) ** second, a ** (first * second))
    same(a**first * a**second, a ** (first + second))
    same((a * b) ** first, a**first * b**first)
    same(a**1, a)
    assert (a**first).tempering == pytest.approx(first)
    both = a**first * a**second
    assert both.counts * both.tempering == pytest.approx(a.counts * (first + second))


@given(kinds, seeds, st.floats(-3, 3))
@settings(max_examples=40)
def test_the_gradient_of_the_energy(kind, seed, scale):
    a = gaussian(kind, seed)
    theta = {n: normal(*s, seed=seed + 9).requires_grad_() for n, s in LAYER.items()}
    energy = a.energy(theta)
    (scale * energy).backward()
    apart = {name: theta[name].detach() - a.mean[name] for name in LAYER}
    expected = a.precision.mv(apart)
    close(energy.detach(), sum((apart[n] * expected[n]).sum() for n in LAYER) / 2)
    for name in LAYER:
        close(theta[name].grad, scale * expected[name])


# torch itself scripts its decompositions when forward mode is first used
FORWARD = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@FORWARD
@pytest.mark.parametrize("kind", STRUCTURES)
def test_the_energy_checks_numerically_in_both_modes(kind):
    a = gaussian(kind)
    theta = [normal(*shape, seed=9).requires_grad_() for shape in LAYER.values()]

    def energy(*values):
        return a.energy(dict(zip(LAYER, values, strict=True)))

    assert torch.autograd.gradcheck(energy, theta, check_forward_ad=True)
    gradient = torch.func.grad(energy)(*(value.detach() for value in theta))
    close(gradient, torch.autograd.grad(energy(*theta), theta[0])[0])


@FORWARD
def test_weights_that_are_not_trained_need_no_gradient():
    a = gaussian("diagonal")
    theta = {"w": normal(2, 3).requires_grad_(), "b": normal(2)}
    a.energy(theta).backward()
    assert theta["w"].grad is not None
    assert theta["b"].grad is None
    assert not a.energy({name: value.detach() for name, value in theta.items()}).requires_grad
    with forward_ad.dual_level():
        dual = {"w": forward_ad.make_dual(theta["w"].detach(), theta["w"].grad), "b": theta["b"]}
        tangent = forward_ad.unpack_dual(a.energy(dual)).tangent
    close(tangent, theta["w"].grad.square().sum())


@pytest.mark.parametrize("kind", STRUCTURES)
def test_the_second_derivative_is_the_precision(kind):
    a = gaussian(kind)
    theta = [normal(*shape).requires_grad_() for shape in LAYER.values()]

    def energy(*values):
        return a.energy(dict(zip(LAYER, values, strict=True)))

    assert torch.autograd.gradgradcheck(energy, theta)
    direction = {name: normal(*shape, seed=4) for name, shape in LAYER.items()}
    gradients = torch.autograd.grad(energy(*theta), theta, create_graph=True)
    along = sum((g * d).sum() for g, d in zip(gradients, direction.values(), strict=True))
    found = torch.autograd.grad(along, theta)
    expected = a.precision.mv(direction)
    for value, name in zip(found, LAYER, strict=True):
        close(value, expected[name])


def test_the_energy_of_a_module_is_ordinary_weight_decay():
    net = nn.Linear(3, 2)
    prior = Gaussian.isotropic(net, precision=2.0)
    prior.energy(dict(net.named_parameters())).backward()
    close(net.weight.grad, 2 * net.weight.detach())
    assert prior.mean["weight"].dtype == torch.float32
    assert not prior.mean["weight"].requires_grad


def test_names_in_another_order_are_the_same_weights():
    a = gaussian("block")  # its precision has the bias first, its mean the weight
    theta = {name: normal(*shape, seed=9) for name, shape in reversed(LAYER.items())}
    apart = {name: theta[name] - a.mean[name] for name in LAYER}
    pulled = a.precision.mv(apart)
    close(a.energy(theta), sum((apart[n] * pulled[n]).sum() for n in LAYER) / 2)


def torch_normal(a):
    matrix, natural = dense(a)
    return MultivariateNormal(torch.linalg.solve(matrix, natural), precision_matrix=matrix)


@pytest.mark.parametrize("kind", STRUCTURES)
def test_densities_samples_and_variances(kind):
    a = gaussian(kind)
    theta = {name: normal(*shape, seed=9) for name, shape in LAYER.items()}
    close(a.log_prob(theta), torch_normal(a).log_prob(flat(theta, LAYER)))
    drawn = a.sample(torch.Generator().manual_seed(0), 4000)
    for name, variance in a.variances().items():
        error = (variance / 4000).sqrt()
        assert ((drawn[name].mean(0) - a.mean[name]).abs() < 5 * error).all()


@pytest.mark.parametrize("one", STRUCTURES)
@pytest.mark.parametrize("two", STRUCTURES)
def test_divergences(one, two):
    a, b = gaussian(one, 1), gaussian(two, 2)
    close(a.kl(b), kl_divergence(torch_normal(a), torch_normal(b)), rtol=1e-6, atol=1e-8)
    assert abs(float(a.kl(a))) < 1e-8


def test_a_marginal_is_chosen_by_glob():
    mean = {name: normal(*shape) for name, shape in WIDE.items()}
    a = Gaussian(mean, Block((kronecker(), diagonal(REST))))
    part = a.marginal("[wb]")
    assert list(part.mean) == ["w", "b"]
    assert isinstance(part.precision, Kronecker)
    assert list(a.marginal(["table", "sc*"]).mean) == ["table", "scale"]
    with pytest.raises(InputError, match="'tabel' matches no weight; did you mean 'table'"):
        a.marginal(["w", "tabel"])
    with pytest.raises(InputError, match="only as a whole"):
        a.marginal("w")


def test_what_does_not_match_is_listed_in_one_line():
    a = Gaussian.isotropic({f"layer{i}.weight": torch.zeros(2) for i in range(9)})
    found = {f"layer{i}.weight": torch.zeros(2) for i in range(3)}
    found |= {"layer2.weight": torch.zeros(3), "head": torch.zeros(1)}
    message = (
        r"^parameters: must have the names and shapes of the gaussian, found 6 missing"
        r" \(layer3.weight, layer4.weight, layer5.weight and 3 more\); 1 unexpected \(head\);"
        r" 1 of another shape \(layer2.weight \(3,\) for \(2,\)\)$"
    )
    for call in (a.matching, a.energy, a.log_prob):
        with pytest.raises(InputError, match=message):
            call(found)
    with pytest.raises(InputError, match="mean: must have the names.*1 missing"):
        Gaussian({}, Isotropic(1.0, {"w": torch.Size([1])}))


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_precisions_and_powers_are_positive(value):
    with pytest.raises(InputError, match="precision: must be positive and finite"):
        Gaussian.isotropic({"w": torch.zeros(1)}, precision=value)
    with pytest.raises(InputError, match="power: must be positive and finite"):
        gaussian("diagonal") ** value


def test_dividing_by_what_knows_more_is_refused():
    a = gaussian("diagonal")
    with pytest.raises(InputError, match="quotient: .*least eigenvalue of -"):
        a / (a**2)
    with pytest.raises(InputError, match="quotient: .*least eigenvalue of 0"):
        a / a


@pytest.mark.parametrize("kind", [*STRUCTURES, "sum"])
def test_what_is_saved_is_loaded_to_the_same_bits(kind, tmp_path):
    a = gaussian("kronecker") * gaussian("diagonal", 3) if kind == "sum" else gaussian(kind)
    a = a**0.3
    a.save(tmp_path / "a")
    with pytest.raises(InputError, match="exists already"):
        a.save(tmp_path / "a")
    a.save(tmp_path / "a", overwrite=True)
    b = Gaussian.load(tmp_path / "a")
    assert list(b.mean) == list(a.mean)
    assert all(torch.equal(b.mean[name], value) for name, value in a.mean.items())
    assert torch.equal(b.precision.dense(), a.precision.dense())
    assert type(b.precision) is type(a.precision)
    assert (b.counts, b.tempering) == (a.counts, a.tempering)


def test_a_mean_that_the_precision_was_not_taken_at_is_refused(tmp_path):
    a, b = gaussian("diagonal"), gaussian("diagonal", 1)
    a.save(tmp_path / "a")
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    tensors = {"mean": b.mean, "precision": a.precision.tensors()}
    write_folder(tmp_path / "b", kind="gaussian", schema=1, tensors=tensors, data=manifest["data"])
    with pytest.raises(InputError, match="not the one that the precision was taken at"):
        Gaussian.load(tmp_path / "b")
    for data in (None, {"names": ["w"]}):
        write_folder(
            tmp_path / "b", kind="gaussian", schema=1, tensors=tensors, data=data, overwrite=True
        )
        with pytest.raises(InputError, match="do not name the same weights"):
            Gaussian.load(tmp_path / "b")


def test_half_precision_means_are_kept(tmp_path):
    mean = {"w": torch.tensor([1.5, 2.5], dtype=torch.bfloat16)}
    Gaussian(mean, Diagonal({"w": torch.ones(2)})).save(tmp_path / "a")
    assert torch.equal(Gaussian.load(tmp_path / "a").mean["w"], mean["w"])


def test_two_posteriors_share_their_prior_once():
    """Kronecker likelihoods and an isotropic prior: posterior A x posterior B / prior."""
    prior = Isotropic(0.5, LAYER)
    likelihoods = [Kronecker(factors(seed=seed)) for seed in (1, 2)]
    means = [{n: normal(*s, seed=seed) for n, s in LAYER.items()} for seed in (3, 4)]
    zero = Gaussian({n: torch.zeros(s).double() for n, s in LAYER.items()}, prior)
    a, b = (Gaussian(m, p + prior) for m, p in zip(means, likelihoods, strict=True))
    merged = (a * b) / zero
    eye = torch.eye(8, dtype=torch.float64)
    close(dense(merged)[0], sum(p.dense() for p in likelihoods) + 0.5 * eye)
    close(dense(merged)[1], dense(a)[1] + dense(b)[1])
