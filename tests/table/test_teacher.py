"""Imitating what another model predicts, beside fitting the rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.nn import pack
from counterpoint.recipe import Data
from counterpoint.seeding import seeded
from counterpoint.table import TableClassifier, TableRegressor, fit_table
from counterpoint.table.columns import Table
from counterpoint.table.fit._losses import goal_names, make_goals, make_source
from counterpoint.table.fit._member_rows import MemberRows, goal_name, make_member_goals
from counterpoint.table.model._network import build_network
from counterpoint.train import evaluate
from tables import mixed, prepare_frame, quick

KINDS = ("big", "middle", "small")
BOTH = {"target": ("price", "kind"), "teacher": ("price=t", "kind=u")}


def taught(rows=240):
    """Prices that a teacher knows without noise, kinds that it is sure of by three quarters."""
    frame = mixed(rows)
    kinds = {f"u p({kind})": np.where(frame["kind"] == kind, 0.75, 0.125) for kind in KINDS}
    price = 3 * frame["size"].fillna(0) + 5 * (frame["shade"] == "dark")
    price[::7] = np.nan
    return frame.assign(t=price, **kinds)


@pytest.fixture(scope="module")
def prepared():
    return prepare_frame(taught(), quick(**BOTH))


def network(prepared, seed=0):
    with seeded(seed):
        return build_network(prepared.schema, quick(**BOTH)).eval()


def test_the_columns_of_a_teacher_are_no_inputs(prepared):
    roles = {column.name: column.role for column in prepared.schema.columns}
    assert roles["t"] == roles["u p(big)"] == "teacher"
    assert {"t", "u p(big)"}.isdisjoint(column.name for column in prepared.schema.inputs)
    assert goal_names(prepared.targets) == ["price", "kind", "imitate price", "imitate kind"]


def test_imitating_costs_what_it_should(prepared):
    net, rows = network(prepared), torch.from_numpy(prepared.rows.train)
    found = evaluate(net, make_goals(prepared.targets, rows), make_source(prepared, rows), 1000)
    with torch.no_grad():
        outputs = net(*(prepared.inputs[part][rows] for part in ("categories", "numbers")))
    frame, head = taught().iloc[prepared.rows.train], prepared.targets[0].head
    price = torch.tensor(((frame["t"] - head.mean) / head.scale).tolist())
    off = (outputs["price"][:, 0] - price)[~price.isnan()].double()
    wanted = 0.5 * off.square().mean() + 0.5 * np.log(2 * np.pi)
    assert found["imitate price"] == pytest.approx(float(wanted), rel=1e-5)
    share = torch.tensor(frame[[f"u p({kind})" for kind in KINDS]].to_numpy().tolist())
    wanted = -(share * outputs["kind"].double().log_softmax(1)).sum(1).mean()
    assert found["imitate kind"] == pytest.approx(float(wanted), rel=1e-5)


def test_members_in_one_pass_imitate_as_each_alone(prepared):
    nets = [network(prepared, seed) for seed in (1, 2)]
    rows = [torch.from_numpy(prepared.rows.train)[part::2] for part in (0, 1)]
    found = evaluate(pack(nets), make_member_goals(prepared, 2), MemberRows(prepared, rows), 16)
    assert [*found][1:5] == [goal_name(0, name) for name in goal_names(prepared.targets)]
    for member, (net, own) in enumerate(zip(nets, rows, strict=True)):
        alone = evaluate(net, make_goals(prepared.targets, own), make_source(prepared, own))
        for name in ("imitate price", "imitate kind"):
            assert found[goal_name(member, name)] == pytest.approx(alone[name], rel=1e-4)


def test_a_folder_predicts_without_a_teacher(tmp_path):
    recipe = quick(**BOTH)
    recipe = replace(recipe, network=replace(recipe.network, members=2))
    model = fit_table(taught(), recipe, evaluate=False)
    model.save(tmp_path / "m")
    found = type(model).load(tmp_path / "m").predict(mixed(20, seed=5))
    assert found["price"].mean.shape == (20,)


@pytest.mark.parametrize(
    ("change", "told", "message"),
    [
        ({}, {"teacher": ("price=tt",)}, "no column of a teacher 'tt'; did you mean 't'"),
        ({}, {"teacher": ("t",)}, "'t' says of none of 2 targets; write TARGET=t"),
        ({}, {"teacher": ("price=t", "price=u")}, "target 'price' has two; choose one"),
        ({}, {"teacher": ("price=u",)}, "teacher 'u': lacks a column of this name, with numbers"),
        ({}, {"teacher": ("price=price",)}, "'price' is a target, and no teacher of 'price'; name"),
        ({"t": np.nan}, {}, "teacher 't': predicts no row"),
        ({"u p(big)": None}, {}, r"teacher 'u': lacks 'u p\(big\)', the probability of a class"),
        ({"u p(big)": 0.9}, {}, "row 1: teacher 'u': expected probabilities that add to one"),
    ],
)
def test_what_is_no_lesson_is_refused(change, told, message):
    frame = taught().drop(columns=[name for name, value in change.items() if value is None])
    frame = frame.assign(**{name: value for name, value in change.items() if value is not None})
    with pytest.raises(InputError, match=message):
        prepare_frame(frame, quick(**{**BOTH, **told}))


def test_of_two_classes_one_probability_says_both():
    frame = taught().assign(kind=lambda f: f["kind"] == "big", w=0.25)
    frame = frame.rename(columns={"w": "w p(true)"})
    target = prepare_frame(frame, quick(target=("kind",), teacher=("w",))).targets[0]
    assert target.lesson.values[0].tolist() == [0.75, 0.25]


def test_probabilities_of_a_class_may_stand_beside_what_was_observed():
    frame = taught().rename(columns=lambda name: name.replace("u p(", "kind p("))
    target = prepare_frame(frame, quick(target=("kind",), teacher=("kind",))).targets[0]
    assert set(target.lesson.values.unique().tolist()) == {0.125, 0.75}


def test_a_target_may_be_called_as_the_mean_of_the_goals():
    data = {"target": ("score", "kind"), "teacher": ("score=t",)}
    frame = taught().rename(columns={"price": "score"})
    assert goal_names(prepare_frame(frame, quick(**data)).targets)[0] == "score'"
    model = fit_table(frame, quick(**data))
    assert [target.name for target in model.findings.targets] == ["score", "kind"]
    assert "score'" in model.findings.history[0].train


def test_estimators_take_a_teacher():
    draw = np.random.default_rng(0)
    x = pd.DataFrame({"a": draw.normal(size=120), "b": draw.normal(size=120)})
    truth = x["a"] * x["b"]
    small = {"members": 1, "width": 32, "epochs": 60, "random_state": 0}
    model = TableRegressor(**small, uncertainty="last-layer")
    model.fit(x, truth + draw.normal(size=120), teacher=truth)
    assert model.model_.recipe.data.teacher == ("y0=teacher",)
    assert model.predict(x).shape == (120,)
    classes = TableClassifier(**small).fit(
        x, truth > 0, teacher=np.stack([truth <= 0, truth > 0], 1).astype(float)
    )
    assert classes.predict_proba(x).shape == (120, 2)
    with pytest.raises(InputError, match=r"teacher: expected an array of shape \(120,\), found"):
        TableRegressor(**small).fit(x, truth, teacher=truth[:3])


@pytest.mark.slow
def test_a_teacher_that_knows_more_than_the_rows_teaches_it():
    """Labels with much noise, a teacher without: the features are those of what it knows."""
    draw = np.random.default_rng(1)
    x = draw.uniform(-2, 2, (400, 2))
    truth = np.sin(2 * x[:, 0]) * x[:, 1]
    noisy, new = truth + 1.5 * draw.normal(size=400), draw.uniform(-2, 2, (1000, 2))
    errors = [
        np.sqrt(np.mean((model.predict(new) - np.sin(2 * new[:, 0]) * new[:, 1]) ** 2))
        for model in (
            TableRegressor(members=1, epochs=40, random_state=0).fit(x, noisy, teacher=teacher)
            for teacher in (None, truth)
        )
    ]
    assert errors[1] < 0.8 * errors[0]


def test_a_teacher_is_named_where_its_column_stands():
    data = Data(target=("price",), teacher=("t",))
    assert data.teachers == {"price": "t"}
    table = Table.plan(taught(), data)
    assert len(table.values["t"]) == 240
