"""Every promise of the table, for every method."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from counterpoint.gaussian import Diagonal, Gaussian
from counterpoint.merge import METHODS, merge
from counterpoint.merge.methods import method_of
from merge.methods.table import TABLE

close = torch.testing.assert_close
every = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
tried = settings(max_examples=12)
seeds = some.integers(0, 10_000)


def where(promise):
    chosen = [row for row in TABLE if getattr(row, promise)]
    return pytest.mark.parametrize("row", chosen, ids=lambda row: row.name)


def normal(seed, *shape):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def models(seed, count):
    return [
        {"a.weight": normal(seed + 7 * k, 4, 3), "a.bias": normal(seed + 7 * k + 3, 4)}
        for k in range(count)
    ]


def told(row, inputs, seed):
    """Evidence of the form that a method asks for."""
    what = row.method.facts.evidence
    if "Gram" in what:
        roots = [normal(seed + k, 9, 3) for k in range(len(inputs))]
        return [{"a.weight": root.T @ root} for root in roots]
    diagonals = [
        {name: normal(seed + 11 * k, *value.shape).square() + 0.1 for name, value in each.items()}
        for k, each in enumerate(inputs)
    ]
    if "Gaussian" not in what:
        return diagonals if what else None
    prior = Diagonal({name: torch.full_like(value, 0.05) for name, value in inputs[0].items()})
    return [
        Gaussian(each, Diagonal(values), prior=prior)
        for each, values in zip(inputs, diagonals, strict=True)
    ]


def count_of(row):
    return row.method.facts.models or 3


def options(row, inputs, seed):
    base = {name: value * 0 + 0.3 for name, value in inputs[0].items()}
    return {
        "method": row.method,
        "base": base if row.method.facts.base else None,
        "evidence": told(row, inputs, seed),
    }


def shares(row, seed, count):
    drawn = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    parts = (drawn / drawn.sum()).tolist()
    return {"**": tuple(parts)} if row.name != "gaussian" else None


def test_the_table_has_every_method():
    assert [row.name for row in TABLE] == list(METHODS)
    for row in TABLE:
        assert type(method_of(row.name)) is type(row.method)
        assert row.method.facts is METHODS[row.name]


@where("idempotent")
@tried
@given(seed=seeds)
def test_equal_models_give_themselves(row, seed):
    one = models(seed, 1)[0]
    inputs = [one] * count_of(row)
    extra = options(row, inputs, seed)
    weights = shares(row, seed, len(inputs))
    if row.name in ("ties", "sce"):  # a mean of what agrees: scales of 1
        weights = None
    if row.name == "gaussian":
        extra["method"] = type(row.method)(prior=Gaussian(one, extra["evidence"][0].prior))
    close(merge(inputs, weights, **extra), one, rtol=1e-9, atol=1e-9)


@where("symmetric")
@tried
@given(seed=seeds)
def test_the_order_of_models_does_not_matter(row, seed):
    inputs = models(seed, count_of(row))
    extra, weights = options(row, inputs, seed), shares(row, seed, len(inputs))
    found = merge(inputs, weights, **extra)
    turned = {"**": weights["**"][::-1]} if weights else None
    if extra["evidence"]:
        extra["evidence"] = extra["evidence"][::-1]
    close(merge(inputs[::-1], turned, **extra), found, rtol=1e-7, atol=1e-7)


@where("between")
@tried
@given(seed=seeds)
def test_all_of_one_model_is_that_model(row, seed):
    inputs = models(seed, count_of(row))
    weights = {"**": (0.0, 1.0, 0.0)[: len(inputs)]}
    found = merge(inputs, weights, **options(row, inputs, seed))
    close(found, inputs[1], rtol=1e-6, atol=1e-6)


@where("moves")
@tried
@given(seed=seeds, by=some.floats(-2, 2))
def test_moved_together_the_result_moves_along(row, seed, by):
    inputs = models(seed, count_of(row))
    extra, weights = options(row, inputs, seed), shares(row, seed, len(inputs))
    moved = [{name: value + by for name, value in each.items()} for each in inputs]
    there = dict(extra)
    if extra["base"]:
        there["base"] = {name: value + by for name, value in extra["base"].items()}
    if row.name == "gaussian":
        zero = {name: value * 0 for name, value in inputs[0].items()}
        prior = extra["evidence"][0].prior
        extra["method"] = type(row.method)(prior=Gaussian(zero, prior))
        centre = {name: value + by for name, value in zero.items()}
        there["method"] = type(row.method)(prior=Gaussian(centre, prior))
        there["evidence"] = [
            Gaussian(mean, each.precision, prior=prior)
            for mean, each in zip(moved, extra["evidence"], strict=True)
        ]
    found = merge(inputs, weights, **extra)
    expected = {name: value + by for name, value in found.items()}
    close(merge(moved, weights, **there), expected, rtol=1e-6, atol=1e-6)


@every
def test_types_and_ties_are_kept_and_nothing_given_is_changed(row):
    shared = normal(0, 4, 3).bfloat16()
    inputs = [{"a.weight": shared, "b.weight": shared, "a.bias": normal(1, 4).half()}]
    inputs += [{n: v + k for n, v in inputs[0].items()} for k in range(1, count_of(row))]
    for each in inputs:
        each["b.weight"] = each["a.weight"]
    before = [{name: value.clone() for name, value in each.items()} for each in inputs]
    known = [{n: v.double() for n, v in each.items() if n != "b.weight"} for each in inputs]
    extra = options(row, known, 5)
    if extra["base"]:
        extra["base"]["b.weight"] = extra["base"]["a.weight"]
    found = merge(inputs, None, **extra)
    assert {name: value.dtype for name, value in found.items()} == {
        name: value.dtype for name, value in inputs[0].items()
    }
    assert found["a.weight"] is found["b.weight"]
    assert all(bool(value.isfinite().all()) for value in found.values())
    close(inputs, before, rtol=0, atol=0)


@every
def test_a_second_call_gives_the_same_bits_and_global_randomness_is_left_alone(row):
    inputs = models(3, count_of(row))
    state = torch.get_rng_state()
    one, two = (merge(inputs, None, **options(row, inputs, 4)) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(state, torch.get_rng_state())


@where("graph")
def test_gradients_reach_every_model(row):
    inputs = [
        {name: value.requires_grad_() for name, value in each.items()}
        for each in models(3, count_of(row))
    ]
    merge(inputs, None, **options(row, inputs, 4))["a.weight"].square().sum().backward()
    assert all(bool(each["a.weight"].grad.abs().sum() > 0) for each in inputs)


@every
def test_scalars_and_empty_tensors_are_merged_or_left(row):
    inputs = [
        {"s": torch.tensor(float(k)), "e": torch.zeros(0, 3), "z": torch.zeros(2, 3)}
        for k in range(count_of(row))
    ]
    extra = options(row, [{n: v.double() for n, v in each.items()} for each in inputs], 0)
    if row.name == "regmean":
        extra["evidence"] = [{} for _ in inputs]
    found = merge(inputs, None, **extra)
    assert found["e"].shape == (0, 3)
    assert bool(found["s"].isfinite())
    assert bool(found["z"].isfinite().all())
