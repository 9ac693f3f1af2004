"""Run a test's script in two processes of one group."""

import subprocess
import sys


def run(script, store):
    """Each gets its rank and the place to meet at; both must end well and print their rank."""
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(printed)
    assert all("rank" in one for one in printed)
