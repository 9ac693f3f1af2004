"""`counterpoint update`, as a person meets it."""

import json
import os
import shutil
import signal
from functools import partial

import numpy as np
import pytest

from counterpoint.cli import main
from counterpoint.storage import digest_file
from counterpoint.table import TableModel, update_table
from counterpoint.train import FitEnding
from tables import mixed

QUICK = ["--training.epochs", "4", "--network.members", "1", "--network.width", "16"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("update")
    mixed().to_csv(folder / "houses.csv", index=False)
    told = ["fit", str(folder / "houses.csv"), "--target", "price", "--out", str(folder / "m")]
    with pytest.raises(SystemExit):
        main([*told, *QUICK])
    return folder / "m"


@pytest.fixture
def model(fitted, tmp_path):
    shutil.copytree(fitted, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def newer(tmp_path):
    table = mixed(60, 7)
    table["size"] += 2
    table.loc[::3, "shade"] = "red"
    table.to_csv(tmp_path / "newer.csv", index=False)
    return tmp_path / "newer.csv"


def test_it_learns_in_place_and_says_what_moved_and_what_was_learnt(run, model, newer):
    status, out, err = run("update", model, newer)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["column", "distance", "before", "after", "new", "levels"] in lines
    assert any(line[:1] == ["size"] for line in lines)
    assert any(line[:1] == ["sold"] and line[-1].startswith("2024-") for line in lines)
    assert any(line[:4] == ["price", "60", "new", "RMSE"] for line in lines)
    assert "192 earlier, by sufficient statistics" in out
    assert not (model.parent / "m.run").exists()
    assert [learnt.name for learnt in TableModel.load(model).history] == ["houses.csv", "newer.csv"]
    assert run("predict", model, newer)[0] == 0


def test_the_report_shows_it(run, model, newer):
    run("update", model, newer)
    assert run("report", model)[0] == 0
    page = (model / "report.html").read_text("utf-8")
    assert "What was learnt since" in page
    assert "newer.csv" in page


def test_json_is_one_value(run, model, newer, tmp_path):
    status, out, _ = run("update", model, newer, "--json", "--out", tmp_path / "n")
    told = json.loads(out)
    assert status == 0
    assert (told["rows"], told["earlier_rows"], told["deep"]) == (60, 192, False)
    assert told["targets"][0]["new"]["RMSE"][1] < told["targets"][0]["new"]["RMSE"][0]
    assert TableModel.load(model).history[-1].name == "houses.csv"


def test_a_table_is_learnt_once_unless_asked(run, model, newer):
    assert run("update", model, newer)[0] == 0
    before = digest_file(model / "manifest.json")
    status, out, err = run("update", model, newer)
    assert (status, out) == (2, "")
    assert err.startswith("counterpoint: newer.csv: was learnt before, as newer.csv (update, 60")
    assert digest_file(model / "manifest.json") == before
    assert run("update", model, newer, "--again")[0] == 0


def test_the_table_of_the_fit_counts_as_learnt(run, model):
    mixed().to_csv(model.parent / "copy.csv", index=False)
    status, _, err = run("update", model, model.parent / "copy.csv")
    assert status == 2
    assert "copy.csv: was learnt before, as houses.csv (fit, 192 rows" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--forget", "1.5"], "forget: expected a share from 0 to 1, found 1.5"),
        (["--keep-sample", "-1"], "keep_sample: expected 0 rows or more, found -1"),
        (["--deap"], "cannot use '--deap'; did you mean '--deep'?"),
        (["--out", ".."], "exists already; choose another name"),
    ],
)
def test_bad_arguments_are_one_line_and_change_nothing(run, model, newer, words, message):
    before = digest_file(model / "manifest.json")
    status, out, err = run("update", model, newer, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert digest_file(model / "manifest.json") == before


def test_a_folder_that_is_there_is_not_replaced_unasked(run, model, newer, tmp_path):
    assert run("update", model, newer, "--out", tmp_path / "n")[0] == 0
    status, _, err = run("update", model, newer, "--out", tmp_path / "n", "--forget", "0.5")
    assert status == 2
    assert "exists already" in err
    again = ("--out", tmp_path / "n", "--forget", "0.5", "--overwrite")
    assert run("update", model, newer, *again)[0] == 0


def test_nothing_of_others_in_the_folder_is_lost(run, model, newer):
    status, _, err = run("update", model, newer, "--out", model / "new")
    assert (status, "is inside the model folder" in err) == (2, True)
    (model / "notes.txt").write_text("mine")
    status, _, err = run("update", model, newer)
    assert status == 2
    assert "holds 'notes.txt', which is not the model's and would be lost" in err
    assert (model / "notes.txt").read_text() == "mine"


def test_a_link_to_a_model_is_that_model(run, model, newer):
    link = model.parent / "latest"
    link.symlink_to(model)
    assert run("update", link, newer)[0] == 0
    assert link.is_symlink()
    assert len(TableModel.load(model).history) == 2


def test_a_full_disk_leaves_the_old_model(run, model, newer, monkeypatch):
    before = TableModel.load(model).predict(mixed())["price"].mean

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("counterpoint.table.model._model.write_folder", full)
    status, _, err = run("update", model, newer)
    assert (status, err) == (2, "counterpoint: [Errno 28] No space left on device\n")
    assert np.array_equal(TableModel.load(model).predict(mixed())["price"].mean, before)


class Stop:
    """Ctrl-C at a step."""

    def __init__(self, step):
        self.step = step

    def step_end(self, moment):
        if moment.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)
        return False

    def epoch_end(self, moment):
        del moment
        return False


