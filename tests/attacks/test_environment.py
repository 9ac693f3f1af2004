"""The same command makes the same model wherever it runs, and is refused by nothing around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = {"training.epochs": 3, "network.members": 2, "network.width": 8}
PLACES = {
    "the C locale, hashes and no home": ((), {"LC_ALL": "C", "PYTHONHASHSEED": "1"}, ("HOME",)),
    "without assertions": (("-O",), {"PYTHONHASHSEED": "2"}, ()),
    "warnings as errors": (("-W", "error::ResourceWarning"), {"PYTHONUTF8": "0"}, ()),
}


def fitted(folder: Path, flags=(), changed=None, without=()):
    """What a fit in a folder of its own writes, by file."""
    folder.mkdir(parents=True)
    lines = [f"{row},{'äb'[row % 2]},{row * 3 % 7}" for row in range(60)]
    text = "\n".join(["größe,farbe,ziel", *lines])
    (folder / "zeilen.csv").write_text(text + "\n", encoding="utf-8")
    settings = [word for key, value in QUIET.items() for word in ("--set", f"{key}={value}")]
    command = [
        sys.executable,
        *flags,
        "-m",
        "counterpoint",
        "fit",
        "zeilen.csv",
        "--target",
        "ziel",
    ]
    environment = {k: v for k, v in (os.environ | (changed or {})).items() if k not in without}
    done = subprocess.run(
        [*command, *settings, "--out", "ein modell"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    # what was learnt; the others say when that was, and how long it took
    files = [*(folder / "ein modell").glob("*.safetensors"), folder / "ein modell/columns.json"]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_the_same_model_in_every_environment(tmp_path):
    plain = fitted(tmp_path / "plain")
    for at, (name, place) in enumerate(PLACES.items()):
        assert fitted(tmp_path / f"with spaces {at}", *place) == plain, name
