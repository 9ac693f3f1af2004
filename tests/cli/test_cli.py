"""The command, as a person meets it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterpoint.cli import rewrite
from counterpoint.errors import InputError
from tables import mixed

QUICK = ["--training.epochs", "4", "--network.members", "1", "--network.width", "16"]


def test_fit_shows_kinds_then_results_and_writes_a_whole_folder(run, table, tmp_path):
    status, out, _ = run("fit", table, "--target", "price", "--out", tmp_path / "m", *QUICK)
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["shade", "category", "input", "inferred"] in lines
    assert any(line[:2] == ["price", "RMSE"] for line in lines)
    assert not (tmp_path / "m.run").exists()
    assert {p.name for p in (tmp_path / "m").iterdir()} >= {"manifest.json", "recipe.toml"}


def test_fit_json_is_one_value(run, table, tmp_path):
    status, out, _ = run(
        "fit", table, "--target", "price", "--out", tmp_path / "m", "--json", *QUICK
    )
    value = json.loads(out)
    assert status == 0
    assert value["targets"][0]["metrics"]["RMSE"] > 0
    assert value["rows"] == {"train": 192, "test": 48, "total": 240}


def test_a_recipe_holds_all_of_it_and_flags_win(run, table, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'[data]\ntable = "{table}"\ntarget = ["kind"]\n[training]\nepochs = 3\n')
    status, *_ = run(
        "fit", "--recipe", recipe, "--target", "price", "--out", tmp_path / "m", *QUICK
    )
    assert status == 0
    stored = (tmp_path / "m" / "recipe.toml").read_text()
    assert 'target = ["price"]' in stored
    assert "epochs = 4" in stored
    assert "batch_size = 32" in stored  # resolved, no longer 0


def test_predictions_keep_the_order_and_every_format_agrees(run, model, table, tmp_path):
    for name in ("p.csv", "p.csv.gz", "p.tsv", "p.parquet", "p.json"):
        assert run("predict", model, table, "--out", tmp_path / name)[0] == 0
    frames = [
        pd.read_csv(tmp_path / "p.csv"),
        pd.read_csv(tmp_path / "p.csv.gz"),
        pd.read_csv(tmp_path / "p.tsv", sep="\t"),
        pd.read_parquet(tmp_path / "p.parquet"),
        pd.read_json(tmp_path / "p.json"),
    ]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0], check_dtype=False, rtol=1e-12)
    assert len(frames[0]) == 240
    assert np.corrcoef(frames[0]["price"], mixed()["price"])[0, 1] > 0.5
    inner = frames[0]
    assert ((inner["price low"] < inner["price"]) & (inner["price"] < inner["price high"])).all()


def test_predict_prints_without_out(run, model, table):
    status, out, _ = run("predict", model, table)
    assert status == 0
    assert out.startswith("price,price low,price high,price sd,price noise sd,price knowledge sd,")
    assert len(out.splitlines()) == 241


def test_a_wider_interval_is_wider(run, model, table, tmp_path):
    run("predict", model, table, "--out", tmp_path / "a.csv", "--interval", "0.5")
    run("predict", model, table, "--out", tmp_path / "b.csv", "--interval", "0.99")
    a, b = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert (b["price low"] < a["price low"]).all()


def test_report_is_one_file(run, model, tmp_path):
    status, out, _ = run("report", model, "--out", tmp_path / "r.html")
    assert status == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "price" in text
    assert str(tmp_path / "r.html") in out


def test_two_targets_share_the_steps_and_the_report_tells_how(run, table, tmp_path):
    status, _, _ = run(
        "fit", table, "--target", "price", "--target", "kind", "--balance", "impartial",
        "--out", tmp_path / "m", *QUICK,
    )  # fmt: skip
    assert status == 0
    assert 'balance = "impartial"' in (tmp_path / "m" / "recipe.toml").read_text()
    found = json.loads(run("report", tmp_path / "m", "--json")[1])["balance"]
    assert (found["rule"], found["goals"]) == ("impartial", ["price", "kind"])
    assert found["source"].startswith("features")
    assert all(
        sum(pair) == pytest.approx(2) for pair in zip(*found["weights"].values(), strict=True)
    )
    assert run("report", tmp_path / "m")[0] == 0
    page = (tmp_path / "m" / "report.html").read_text("utf-8")
    assert "How the goals shared the steps" in page
    for figure in ("losses", "weights", "control", "pairs", "cosines-0"):
        assert f'id="balance-{figure}"' in page
    logged = (tmp_path / "m" / "log.jsonl").read_text("utf-8")
    assert '"event": "balance"' in logged


def test_without_balance_nothing_is_told_of_it(run, model, tmp_path):
    run("report", model, "--out", tmp_path / "r.html")
    assert "How the goals shared the steps" not in (tmp_path / "r.html").read_text("utf-8")


def test_one_target_has_nothing_to_share(run, table, tmp_path):
    status, _, err = run(
        "fit", table, "--target", "price", "--balance", "upgrad", "--out", tmp_path / "m", *QUICK
    )
    assert status == 0
    assert "balance 'upgrad' has no effect: one target shares its steps with none" in err


def test_the_uncertainty_is_kept_and_the_report_tells_of_it(run, table, tmp_path):
    told = ["--target", "price", "--uncertainty", "luna", "--posterior.heads", "3"]
    assert run("fit", table, *told, "--out", tmp_path / "m", *QUICK)[0] == 0
    assert 'uncertainty = "luna"' in (tmp_path / "m" / "recipe.toml").read_text()
    assert json.loads(run("report", tmp_path / "m", "--json")[1])["uncertainty"] == "luna"
    assert run("report", tmp_path / "m")[0] == 0
    page = (tmp_path / "m" / "report.html").read_text("utf-8")
    assert "Map of ignorance" in page
    assert "(luna)" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--uncertainty", "lunar"], "found 'lunar'; did you mean 'luna'?"),
        (["--uncertainty", "ensemble", "--network.members", "1"], "at least 2, found 1"),
        (
            ["--posterior.heads", "1"],
            "posterior.heads: expected a whole number from 2 to 1000, found 1",
        ),
        (["--posterior.diversity", "-1"], "posterior.diversity: expected a number from 0 to"),
    ],
)
def test_a_wrong_uncertainty_is_one_line_before_anything_is_read(run, tmp_path, words, message):
    status, out, err = run("fit", tmp_path / "absent.csv", "--target", "price", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_rule_is_refused_with_the_nearest(run, table, tmp_path):
    status, _, err = run(
        "fit", table, "--target", "price", "--balance", "impartal", "--out", tmp_path / "m"
    )
    assert status == 2
    assert err.strip() == (
        "counterpoint: training.balance: expected one of 24 names, found 'impartal';"
        " did you mean 'impartial'?"
    )
    assert not (tmp_path / "m").exists()


def edited(change):
    def write(folder: Path) -> Path:
        frame = mixed().astype(object)
        frame = change(frame)
        frame.to_csv(folder / "t.csv", index=False)
        return folder / "t.csv"

    return write


def raw(content):
    def write(folder: Path) -> Path:
        (folder / "t.csv").write_bytes(content)
        return folder / "t.csv"

    return write


def cell(row, column, value):
    def change(frame):
        frame.loc[row, column] = value
        return frame

    return edited(change)


BAD = {
    "absent file": (lambda d: d / "t.csv", [], "no such file"),
    "one word in a number": (
        cell(136, "junk", "twelve"), [], "row 137, column 'junk': expected a number, found 'twelve'"
    ),
    "infinite": (cell(9, "junk", "inf"), [], "row 10, column 'junk': expected a finite number"),
    "another separator": (
        raw(b"price^a\n1^2\n3^4\n"), [], "'price\\^a' is the only one: is --separator another"
    ),
    "a class that reads as no value": (
        edited(lambda f: f.assign(price=["None" if n % 3 else "some" for n in range(len(f))])),
        [], "does not vary, but 'None' in 160 rows was taken as no value; --not-missing None makes"
    ),
    "absent target": (edited(lambda f: f), ["--target", "prise"], "did you mean 'price'"),
    "constant target": (edited(lambda f: f.assign(price=1)), [], "does not vary"),
    "missing target": (edited(lambda f: f.assign(price="")), [], "every value is missing"),
    "one row": (edited(lambda f: f.iloc[:1].assign(price=[3])), [], "does not vary|at least 10"),
    "negative weight": (
        cell(4, "weight", -1), ["--weight", "weight"], "row 5, column 'weight': expected a weight"
    ),
    "zero weights": (
        edited(lambda f: f.assign(weight=0)), ["--weight", "weight"], "every weight is zero"
    ),
    "empty file": (raw(b""), [], "the file is empty"),
    "header only": (raw(b"price,size\n"), [], "has a header but no rows"),
    "two columns of one name": (raw(b"price,a,a\n1,2,3\n"), [], "column 'a' stands 2 times"),
    "another encoding": (raw("price,a\n1,ü\n".encode("latin-1")), [], "--encoding cp1252, which"),
    "a zero byte": (raw(b"price,a\n1,\x00\n"), [], "holds a NUL byte"),
    "a huge cell": (raw(b"price,a\n1," + b"x" * 10**7 + b"\n"), [], "a cell of 10,000,000"),
    "too many levels": (
        edited(lambda f: pd.concat([f] * 60).assign(shade=[f"l{n}" for n in range(14_400)])),
        ["--category", "shade"], "levels; a category has at most 10,000"
    ),
    "decimal commas or thousands": (
        raw(b"price;junk\n" + b"".join(b"%d;1,%d\n" % (n * n % 7, n + 100) for n in range(40))),
        [], "is '1,100' 1100 or 1.1. say --thousands , or --decimal ,"
    ),
    "no name": (edited(lambda f: f), ["--out", "."], "expected the name of a new folder"),
    "a separator of two signs": (edited(lambda f: f), ["--separator", "§"], "one ASCII sign"),
    "unknown key": (edited(lambda f: f), ["--training.rat", "1"], "did you mean 'training.rate'"),
    "bad value": (edited(lambda f: f), ["--training.rate", "-1"], "training.rate: expected a num"),
    "no value": (edited(lambda f: f), ["--training.rate"], "expected a value after it"),
    "bad share": (edited(lambda f: f), ["--split", "3"], "expected a share from 0 to 0.9"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_status_2_and_nothing_written(run, tmp_path, name):
    import re

    make, more, message = BAD[name]
    target = [] if "--target" in more else ["--target", "price"]
    path = make(tmp_path)
    before = {p.name for p in tmp_path.iterdir()}
    status, _, err = run(
        "fit", path, *target, "--out", tmp_path / "m", *more, *QUICK[:-2], "--network.width=16"
    )
    assert status == 2
    assert re.search(message, err), err
    assert len(err.strip().splitlines()) == 1
    assert {p.name for p in tmp_path.iterdir()} == before


def test_an_ignored_column_may_hold_anything(run, tmp_path):
    path = cell(136, "junk", "twelve")(tmp_path)
    arguments = ["--target", "price", "--ignore", "junk", "--out", tmp_path / "m", *QUICK]
    assert run("fit", path, *arguments)[0] == 0


def test_decimal_commas_are_read_when_told(run, tmp_path):
    frame = mixed()
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";", decimal=",")
    arguments = ["--target", "price", "--decimal", ",", "--out", tmp_path / "m", *QUICK]
    assert run("fit", tmp_path / "t.csv", *arguments)[0] == 0
    assert run("predict", tmp_path / "m", tmp_path / "t.csv", "--out", tmp_path / "p.csv")[0] == 0
    found = pd.read_csv(tmp_path / "p.csv")
    assert np.corrcoef(found["price"], frame["price"])[0, 1] > 0.5


def test_a_refused_table_can_be_corrected(run, tmp_path):
    path = raw(b"price,town\n" + "1,Köln\n2,Bonn\n".encode("latin-1") * 20)(tmp_path)
    arguments = ["--target", "price", "--out", tmp_path / "m", *QUICK]
    assert run("fit", path, *arguments)[0] == 2
    assert run("fit", path, *arguments, "--encoding", "latin-1")[0] == 0


def test_a_folder_of_the_user_is_never_touched(run, table, tmp_path):
    for name in ("m", "n.run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("precious")
    for name, message in (("m", "not a counterpoint folder"), ("n", "not a fit of ours")):
        out = ["--out", tmp_path / name, "--overwrite"]
        status, _, err = run("fit", table, "--target", "price", *out, *QUICK)
        assert status == 2
        assert message in err
        assert "epoch" not in err
    assert (tmp_path / "m" / "thesis.tex").read_text() == "precious"
    assert (tmp_path / "n.run" / "thesis.tex").read_text() == "precious"


def test_an_evaluation_made_by_hand_is_one_line(run, model, tmp_path):
    from counterpoint.storage import read_folder, write_folder

    folder = read_folder(model, kind="table model", schema=3)
    names = [name.removesuffix(".safetensors") for name in folder.files if "safetensors" in name]
    evaluation = folder.document("evaluation")
    evaluation["history"][1]["rate"] = []
    write_folder(
        tmp_path / "m",
        kind="table model",
        schema=3,
        tensors={name: folder.tensors(name) for name in names},
        documents={
            "columns": folder.document("columns"),
            "recipe": folder.document("recipe"),
            "evaluation": evaluation,
            "history": folder.document("history"),
        },
        texts={"log.jsonl": ""},
    )
    status, _, err = run("report", tmp_path / "m")
    assert status == 2
    assert "evaluation.history[1].rate: expected a number, found []" in err


def test_an_existing_folder_is_refused_and_overwritten_when_told(run, table, model, tmp_path):
    (tmp_path / "m").mkdir()
    status, _, err = run("fit", table, "--target", "price", "--out", tmp_path / "m", *QUICK)
    assert (status, "exists already" in err) == (2, True)
    (tmp_path / "m").rmdir()
    assert run("fit", table, "--target", "price", "--out", tmp_path / "m", *QUICK)[0] == 0
    before = (tmp_path / "m" / "columns.json").read_bytes()
    again = ["--target", "kind", "--out", tmp_path / "m", "--overwrite", *QUICK]
    assert run("fit", table, *again)[0] == 0
    assert (tmp_path / "m" / "columns.json").read_bytes() != before


def test_a_column_missing_at_prediction_is_named(run, model, tmp_path):
    mixed().drop(columns="size").rename(columns={"junk": "sise"}).to_csv(tmp_path / "t.csv")
    status, _, err = run("predict", model, tmp_path / "t.csv", "--out", tmp_path / "p.csv")
    assert status == 2
    assert "lacks 'size', 'junk', which the model was fitted on; did you mean 'sise'" in err
    assert not (tmp_path / "p.csv").exists()


def test_prediction_files_are_not_replaced_unasked(run, model, table, tmp_path):
    (tmp_path / "p.csv").write_text("mine")
    assert run("predict", model, table, "--out", tmp_path / "p.csv")[0] == 2
    assert (tmp_path / "p.csv").read_text() == "mine"
    assert run("predict", model, table, "--out", tmp_path / "p.csv", "--overwrite")[0] == 0
    status, _, err = run("predict", model, table, "--out", tmp_path / "p.docx")
    assert (status, "cannot write '.docx' files" in err) == (2, True)


def test_predictions_never_replace_the_table_that_is_read(run, model, table):
    before = table.read_bytes()
    status, _, err = run("predict", model, table, "--out", table, "--overwrite")
    assert (status, "is the table that is read; choose another name" in err) == (2, True)
    assert table.read_bytes() == before


@pytest.mark.parametrize("verb", ["predict", "report"])
def test_a_folder_that_is_no_model(run, table, tmp_path, verb):
    more = [table] if verb == "predict" else []
    assert "no such folder" in run(verb, tmp_path / "none", *more)[2]
    assert "not a finished table model folder" in run(verb, tmp_path, *more)[2]


def test_help_and_version(run):
    assert "fit" in run("--help")[1]
    assert "--target" in run("fit", "--help")[1]
    assert "--balance" in run("fit", "--help")[1]
    assert run("--version")[1].startswith("0.")
    assert "VERB" in run()[1]
    status, _, err = run("fit", "--taget", "x")
    assert status == 2
    assert "cannot use '--taget'; did you mean '--target'" in err
    status, _, err = run("fti")
    assert (status, "invalid choice: 'fti'" in err) == (2, True)


def test_an_override_takes_both_forms():
    words = rewrite(["--a.b=1=2", "x", "--c.d", "-3"])
    assert words == ["--set=a.b=1=2", "x", "--set=c.d=-3"]
    with pytest.raises(InputError, match="--a.b: expected a value"):
        rewrite(["--a.b", "--out", "m"])
