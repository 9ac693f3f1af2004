"""Gradients and what rules are given of them: families for Hypothesis, and one step."""

import os

import torch
from hypothesis import settings
from hypothesis import strategies as some

from counterpoint.balance._gram import Gram
from counterpoint.balance._rule import RuleInputs

LOOKS = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 1


def tried(count):
    """So many examples with every change, and ten times as many where the tests look further."""
    return settings(max_examples=count * LOOKS)


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def given(jacobian, losses=None, preference=None, seed=0):
    """What a rule sees of these gradients; the Gram matrix is that of the unit rows, so that
    norms from 1e-25 to 1e25 lose nothing."""
    goals = len(jacobian)
    ones = torch.ones(goals, dtype=torch.float64)
    gram = Gram.of(jacobian)
    wanted = ones if preference is None else preference / preference.mean()
    found = ones if losses is None else losses
    generator = torch.Generator().manual_seed(seed)
    return RuleInputs(found, gram.norms, gram.cosines, wanted, generator)


def weights_of(rule, jacobian, **known):
    """Weights of a first step."""
    return rule.weights(given(jacobian, **known), rule.start(len(jacobian)))[0]


def step_of(rule, jacobian, **known):
    """d, of a first step."""
    return weights_of(rule, jacobian, **known) @ jacobian / len(jacobian)


def pull(weights, jacobian):
    """``sum_k w_k |g_k| / K``: the size against which rounding in d is measured."""
    return float((weights.abs() * jacobian.norm(dim=1)).sum() / len(jacobian))


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(jacobian):
    return jacobian / jacobian.norm(dim=1, keepdim=True)


seeds = some.integers(0, 10**6)
sizes = some.integers(2, 7)


@some.composite
def independent(draw, decades=0):
    """Rows with no combination that is zero, of lengths over so many decades either way."""
    goals = draw(sizes)
    directions = unit(normal(draw(seeds), goals, goals + draw(some.integers(1, 9))))
    return directions * lengths(draw, goals, decades)


@some.composite
def dependent(draw, decades=0):
    """More rows than dimensions, and among them parallel, opposed and orthogonal ones."""
    goals = draw(some.integers(3, 8))
    directions = unit(normal(draw(seeds), goals, draw(some.integers(2, 3))))
    kind = draw(some.sampled_from(["any", "parallel", "opposed", "orthogonal"]))
    if kind == "parallel":
        directions[1] = directions[0]
    if kind == "opposed":
        directions[1] = -directions[0]
    if kind == "orthogonal":
        directions[:] = 0.0
        directions[torch.arange(goals), torch.arange(goals) % directions.shape[1]] = 1.0
    return directions * lengths(draw, goals, decades)


def lengths(draw, goals, decades):
    exponents = some.floats(-decades, decades) if decades else some.just(0.0)
    values = draw(some.lists(exponents, min_size=goals, max_size=goals))
    return 10.0 ** torch.tensor(values, dtype=torch.float64)[:, None]


@some.composite
def at_rest(draw):
    """Rows of which a positive combination, with all of them, is zero."""
    goals = draw(some.integers(2, 6))
    directions = normal(draw(seeds), goals, goals + 2)
    directions[-1] = -directions[:-1].sum(0)
    return unit(directions) * lengths(draw, goals, 3)


def any_rows(decades=0):
    return some.one_of(independent(decades=decades), dependent(decades=decades))
