"""With few rows the model is linear unless left-out rows speak for a network."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import RidgeCV

from counterpoint.nn import TableNet
from counterpoint.recipe import Recipe
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.fit._few_rows import with_trunk
from tables import prepare_frame, quick


def lines(rows, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 3))
    y = 2 * x[:, 0] - x[:, 1] + 0.5 * draw.normal(size=rows)
    return pd.DataFrame(x, columns=list("abc")).assign(y=y)


def curves(rows):
    draw = np.random.default_rng(0)
    x = draw.uniform(-3, 3, rows)
    return pd.DataFrame({"a": x, "y": np.sin(2 * x) + 0.05 * draw.normal(size=rows)})


def told(**data) -> Recipe:
    recipe = quick(target=("y",), split="none", kinds={"y": "number"}, **data)
    training = replace(recipe.training, epochs=40)
    return replace(recipe, network=replace(recipe.network, members=2), training=training)


@pytest.fixture(scope="module")
def model():
    return fit_table(lines(20), told())


def error(mean, frame):
    return float(np.sqrt(np.mean((mean - frame["y"]) ** 2)))


def test_few_rows_on_a_line_are_predicted_as_by_ridge(model):
    new = lines(1000, seed=1)
    inputs = lines(20)[list("abc")]
    ridge = RidgeCV(np.logspace(-3, 3, 20)).fit(inputs, lines(20)["y"])
    assert model.recipe.network.trunk == "linear"
    assert error(model.predict(new)["y"].mean, new) < 1.1 * error(
        ridge.predict(new[list("abc")]), new
    )
    assert any("is linear in its columns" in note for note in model.findings.notes)


def test_a_linear_model_is_kept_and_learns(model, tmp_path):
    model.save(tmp_path / "m")
    again, new = TableModel.load(tmp_path / "m"), lines(200, seed=2)
    for one, two in zip(
        again.predict(new)["y"].interval(0.9), model.predict(new)["y"].interval(0.9), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    after = update_table(again, new)
    probe = lines(500, seed=3)
    assert error(after.predict(probe)["y"].mean, probe) < error(
        again.predict(probe)["y"].mean, probe
    )


@pytest.mark.parametrize(
    ("frame", "more", "trunk"),
    [
        (curves(60), {}, "plain"),
        (lines(120), {}, "plain"),
        (lines(30).assign(y=np.arange(30) % 2), {"kinds": {"y": "category"}}, "plain"),
    ],
)
def test_a_network_is_used_where_rows_speak_for_it_or_are_many(frame, more, trunk):
    recipe = told()
    recipe = replace(recipe, data=replace(recipe.data, **more))
    prepared = prepare_frame(frame, recipe)
    assert with_trunk(prepared, recipe.resolved(40)).network.trunk == trunk


def test_a_linear_trunk_is_the_columns_themselves():
    net = TableNet([4], [(0.0, 1.0), ()], {"y": 1}, trunk="linear", width=7)
    codes, numbers = torch.tensor([[2], [3]]), torch.randn(2, 2)
    found = net.features(codes, numbers)
    torch.testing.assert_close(found, torch.cat([net.embeddings(codes), numbers], 1))
    assert net(codes, numbers)["y"].shape == (2, 1)
