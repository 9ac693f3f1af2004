"""Sufficient statistics: algebra, streaming, weights, storage and refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.posterior import Statistics
from counterpoint.seeding import generator


def rows(seed, count=40, features=3, targets=2, dtype=torch.float64):
    source = generator(seed)
    x = torch.randn(count, features, generator=source, dtype=dtype)
    return x, torch.randn(count, targets, generator=source, dtype=dtype)


def close(a, b, tolerance=1e-12):
    for name, value in a.state().items():
        torch.testing.assert_close(value, b.state()[name], rtol=tolerance, atol=tolerance)


def dense(x, y, w):
    phi = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    wide = w.double()[:, None]
    y = y.double()
    return phi.T @ (wide * phi), phi.T @ (wide * y), (wide * y * y).sum(0)


def test_sums_are_those_of_the_definition():
    x, y = rows(0)
    w = torch.rand(40, generator=generator(1))
    found = Statistics.of(x, y, w)
    for value, wanted in zip((found.gram, found.cross, found.square), dense(x, y, w), strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-13, atol=1e-13)
    assert found.weight == pytest.approx(float(w.double().sum()), rel=1e-14)
    assert found.count == 40
    assert torch.equal(found.gram, found.gram.T)
    assert (found.features, found.targets) == (3, 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(0, 40), block=st.integers(1, 50))
def test_parts_and_blocks_add_to_the_whole(seed, cut, block):
    x, y = rows(seed)
    whole = Statistics.of(x, y)
    close(Statistics.of(x, y, block=block), whole)
    close(Statistics.of(x[:cut], y[:cut]) + Statistics.of(x[cut:], y[cut:]), whole)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999))
def test_order_does_not_matter(seed):
    x, y = rows(seed)
    order = torch.randperm(40, generator=generator(seed))
    close(Statistics.of(x[order], y[order]), Statistics.of(x, y))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), counts=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_weight_is_a_repetition(seed, counts):
    x, y = rows(seed, 12)
    repeats = torch.tensor(counts)
    repeated = Statistics.of(x.repeat_interleave(repeats, 0), y.repeat_interleave(repeats, 0))
    weighted = Statistics.of(x, y, repeats.double())
    torch.testing.assert_close(weighted.gram, repeated.gram)
    torch.testing.assert_close(weighted.cross, repeated.cross)
    assert weighted.weight == repeated.weight
    assert weighted.count == sum(n > 0 for n in counts)  # rows of weight zero are absent


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(0, 40))
def test_subtraction_undoes_addition(seed, cut):
    x, y = rows(seed)
    whole, part = Statistics.of(x, y), Statistics.of(x[:cut], y[:cut])
    close(whole - part, Statistics.of(x[cut:], y[cut:]), 1e-10)


def test_removing_every_row_leaves_exactly_nothing():
    x, y = rows(0)
    backwards = Statistics.of(x.flip(0), y.flip(0), block=7)
    close(Statistics.of(x, y) - backwards, Statistics.zeros(3, 2), 0.0)


def test_removal_of_all_but_one_of_very_many_rows_is_accepted():
    x, y = rows(0, 20_000)
    left = Statistics.of(x, y) - Statistics.of(x[1:], y[1:])
    assert left.count == 1


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda x, y: Statistics.of(x, y) + Statistics.of(x[:1], y[:1]), "1 row"),
        (lambda x, y: Statistics.of(3 * x[:5], y[:5]), "negative eigenvalue"),
        (lambda x, y: Statistics.of(x[:5], 20 * y[:5]), "target"),
        (lambda x, y: Statistics.of(x[:38], y[:38], torch.full((38,), 0.5)), "independent"),
        (lambda x, y: Statistics.of(x[:, :2], y), "3 features and 2 targets, found 2 and 2"),
    ],
)
def test_impossible_differences_are_refused(part, words):
    x, y = rows(0)
    with pytest.raises(InputError, match=words):
        Statistics.of(x, y) - part(x, y)


def test_float32_rows_are_summed_in_float64():
    x, y = rows(0, 30_000, 2, 1, torch.float32)
    found = Statistics.of(x, y)
    torch.testing.assert_close(
        found.gram, Statistics.of(x.double(), y.double()).gram, rtol=0, atol=0
    )


def test_features_of_a_graph_leave_no_graph_behind():
    x, y = rows(0)
    found = Statistics.of(x.requires_grad_(), y)
    assert not found.gram.requires_grad


def test_one_target_may_be_a_vector():
    x, y = rows(0, targets=1)
    close(Statistics.of(x, y[:, 0]), Statistics.of(x, y), 0.0)


def test_scaling_brings_weights_to_mean_one():
    x, y = rows(0)
    heavy = Statistics.of(x, y, torch.full((40,), 1890.5))
    close(heavy.scaled(heavy.count / heavy.weight), Statistics.of(x, y))
    with pytest.raises(InputError, match="positive"):
        heavy.scaled(0.0)


def test_state_comes_back_bit_for_bit():
    x, y = rows(0)
    found = Statistics.of(x, y)
    close(Statistics.from_state(found.state()), found, 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gram": None}, "must hold 'gram'"),
        ({"gram": torch.zeros(3, 4).double()}, r"'gram' must be .* \(4, 4\)"),
        ({"square": torch.zeros(2)}, "float64"),
        ({"cross": torch.full((4, 2), torch.nan).double()}, "finite"),
        ({"square": torch.zeros(2).double()}, "negative sum of squares"),
        ({"count": torch.tensor(-1)}, "too many"),
        ({"gram": -torch.eye(4).double()}, "negative eigenvalue"),
    ],
)
def test_a_made_up_state_is_refused(change, words):
    state = {**Statistics.of(*rows(0)).state(), **change}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(InputError, match=words):
        Statistics.from_state(state)


def bad(row, column, value):
    x, y = rows(0)
    x[row, column] = value
    return x, y


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (bad(17, 1, torch.nan), "features: row 17 must be finite, found nan in column 1"),
        (bad(3, 0, torch.inf), "features: row 3 must be finite, found inf"),
        ((rows(0)[0], bad(5, 0, torch.nan)[0]), "targets: row 5"),
        ((rows(0)[0], rows(0, 39)[1]), r"expected 40 rows .* found shape \(39, 2\)"),
        ((*rows(0), torch.ones(39)), r"weight must have one value a row, shape \(40,\)"),
        (
            (*rows(0), torch.linspace(-1, 1, 40)),
            "weight must be finite and at.* in row 0",
        ),
        (
            (*rows(0), torch.full((40,), torch.nan)),
            "weight must.* found nan in row 0",
        ),
        ((rows(0)[0] * 1e200, rows(0)[1]), "float64"),
    ],
)
def test_rows_that_cannot_be_used_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        Statistics.of(*arguments)


def test_the_row_is_named_beyond_the_first_block():
    x, y = bad(33, 2, torch.nan)
    with pytest.raises(InputError, match="row 33"):
        Statistics.of(x, y, block=10)
