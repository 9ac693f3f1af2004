"""Two ranks, each with its half of the rows, have the posterior of one process."""

from pathlib import Path

import pytest

import two_ranks


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    two_ranks.run(Path(__file__).with_name("ranks.py"), tmp_path / "store")
