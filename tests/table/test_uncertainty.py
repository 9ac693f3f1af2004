"""Every kind of uncertainty, held to the same promises; then each to its own."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.recipe import UNCERTAINTY, Posterior
from counterpoint.table import TableClassifier, TableModel, TableRegressor, fit_table, to_frame
from counterpoint.table.columns import Table
from counterpoint.table.model._network import compute_outputs
from counterpoint.table.uncertainty import UNCERTAINTIES, MemberPosterior
from tables import mixed, quick


def told(kind: str, **data):
    recipe = quick(**{"target": ("price", "kind"), "weight": "weight", **data})
    return replace(
        recipe,
        network=replace(recipe.network, members=2, width=16),
        training=replace(recipe.training, epochs=4),
        posterior=replace(recipe.posterior, uncertainty=kind, heads=4),
    )


def sparse() -> pd.DataFrame:
    """Every third row lacks its kind."""
    frame = mixed(150)
    frame.loc[::3, "kind"] = None
    return frame


@pytest.fixture(scope="module")
def models():
    return {kind: fit_table(sparse(), told(kind), evaluate=False) for kind in UNCERTAINTY}


def test_the_recipe_names_every_kind_there_is():
    assert set(UNCERTAINTY) == set(UNCERTAINTIES)


@pytest.mark.parametrize("kind", UNCERTAINTY)
def test_it_predicts_with_noise_and_knowledge_apart(models, kind):
    frame = sparse()
    found = models[kind].predict(frame)
    price, chances = found["price"], found["kind"]
    assert np.corrcoef(price.mean, frame["price"])[0, 1] > 0.4
    assert (price.noise > 0.1).all()
    assert (price.knowledge > 0).all()
    assert chances.probabilities.sum(1) == pytest.approx(1.0)
    assert (chances.knowledge >= 0).all()
    assert all(isinstance(member.posterior, MemberPosterior) for member in models[kind].members)


@pytest.mark.parametrize("kind", UNCERTAINTY)
def test_a_folder_gives_the_same_bits_and_takes_no_random_numbers(models, kind, tmp_path):
    models[kind].save(tmp_path / "m")
    state = torch.get_rng_state()
    loaded = TableModel.load(tmp_path / "m")
    assert torch.equal(state, torch.get_rng_state())
    one, two = (to_frame(m.predict(mixed()), 0.9) for m in (models[kind], loaded))
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=0)
    assert loaded.recipe.posterior.uncertainty == kind


@pytest.mark.parametrize("kind", ["laplace", "ensemble"])
def test_a_belief_of_other_columns_is_refused_even_with_right_hashes(models, kind, tmp_path):
    from counterpoint.storage import read_folder, write_folder

    models[kind].save(tmp_path / "m")
    folder = read_folder(tmp_path / "m", kind="table model", schema=3)
    recipe = folder.document("recipe")
    recipe["posterior"]["uncertainty"] = "laplace" if kind == "ensemble" else "ensemble"
    names = [name.removesuffix(".safetensors") for name in folder.files if "safetensors" in name]
    write_folder(
        tmp_path / "m",
        kind="table model",
        schema=3,
        tensors={name: folder.tensors(name) for name in names},
        documents={"columns": folder.document("columns"), "recipe": recipe},
        texts={"log.jsonl": ""},
        overwrite=True,
    )
    with pytest.raises(InputError, match="do not fit together|precision"):
        TableModel.load(tmp_path / "m")


def test_an_ensemble_knows_by_disagreement_alone(models):
    model = models["ensemble"]
    inputs = Table.read(mixed(), model.schema).encode()
    parts = [member.predict(inputs)["price"] for member in model.members]
    assert all(float(part.knowledge.max()) == 0 for part in parts)
    scale = model.schema.column("price").features[0].scale
    apart = torch.stack([part.mean[:, 0] for part in parts]).std(0, correction=0) * scale
    assert np.allclose(model.predict_encoded(inputs)["price"].knowledge, apart, rtol=1e-6)


def test_an_ensemble_predicts_what_its_networks_put_out(models):
    member = models["ensemble"].members[0]
    inputs = Table.read(mixed(), models["ensemble"].schema).encode()
    found, outputs = member.predict(inputs), compute_outputs(member.network, inputs)
    assert torch.allclose(found["price"].mean, outputs["price"].double())
    assert torch.allclose(found["kind"].mean, outputs["kind"].double().softmax(1))
    assert isinstance(found["price"], Predictive)
    assert isinstance(found["kind"], CategoricalPredictive)


def test_an_ensemble_of_one_is_refused():
    with pytest.raises(InputError, match=r"network\.members: an ensemble .* at least 2, found 1"):
        replace(told("ensemble"), network=quick().network)


@pytest.mark.parametrize(
    "kind", ["luna", pytest.param("laplace", marks=pytest.mark.slow), "ensemble"]
)
def test_no_row_need_be_held_out(kind):
    frame = mixed(80)[["size", "price"]]
    model = fit_table(frame, told(kind, target=("price",), weight="", split="none"))
    assert np.isfinite(model.predict(frame)["price"].std).all()


@pytest.mark.parametrize("kind", [pytest.param("laplace", marks=pytest.mark.slow), "ensemble"])
def test_weight_zero_rows_teach_nothing(kind):
    frame = mixed().assign(weight=1.0)
    frame.loc[200:, "weight"] = 0.0
    other = frame.copy()
    other.loc[200:, "price"] = -other.loc[200:, "price"]
    recipe = told(kind, target=("price",), split="none", ignore=("kind",))
    one, two = (
        fit_table(t, recipe, evaluate=False).predict(frame)["price"] for t in (frame, other)
    )
    assert np.allclose(one.std, two.std)


def test_estimators_have_the_parameters():
    frame = mixed(40)
    x, y = frame[["size", "shade"]], frame["kind"]
    told = {"uncertainty": "luna", "heads": np.int64(3), "diversity": np.float64(0.7)}
    model = TableClassifier(epochs=1, members=1, width=8, random_state=0).set_params(**told)
    model = model.fit(x, y).model_
    assert model.recipe.posterior == Posterior(uncertainty="luna", heads=3, diversity=0.7)
    assert type(model.recipe.posterior.heads) is int
    assert (model.recipe.network.width, model.recipe.training.epochs) == (8, 1)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"uncertainty": "lunar"}, "found 'lunar'; did you mean 'luna'"),
        ({"heads": 2.5}, r"posterior\.heads: expected a whole number, found 2\.5"),
        ({"heads": "7"}, r"posterior\.heads: expected a whole number, found '7'"),
        ({"width": 8.0}, r"network\.width: expected a whole number, found 8\.0"),
        ({"diversity": "much"}, r"posterior\.diversity: expected a number, found 'much'"),
    ],
)
def test_estimators_refuse_wrong_parameters(told, message):
    model = TableRegressor().set_params(**told)
    with pytest.raises(InputError, match=message):
        model.fit(np.arange(20.0)[:, None], np.arange(20.0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNCERTAINTY)
def test_intervals_cover_what_they_say(kind):
    """On a curved truth the 90 % intervals of new rows hold nine tenths of them, over seeds."""

    def draw(rows, seed):
        make = np.random.default_rng(seed)
        x = make.uniform(-2, 2, (rows, 3))
        y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * make.normal(size=rows)
        return x, y

    inside = []
    for seed in range(3):
        model = TableRegressor(uncertainty=kind, epochs=30, random_state=seed).fit(*draw(400, seed))
        fresh, y = draw(2000, 100 + seed)
        mean, std = model.predict(fresh, return_std=True)
        inside.append((np.abs(y - mean) < 1.645 * std).mean())
    assert 0.86 < np.mean(inside) < 0.95
