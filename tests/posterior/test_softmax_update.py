"""Updates of the softmax layer when the earlier rows are gone: recursive Laplace."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.gaussian import Dense, Kronecker
from counterpoint.posterior import Softmax, TuningEnding
from counterpoint.posterior.softmax import _newton as newton
from counterpoint.posterior.softmax._multinomial import contrasts
from counterpoint.seeding import generator
from softmax_cases import augmented, loss, multinomial, rows

# torch's own loading of its function transforms calls what it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

PRIOR = 0.5


def split(seed, old, new, features=4, classes=3, spread=0.7):
    """Earlier and new rows of one truth."""
    x, labels = rows(seed, old + new, features, classes, spread)
    return (x[:old], labels[:old]), (x[old:], labels[old:])


def in_contrasts(layer):
    return layer.mean @ contrasts(layer.classes)


def quadratic(layer, weights, keep=1.0):
    """What is remembered of the earlier rows, written out: contrast by contrast."""
    own = in_contrasts(layer)
    size = own.numel()
    curvature = layer.precision.dense() - layer.prior * torch.eye(size).double()
    step = weights[:, : layer.classes - 1] - own
    flat = step.T.reshape(-1)
    return keep * (layer.prior * (own * step).sum() - flat @ curvature @ flat / 2)


def objective(layer, new, weights, classes, keep):
    fit = -loss(weights @ contrasts(classes).T, *new)
    return fit + quadratic(layer, weights, keep) - layer.prior / 2 * weights.square().sum()


def far(a, b):
    return float((a.mean - b.mean).norm())


@pytest.mark.parametrize("dense_limit", [0, 1000])
@pytest.mark.parametrize(("classes", "keep"), [(3, 1.0), (3, 0.3), (5, 1.0), (4, 0.6)])
def test_the_gradient_of_the_objective_vanishes(classes, keep, dense_limit):
    old = Softmax.fit(*rows(0), 3, prior=PRIOR, dense_limit=dense_limit)
    new = rows(1, 60, classes=classes)
    layer = old.update(*new, classes=classes, keep=keep)
    point = in_contrasts(layer).requires_grad_()
    objective(old, new, point, classes, keep).backward()
    assert float(point.grad.abs().max()) < 1e-5
    assert (layer.status, layer.prior, layer.classes) == (TuningEnding.GIVEN, PRIOR, classes)


@pytest.mark.parametrize("classes", [3, 4])
def test_the_precision_is_the_sum_and_grows_around_the_old_one(classes):
    old = Softmax.fit(*rows(0), 3, prior=PRIOR)
    new = rows(1, 60, classes=classes)
    layer = old.update(*new, classes=classes, keep=0.7)
    part = multinomial(*new, classes)
    learnt = part.curvature(part.logits(in_contrasts(layer)).softmax(1))
    remains = layer.precision.dense() - learnt - PRIOR * torch.eye(len(learnt)).double()
    known = 0.7 * (old.precision.dense() - PRIOR * torch.eye(10).double())
    torch.testing.assert_close(remains[:10, :10], known, rtol=0, atol=1e-9)
    assert float(remains[10:].abs().sum() + remains[:, 10:].abs().sum()) < 1e-9
    assert isinstance(layer.precision, Dense)


def test_an_update_is_near_the_fit_of_all_rows():
    old, new = split(30, 4000, 400)
    both = [torch.cat(pair) for pair in zip(old, new, strict=True)]
    a, b, wanted = (Softmax.fit(*part, 3, prior=PRIOR) for part in (old, new, both))
    layer = a.update(*new)
    # measured: 0.0007 for the update, 0.045 for the old rows alone and 0.40 for the new alone
    assert far(layer, wanted) < far(a, wanted) / 30
    assert far(layer, wanted) < far(b, wanted) / 300
    uncertain = math.sqrt(float(wanted.precision.variances()["weight"].sum()))
    assert far(layer, wanted) < uncertain / 30  # measured: 0.006 of it
    assert layer.log_evidence == pytest.approx(wanted.log_evidence, abs=0.1)  # measured: 0.026
    assert layer.effective == pytest.approx(wanted.effective, abs=1e-3)


def test_many_small_updates_are_near_the_fit_of_all_rows():
    x, labels = rows(30, 1400, spread=0.7)
    wanted = Softmax.fit(x, labels, 3, prior=PRIOR)
    layer = first = Softmax.fit(x[:600], labels[:600], 3, prior=PRIOR)
    for some in torch.arange(600, 1400).split(100):
        layer = layer.update(x[some], labels[some])
    assert far(layer, wanted) < far(first, wanted) / 5
    assert layer.evaluations == 9


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_keep_moves_from_the_new_rows_alone_to_all(dense_limit):
    old = Softmax.fit(*rows(31, 300), 3, prior=PRIOR, dense_limit=dense_limit)
    new = rows(32, 80)
    alone = Softmax.fit(*new, 3, prior=PRIOR, dense_limit=dense_limit)
    kept = [old.update(*new, keep=keep) for keep in (0.0, 0.25, 0.5, 0.75, 1.0)]
    torch.testing.assert_close(kept[0].mean, alone.mean, rtol=0, atol=1e-8)
    torch.testing.assert_close(
        kept[0].precision.dense(), alone.precision.dense(), rtol=1e-8, atol=1e-8
    )
    assert kept[0].log_evidence == pytest.approx(alone.log_evidence, rel=1e-9)
    for less, more in pairwise(kept):
        assert far(less, alone) < far(more, alone)
        assert far(less, old) > far(more, old)
        assert less.precision.logdet() < more.precision.logdet()
        assert old.cost(less) > old.cost(more)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), dense_limit=st.sampled_from([0, 1000]))
def test_a_weight_is_a_repetition_in_any_order(seed, dense_limit):
    old = Softmax.fit(*rows(seed, 60), 3, prior=PRIOR, dense_limit=dense_limit)
    x, labels = rows(seed + 1, 40)
    order = torch.randperm(80, generator=generator(seed))
    a = old.update(x, labels, torch.full((40,), 2.0))
    b = old.update(x.repeat(2, 1)[order], labels.repeat(2)[order])
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(a.precision.dense(), b.precision.dense(), rtol=1e-7, atol=1e-7)
    assert a.log_evidence == pytest.approx(b.log_evidence, rel=1e-9)


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_a_new_class_is_found_where_its_rows_lie(dense_limit):
    x, labels = rows(3, 300, spread=1.0)
    old = Softmax.fit(x, labels, 3, prior=PRIOR, dense_limit=dense_limit)
    here = torch.tensor([8.0, 0, 0, 0]) + torch.randn(40, 4, generator=generator(4))
    seen = torch.cat([here, x[:40]])  # with some rows of the earlier classes
    layer = old.update(seen, torch.cat([torch.full((40,), 3), labels[:40]]), classes=4)
    assert float((augmented(here.double()) @ layer.mean).softmax(1)[:, 3].mean()) > 0.95
    assert bool((layer.predict(here).probabilities.argmax(1) == 3).all())
    again = layer.predict(x[40:])
    assert float(again.probabilities[:, 3].mean()) < 0.1
    away = torch.tensor([-8.0, 0, 0, 0]) + torch.randn(40, 4, generator=generator(5))
    odds = [augmented(away.double()) @ each.mean[:, :3] for each in (old, layer)]
    moved = odds[1].log_softmax(1) - odds[0].log_softmax(1)
    assert float(moved.abs().mean()) < 0.1 * float(odds[0].std())


def test_factors_are_near_the_matrix_and_stay_one_product():
    old, new = split(33, 600, 100, spread=0.4)
    dense, factored = (
        Softmax.fit(*old, 3, prior=PRIOR, dense_limit=limit).update(*new) for limit in (1000, 0)
    )
    assert isinstance(factored.precision, Kronecker)
    assert far(factored, dense) < 0.05 * float(dense.mean.norm())
    a, b = dense.predict(new[0]), factored.predict(new[0])
    torch.testing.assert_close(a.probabilities, b.probabilities, rtol=0, atol=0.02)
    assert 0.7 < float(b.knowledge.mean() / a.knowledge.mean()) < 1.4
    assert factored.log_evidence == pytest.approx(dense.log_evidence, rel=0.01)


def test_factors_are_pooled_as_if_all_rows_had_been_there():
    old, new = (Softmax.fit(*rows(seed, 90), 3, prior=1e9, dense_limit=0) for seed in (5, 6))
    layer = old.update(*rows(6, 90))
    curvature = layer.precision.shift(-1e9).dense()
    both = [torch.cat(pair) for pair in zip(rows(5, 90), rows(6, 90), strict=True)]
    wanted = multinomial(*both, 3).kronecker(torch.full((180, 3), 1 / 3).double())
    torch.testing.assert_close(curvature, wanted.dense(), rtol=1e-5, atol=1e-5)
    grown = new.update(*rows(5, 90), classes=4).precision.shift(-1e9)
    assert grown.shapes["weight"] == (3, 5)
    each = multinomial(*rows(6, 90), 3), multinomial(*rows(5, 90), 4)
    even = [torch.full((90, count), 1 / count).double() for count in (3, 4)]
    trace = sum(float(p.curvature(q).trace()) for p, q in zip(each, even, strict=True))
    assert float(grown.dense().trace()) == pytest.approx(trace, rel=1e-5)


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_the_state_of_an_update_comes_back(dense_limit):
    old = Softmax.fit(*rows(7), 3, dense_limit=dense_limit)
    x, labels = rows(8, 50, classes=4)
    layer = old.update(x, labels, classes=4, keep=0.9)
    back = Softmax.from_state(layer.state())
    a, b = layer.predict(x), back.predict(x)
    assert torch.equal(a.probabilities, b.probabilities)
    assert torch.equal(a.knowledge, b.knowledge)
    assert (back.status, back.log_evidence) == (old.status, layer.log_evidence)
    assert torch.equal(back.update(x, labels).mean, layer.update(x, labels).mean)


@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_cost_is_the_quadratic(dense_limit):
    old = Softmax.fit(*rows(9), 3, prior=PRIOR, dense_limit=dense_limit)
    assert old.cost(old) == 0
    for classes in (3, 4):
        other = old.update(*rows(10, 50, classes=classes), classes=classes)
        wanted = -float(quadratic(old, in_contrasts(other)))
        assert old.cost(other) == pytest.approx(wanted, rel=1e-10)


def test_cost_is_near_what_the_rows_lose():
    x, labels = rows(11, 2000, spread=0.7)
    old = Softmax.fit(x, labels, 3, prior=PRIOR)
    other = old.update(*rows(12, 30))
    lost = float(loss(other.mean, x, labels) - loss(old.mean, x, labels))
    assert lost > 0.1
    assert old.cost(other) == pytest.approx(lost, rel=0.1)


def test_what_is_not_found_is_said(monkeypatch):
    old = Softmax.fit(*rows(13), 3, prior=PRIOR)
    monkeypatch.setattr(newton, "_NEWTON_STEPS", 1)
    assert old.update(*rows(14)).status is TuningEnding.UNFINISHED


def test_many_rows_are_preconditioned_by_a_sample():
    old = Softmax.fit(*rows(15), 3, prior=PRIOR)
    new = rows(16, 5000, spread=0.7)
    layer = old.update(*new)
    point = in_contrasts(layer).requires_grad_()
    objective(old, new, point, 3, 1.0).backward()
    assert float(point.grad.abs().max()) < 1e-3
    assert layer.status is TuningEnding.GIVEN


@pytest.mark.parametrize("prior", [1e-30, 1e30])
@pytest.mark.parametrize("dense_limit", [0, 1000])
def test_extreme_priors_end_finite(prior, dense_limit):
    x = torch.linspace(-1, 1, 40)[:, None].expand(40, 3)  # separable, and three times the same
    labels = (x[:, 0] > 0.1).long()
    old = Softmax.fit(x, labels, 2, prior=prior, dense_limit=dense_limit)
    layer = old.update(x, labels, classes=3)
    predictive = layer.predict(x)
    for value in (layer.mean, predictive.probabilities, predictive.knowledge):
        assert bool(torch.isfinite(value).all())


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (rows(0), {"keep": -0.1}, "keep: must be from 0 to 1, found -0.1"),
        (rows(0), {"keep": 1.5}, "keep: must be from 0 to 1, found 1.5"),
        (rows(0), {"keep": math.nan}, "keep: must be from 0 to 1, found nan"),
        (
            rows(0, classes=2),
            {"classes": 2},
            "classes: at least the 3 of before are needed, found 2",
        ),
        (rows(0, classes=4), {}, "must be a class from 0 to 2, found 3"),
        (rows(0, features=5), {}, "expected 4 columns as in the fit, found 5"),
        ((*rows(0), torch.zeros(120)), {}, "at least one of positive weight"),
        ((torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)), {}, "at least one of positive"),
        ((rows(0)[0] * math.nan, rows(0)[1]), {}, "features: row 0 must be finite"),
        ((rows(0)[0], rows(0)[1][:9]), {}, "expected 120, one a row, found 9"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(arguments, options, words):
    layer = Softmax.fit(*rows(0), 3, prior=PRIOR)
    with pytest.raises(InputError, match=words):
        layer.update(*arguments, **options)


def test_cost_refuses_other_layers():
    layer = Softmax.fit(*rows(0), 3, prior=PRIOR)
    with pytest.raises(InputError, match="at least the 3 of before are needed, found 2"):
        layer.cost(Softmax.fit(*rows(0, classes=2), 2, prior=PRIOR))
    with pytest.raises(InputError, match="expected 4 columns as in the fit, found 5"):
        layer.cost(Softmax.fit(*rows(0, features=5), 3, prior=PRIOR))
