"""Whatever reads or writes takes a path as text, as a Path, or as any other path-like thing."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from counterpoint import recipe, storage
from counterpoint.continual import EWC
from counterpoint.data import ParquetStream, Tensors
from counterpoint.errors import InputError
from counterpoint.gaussian import Diagonal, Gaussian
from counterpoint.goals import Categorical
from counterpoint.recipe import Training
from counterpoint.report import read_findings
from counterpoint.table import TableModel, jobs, read_table
from counterpoint.train import RateCurve, fit


class Named:
    """A path that is neither a text nor a `Path`."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def folders(path):
    storage.refuse_existing(path, overwrite=False)
    storage.write_folder(path, kind="demo", schema=1, documents={"a": 1})
    assert storage.read_folder(path, kind="demo", schema=1).document("a") == 1
    assert storage.written_files(path) == {"a.json"}
    assert storage.sweep(path) == []


def files(path):
    storage.write_file(path, b"a")
    assert len(storage.digest_file(path)) == 64
    with storage.Lock(path):
        assert Path(path).exists()


def gaussian(path):
    Gaussian({"w": torch.ones(2)}, Diagonal({"w": torch.ones(2)})).save(path)
    assert Gaussian.load(path).mean["w"].tolist() == [1, 1]


def memory(path):
    kept, again = EWC(), EWC()
    kept.consolidate(nn.Linear(2, 2), Categorical(), [(torch.eye(2), torch.tensor([0, 1]))])
    kept.save(path)
    again.load(path)
    assert again.tasks == 1


def recipes(path):
    Path(path).write_text("[training]\nepochs = 3\n", "utf-8")
    assert recipe.load(path) == {"training": {"epochs": 3}}


def tables(path):
    name = f"{os.fspath(path)}.csv"
    Path(name).write_text("a,b\n1,2\n", "utf-8")
    assert len(read_table(type(path)(name))) == 1


def streams(path):
    pq.write_table(pa.Table.from_pandas(pd.DataFrame({"x": np.ones(3)})), os.fspath(path))

    def encode(batch):
        return {"x": torch.from_numpy(batch.column("x").to_numpy())}

    assert ParquetStream(path, encode).rows == 3
    assert ParquetStream([path, path], encode).rows == 6


def training(path):
    data = {"x": torch.ones(4, 1)}

    def goals(model, batch):
        return {"fit": model(batch["x"]).square().mean()}

    settings = Training(epochs=1, batch_size=4)
    fit(nn.Linear(1, 1), goals, Tensors(data), settings, folder=path, progress=False)
    assert (Path(path) / "log.jsonl").exists()


def curves(path):
    rates = (1e-3, 1e-2, 1e-1, 1.0)
    RateCurve(rates, rates, {"fit": rates}, rates, 1e-2).draw(path)
    assert Path(path).read_text("utf-8").startswith("<svg")


def models(path):
    for read in (TableModel.load, read_findings):
        with pytest.raises(InputError, match="folder"):
            read(path)
    assert TableModel.identity(path) is None
    assert jobs.finished(path) is None
    jobs.refuse_taken(path, overwrite=False)


USES = [folders, files, gaussian, memory, recipes, tables, streams, training, curves, models]


@pytest.mark.parametrize("spell", [str, Path, Named])
@pytest.mark.parametrize("use", USES)
def test_a_path_is_taken_however_it_is_spelt(use, spell, tmp_path):
    use(spell(tmp_path / "folder"))
