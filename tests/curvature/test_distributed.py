"""Two ranks, each with its half of the rows, and one message, equal one process."""

import subprocess
import sys
from pathlib import Path

import pytest

from counterpoint.curvature import all_reduce
from counterpoint.errors import InputError
from counterpoint.gaussian import Diagonal


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


def test_without_a_process_group_it_says_what_to_do():
    with pytest.raises(InputError, match="torchrun"):
        all_reduce(Diagonal({}))
