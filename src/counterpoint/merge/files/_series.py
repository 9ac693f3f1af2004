"""Checkpoints of one run as the inputs of a merge, and how much each counts."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from counterpoint.errors import InputError, one_of

SCHEDULES = ("uniform", "linear", "minus-sqrt")
"""Names of what `series_weights` gives."""

_STEP = re.compile(r"step-(\d+)")


def series_weights(count: int, schedule: str = "uniform") -> tuple[float, ...]:
    r"""Shares of the last checkpoints of a run, the earliest first, that stand for a decay.

    A sum of checkpoints with shares :math:`c_j` is the last of them with each step's update scaled
    by the shares of the checkpoints behind it, :math:`w_i = \sum_{j \ge i} c_j`: merging decays
    the learning rate after the fact (Tian et al. 2025, "WSM: Decay-free learning rate schedule via
    checkpoint merging for LLM pre-training", section 3). With K checkpoints:

    - ``uniform``: 1 / K each; w falls in a line.
    - ``linear``: in proportion to 1, 2, ..., K; w falls as 1 - x².
    - ``minus-sqrt``: :math:`\sqrt{j / K} - \sqrt{(j - 1) / K}`; w falls as 1 - √x.

    Args:
        count: how many.
        schedule: the name.

    Raises:
        InputError: the name is not one of these.

    >>> series_weights(4)
    (0.25, 0.25, 0.25, 0.25)
    >>> series_weights(4, "minus-sqrt")[0]
    0.5
    """
    name = one_of("--schedule", schedule, SCHEDULES)
    if name == "minus-sqrt":
        roots = [(place / count) ** 0.5 for place in range(count + 1)]
        return tuple(after - before for before, after in pairwise(roots))
    raw = [1.0] * count if name == "uniform" else [float(place) for place in range(1, count + 1)]
    return tuple(value / sum(raw) for value in raw)


def series_of(inputs: Sequence[str], last: int) -> list[str]:
    """The last checkpoints of a run folder, or of a list of files, the earliest first.

    Args:
        inputs: one run folder of `counterpoint.train.fit`, or files in the order of training.
        last: how many; 0: all.

    Raises:
        InputError: there are fewer (says how to keep more).
    """
    if last < 0:
        raise InputError(f"--last {last}: expected a number of checkpoints, 2 or more")
    # a run folder by what is in it: its name may be anything
    found, what = list(inputs), "files are given"
    if len(inputs) == 1 and (Path(inputs[0]) / "checkpoints").is_dir():
        folders = [p for p in Path(inputs[0], "checkpoints").iterdir() if _STEP.fullmatch(p.name)]
        found = [str(path) for path in sorted(folders, key=lambda path: int(path.name[5:]))]
        what = "checkpoints are kept; a run keeps more with training.checkpoints_kept"
    if last and len(found) < last:
        raise InputError(f"--last {last}: {len(found)} {what} ({inputs[0]})")
    return found[-last:] if last else found
