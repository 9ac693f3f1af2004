"""LUNA: the sign, several inputs and targets, and what is refused."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from counterpoint.data import as_batch
from counterpoint.derivatives import (
    BackwardDifference,
    CentralDifference,
    Drawn,
    Fixed,
    ForwardDifference,
    Relative,
)
from counterpoint.errors import InputError
from counterpoint.estimators import KinkWarning, LunaRegressor, NeuralLinearRegressor
from counterpoint.goals import diversity
from estimators.cases import cubic, luna, plane


@pytest.mark.parametrize("rows", [cubic(), plane()])
def test_training_lowers_the_similarity_of_heads(rows):
    """The sign: with diversity heads end apart; without it they grow alike."""
    x, y = rows
    alone = luna(diversity=0.0, epochs=30).fit(x, y).similarity(x)
    apart = luna(diversity=1.0, epochs=30).fit(x, y)
    assert alone > 0.8 > 0.5 > apart.similarity(x)
    first, last = apart.history_[0]["train"], apart.history_[-1]["train"]
    assert last["diverse"] < first["diverse"]
    assert last["fit"] < first["fit"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gap_is_wider_than_under_one_head(seed):
    x, y = cubic(100, seed)
    gap = np.linspace(-1.5, 1.5, 31)[:, None]
    settings = {"epochs": 600, "batch_size": 100, "random_state": seed, "activation": "silu"}
    wide = LunaRegressor(**settings, diversity=1.0).fit(x, y).gap_report(x, gap)
    plain = NeuralLinearRegressor(**settings).fit(x, y).gap_report(x, gap)
    assert wide.knowledge_outside[0] > plain.knowledge_outside[0]
    assert wide.ratio[0] > plain.ratio[0]


def test_the_goals_are_those_of_the_docstring():
    """Means over targets: of the fit of all heads, of the similarity of each one's own."""
    model = luna(heads=3, diversity=0.5)
    plan = model._plan(2, 0)
    assert plan.outputs == 6
    net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 6)).double()
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(5, k, generator=draw, dtype=torch.float64) for k in (4, 2))
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 0.5], dtype=torch.float64)
    found = plan.goals(net, as_batch({"x": x, "y": y, "weight": weight}))
    by_target = net(x).unflatten(1, (2, 3))
    each = 0.5 * ((by_target - y[:, :, None]) ** 2 + np.log(2 * np.pi)).mean((1, 2))
    torch.testing.assert_close(found["fit"], (weight * each).sum() / 5)
    slopes = torch.func.vmap(torch.func.jacrev(net))(x)
    parts = [diversity(slopes[:, :3], weight), diversity(slopes[:, 3:], weight)]
    torch.testing.assert_close(found["diverse"], 0.5 * (parts[0] + parts[1]) / 2)


@pytest.mark.parametrize(
    "settings",
    [
        {"share": 0.3},
        {"over": "points"},
        {"balance": "impartial", "scheme": "reverse-mode"},
        {"scheme": "reverse-mode"},
        {"scheme": CentralDifference(Fixed(0.05))},
        {"scheme": ForwardDifference(Drawn(0.1)), "activation": "relu"},
        {"dropout": 0.2, "scheme": "forward"},
        {"activation": "tanh"},
        {"activation": "softplus"},
        {"activation": "gelu"},
    ],
)
def test_every_setting_trains_reproducibly(settings):
    x, y = plane()
    model = luna(epochs=1, batch_size=30, **settings)
    first = model.fit(x, y).predict(x)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(clone(model).fit(x, y).predict(x), first)
    plain = clone(model).set_params(diversity=0.0)
    assert not np.array_equal(plain.fit(x, y).predict(x), first)


def test_a_fit_leaves_the_scheme_and_torch_as_they_were():
    x, y = cubic()
    scheme = ForwardDifference(Drawn(0.1))
    drawn, state = deepcopy(scheme.step.generator.get_state()), torch.get_rng_state()
    luna(scheme=scheme, epochs=2).fit(x, y)
    assert torch.equal(scheme.step.generator.get_state(), drawn)
    assert torch.equal(torch.get_rng_state(), state)


