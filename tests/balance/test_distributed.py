"""Two and three processes under DistributedDataParallel, over gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def launched(count):
    """What every rank found."""
    here = Path(__file__)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *(f"--nproc-per-node={count}", str(here.with_name("ranks.py"))),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        # the source beside these tests, not whatever copy of it is installed
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(here.parents[1]), str(here.parents[2] / "src")]),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == count
    return found


CASES = ("features", "magnitude", "parameters", "last", "sketch", "losses", "random", "alternate")


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_ranks_are_one_run_on_the_joined_batch_and_decide_alike(count):
    """One launch for everything: replicas, shards, goals that are not finite, unlike goals."""
    for rank in launched(count):
        for case in CASES:
            near = 1e-9 if case == "sketch" else 1e-12  # a difference loses some digits
            assert rank[case]["replicas"] == 0.0, case
            assert rank[case]["weights"] < near, case
            assert rank[case]["score"] < near, case
            assert rank[case]["cosines"] < (1e-6 if case == "sketch" else 1e-10), case
        for gram in ("features", "auto", "sketch"):
            found = rank[f"sharded {gram}"]
            assert found["weights"] < 1e-12, gram
            assert found["score"] < 1e-12, gram
            assert found["finite"], gram
            assert found["same"] == 0.0, gram
        assert f"'b' on rank {count - 1}" in rank["broken raise"]["error"]
        assert rank["broken skip"]["status"] == "skipped"
        assert rank["broken drop"]["dropped"] == ["b"]
        assert rank["broken drop"]["finite"]
        for policy in ("raise", "skip", "drop"):
            assert rank[f"broken {policy}"]["after"] == "balanced", policy
            assert rank[f"broken {policy}"]["replicas"] == 0.0, policy
        assert "rank 1: ('a', 'b')" in rank["unlike"]