def test_a_deep_update_that_was_stopped_goes_on_to_the_same_bits(run, model, newer, monkeypatch):
    from counterpoint.table.update import _deep as deep

    told = ("update", model, newer, "--deep", "--out")
    run(*told, model.parent / "whole")
    whole = deep.fit
    before = digest_file(model / "manifest.json")
    monkeypatch.setattr(deep, "fit", partial(whole, callbacks=(Stop(3),)))
    assert run(*told, model.parent / "n")[0] == 130
    assert (model.parent / "n.run").exists()
    assert not (model.parent / "n").exists()
    assert digest_file(model / "manifest.json") == before
    monkeypatch.setattr(deep, "fit", whole)
    assert run(*told, model.parent / "n")[0] == 0
    assert not (model.parent / "n.run").exists()
    pair = [TableModel.load(model.parent / name).predict(mixed()) for name in ("whole", "n")]
    assert np.array_equal(pair[0]["price"].std, pair[1]["price"].std)


def test_a_model_that_changed_meanwhile_is_not_overwritten(run, model, newer, monkeypatch):
    from counterpoint import table

    read = table.read_table

    def slow(*arguments, **options):
        """Another update is done while this one reads its table."""
        other = update_table(TableModel.load(model), mixed(60, 9))
        other.save(model, overwrite=True)
        return read(*arguments, **options)

    monkeypatch.setattr(table, "read_table", slow)
    status, _, err = run("update", model, newer)
    assert status == 2
    assert "was changed by another process meanwhile" in err
    assert [learnt.rows for learnt in TableModel.load(model).history] == [192, 60]


def test_an_update_that_ended_but_was_killed_before_it_tidied_up(run, model, newer):
    assert run("update", model, newer)[0] == 0
    left = model.parent / "m.run"
    left.mkdir()
    (left / "identity").write_text(TableModel.identity(model))
    status, out, err = run("update", model, newer)
    assert (status, err) == (0, f"{model}: this update has ended already\n")
    assert "price" in out
    assert not left.exists()
    assert [learnt.how for learnt in TableModel.load(model).history] == ["fit", "update"]


def _interrupted(found):
    from dataclasses import replace

    return replace(found, status=FitEnding.INTERRUPTED, signal=2)


def test_an_unfinished_update_of_something_else_is_not_dropped(run, model, newer, monkeypatch):
    from counterpoint.table.update import _deep as deep

    whole = deep.fit
    monkeypatch.setattr(deep, "fit", lambda *a, **o: _interrupted(whole(*a, **o)))
    run("update", model, newer, "--deep")
    status, _, err = run("update", model, newer, "--deep", "--forget", "0.5")
    assert status == 2
    assert "m.run: holds unfinished work" in err