def test_exact_derivatives_of_kinks_draw_a_warning():
    x, y = cubic()
    with pytest.warns(KinkWarning, match="do not see its kinks move"):
        luna(activation="relu", epochs=1).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        luna(activation="relu", epochs=1, diversity=0.0).fit(x, y)
        luna(activation="relu", epochs=1, scheme=BackwardDifference(Relative(0.03))).fit(x, y)


def test_short_steps_on_kinks_draw_a_warning():
    x, y = cubic()
    model = luna(activation="relu", epochs=1)
    short, long = (ForwardDifference(Fixed(step)) for step in (0.009, 0.01))
    with pytest.warns(KinkWarning, match=r"scheme: a step below 0.01 on 'relu' sees few kinks"):
        model.set_params(scheme=short).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(scheme=long).fit(x, y)


def test_targets_twice_over_change_neither_goal():
    """So lambda means the same for any number of targets."""
    x, y = (torch.randn(6, k, generator=torch.Generator().manual_seed(k)) for k in (3, 1))
    trunk, head, both = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(4, 10)
    for name, one in head.named_parameters():
        both.get_parameter(name).data = torch.cat([one, one]).detach()
    goals, twice = (luna()._plan(targets, 0).goals for targets in (1, 2))
    weight = torch.ones(6)
    once = goals(
        nn.Sequential(trunk, nn.Tanh(), head), as_batch({"x": x, "y": y, "weight": weight})
    )
    batch = as_batch({"x": x, "y": y.repeat(1, 2), "weight": weight})
    again = twice(nn.Sequential(trunk, nn.Tanh(), both), batch)
    torch.testing.assert_close(again, once)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 1}, "heads: diversity needs 2 or more to compare, found 1; or set diversity=0"),
        ({"heads": 0}, "heads: expected a whole number of at least 1, found 0"),
        ({"diversity": -1}, "diversity: expected a finite number of at least 0, found -1"),
        ({"diversity": float("nan")}, "diversity: expected a finite number of at least 0, "
                                      "found nan"),
        ({"share": 0.0}, "share: expected a number above 0 and at most 1, found 0.0"),
        ({"over": "point"}, "over: expected one of stacked, points, found 'point'; "
                            "did you mean 'points'?"),
        ({"activation": "silou"}, "activation: expected one of relu, tanh, silu, softplus, gelu, "
                                  "found 'silou'; did you mean 'silu'?"),
        ({"scheme": "forwards"}, "scheme: expected one of auto, forward-mode, reverse-mode, "
                                   "forward, backward, central, richardson, complex-step, "
                                   "found 'forwards'; "
                                   "did you mean 'forward'?"),
        ({"over": "points"}, "diversity: over='points' needs two inputs or more, found 1, with "
                             "which every squared cosine is 1; use over='stacked'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(settings, message):
    x, y = cubic()
    with pytest.raises(InputError) as caught:
        luna(**settings).fit(x, y)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "scheme", ["forward", CentralDifference(Fixed(1e-4)), ForwardDifference(Drawn(1e-5))]
)
def test_tiny_steps_on_kinks_are_refused(scheme):
    x, y = cubic()
    with pytest.raises(InputError, match=r"scheme: a step below 0.001 on 'relu'.*smooth"):
        luna(activation="relu", scheme=scheme).fit(x, y)


@pytest.mark.parametrize("scheme", [3, ForwardDifference])
def test_a_scheme_that_is_none(scheme):
    x, y = cubic()
    with pytest.raises(InputError, match="scheme: expected a name or a scheme, such as"):
        luna().set_params(scheme=scheme).fit(x, y)


def test_a_rule_that_is_not_there():
    x, y = cubic()
    with pytest.raises(InputError, match="did you mean 'impartial'"):
        luna(balance="imparcial").fit(x, y)


def test_one_head_alone_is_allowed():
    x, y = cubic()
    assert luna(heads=1, diversity=0, epochs=1).fit(x, y).predict(x).shape == (40,)
