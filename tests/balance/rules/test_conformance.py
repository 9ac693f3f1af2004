"""Every promise of the table, for every rule, and a counterexample where none is made."""

from pathlib import Path

import pytest
import torch
from hypothesis import given as examples
from hypothesis import strategies as some

from balance.rules import cases
from balance.rules.cases import given, pull, rows, step_of, tried, weights_of
from balance.rules.table import TABLE, page
from counterpoint.balance._rule import Rule
from counterpoint.balance.rules import RULES

close = torch.testing.assert_close
ROOT = Path(__file__).parents[3]


def where(**wanted):
    """A test for each rule whose promise is one of these."""
    ((promise, values),) = wanted.items()
    chosen = [row for row in TABLE if getattr(row, promise) in values]
    return pytest.mark.parametrize("row", chosen, ids=lambda row: row.name)


every = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def draws(row):
    """Seeds over which a rule that draws is judged by its mean."""
    return range(30 if row.symmetric == "drawn" else 1)


def losses_of(jacobian, seed):
    return 0.1 + cases.normal(seed, len(jacobian)).abs()


def three_steps(rule, jacobian, losses, scale=1.0, seed=0):
    """Weights and gradients of three steps, of other losses and lengths each, and one state."""
    state, steps = rule.start(len(jacobian)), []
    for turn in range(3):
        bent = jacobian * (1.0 + 0.5 * turn * losses[:, None])
        found = losses * (1.0 + losses * turn) * torch.as_tensor(scale).flatten()
        known = given(bent * scale, losses=found, seed=seed)
        weights, state = rule.weights(known, state)
        steps.append((weights, bent * scale))
    return steps


def test_the_table_has_every_rule_and_the_docs_show_it():
    assert {row.name for row in TABLE} == {*RULES, "protect", "constraint"} - {"impartial"}
    assert page() in (ROOT / "docs" / "balance-rules.md").read_text()


@every
def test_a_rule_is_a_rule(row):
    assert isinstance(row.rule, Rule)
    assert row.rule.needs in ("losses", "norms", "gram")
    assert row.rule.waits == (row.rule.needs == "gram" or row.name == "alternate")
    for tensor in row.rule.start(3).values():
        assert tensor.dtype == torch.float64
        assert set(tensor.shape) <= {3}


@every
@tried(10)
@examples(cases.any_rows(decades=25), cases.seeds)
def test_weights_are_finite_and_the_state_keeps_its_shape(row, jacobian, seed):
    state = row.rule.start(len(jacobian))
    known = given(jacobian, losses=losses_of(jacobian, seed))
    before = {name: tensor.clone() for name, tensor in state.items()}
    copies = [t.clone() for t in (known.losses, known.norms, known.cosines, known.preference)]
    weights, after = row.rule.weights(known, state)
    assert weights.dtype == torch.float64
    assert weights.shape == (len(jacobian),)
    assert weights.isfinite().all()
    assert {name: tensor.shape for name, tensor in after.items()} == {
        name: tensor.shape for name, tensor in before.items()
    }
    assert all(tensor.isfinite().all() for tensor in after.values())
    close(state, before, rtol=0, atol=0)
    now = [known.losses, known.norms, known.cosines, known.preference]
    close(now, copies, rtol=0, atol=0)


def check_harmless(rule, jacobian):
    weights = weights_of(rule, jacobian)
    products = cases.unit(jacobian) @ (weights @ jacobian / len(jacobian))
    assert products.min() >= -1e-9 * pull(weights, jacobian)


@where(harmless=("yes",))
@tried(25)
@examples(jacobian=cases.any_rows(decades=25))
def test_harms_no_goal(row, jacobian):
    check_harmless(row.rule, jacobian)


@where(harmless=("independent",))
@tried(25)
@examples(jacobian=cases.independent(decades=6))
def test_harms_no_goal_where_gradients_are_independent(row, jacobian):
    check_harmless(row.rule, jacobian)


@where(harmless=("two",))
@tried(25)
@examples(seed=cases.seeds, far=some.floats(-25, 25))
def test_harms_neither_of_two(row, seed, far):
    jacobian = cases.normal(seed, 2, 4) * rows([1.0], [10.0**far])
    check_harmless(row.rule, jacobian)


@where(harmless=("no", "two"))
def test_one_that_is_harmed(row):
    """Where nothing is promised: three gradients of which one is harmed, over the orders drawn."""
    harmed = []
    for seed in range(20):
        jacobian = cases.normal(seed, 5, 3) * (10.0 ** cases.normal(seed + 100, 5))[:, None]
        weights = weights_of(row.rule, jacobian, seed=seed)
        d = weights @ jacobian / 5
        harmed.append((cases.unit(jacobian) @ d).min() < -1e-6 * pull(weights, jacobian))
    assert any(harmed)


def directions(rule, jacobian, losses, scale=1.0, seeds=(0,)):
    """Of three steps, in the mean over what is drawn."""
    runs = [three_steps(rule, jacobian, losses, scale, seed) for seed in seeds]
    steps = [torch.stack([w @ j for w, j in turn]).mean(0) for turn in zip(*runs, strict=True)]
    return torch.stack([d / d.norm() for d in steps])


