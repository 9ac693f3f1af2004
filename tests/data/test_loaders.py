"""Every kind of loader by the same tests: one class a kind that says how to make it."""

from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from counterpoint.data import (
    Batch,
    Batched,
    Loader,
    ParquetStream,
    Tensors,
    as_batch,
    as_loader,
    one_pass,
)
from counterpoint.errors import InputError


def table(rows):
    x = torch.arange(float(rows)).unsqueeze(1)
    return x, x.squeeze(1) * 2


def order(loader, size, **options):
    return [batch["x"].flatten().tolist() for batch in loader.batches(size, **options)]


class Rows:
    """Loaders of rows: the seed decides the order, `size` the batches."""

    shuffles_itself = False

    def make(self, rows, folder):
        raise NotImplementedError

    @pytest.mark.parametrize("rows", [1, 2, 10])
    @pytest.mark.parametrize("seed", [None, 0, 2**62])
    def test_every_row_comes_once_and_only_the_last_batch_is_short(self, rows, seed, tmp_path):
        loader = self.make(rows, tmp_path)
        batches = list(loader.batches(3, seed=seed))
        assert isinstance(loader, Loader)
        assert loader.steps(3) == len(batches)
        assert sum(batch.rows for batch in batches) == rows
        assert [batch.rows for batch in batches[:-1]] == [3] * (len(batches) - 1)
        values = torch.cat([batch["x"].flatten() for batch in batches])
        assert sorted(values.tolist()) == list(range(rows))
        assert torch.equal(torch.cat([batch["y"] for batch in batches]), values * 2)

    @pytest.mark.parametrize("seed", [None, 7])
    @pytest.mark.parametrize("start", [0, 1, 3, 4, 9])
    def test_starting_later_is_leaving_out_the_first_batches(self, seed, start, tmp_path):
        if seed is None and self.shuffles_itself:
            pytest.skip("has no stored order")
        loader = self.make(10, tmp_path)
        whole = order(loader, 3, seed=seed)
        assert order(loader, 3, seed=seed, start=start) == list(islice(whole, start, None))

    def test_rows_are_those_of_a_pass(self, tmp_path):
        loader = self.make(10, tmp_path)
        assert getattr(loader, "rows", 10) == 10

    def test_the_order_is_a_function_of_the_seed_alone(self, tmp_path):
        loader = self.make(10, tmp_path)
        first = order(loader, 3, seed=1)
        torch.rand(3)
        assert order(loader, 3, seed=1) == first
        assert order(loader, 3) == order(self.make(10, tmp_path), 3)

    def test_the_callers_random_state_is_untouched(self, tmp_path):
        loader = self.make(10, tmp_path)
        before = torch.get_rng_state()
        for _ in loader.batches(3, seed=0):
            assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(before, torch.get_rng_state())

    def test_batches_are_batches_with_rows_and_target(self, tmp_path):
        (batch,) = self.make(3, tmp_path).batches(3, seed=0)
        assert isinstance(batch, Batch)
        assert batch.target is batch["y"]
        assert batch.inputs == (batch["x"],)


class TestMapping(Rows):
    def make(self, rows, folder):
        x, y = table(rows)
        return as_loader({"x": x, "y": y})


class TestPair(Rows):
    def make(self, rows, folder):
        return as_loader(table(rows))


class TestArrays(Rows):
    def make(self, rows, folder):
        x, y = table(rows)
        return as_loader({"x": x.numpy(), "y": y.numpy()})


class TestTensorDataset(Rows):
    def make(self, rows, folder):
        return as_loader(TensorDataset(*table(rows)))


class TestParquet(Rows):
    def make(self, rows, folder):
        x, y = table(rows)
        path = folder / "rows.parquet"
        columns = {"x": x.flatten().numpy(), "y": y.numpy()}
        pq.write_table(pa.table(columns), path, row_group_size=2)
        return as_loader(ParquetStream(path, _encode, buffer=4))


def _encode(record):
    x, y = (torch.from_numpy(record[name].to_numpy().copy()) for name in ("x", "y"))
    return {"x": x.unsqueeze(1), "y": y}


