"""Targets of a table that share the steps of its networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.balance import Alarm, Failure
from counterpoint.plain import from_plain, to_plain
from counterpoint.recipe import Recipe
from counterpoint.table import Context, Findings, TableClassifier, TableRegressor, fit_table
from counterpoint.table.evaluate._describe import describe_balance
from counterpoint.train import BalanceLog
from tables import mixed, quick


def balanced(rule: str = "impartial", **data) -> Recipe:
    recipe = quick(**{"target": ("price", "kind"), **data})
    return replace(recipe, training=replace(recipe.training, balance=rule, epochs=4))


@pytest.fixture(scope="module")
def shared():
    return fit_table(mixed(), balanced(weight="weight"))


def test_the_findings_tell_how_the_targets_shared_the_steps(shared):
    found = shared.findings.balance
    assert (found.rule, found.goals) == ("impartial", ["price", "kind"])
    steps = len(found.step)
    assert found.step == list(range(1, steps + 1))
    for part in (found.losses, found.weights, found.control):
        assert list(part) == ["price", "kind"]
        assert all(len(curve) == steps for curve in part.values())
    first = [found.control[name][0] for name in found.goals]
    assert first == pytest.approx([0.5, 0.5], abs=1e-6)
    assert len(found.cosines) == len(found.cosine_step) <= 40
    assert np.array(found.cosines[0]).shape == (2, 2)
    assert from_plain(Findings, to_plain(shared.findings)) == shared.findings


def test_without_a_rule_there_is_nothing_to_tell(table):
    assert fit_table(table, balanced("sum")).findings.balance is None


def test_one_target_has_the_same_bits_and_a_note(table):
    one, two = (fit_table(table, balanced(rule, target=("price",))) for rule in ("sum", "upgrad"))
    assert np.array_equal(one.predict(table)["price"].mean, two.predict(table)["price"].mean)
    assert two.findings.balance is None
    assert any("balance 'upgrad' has no effect" in note for note in two.findings.notes)
    assert not any("balance" in note for note in one.findings.notes)


def test_same_seed_same_bits_and_no_global_randomness(table):
    state = torch.get_rng_state()
    one, two = (fit_table(table, balanced(), evaluate=False).predict(table) for _ in "12")
    assert np.array_equal(one["price"].mean, two["price"].mean)
    assert np.array_equal(one["kind"].probabilities, two["kind"].probabilities)
    assert torch.equal(state, torch.get_rng_state())


def test_a_fit_that_ended_is_read_back_with_its_record(table, tmp_path):
    context = Context(folder=tmp_path)
    first = fit_table(table, balanced(), context).findings
    again = fit_table(table, balanced(), context).findings
    assert again.balance == first.balance


def test_a_target_that_some_rows_lack(table):
    table.loc[::3, "kind"] = None
    found = fit_table(table, balanced()).findings
    assert all(value is not None for value in found.balance.weights["kind"])


def test_estimators_have_the_parameter(table):
    x = table[["size", "shade"]]
    y = np.stack([table["price"], 1000.0 * table["price"] + 5.0], axis=1)
    models = [
        TableRegressor(epochs=4, members=1, width=32, random_state=0, balance=rule).fit(x, y)
        for rule in ("sum", "impartial")
    ]
    assert models[1].get_params()["balance"] == "impartial"
    assert not np.array_equal(models[0].predict(x), models[1].predict(x))
    labels = table["kind"]
    classes = [
        TableClassifier(epochs=4, members=1, width=32, random_state=0, balance=rule).fit(x, labels)
        for rule in ("sum", "impartial")
    ]
    assert np.array_equal(classes[0].predict_proba(x), classes[1].predict_proba(x))


def record(goals: int, steps: int = 200) -> BalanceLog:
    values = torch.ones(steps, goals, dtype=torch.float64)
    standoff = Alarm(Failure.STANDOFF, ("y0", "y1"), 9, {"harmony": 0.0})
    return BalanceLog(
        rule="uncertainty",
        source="losses",
        names=tuple(f"y{place}" for place in range(goals)),
        steps=tuple(range(1, 3 * steps, 3)),
        losses=values,
        weights=values,
        control=values * torch.nan,
        cosines=torch.full((steps, goals, goals), torch.nan, dtype=torch.float64),
        alarms=((9, standoff), (60, replace(standoff, over=True))),
    )


def test_a_record_becomes_findings_without_nan_of_bounded_length():
    found = describe_balance(record(3))
    assert found.control["y1"] == [None] * 200
    assert found.cosines[0] == [[None] * 3] * 3
    assert len(found.cosines) == 40
    assert (found.cosine_step[0], found.cosine_step[-1]) == (1, found.step[-1])
    assert [(alarm.step, alarm.kind, alarm.goals) for alarm in found.alarms] == [
        (9, "standoff", ["y0", "y1"])
    ]
    assert len(describe_balance(record(30)).cosines) == 3
    assert len(describe_balance(record(2, steps=1)).cosines) == 1
    assert describe_balance(None) is None
