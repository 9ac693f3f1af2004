"""Models behind torch.compile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_compiled_models():
    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, str(here.with_name("compiled.py"))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(here.parents[1])},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for gram in ("features", "sketch"):
        assert found[f"apart {gram}"] < 1e-12
        assert found[f"whole {gram}"] < 1e-12
    assert found["apart auto"] < 1e-12
    assert "it is inside 'trunk', which is compiled as one" in found["inside"]
    assert found["around"] == "features"
    for case in ("whole parameters", "whole last", "whole auto", "apart parameters"):
        assert isinstance(found[case], float) or "compile trunk and heads apart" in found[case]