class TestDataLoader(Rows):
    shuffles_itself = True

    def make(self, rows, folder):
        return as_loader(DataLoader(TensorDataset(*table(rows)), batch_size=3, shuffle=True))

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_with_workers_the_order_is_that_of_the_seed(self):
        found = [
            DataLoader(TensorDataset(*table(10)), batch_size=3, shuffle=True, num_workers=count)
            for count in (0, 1)
        ]
        once, twice = (order(as_loader(one), 3, seed=5) for one in found)
        assert once == twice

    def test_the_order_without_a_seed_is_the_loaders_own(self, tmp_path):
        loader = DataLoader(TensorDataset(*table(10)), batch_size=3)
        assert order(as_loader(loader), 3) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]

    def test_the_order_is_a_function_of_the_seed_alone(self, tmp_path):
        loader = self.make(10, tmp_path)
        first = order(loader, 3, seed=1)
        torch.rand(3)
        assert order(loader, 3, seed=1) == first
        assert order(loader, 3, seed=2) != first


class TestList(Rows):
    def make(self, rows, folder):
        x, y = table(rows)
        return as_loader(list(zip(x.split(3), y.split(3), strict=True)))


class _Anew:
    """Somebody's object: no length, begins anew."""

    def __init__(self, rows):
        self.rows_there = rows

    def __iter__(self):
        x, y = table(self.rows_there)
        yield from ({"x": a, "labels": b} for a, b in zip(x.split(3), y.split(3), strict=True))


class TestObject(Rows):
    def make(self, rows, folder):
        return as_loader(_Anew(rows), lambda found: as_batch((found["x"], found["labels"])))


class TestOwnLoader(Rows):
    """A loader of the user's that yields mappings, which are read."""

    def make(self, rows, folder):
        inner = Tensors(table(rows))

        class Own:
            def __init__(self):
                self.rows = inner.rows

            def steps(self, size):
                return inner.steps(size)

            def batches(self, size, *, seed=None, start=0):
                for batch in inner.batches(size, seed=seed, start=start):
                    yield {"x": batch["x"], "y": batch["y"]}

        return as_loader(Own())


def test_augmentation_is_part_of_the_pass_and_not_of_the_callers_stream():
    class Noisy(Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return torch.rand(1), torch.tensor(float(index))

    loader = as_loader(DataLoader(Noisy(), batch_size=2))
    whole = list(loader.batches(2, seed=3))
    torch.rand(5)
    later = list(loader.batches(2, seed=3, start=1))
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(whole[1:], later, strict=True))


def test_one_pass_takes_generators_and_a_loader_does_not():
    found = one_pass(part for part in torch.ones(4, 2).split(2))
    assert [batch.rows for batch in found] == [2, 2]
    with pytest.raises(InputError, match="generator can be gone through once.*give a list of it"):
        as_loader(part for part in torch.ones(4, 2).split(2))
    assert [batch.rows for batch in one_pass(torch.ones(5, 2), size=2)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("rows.csv", "found a str"),
        (3, "expected rows .* or batches .*found a int"),
        ([], "at least one batch, found none"),
        ({}, "at least one named tensor"),
        ((torch.ones(2), torch.ones(2), torch.ones(2)), "third part"),
        ([(torch.ones(2), torch.ones(2), torch.arange(2))], "third part"),
        ({"x": torch.ones(3), "extra": torch.ones(2)}, "same number of rows, found 3 and 'extra'"),
        ({"x": torch.ones(3), "note": ["a"]}, "'note' must be a tensor, found a list"),
        (pd.DataFrame({"x": [1.0]}), "a DataFrame is not taken; give a mapping"),
        (type("Map", (Dataset,), {})(), "found a Map; wrap it in a DataLoader"),
    ],
)
def test_refused_in_one_line(data, message):
    with pytest.raises(InputError, match=message) as caught:
        as_loader(data)
    assert "\n" not in str(caught.value)


def test_a_stream_has_no_length_and_is_counted():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(torch.arange(7.0))

    loader = as_loader(DataLoader(Stream(), batch_size=2))
    assert isinstance(loader, Batched)
    assert loader.steps(100) == 4
    assert loader.rows == 7


def test_tensors_of_several_kinds_stay_what_they_are():
    data = {"x": np.ones((4, 2), dtype=np.float32), "y": torch.arange(4), "weight": torch.ones(4)}
    (batch,) = as_loader(data).batches(10, seed=0)
    assert (batch["x"].dtype, batch["y"].dtype) == (torch.float32, torch.int64)
    assert batch.weight is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_device_are_drawn_there_in_the_order_of_the_cpu():
    data = table(50)
    there = Tensors(tuple(part.cuda() for part in data))
    assert order(there, 7, seed=1) == order(Tensors(data), 7, seed=1)
