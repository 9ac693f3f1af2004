"""Two ranks, each with its half of the rows, and one message, equal one process."""

from pathlib import Path

import pytest

import two_ranks
from counterpoint.curvature import all_reduce
from counterpoint.errors import InputError
from counterpoint.gaussian import Diagonal


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    two_ranks.run(Path(__file__).with_name("ranks.py"), tmp_path / "store")


def test_without_a_process_group_it_says_what_to_do():
    with pytest.raises(InputError, match="torchrun"):
        all_reduce(Diagonal({}))
