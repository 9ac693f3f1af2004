from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.data import Loader, ParquetStream
from counterpoint.errors import InputError
from counterpoint.train import Training, fit

quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _encode(record):
    return {name: torch.from_numpy(record[name].to_numpy().copy()) for name in record.schema.names}


def _write(path, low, high, group):
    pq.write_table(
        pa.table({"x": list(range(low, high)), "y": [2 * v for v in range(low, high)]}),
        path,
        row_group_size=group,
    )


def _order(source, size, **options):
    return [batch["x"].tolist() for batch in source.batches(size, **options)]


@quick
@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.integers(1, 25),
    st.integers(1, 70),
    st.none() | st.integers(0, 9),
    st.integers(0, 12),
)
def test_the_laws_of_a_source(tmp_path, count, group, size, buffer, seed, start):
    _write(tmp_path / "a.parquet", 0, count, group)
    source = ParquetStream(tmp_path / "a.parquet", _encode, buffer=buffer)
    whole = _order(source, size, seed=seed)
    assert source.rows == count
    assert sorted(value for batch in whole for value in batch) == list(range(count))
    assert [len(batch) for batch in whole[:-1]] == [size] * (len(whole) - 1)
    assert _order(source, size, seed=seed, start=start) == list(islice(whole, start, None))
    if seed is None:
        assert [value for batch in whole for value in batch] == list(range(count))


def test_several_files_are_one_source_and_rows_of_far_groups_meet(tmp_path):
    _write(tmp_path / "a.parquet", 0, 500, 50)
    _write(tmp_path / "b.parquet", 500, 1000, 50)
    source = ParquetStream(tmp_path, _encode, buffer=300)
    assert isinstance(source, Loader)
    assert source.rows == 1000
    first = next(iter(source.batches(100, seed=0)))
    assert len({int(value) // 50 for value in first["x"]}) >= 5
    assert torch.equal(first["x"] * 2, first["y"])
    assert _order(source, 100, seed=0) != _order(source, 100, seed=1)


def test_every_pool_has_an_order_of_its_own(tmp_path):
    _write(tmp_path / "a.parquet", 0, 100, 50)
    source = ParquetStream(tmp_path / "a.parquet", _encode, buffer=50)
    first, second = _order(source, 50, seed=0)
    assert [value % 50 for value in first] != [value % 50 for value in second]


def test_only_the_wanted_columns_are_read(tmp_path):
    _write(tmp_path / "a.parquet", 0, 5, 5)
    source = ParquetStream(tmp_path / "a.parquet", _encode, columns=["y"])
    batch = next(iter(source.batches(5)))
    assert batch["y"].tolist() == [0, 2, 4, 6, 8]
    assert "x" not in batch


def test_skipping_reads_only_what_is_to_come(tmp_path):
    _write(tmp_path / "a.parquet", 0, 100, 10)
    seen = []

    def encode(record):
        seen.append(record.num_rows)
        return _encode(record)

    source = ParquetStream(tmp_path / "a.parquet", encode, buffer=10)
    list(source.batches(10, seed=0, start=8))
    assert sum(seen) == 20


def test_a_run_on_a_stream_goes_on_in_the_middle_of_an_epoch(tmp_path):
    _write(tmp_path / "a.parquet", 0, 60, 10)

    class Crash(Exception):
        pass

    class AtEight:
        def step_end(self, moment):
            if moment.step == 8:
                raise Crash
            return False

        def epoch_end(self, _):
            return False

    def goals(model, batch):
        return {"fit": (model(batch["x"].float().unsqueeze(1)) / 60 - 1).square().mean()}

    def run(folder, callbacks=()):
        model = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(model.weight)
        torch.nn.init.zeros_(model.bias)
        source = ParquetStream(tmp_path / "a.parquet", _encode, buffer=20)
        training = Training(epochs=2, batch_size=9, checkpoint_steps=2)
        fit(model, goals, source, training, folder=folder, callbacks=callbacks, progress=False)
        return model

    straight = run(tmp_path / "straight")
    with pytest.raises(Crash):
        run(tmp_path / "run", [AtEight()])
    resumed = run(tmp_path / "run")
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)


def test_bad_files_are_refused(tmp_path):
    (tmp_path / "text.parquet").write_text("no")
    _write(tmp_path / "good.parquet", 0, 3, 3)
    _write(tmp_path / "empty.parquet", 0, 0, 3)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no such file"):
        ParquetStream(tmp_path / "missing.parquet", _encode)
    with pytest.raises(InputError, match="not readable as Parquet"):
        ParquetStream(tmp_path / "text.parquet", _encode)
    with pytest.raises(InputError, match="no Parquet files inside"):
        ParquetStream(tmp_path / "none", _encode)
    with pytest.raises(InputError, match="at least one row"):
        ParquetStream(tmp_path / "empty.parquet", _encode)
    with pytest.raises(InputError, match="no column 'price'"):
        ParquetStream(tmp_path / "good.parquet", _encode, columns=["price"])
    short = ParquetStream(tmp_path / "good.parquet", lambda _: {"x": torch.zeros(2)})
    with pytest.raises(InputError, match="expected 3 rows in every tensor"):
        list(short.batches(2))
