"""The whole way: a table, a fit, predictions, updates at two sites, their merge, and a report.

The table is the diabetes study that ships with scikit-learn (442 patients): how far the disease
got within a year (a number) and whether the triglycerides were high (a category) are predicted
from age, sex, body mass, blood pressure and other blood values. The last hundred patients come
later, at two sites that do not exchange them: each updates the model with its own, and the two are
merged. Everything is done with the command, so each line
shown can be typed again.

    python examples/demo.py [FOLDER]
"""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

LATER = 100


def make_table() -> pd.DataFrame:
    """The study with words for codes, two targets, and every fifth patient marked as held out."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame["sex"] = frame["sex"].map({1.0: "female", 2.0: "male"})
    # s5 is the logarithm of the triglycerides in mg/dl; from 150 on they are called high
    frame["triglycerides"] = np.where(frame["s5"] >= np.log(150.0), "high", "normal")
    blood = {"s1": "cholesterol", "s2": "ldl", "s3": "hdl", "s6": "glucose", "bp": "pressure"}
    frame = frame.rename(columns={**blood, "target": "progression"})
    frame["part"] = np.where(np.arange(len(frame)) % 5 == 4, "test", "train")
    return frame.drop(columns=["s4", "s5"])


def run(*words: str) -> None:
    """Show a command, then run it."""
    print(f"\n$ {shlex.join(['counterpoint', *words])}", flush=True)
    subprocess.run([sys.executable, "-m", "counterpoint", *words], check=True)


def show_held_out(held: pd.DataFrame, found: pd.DataFrame) -> None:
    """Error, log likelihood and coverage, from the predictions file itself."""
    error = held["progression"].to_numpy() - found["progression"].to_numpy()
    sd = found["progression sd"].to_numpy()
    inside = held["progression"].between(
        found["progression low"].to_numpy(), found["progression high"].to_numpy()
    )
    right = held["triglycerides"].to_numpy() == found["triglycerides"].to_numpy()
    density = -0.5 * (error / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
    print(f"\n{len(held)} held-out patients, read back from the predictions:")
    print(f"  progression    root mean square error        {np.sqrt(np.mean(error**2)):8.2f}")
    print(f"  progression    log likelihood (nats a row)   {density.mean():8.3f}")
    print(f"  progression    coverage of the 90 % interval {inside.mean():8.1%}")
    print(f"  triglycerides  accuracy                      {right.mean():8.1%}")


def main() -> None:
    """Write the tables, fit, predict, update, merge, report."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    folder.mkdir(parents=True, exist_ok=True)
    whole = make_table()
    frame, later = whole.iloc[:-LATER], whole.iloc[-LATER:]
    held = frame[frame["part"] == "test"].reset_index(drop=True)
    table, fresh, model = folder / "patients.csv", folder / "held_out.csv", folder / "model"
    north, south, merged = folder / "north", folder / "south", folder / "merged"
    frame.to_csv(table, index=False)
    for site, rows in zip((north, south), np.array_split(np.arange(LATER), 2), strict=True):
        later.iloc[rows].drop(columns="part").to_csv(f"{site}.csv", index=False)
    held.drop(columns=["progression", "triglycerides", "part"]).to_csv(fresh, index=False)
    targets = ["--target", "progression", "--target", "triglycerides"]
    run("fit", str(table), *targets, "--split", "part", "--out", str(model), "--overwrite")
    predictions = folder / "predictions.csv"
    run("predict", str(model), str(fresh), "--out", str(predictions), "--overwrite")
    show_held_out(held, pd.read_csv(predictions))
    for site in (north, south):
        run("update", str(model), f"{site}.csv", "--out", str(site), "--overwrite")
    sites = [str(north), str(south)]
    run("merge", *sites, "--base", str(model), "--out", str(merged), "--overwrite")
    run("report", str(merged))
    print(f"\nThe report: {(merged / 'report.html').resolve()}")


if __name__ == "__main__":
    main()
