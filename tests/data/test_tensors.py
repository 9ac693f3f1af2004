from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import Loader, Tensors
from counterpoint.errors import InputError

rows = st.integers(1, 40)
sizes = st.integers(1, 50)
seeds = st.none() | st.integers(0, 2**63 - 1)


def _order(source, size, **options):
    return [batch["x"].tolist() for batch in source.batches(size, **options)]


@given(rows, sizes, seeds)
def test_every_row_comes_once_and_only_the_last_batch_is_short(count, size, seed):
    batches = _order(Tensors({"x": torch.arange(count)}), size, seed=seed)
    assert sorted(value for batch in batches for value in batch) == list(range(count))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)


@given(rows, sizes, seeds, st.integers(0, 50))
def test_starting_later_is_leaving_out_the_first_batches(count, size, seed, start):
    source = Tensors({"x": torch.arange(count)})
    whole = _order(source, size, seed=seed)
    assert _order(source, size, seed=seed, start=start) == list(islice(whole, start, None))


def test_the_tensors_of_a_batch_keep_their_rows_together():
    source = Tensors({"x": torch.arange(50), "y": torch.arange(50.0).unsqueeze(1) * 2})
    for batch in source.batches(7, seed=3):
        assert torch.equal(batch["x"] * 2.0, batch["y"].squeeze(1))


def test_without_a_seed_the_order_is_the_stored_one_and_seeds_differ():
    source = Tensors({"x": torch.arange(100)})
    assert _order(source, 100) == [list(range(100))]
    assert _order(source, 100, seed=1) == _order(source, 100, seed=1)
    assert _order(source, 100, seed=1) != _order(source, 100, seed=2)


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    list(Tensors({"x": torch.arange(10)}).batches(3, seed=0))
    assert torch.equal(before, torch.get_rng_state())


def test_it_is_a_source():
    assert isinstance(Tensors({"x": torch.ones(1)}), Loader)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "expected at least one named tensor"),
        ({"x": torch.zeros(0)}, "expected at least one row, found none"),
        ({"x": torch.tensor(1.0)}, "at least one tensor with rows as its first axis"),
        (
            {"x": torch.zeros(3), "y": torch.zeros(4)},
            r"'y' must have 3 rows like the inputs, found shape \(4,\)",
        ),
    ],
)
def test_bad_tensors_are_refused(tensors, message):
    with pytest.raises(InputError, match=message):
        Tensors(tensors)
