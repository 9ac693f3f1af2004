"""scikit-learn's own checks of the estimators that only this room knows."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["luna", "luna-evidence"])
def test_scikit_learns_checks(name):
    script = Path(__file__).parents[1] / "sklearn_checks.py"
    done = subprocess.run(
        [sys.executable, str(script), name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
