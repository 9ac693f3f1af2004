"""Wide and large tables: what they cost is known before, and nothing grows faster than they do."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.recipe import Posterior, Update
from counterpoint.table import Context, TableModel, fit_table, update_table
from counterpoint.table.evaluate import _shuffled
from counterpoint.table.fit import _fit, _size
from counterpoint.table.model import _memory
from tables import quick


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    x, z = draw.normal(size=(2, 200))
    town = draw.choice(["a", "b", "c"], 200)
    y = np.sin(2 * x) + 0.5 * (town == "a") + 0.1 * draw.normal(size=200)
    x[::9] = np.nan
    return pd.DataFrame({"x": x, "z": z, "town": town, "y": y})


def short():
    recipe = quick(target=("y",))
    return replace(recipe, training=replace(recipe.training, epochs=2))


@pytest.mark.parametrize("kind", ["last-layer", "ensemble"])
def test_a_shuffled_column_needs_its_part_of_the_first_layer_alone(rows, kind):
    recipe = short()
    network = replace(recipe.network, members=2)
    recipe = replace(recipe, network=network, posterior=Posterior(uncertainty=kind))
    model = fit_table(rows, recipe, evaluate=False)
    inputs = model.read(rows).encode()
    orders = torch.stack([torch.randperm(200, generator=torch.manual_seed(n)) for n in (1, 2)])
    assert _shuffled.is_incremental(model)
    quickly = _shuffled.shuffler(model, inputs)
    for _, slots in [("nothing", {}), *model.schema.slots]:
        found = quickly(slots, orders)["y"]
        whole = model.mixture(_shuffled._moved(inputs, slots, orders))["y"]
        for name in ("mean", "noise", "knowledge"):
            wanted = getattr(whole, name)
            assert np.allclose(getattr(found, name), wanted, rtol=1e-4, atol=1e-6), name


def test_the_curvature_of_a_wide_first_layer_is_diagonal_and_holds_it(rows, monkeypatch, tmp_path):
    narrow = fit_table(rows, short())
    monkeypatch.setattr(_memory, "WIDEST", 4)
    wide = fit_table(rows, short())
    first = "network.trunk.0.weight"

    def own(model):
        return model.members[0].memory.gaussian.precision.diagonal()[first]

    # the diagonal of the factors is not the curvature's, but of its size
    assert torch.allclose(own(wide).mean(), own(narrow).mean(), rtol=0.3)
    assert wide.members[0].memory.structure["network.trunk.0.*"] == "diagonal"
    wide.save(tmp_path / "model")
    # a folder knows how it was written, whatever is wide now
    monkeypatch.undo()
    again = TableModel.load(tmp_path / "model")
    learnt = update_table(again, rows.iloc[:60], Update(deep=True, again=True))
    assert (own(learnt) >= own(wide) * 0.999).all()


def test_few_rows_stand_for_many_in_the_memory(rows, monkeypatch):
    whole = fit_table(rows, short())
    monkeypatch.setattr(_memory, "_ROWS", 80)
    some = fit_table(rows, short())
    found = [
        sum(
            float(part.sum()) for part in m.members[0].memory.gaussian.precision.diagonal().values()
        )
        for m in (whole, some)
    ]
    assert found[1] == pytest.approx(found[0], rel=0.2)


def test_the_size_is_told_before_the_training(rows):
    told = []
    fit_table(rows, short(), Context(sized=told.append), evaluate=False)
    assert len(told) == 1
    assert told[0].startswith("128 rows of ")
    assert "GB of memory" in told[0]


def test_what_does_not_fit_is_refused_before_the_training(rows, monkeypatch):
    monkeypatch.setattr(_fit, "free_memory", lambda: 1e6)
    monkeypatch.setattr(_fit, "train_members", None)
    with pytest.raises(InputError, match=r"0\.0 GB are free; take fewer networks \(--network"):
        fit_table(rows, short())


def test_memory_is_known_here():
    assert 1e7 < _size.resident() < (_size.free_memory() or 1e18)


@pytest.mark.parametrize("kind", ["last-layer", "ensemble"])
def test_pieces_are_the_whole_and_many_rows_are_looked_up(rows, kind):
    recipe = short()
    network = replace(recipe.network, members=2)
    recipe = replace(recipe, network=network, posterior=Posterior(uncertainty=kind))
    model = fit_table(rows, recipe, evaluate=False)
    table = model.read(pd.concat([rows] * 4, ignore_index=True))
    whole = model.predict(table)["y"]
    pieces = [piece["y"] for piece in model.predict_pieces(table, 300)]
    assert [len(piece.mean) for piece in pieces] == [300, 300, 200]
    for name in ("mean", "noise", "knowledge"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        # pieces of 300 rows go through the layer as it is, all 800 look it up
        assert np.allclose(joined, getattr(whole, name), rtol=1e-4, atol=1e-6), name


_ALONE = """
import sys
import pandas as pd
from counterpoint.table import TableModel
model = TableModel.load(sys.argv[1])
model.predict(pd.DataFrame({"x": [0.5], "z": [1.0], "town": ["a"]}))["y"].interval(0.9)
print([name for name in ("sklearn", "scipy.stats", "scipy.optimize") if name in sys.modules])
"""


def test_a_prediction_imports_nothing_that_only_fits_need(rows, tmp_path):
    fit_table(rows, short(), evaluate=False).save(tmp_path / "model")
    command = [sys.executable, "-c", _ALONE, str(tmp_path / "model")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
