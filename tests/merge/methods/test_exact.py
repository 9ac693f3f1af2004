"""Each method's numbers against a closed form, a dense reference or its paper's formula."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize

from counterpoint.errors import InputError
from counterpoint.gaussian import Dense, Diagonal, Factors, Gaussian, Isotropic, Kronecker
from counterpoint.merge import merge
from counterpoint.merge.methods import (
    Dare,
    Della,
    FisherMean,
    GaussianProduct,
    GeometricMedian,
    RegMean,
    Sce,
    Ties,
    product,
)
from counterpoint.merge.methods._trimmed import threshold, threshold_of_all

close = torch.testing.assert_close
double = torch.float64


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=double)


def tensor(*values):
    return torch.tensor(values, dtype=double)


def one(values, **options):
    """Merge vectors by the name w."""
    base = options.pop("base", None)
    return merge(
        [{"w": value} for value in values], base=None if base is None else {"w": base}, **options
    )["w"]


def test_slerp_goes_round_the_circle():
    a, b = tensor(1.0, 0.0), tensor(0.0, 1.0)
    third = one([a, b], weights=1 / 3, method="slerp")
    close(third, tensor(np.cos(np.pi / 6), np.sin(np.pi / 6)))
    close(one([a, 3 * a], weights=0.25, method="slerp"), tensor(1.5, 0.0))  # parallel: a line
    close(one([a, a * 0], weights=0.25, method="slerp"), tensor(0.75, 0.0))
    assert bool(one([a, -a], weights=0.5, method="slerp").isfinite().all())


def test_karcher_of_two_of_one_length_is_slerp_and_of_three_the_middle():
    a, b = normal(0, 6), normal(1, 6)
    a, b = a / a.norm(), b / b.norm()
    close(
        one([a, b], weights={"**": (0.3, 0.7)}, method="karcher"),
        one([a, b], weights=0.7, method="slerp"),
        rtol=1e-8,
        atol=1e-8,
    )
    middle = one(list(torch.eye(3, dtype=double)), method="karcher")
    close(middle, torch.full((3,), 3**-0.5, dtype=double))


@pytest.mark.parametrize("seed", range(3))
def test_the_geometric_median_is_the_minimum(seed):
    points = normal(seed, 4, 3)

    def cost(x):
        return float(np.linalg.norm(points.numpy() - x, axis=1).sum())

    found = one(list(points), method="geometric-median")
    best = minimize(
        cost,
        points.mean(0).numpy(),
        method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 5000},
    )
    assert cost(found.numpy()) <= best.fun + 1e-9


def test_the_geometric_median_stays_where_most_models_are():
    far = tensor(100.0, 100.0)
    near = tensor(1.0, 2.0)
    close(one([near, near, far], method=GeometricMedian()), near)


def test_model_stock_by_its_formula():
    base, apart = tensor(1.0, 1.0), [tensor(2.0, 1.0), tensor(1.0, 2.0)]
    close(one(apart, method="model-stock", base=base), base)  # nothing in common
    same = one([apart[0], apart[0]], method="model-stock", base=base)
    close(same, apart[0])
    steep = [tensor(2.0, 1.0), tensor(2.0, 2.0)]  # a cosine of 1 / sqrt 2
    cosine = 2**-0.5
    ratio = 2 * cosine / (1 + cosine)
    close(one(steep, method="model-stock", base=base), base + ratio * tensor(1.0, 0.5))


def test_task_arithmetic_adds_what_was_learnt():
    found = one([tensor(2.0), tensor(5.0)], weights=0.5, method="task-arithmetic", base=tensor(1.0))
    close(found, tensor(1 + 0.5 * (1 + 4)))


def test_ties_by_hand():
    base = torch.zeros(5, dtype=double)
    a, b = tensor(4.0, -3.0, 0.1, 2.0, 1.0), tensor(2.0, 5.0, 0.2, -2.0, 0.3)
    # three of five: {4, -3, 2}; {2, 5, -2}; signs +, +, ., balanced, .
    found = one([a, b], method=Ties(density=0.6, per="tensor"), base=base)
    close(found, tensor(3.0, 5.0, 0.0, 0.0, 0.0))
    close(one([a, b], weights=0.5, method=Ties(density=0.6, per="tensor"), base=base), found / 2)


def test_ties_over_the_whole_model_trims_across_tensors():
    one_, two = (
        {"a": tensor(4.0, 3.0), "b": tensor(1.0, 2.0)},
        {"a": tensor(0.0, 0.0), "b": tensor(5.0, 6.0)},
    )
    base = {"a": tensor(0.0, 0.0), "b": tensor(0.0, 0.0)}
    whole = merge([one_, two], method=Ties(density=0.5), base=base)
    close(whole, {"a": tensor(4.0, 3.0), "b": tensor(5.0, 6.0)})
    each = merge([one_, two], method=Ties(density=0.5, per="tensor"), base=base)
    close(each, {"a": tensor(4.0, 0.0), "b": tensor(0.0, 4.0)})


@settings(max_examples=40)
@given(
    values=some.lists(some.floats(-10, 10, width=32), min_size=1, max_size=40),
    density=some.floats(0.01, 1.0),
    cut=some.integers(0, 40),
)
def test_a_threshold_is_that_of_a_sort_in_one_piece_or_several(values, density, cut):
    flat = torch.tensor(values)
    count = round(density * len(values))
    ordered = sorted((abs(value) for value in values), reverse=True)
    expected = ordered[count - 1] if count else float("inf")
    assert threshold(flat, density) == expected
    parts = [flat[:cut], flat[cut:]]
    assert threshold_of_all(lambda: iter(parts), density) == expected


def test_dare_keeps_the_expectation_and_does_not_care_for_order():
    base, learnt = torch.zeros(20_000, dtype=double), torch.ones(20_000, dtype=double)
    found = one([learnt, learnt], weights={"**": (1.0, 0.0)}, method=Dare(0.25), base=base)
    assert set(found.tolist()) == {0.0, 4.0}
    assert abs(float(found.mean()) - 1) < 5 * 4 * (0.25 * 0.75 / 20_000) ** 0.5
    both = [{"a": normal(0, 50), "b": normal(1, 50)}, {"a": normal(2, 50), "b": normal(3, 50)}]
    start = {"a": torch.zeros(50, dtype=double), "b": torch.zeros(50, dtype=double)}
    there = merge(both, method=Dare(0.5), base=start)
    turned = merge([dict(reversed(each.items())) for each in both], method=Dare(0.5), base=start)
    close(turned["a"], there["a"], rtol=0, atol=0)
    other = merge(both, method=Dare(0.5, seed=1), base=start)
    assert not torch.equal(other["a"], there["a"])
    sums = merge(both, method=Dare(1.0), base=start)
    close(sums, merge(both, method="task-arithmetic", base=start))


def test_della_keeps_greater_entries_more_often():
    learnt = torch.arange(1.0, 20_001, dtype=double)
    found = one(
        [learnt, learnt * 0], method=Della(density=0.5, spread=0.4), base=torch.zeros_like(learnt)
    )
    kept = found > 0
    assert abs(float(kept.double().mean()) - 0.5) < 0.02
    assert float(kept[-5000:].double().mean()) > 0.6 > 0.4 > float(kept[:5000].double().mean())
    ratio = found[-1000:][kept[-1000:]] / learnt[-1000:][kept[-1000:]]
    close(ratio, 1 / torch.full_like(ratio, 0.69), rtol=0.03, atol=0)
    with pytest.raises(InputError, match="a spread of at most 0.2"):
        Della(density=0.9, spread=0.5)


def test_sce_by_hand():
    base = torch.zeros(3, dtype=double)
    a, b = tensor(3.0, 1.0, 1.0), tensor(-1.0, 1.0, 0.0)
    # energies 11 and 2, so that the first entry's sign is the first model's
    found = one([a, b], method=Sce(), base=base)
    close(found, tensor(3.0, 1.0, 1.0))
    selected = one([a, b], method=Sce(density=1 / 3), base=base)
    close(selected, tensor(3.0, 0.0, 0.0))


def test_fisher_by_its_formula_and_normalised():
    values, told = [tensor(1.0, 4.0), tensor(3.0, 0.0)], [tensor(3.0, 0.0), tensor(1.0, 0.0)]
    evidence = [{"w": each} for each in told]
    found = one(values, method="fisher", evidence=evidence)
    close(found, tensor(1.5, 2.0))  # nothing known of the second: the mean
    known = one(values, method=FisherMean(normalise=True), evidence=evidence)
    close(known, tensor(2.0, 2.0))  # as lengths both are 1
    precisions = [Diagonal({"w": each}) for each in told]
    close(one(values, method="fisher", evidence=precisions), found)


def test_regmean_fits_the_outputs_of_all_models():
    inputs = [normal(k, 30, 4) for k in range(2)]
    layers = [normal(5 + k, 3, 4) for k in range(2)]
    evidence = [{"w": x.T @ x} for x in inputs]
    found = one(layers, method=RegMean(keep=1.0, ridge=0.0), evidence=evidence)
    outputs = torch.cat([x @ w.T for x, w in zip(inputs, layers, strict=True)])
    expected = torch.linalg.lstsq(torch.cat(inputs), outputs).solution.T
    close(found, expected)


def test_inputs_that_are_always_zero_leave_the_mean_to_regmean():
    grams = [{"w": torch.diag(tensor(1.0, 0.0))}, {"w": torch.diag(tensor(3.0, 0.0))}]
    found = one([tensor(0.0, 0.0)[None], tensor(4.0, 2.0)[None]], method="regmean", evidence=grams)
    close(found, tensor(3.0, 1.5)[None], rtol=1e-4, atol=1e-4)


def shards(count, seed=0, size=6):
    """Linear-Gaussian regression: posteriors of shards, that of all, and their prior."""
    x, noise = normal(seed, 60, size), normal(seed + 1, 60)
    y = x @ normal(seed + 2, size) + 0.3 * noise
    prior = 0.7 * torch.eye(size, dtype=double)

    def posterior(rows):
        precision = prior + x[rows].T @ x[rows] / 0.09
        mean = torch.linalg.solve(precision, x[rows].T @ y[rows] / 0.09)
        shapes = {"w": torch.Size([size])}
        return Gaussian(
            {"w": mean}, Dense(precision, shapes), len(x[rows]), prior=Dense(prior, shapes)
        )

    parts = [posterior(slice(k * 60 // count, (k + 1) * 60 // count)) for k in range(count)]
    return parts, posterior(slice(0, 60))


@pytest.mark.parametrize("count", [2, 4, 10])
def test_posteriors_of_shards_make_the_joint_posterior(count):
    parts, joint = shards(count)
    found = product(parts)
    error = (found.mean["w"] - joint.mean["w"]).norm() / joint.mean["w"].norm()
    assert float(error) <= 1e-10
    close(found.precision.dense(), joint.precision.dense(), rtol=1e-10, atol=1e-10)
    assert found.counts == 60
    # counted by every shard, the prior pulls as often as there are shards
    many = [Gaussian(each.mean, each.precision) for each in parts]
    wrong = many[0]
    for each in many[1:]:
        wrong = wrong * each
    assert float((wrong.mean["w"] - joint.mean["w"]).norm()) > 1e-4


def test_merged_by_gaussians_the_weights_are_the_joint_mean_and_others_the_mean():
    parts, joint = shards(3)
    models = [
        {"w": each.mean["w"], "other": torch.full((2,), float(k))} for k, each in enumerate(parts)
    ]
    found = merge(models, method="gaussian", evidence=parts)
    close(found["w"], joint.mean["w"], rtol=1e-10, atol=1e-10)
    close(found["other"], torch.ones(2))


def kronecker(seed, shift):
    roots = normal(seed, 5, 3), normal(seed + 1, 5, 2)
    left, right = (root.T @ root for root in roots[::-1])
    shape, count = torch.Size([2, 3]), torch.tensor(1.0, dtype=double)
    factors = Factors("l.weight", None, shape, left[None], right[None], count)
    return Kronecker(factors).shift(shift)


def test_kronecker_factors_are_solved_for_and_not_added():
    shapes = {"l.weight": torch.Size([2, 3])}
    means = [{"l.weight": normal(9 + k, 2, 3)} for k in range(2)]
    prior = Isotropic(tensor(0.5).reshape(()), shapes)
    parts = [Gaussian(mean, kronecker(3 * k, 0.5), prior=prior) for k, mean in enumerate(means)]
    found = product(parts)
    dense = [each.precision.dense() for each in parts]
    total = dense[0] + dense[1] - 0.5 * torch.eye(6, dtype=double)
    right = sum(p @ m["l.weight"].reshape(-1) for p, m in zip(dense, means, strict=True))
    close(
        found.mean["l.weight"].reshape(-1), torch.linalg.solve(total, right), rtol=1e-8, atol=1e-8
    )


def test_what_is_not_positive_is_refused_with_its_layer():
    names = {"a.weight": tensor(1.0), "b.weight": tensor(1.0)}
    precision = Diagonal({"a.weight": tensor(2.0), "b.weight": tensor(0.4)})
    parts = [Gaussian(names, precision)] * 2
    prior = Gaussian(
        {n: v * 0 for n, v in names.items()}, Diagonal({n: tensor(1.0) for n in names})
    )
    with pytest.raises(InputError, match=re.escape("layer 'b' is not positive (least eigenvalue")):
        product(parts, prior=prior)
    with pytest.raises(InputError, match="Gaussian 1 does not say its prior"):
        product(parts)
    other = [
        Gaussian(names, precision, prior=Diagonal({n: v * k for n, v in names.items()}))
        for k in (0.1, 0.2)
    ]
    with pytest.raises(InputError, match="priors of Gaussians 1 and 2 differ at 'a.weight'"):
        product(other)
    with pytest.raises(InputError, match="is around another 'a.weight' than model 2"):
        merge(
            [names, {n: v + 1 for n, v in names.items()}],
            method=GaussianProduct(prior=prior),
            evidence=parts,
        )


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("ties", {}, "Ties merges what was learnt since a common start"),
        ("fisher", {}, "FisherMean needs evidence="),
        ("fisher", {"evidence": [{"w": torch.ones(1)}, {}]}, "evidence 2 says nothing of 'w'"),
        ("fisher", {"evidence": [{}]}, "one piece of evidence for each of 2"),
        ("regmean", {"evidence": [{"w": torch.eye(2)}] * 2}, "needs Gram matrices of shape (1, 1)"),
        ("gaussian", {"evidence": [{}, {}]}, "must be a Gaussian or a Precision"),
    ],
)
def test_refused_in_one_line(method, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        merge([{"w": torch.zeros(1)}, {"w": torch.ones(1)}], method=method, **options)


def test_settings_out_of_range_are_refused():
    for wrong in (lambda: Ties(density=0.0), lambda: Dare(1.5), lambda: Sce(float("nan"))):
        with pytest.raises(InputError, match="density must be above 0 and at most 1"):
            wrong()
    with pytest.raises(InputError, match="slerp|Slerp"):
        merge([{"w": torch.zeros(1)}] * 3, method="slerp")
