"""Ratings by the command: every verb on such a table and its folder."""

import json

import pandas as pd
import pytest

from counterpoint.table.ratings import fit_ratings, ratings_in
from table.ratings.test_ratings import rated, recipe


@pytest.fixture
def table(tmp_path):
    rated().to_csv(tmp_path / "ratings.csv", index=False)
    return tmp_path / "ratings.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratings")
    frame = rated()
    fit_ratings(frame, recipe(), ratings_in(frame, recipe().data)).save(folder / "m")
    return folder / "m"


def test_every_verb_knows_a_folder_of_ratings(run, table, tmp_path):
    model = tmp_path / "m"
    status, out, err = run("fit", table, "--target", "rating", "--factors", "3", "--out", model)
    assert status == 0
    assert "'rating' is taken as ratings of 'movieId' by 'userId', without 'timestamp'" in err
    assert "users and items alone" in out
    assert run("predict", model, table, "--out", tmp_path / "p.csv")[0] == 0
    assert pd.read_csv(tmp_path / "p.csv").shape == (900, 6)
    pd.DataFrame({"userId": [3]}).to_csv(tmp_path / "users.csv", index=False)
    status, out, _ = run("predict", model, tmp_path / "users.csv", "--top", "2", "--json")
    assert status == 0
    assert len(json.loads(out)) == 2
    rated(seed=2, people=50).iloc[:99].to_csv(tmp_path / "new.csv", index=False)
    status, out, _ = run("update", model, tmp_path / "new.csv")
    assert status == 0
    assert "99 ratings" in out
    status, _, err = run("update", model, tmp_path / "new.csv")
    assert (status, "--again" in err) == (2, True)
    assert run("report", model)[0] == 0
    assert "A map of tastes" in (model / "report.html").read_text("utf-8")
    assert json.loads(run("report", model, "--json")[1])["updates"][0]["ratings"] == 99


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("merge", "{m}", "{m}", "--out", "x"), "is a model of ratings, and such are not merged"),
        (("update", "{m}", "{t}", "--deep"), "--deep: does not apply to ratings"),
        (("predict", "{m}", "{t}", "--top", "3"), "is for a table of users"),
        (("predict", "{m}", "{t}", "--shifted"), "which has no --shifted"),
        (("fit", "{t}", "--target", "rating", "--out", "{m}"), "exists already"),
    ],
)
def test_what_does_not_apply_is_said_in_one_line(run, model, table, words, rule):
    status, _, err = run(*(word.format(m=model, t=table) for word in words))
    assert status == 2
    assert rule in err


def test_a_table_of_columns_recommends_nothing(run, tmp_path, table):
    assert run("predict", tmp_path, table, "--top", "3")[2].count("no model of ratings") == 1


def test_files_as_people_have_them_are_read_or_answered_with_the_flag(run, tmp_path):
    frame, out = rated(), tmp_path / "m"
    fit = (
        "fit",
        tmp_path / "r.csv",
        "--target",
        "rating",
        "--factors",
        "0",
        "--split",
        "none",
        "--out",
        out,
    )
    frame.to_csv(tmp_path / "r.csv", index=False, header=False)
    assert "--no-header" in run(*fit)[2]
    named = ("--no-header", "--names", "userId,movieId,rating,timestamp")
    assert run(*fit, *named)[0] == 0
    frame.to_csv(tmp_path / "r.csv", index=False, sep=";")
    assert "--separator" in run(*fit, "--overwrite", "--separator", ",")[2]
    assert run(*fit, "--overwrite")[0] == 0
    frame["movieId"] = "é" + frame["movieId"]
    frame.to_csv(tmp_path / "r.csv", index=False, encoding="latin-1")
    assert "--encoding cp1252" in run(*fit, "--overwrite")[2]
    assert run(*fit, "--overwrite", "--encoding", "latin-1")[0] == 0
