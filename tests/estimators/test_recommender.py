"""Ratings with scikit-learn's interface."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from counterpoint.errors import InputError
from counterpoint.estimators import Recommender
from counterpoint.estimators._factors import learnt


def rated(count=2_000, people=60, things=40, seed=0):
    """Ratings from 1 to 5 of two kinds of things by two kinds of people; things 0 are loved."""
    draws = np.random.default_rng(seed)
    user, item = draws.integers(people, size=count), draws.integers(things, size=count)
    taste = np.where((user + item) % 2 == 0, 1.0, -1.0)
    value = 3 + taste + (item == 0) + 0.3 * draws.normal(size=count)
    frame = pd.DataFrame({"person": user, "thing": [f"t{each}" for each in item]})
    return frame, np.clip(value, 1, 5)


@pytest.fixture(scope="module")
def model():
    frame, y = rated()
    return Recommender(factors=3, random_state=0).fit(frame, y)


def test_tastes_are_learnt_with_honest_intervals(model):
    frame, y = rated(seed=1)
    mean, std = model.predict(frame, return_std=True)
    assert np.sqrt(np.mean((mean - y) ** 2)) < 0.34  # noise of 0.3, a little less at the edges
    assert 0.86 < np.mean(np.abs(mean - y) < 1.645 * std) < 0.96
    effects_alone = Recommender(factors=0, random_state=0).fit(*rated())
    assert np.sqrt(np.mean((effects_alone.predict(frame) - y) ** 2)) > 0.8


def test_it_is_recommended_what_was_not_seen_and_is_liked(model):
    frame, _ = rated()
    found = model.recommend(2, 5)
    assert not set(found["thing"]) & set(frame["thing"][frame["person"] == 2])
    assert found["mean"].is_monotonic_decreasing
    assert (found["low"] <= found["mean"]).all()
    assert (found["mean"] <= found["high"]).all()
    everything = model.recommend(2, 5, seen=True)
    assert {int(name[1:]) % 2 for name in everything["thing"]} == {0}  # 2 likes what is even


def test_one_who_was_never_seen_gets_what_all_like(model):
    assert model.recommend("nobody", 1)["thing"].tolist() == ["t0"]
    pairs = pd.DataFrame({"person": [0, "nobody", "nobody"], "thing": ["t0", "t0", "nothing"]})
    _, std = model.predict(pairs, return_std=True)
    assert std[0] < std[1] < std[2]
    assert [part.tolist() for part in model.known(pairs)] == [[1, 0, 0], [1, 1, 0]]


def test_effects_have_intervals_and_the_loved_thing_is_highest(model):
    table = model.effects()
    assert table["thing"][0] == "t0"
    assert (table["low"] < table["effect"]).all()
    assert (table["effect"] < table["high"]).all()
    assert table["ratings"].sum() == 2_000
    assert model.effects("users")["person"].nunique() == 60
    wide = model.effects(level=0.99)
    assert ((wide["high"] - wide["low"]) > (table["high"] - table["low"])).all()


def test_things_that_the_same_like_are_near_and_lie_together(model):
    near = model.nearest("t2", 5)
    assert {int(name[1:]) % 2 for name in near["thing"]} == {0}
    assert near["likeness"].between(0.9, 1).all()
    table = model.map()
    even = table["first"][[int(name[1:]) % 2 == 0 for name in table["thing"]]]
    odd = table["first"].drop(even.index)
    assert even.min() > odd.max() or even.max() < odd.min()
    assert table["first"].abs().idxmax() == table["first"].idxmax()
    assert table.attrs["explained"][0] > 0.9


def test_an_update_is_what_all_ratings_say_given_the_other_side(model):
    frame, y = rated(300, people=70, things=45, seed=3)
    after = clone(model).set_params(sweeps=4).fit(*rated())
    before = after.factors_
    after.partial_fit(frame, y)
    assert len(after.users_) == len({*rated()[0]["person"], *frame["person"]})
    # all rows of users given the items as they are now; those of the update are these
    exact, _ = learnt(after._standard, after.factors_.users, after.factors_.items, before.noise)
    at = torch.from_numpy(after._users.codes(frame["person"].unique()))
    torch.testing.assert_close(after.factors_.users.mean[at], exact.mean[at], rtol=0, atol=1e-8)
    torch.testing.assert_close(
        after.factors_.users.covariance[at], exact.covariance[at], rtol=0, atol=1e-8
    )
    given = replace(before.users.widened(len(after.users_)))
    exact, _ = learnt(after._standard.turned, after.factors_.items, given, before.noise)
    at = torch.from_numpy(after._items.codes(frame["thing"].unique()))
    torch.testing.assert_close(after.factors_.items.mean[at], exact.mean[at], rtol=0, atol=1e-8)


def test_more_ratings_are_learnt(model):
    fresh, y = rated(800, people=80, seed=4)
    after = clone(model).fit(*rated()).partial_fit(fresh, y)
    test, truth = rated(800, people=80, seed=5)
    new = (test["person"] >= 60).to_numpy()
    errors = [np.sqrt(np.mean((m.predict(test[new]) - truth[new]) ** 2)) for m in (model, after)]
    assert errors[1] < 0.6 * errors[0]


def test_the_first_partial_fit_is_a_fit(model):
    again = clone(model).partial_fit(*rated())
    np.testing.assert_array_equal(again.predict(rated()[0]), model.predict(rated()[0]))


def test_numbers_and_their_texts_are_one_id_and_zeros_before_them_are_kept():
    frame = pd.DataFrame({"who": [7, "7", 7.0, "007"], "what": list("abab")})
    assert Recommender(factors=0).fit(frame, [1.0, 2, 3, 4]).users_ == ["7", "007"]


def test_a_folder_gives_the_same_model_and_goes_on(model, tmp_path):
    model.save(tmp_path / "m")
    again = Recommender.load(tmp_path / "m")
    frame, y = rated(100, seed=6)
    for one, two in zip(
        model.predict(frame, return_std=True), again.predict(frame, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    pd.testing.assert_frame_equal(model.recommend(1), again.recommend(1))
    changed = clone(model).fit(*rated()).partial_fit(frame, y)
    again.partial_fit(frame, y)
    np.testing.assert_allclose(changed.predict(frame), again.predict(frame), atol=1e-10)
    with pytest.raises(InputError, match="exists already"):
        model.save(tmp_path / "m")


def test_a_damaged_folder_is_refused(model, tmp_path):
    model.save(tmp_path / "m")
    file = tmp_path / "m" / "items.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match="damaged"):
        Recommender.load(tmp_path / "m")


def test_it_works_inside_scikit_learn(model):
    frame, y = rated()
    assert cross_val_score(Recommender(factors=2, sweeps=12), frame, y, cv=2).min() > 0.7
    grid = GridSearchCV(Recommender(sweeps=12), {"factors": [0, 2]}, cv=2).fit(frame, y)
    assert grid.best_params_ == {"factors": 2}
    array = frame.to_numpy(dtype=object)
    by_array = clone(model).fit(array, y)
    np.testing.assert_array_equal(
        by_array.predict(array), clone(model).fit(frame, y).predict(frame)
    )
    with pytest.raises(NotFittedError):
        Recommender().predict(frame)


def test_a_seed_decides_everything_and_nothing_else_is_touched(model):
    frame, y = rated()
    before = torch.get_rng_state()
    again = Recommender(factors=3, random_state=0).fit(frame, y)
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda x, y: (x[["person"]], y), "two columns, who and what, found 1: person"),
        (lambda x, y: (x.assign(person="me"), y), "all ratings are of one person, 'me'"),
        (lambda x, y: (x.assign(thing=0), y), "all ratings are of one thing, '0'"),
        (lambda x, y: (x, np.full(len(y), 4.0)), "found 4 in every row"),
        (lambda x, y: (x, y[:-1]), "inconsistent"),
        (lambda x, y: (x.assign(thing=[None, *x["thing"][1:]]), y), "row 0 has no item"),
        (lambda x, y: (x, np.stack([y, y], 1)), "one rating a row"),
    ],
)
def test_ratings_that_cannot_be_used_are_refused_in_a_sentence(change, rule):
    with pytest.raises(InputError, match=rule):
        Recommender().fit(*change(*rated(50)))


@pytest.mark.parametrize(
    ("ask", "rule"),
    [
        (lambda m: m.nearest("t00"), "thing 't00': unknown; did you mean 't0'"),
        (lambda m: m.effects("things"), "expected one of items, users"),
        (lambda m: m.recommend(1, 0), "n: expected a whole number of at least 1"),
        (lambda m: m.effects(level=2), "level: expected a share"),
        (lambda m: Recommender(factors=-1).fit(*rated(50)), "factors: expected a whole number"),
        (lambda m: Recommender(factors=0).fit(*rated(50)).map(), "fit with factors=2"),
    ],
)
def test_questions_without_an_answer_are_refused(model, ask, rule):
    with pytest.raises(InputError, match=rule):
        ask(model)
