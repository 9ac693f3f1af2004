"""Two ranks, each with its half of a task's rows, remember what one process would."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    script = Path(__file__).with_name("ranks.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(printed)
    assert all("rank" in one for one in printed)
