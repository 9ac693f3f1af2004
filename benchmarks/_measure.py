"""What every benchmark shares: interleaved timing, the record of the machine, JSON results.

Speeds are ratios to a baseline of the same run: absolute times of a shared machine mean little.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "RESULTS",
    "environment",
    "installed",
    "interleave",
    "ratios",
    "record",
    "record_parts",
    "show",
]

RESULTS = Path(__file__).parent / "results"


def environment(*packages: str) -> dict[str, Any]:
    """Versions, processor and load, as they are now."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "packages": {name: installed(name) for name in packages},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def installed(package: str) -> str | None:
    """A package's version; None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def interleave(
    cases: Mapping[str, Callable[[], float | None]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of each case, taken in turns so that a busy minute hits all of them alike.

    Every case runs once before, uncounted; every round begins with another case. A case that
    returns a number has timed itself (what it prepares is then not counted).
    """
    for run in cases.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            own = cases[name]()
            seconds[name].append(time.perf_counter() - start if own is None else own)
    return seconds


def ratios(seconds: Mapping[str, list[float]], baseline: str) -> dict[str, dict[str, float]]:
    """For each case the median, least and largest of its round-by-round ratio to the baseline."""
    found = {}
    for name, times in seconds.items():
        each = [a / b for a, b in zip(times, seconds[baseline], strict=True)]
        found[name] = {
            "median": round(statistics.median(each), 3),
            "least": round(min(each), 3),
            "largest": round(max(each), 3),
            "median_seconds": round(statistics.median(times), 4),
        }
    return found


def record(name: str, content: Mapping[str, Any]) -> Path:
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def record_parts(
    name: str, parts: Mapping[str, Callable[[], Any]], wanted: Sequence[str] = ()
) -> None:
    """Measure parts, all unless some are wanted, each written as it ends beside what is known."""
    path = RESULTS / f"{name}.json"
    for part in wanted or parts:
        measured = parts[part]()
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        record(name, known | {"environment": environment(), part: measured})


def show(found: Mapping[str, Mapping[str, float]], notes: Mapping[str, str]) -> None:
    """Print one line a case."""
    for name, row in found.items():
        print(f"{row['median']:6.2f}x  ({row['least']:.2f} to {row['largest']:.2f})  {name}")
    for name, note in notes.items():
        print(f"     -   {name}: {note}")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
