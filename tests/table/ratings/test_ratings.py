"""Tables of ratings: found or told, measured, predicted, updated, kept and drawn."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.findings import RatingsFindings
from counterpoint.plain import from_plain, to_plain
from counterpoint.recipe import build
from counterpoint.report import render
from counterpoint.table import Context
from counterpoint.table.ratings import RatingsModel, fit_ratings, ratings_hint, ratings_in
from report.reading import as_tree, check_page, text_of
from report.sample import HOSTILE


def rated(count=900, seed=0, people=40, films=30):
    """Ratings as a file has them: who, what, stars, when."""
    draws = np.random.default_rng(seed)
    pairs = draws.choice(people * films, size=min(count, people * films), replace=False)
    user, film = pairs // films, pairs % films
    taste = np.where((user + film) % 2 == 0, 1.0, -1.0)
    stars = np.clip(3 + taste + 0.3 * draws.normal(size=len(pairs)), 1, 5).round(1)
    return pd.DataFrame(
        {"userId": user, "movieId": [f"f{each:03d}" for each in film], "rating": stars,
         "timestamp": 964_000_000 + pairs}
    )  # fmt: skip


def recipe(**data):
    return build({"data": {"target": ["rating"], **data}, "network": {"factors": 3}})


@pytest.fixture(scope="module")
def model():
    frame = rated()
    return fit_ratings(frame, recipe(), ratings_in(frame, recipe().data), Context("r.csv"))


def test_two_ids_and_a_number_are_found(model):
    found = ratings_in(rated(), recipe().data)
    assert (found.user, found.item, found.left) == ("userId", "movieId", ("timestamp",))
    assert "--category userId makes it a table instead" in found.sentence("rating")
    assert model.findings.metrics["RMSE"] < 0.45
    assert model.findings.baselines["users and items alone"]["RMSE"] > 0.8
    assert 0.8 < model.findings.metrics["coverage"] <= 1
    assert sum(part.ratings for part in model.findings.parts) == model.findings.rows["test"]


@pytest.mark.parametrize(
    ("change", "data"),
    [
        (lambda f: f.assign(genre="drama"), {}),  # another input
        (lambda f: f, {"kinds": {"userId": "category"}}),
        (lambda f: f, {"weight": "timestamp"}),
        (lambda f: f.rename(columns={"userId": "width", "movieId": "height"}), {}),
        (lambda f: f.assign(rating="good"), {}),
        (lambda f: f.assign(movieId=f["movieId"].str[-1]), {}),  # ten levels are no ids
        (lambda f: pd.concat([f, f, f]), {}),  # pairs that repeat are no ratings
        (lambda f: f.assign(userId=range(len(f))), {}),  # numbers its rows
    ],
)
def test_other_tables_are_not_taken_for_ratings(change, data):
    assert ratings_in(change(rated()), recipe(**data).data) is None


def test_pairs_that_repeat_are_said_with_what_makes_them_ratings():
    data, frame = recipe().data, rated()
    hint = ratings_hint(pd.concat([frame, frame[:100]]), data)
    assert hint is not None
    assert hint.startswith("100 of 1,000 rows have a pair of 'userId' and 'movieId'")
    assert "--user userId --item movieId makes 'rating' ratings" in hint
    others = [frame, frame.assign(genre="drama"), frame.assign(movieId="f1")]
    assert [ratings_hint(other, data) for other in others] == [None] * 3


@pytest.mark.parametrize("absent", [None, np.nan, "", "NA"])
def test_ratings_that_are_absent_are_no_texts(absent):
    frame = rated().astype({"rating": object})
    frame.loc[::5, "rating"] = absent
    assert ratings_in(frame, recipe().data) is not None


def test_columns_are_ratings_where_somebody_says_so():
    frame = rated().rename(columns={"userId": "width", "movieId": "height"})
    found = ratings_in(frame, recipe(user="height", item="width").data)
    assert (found.user, found.item, found.left) == ("height", "width", ("timestamp",))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ({"user": "userid", "item": "movieId"}, "no column 'userid'; did you mean 'userId'"),
        ({"user": "userId", "item": "rating"}, "cannot be both target and --item"),
        ({"user": "userId", "item": "movieId", "ignore": ["movieId"]}, "both --item and --ignore"),
        ({"user": "userId", "item": "userId"}, "cannot be both --user and --item"),
        ({"user": "userId", "item": "movieId", "target": []}, "one column, --target"),
    ],
)
def test_columns_that_cannot_be_are_refused(data, rule):
    with pytest.raises(InputError, match=rule):
        ratings_in(rated(), build({"data": {"target": ["rating"], **data}}).data)


def test_one_of_two_columns_is_not_enough():
    with pytest.raises(InputError, match=r"data.item: ratings need both --user and --item"):
        recipe(user="userId")


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"posterior": {"uncertainty": "luna"}}, "posterior.uncertainty: does not apply to rat"),
        ({"data": {"conformal": 0.2}}, r"data.conformal: does not apply"),
        ({"data": {"split": "time:timestamp"}}, "a share is held out, such as 0.2, or none"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings, rule):
    told = build({**settings, "data": {"target": ["rating"], **settings.get("data", {})}})
    with pytest.raises(InputError, match=rule):
        fit_ratings(rated(), told, ratings_in(rated(), told.data))


def test_rows_without_a_name_or_a_rating_are_left_out_and_said():
    frame = rated()
    frame.loc[0, "movieId"] = None
    frame.loc[1, "rating"] = None
    found = fit_ratings(frame, recipe(split="none"), ratings_in(frame, recipe().data)).findings
    assert found.rows["train"] == len(frame) - 2
    assert any("column 'movieId': 1 of 900 rows have none" in note for note in found.notes)
    assert found.metrics == {}


def test_predictions_keep_the_order_and_say_who_was_never_seen(model):
    rows = rated(seed=1).iloc[:50]
    found = model.predict(rows)
    turned = model.predict(rows.iloc[::-1])
    np.testing.assert_array_equal(found["rating"], turned["rating"][::-1])
    assert (found["rating low"] <= found["rating"]).all()
    assert found["rating high"].max() <= rated()["rating"].max()
    new = rows.assign(userId="stranger")
    (remark,) = model.remarks(new)
    assert "'userId': 50 of 50 rows were never seen" in remark


def test_users_alone_get_lists(model):
    found = model.recommend(pd.DataFrame({"userId": [3, "stranger", 3]}), top=2)
    assert found["userId"].tolist() == ["3", "3", "stranger", "stranger"]
    seen = rated()["movieId"][rated()["userId"] == 3]
    assert not set(found["movieId"][:2]) & set(seen)


def test_an_update_learns_and_leaves_the_model_before(model):
    fresh = rated(seed=2, people=50).iloc[:600]
    before = model.predict(fresh)
    after = model.update(fresh, Context("new.csv", fingerprint="abc"))
    pd.testing.assert_frame_equal(before, model.predict(fresh))
    update = after.findings.updates[-1]
    assert update.new_users > 0
    assert update.after["RMSE"] < update.before["RMSE"]
    with pytest.raises(InputError, match="was learnt before; --again"):
        after.update(fresh, Context("new.csv", fingerprint="abc"))


def test_a_folder_gives_the_same_model_and_its_report(model, tmp_path):
    model.save(tmp_path / "m")
    again = RatingsModel.load(tmp_path / "m")
    pd.testing.assert_frame_equal(model.predict(rated()), again.predict(rated()))
    assert again.findings == model.findings
    assert again.recipe == model.recipe


def test_ids_are_texts_whatever_they_look_like():
    frame = rated().astype({"userId": str})
    frame["userId"] = frame["userId"].str.zfill(4)
    found = fit_ratings(frame, recipe(), ratings_in(frame, recipe().data))
    assert "0007" in found.recommender.users_
    # a file that lost its zeros is read as the first one was
    lost = found.predict(frame.assign(userId=frame["userId"].astype(int).astype(str)))
    pd.testing.assert_frame_equal(lost, found.predict(frame))


def test_the_report_shows_it_and_survives_hostile_names(model):
    page = render(model.findings)
    check_page(page)
    for words in ("Liked most", "A map of tastes", "Who is like whom", "f002"):
        assert words in text_of(as_tree(page))
    plain = to_plain(model.findings)
    hostile = " ".join(HOSTILE)
    plain |= {"user": hostile, "name": hostile, "notes": [hostile]}
    plain["highest"][0]["name"] = hostile
    check_page(render(from_plain(RatingsFindings, plain, "findings")))
