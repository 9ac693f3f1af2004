"""Two and three processes under DistributedDataParallel, over gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request):
    """What every rank found."""
    here = Path(__file__)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *(f"--nproc-per-node={request.param}", str(here.with_name("ranks.py"))),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "PYTHONPATH": str(here.parents[1]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == request.param
    return found


@pytest.mark.parametrize(
    "case",
    ["features", "magnitude", "parameters", "last", "sketch", "losses", "random", "alternate"],
)
def test_replicas_stay_equal_and_are_the_run_on_the_joined_batch(ranks, case):
    for rank in ranks:
        assert rank[case]["replicas"] == 0.0
        # a difference of losses over 3e-3 of the weights' size loses some digits
        assert rank[case]["weights"] < (1e-9 if case == "sketch" else 1e-12)
        assert rank[case]["score"] < (1e-9 if case == "sketch" else 1e-12)
        assert rank[case]["cosines"] < (1e-6 if case == "sketch" else 1e-10)


@pytest.mark.parametrize("gram", ["features", "auto", "sketch"])
def test_sharded_weights(ranks, gram):
    for rank in ranks:
        assert rank[f"sharded {gram}"]["weights"] < 1e-12
        assert rank[f"sharded {gram}"]["score"] < 1e-12
        assert rank[f"sharded {gram}"]["finite"]
        assert rank[f"sharded {gram}"]["same"] == 0.0


def test_all_ranks_refuse_alike_and_name_rank_and_goal(ranks):
    last = len(ranks) - 1
    for rank in ranks:
        assert f"'b' on rank {last}" in rank["broken raise"]["error"]
        assert rank["broken raise"]["after"] == "balanced"


def test_all_ranks_skip_alike(ranks):
    for rank in ranks:
        assert rank["broken skip"]["status"] == "skipped"
        assert rank["broken skip"]["after"] == "balanced"
        assert rank["broken skip"]["replicas"] == 0.0


def test_all_ranks_drop_alike(ranks):
    for rank in ranks:
        assert rank["broken drop"]["dropped"] == ["b"]
        assert rank["broken drop"]["finite"]
        assert rank["broken drop"]["after"] == "balanced"
        assert rank["broken drop"]["replicas"] == 0.0


def test_unlike_goals_are_named_on_every_rank(ranks):
    for rank in ranks:
        assert "rank 1: ('a', 'b')" in rank["unlike"]