@where(unitless=("yes",))
@tried(8)
@examples(cases.independent(), cases.seeds, some.integers(-20, 20))
def test_the_unit_of_a_goal_does_not_matter(row, jacobian, seed, far):
    scale = 10.0 ** torch.linspace(0.0, float(far), len(jacobian), dtype=torch.float64)[:, None]
    losses = losses_of(jacobian, seed)
    plain = directions(row.rule, jacobian, losses)
    # Equal to a common factor a goal: J and losses in new units, d of the same direction.
    close(directions(row.rule, jacobian, losses, scale), plain, rtol=0, atol=1e-6)


@where(unitless=("no",))
def test_a_unit_that_matters(row):
    jacobian = rows([1.0, 0.2, 0.0], [-0.3, 1.0, 0.1], [0.1, -0.5, 0.8])
    losses, scale = rows(1.0, 0.5, 0.7), rows([1.0], [100.0], [0.01])
    plain = directions(row.rule, jacobian, losses, seeds=draws(row))
    found = directions(row.rule, jacobian, losses, scale, draws(row))
    assert (found - plain).abs().max() > 1e-3


@every
@tried(8)
@examples(cases.independent(), cases.seeds, some.floats(-12, 12))
def test_degree(row, jacobian, seed, far):
    if row.degree is None:
        return
    scale, losses = 10.0**far, losses_of(jacobian, seed)
    plain = three_steps(row.rule, jacobian, losses)
    scaled = three_steps(row.rule, jacobian, losses, scale)
    for (w, j), (v, i) in zip(plain, scaled, strict=True):
        size = pull(w, j)
        assert abs(v @ i / scale**row.degree - w @ j).max() <= 1e-6 * max(size, 1e-300) * len(j)


@where(degree=(None,))
def test_no_degree(row):
    jacobian, losses = rows([1.0, 0.2], [-0.3, 1.0]), rows(1.0, 0.5)
    plain = three_steps(row.rule, jacobian, losses)[-1]
    scaled = three_steps(row.rule, jacobian, losses, 1000.0)[-1]
    ratio = scaled[0] / plain[0]
    assert (ratio[0] / ratio[1] - 1.0).abs() > 1e-4


@where(symmetric=("yes",))
@tried(8)
@examples(cases.any_rows(), cases.seeds)
def test_the_order_of_goals_does_not_matter(row, jacobian, seed):
    order = torch.randperm(len(jacobian), generator=torch.Generator().manual_seed(seed))
    losses = losses_of(jacobian, seed)
    plain = three_steps(row.rule, jacobian, losses)
    mixed = three_steps(row.rule, jacobian[order], losses[order])
    for (w, j), (v, i) in zip(plain, mixed, strict=True):
        assert abs(v @ i - w @ j).max() <= 2e-5 * max(pull(w, j), pull(v, i)) * len(j)


def excess(rule, jacobian, losses, first, second):
    """How far the step of both scales together is from the sum of the steps, three times."""
    parts = [
        three_steps(rule, jacobian, losses, scale) for scale in (first + second, first, second)
    ]
    both, one, other = (torch.stack([w @ j for w, j in steps]) for steps in parts)
    size = torch.tensor([pull(w, j) * len(j) for w, j in parts[0]])
    return (both - one - other).abs().amax(1) / size


@where(linear=("yes",))
@tried(8)
@examples(cases.any_rows(), cases.seeds)
def test_linear_in_sizes(row, jacobian, seed):
    first = (1e-3 + cases.normal(seed, len(jacobian)).abs())[:, None]
    second = (1e-3 + cases.normal(seed + 1, len(jacobian)).abs())[:, None]
    assert excess(row.rule, jacobian, losses_of(jacobian, seed), first, second).max() <= 1e-8


@where(linear=("no",))
def test_not_linear_in_sizes(row):
    # Of the second and third goal now one, now the other opposes the first.
    jacobian = rows([1.0, 0.2, 0.0], [-0.3, 1.0, 0.1], [0.5, -0.5, 0.8])
    first, second = rows([1.0], [5.0], [0.3]), rows([2.0], [0.1], [1.0])
    assert excess(row.rule, jacobian, rows(1.0, 0.5, 0.7), first, second).max() > 1e-4


@where(rests=("yes",))
@tried(25)
@examples(jacobian=cases.at_rest())
def test_rests_where_a_combination_of_all_is_zero(row, jacobian):
    weights = weights_of(row.rule, jacobian)
    d = weights @ jacobian / len(jacobian)
    assert d.norm() <= 1e-6 * pull(weights, jacobian) + 1e-12 * jacobian.norm()


@where(rests=("no",))
def test_does_not_rest(row):
    moved = []
    for seed in range(10):
        jacobian = cases.normal(seed, 3, 4)
        jacobian[2] = -0.3 * jacobian[0] - 2.0 * jacobian[1]
        jacobian, losses = cases.unit(jacobian), 0.1 + cases.normal(seed + 9, 3).abs()
        d = step_of(row.rule, jacobian, losses=losses, seed=seed)
        # The bargains' weights are large there, as 1 over the step: it is short, but a step.
        moved.append(d.norm() > (1e-4 if row.name in ("nash-mtl", "fairgrad") else 1e-2))
    assert any(moved)


@every
def test_preference_counts(row):
    """Who is wanted more pulls more, or gains more."""
    jacobian = rows([1.0, 0.1, 0.0], [0.0, 1.0, 0.2], [0.1, 0.0, 1.0])

    def gain(wanted):
        steps = [step_of(row.rule, jacobian, preference=wanted, seed=s) for s in draws(row)]
        d = torch.stack(steps).mean(0)
        return jacobian[1] @ d / d.norm()

    assert gain(rows(1.0, 4.0, 1.0)) > gain(None) + 0.01
