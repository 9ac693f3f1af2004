"""Text files as people have them, through the command."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from tables import mixed

QUICK = ["--training.epochs", "4", "--network.members", "1", "--network.width", "16"]


def test_what_is_said_of_a_text_file_is_said_to_every_verb(run, model, tmp_path):
    frame = mixed(40, 3)[["size", "shade", "junk", "sold", "weight"]]
    frame.to_csv(tmp_path / "points.csv", index=False)
    commas = frame.assign(junk=frame.junk.map(lambda v: f"{v:.7f}".replace(".", ",")))
    commas.loc[3, "size"] = np.nan
    commas = commas.astype({"size": object})
    commas["size"] = commas["size"].map(lambda v: f"{v:.7f}".replace(".", ","))
    commas.loc[commas["size"] == "nan", "size"] = "gone"
    content = commas.to_csv(index=False, header=False, sep="|").encode("latin-1")
    (tmp_path / "commas.txt").write_bytes(content)
    told = ["--missing", "gone", "--decimal", ",", "--separator", "|", "--encoding", "latin-1"]
    names = ["--no-header", "--names", "size,shade,junk,sold,weight"]
    run("predict", model, tmp_path / "points.csv", "--out", tmp_path / "a.csv")
    status, _, err = run(
        "predict", model, tmp_path / "commas.txt", *told, *names, "--out", tmp_path / "b.csv"
    )
    assert status == 0, err
    a, b = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    keep = np.arange(40) != 3
    assert np.allclose(a["price"][keep], b["price"][keep], rtol=1e-4, atol=1e-4)
    for verb in ("fit", "predict", "update"):
        text = run(verb, "--help")[1]
        assert all(flag in text for flag in ("--thousands", "--not-missing", "--no-header"))


def test_a_table_comes_through_standard_input(run, model, tmp_path, monkeypatch):
    content = mixed(12, 4).to_csv(index=False).encode()
    (tmp_path / "t.csv").write_bytes(content)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    status, out, _ = run("predict", model, "-")
    assert status == 0
    assert out == run("predict", model, tmp_path / "t.csv")[1]


def test_what_was_read_and_left_out_is_said_before_training(run, tmp_path):
    frame = mixed().assign(
        fee=[f"€{n % 37}.50" for n in range(240)],
        kind=["None" if n % 4 == 0 else "big" if n % 2 else "small" for n in range(240)],
        part=["test" if n % 5 == 0 else "train" for n in range(240)],
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["--target", "kind", "--target", "kind", "--out", tmp_path / "m", *QUICK]
    status, out, err = run("fit", tmp_path / "t.csv", *arguments)
    assert status == 0
    said = err[: err.index("epoch")] if "epoch" in err else err
    assert "target 'kind': 60 of 240 rows have none" in said
    assert "'None' in 60 taken as no value; --not-missing None makes it a value" in said
    assert "target 'kind': is named 2 times" in said
    assert "column 'fee': '€10.50' is read as 10.5" in said
    assert "column 'part': marks rows as train and test" in said
    assert err.count("is named 2 times") == 1
    status, out, err = run(
        "fit", tmp_path / "t.csv", *arguments, "--not-missing", "None", "--overwrite", "--json"
    )
    assert (status, "rows have none" in err) == (0, False)
    assert json.loads(out)["rows"]["total"] == 240
