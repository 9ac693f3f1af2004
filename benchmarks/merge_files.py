"""Two sharded checkpoints of 0.95 GB into one: time, memory, kills, beside the streaming floor.

``python benchmarks/merge_files.py [FOLDER]``

FOLDER gets three checkpoints (2.9 GB) where it has none, and room for the results. Processes are
measured from outside: wall and processor time, and private memory that no file backs. `mergekit`
is in the same run where its command is installed.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from _measure import RESULTS, environment

HERE = Path(__file__).parent
ROUNDS, KILLS = 3, 20
OURS = [sys.executable, "-m", "counterpoint", "merge"]
FLOOR = [sys.executable, str(HERE / "_merge_files.py")]


def measured(command: list[str], kill_after: float | None = None) -> dict[str, float]:
    """Run a command; its seconds, its processor's, and its private megabytes at the most."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            found = [line for line in status.splitlines() if line.startswith("RssAnon")]
            most[0] = max([most[0], *(int(line.split()[1]) for line in found)])
            if kill_after is not None and time.perf_counter() - began > kill_after:
                process.send_signal(signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode and kill_after is None:
        raise RuntimeError(errors.decode()[-2000:])
    return {
        "wall": round(time.perf_counter() - began, 3),
        "processor": round(usage.ru_utime + usage.ru_stime, 3),
        "private_megabytes": most[0] // 1024,
        "ended": float(process.returncode == 0),
    }


def digest(folder: Path) -> str:
    """Of every file of a folder."""
    whole = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        whole.update(file.name.encode())
        with file.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()


def killed(inputs: list[str], out: Path, whole: float) -> dict[str, float]:
    """Kill a merge at random moments until it ends by itself; how often it was."""
    moments = random.Random(0)
    kills = ended = 0
    while kills < KILLS and not ended:
        # an import takes a second, in which nothing is written yet
        found = measured([*OURS, *inputs, "--lambda", "0.7", "-o", str(out)],
                         moments.uniform(0.3, 1.0) * whole)  # fmt: skip
        ended = found["ended"]
        kills += not ended
    if not ended:
        measured([*OURS, *inputs, "--lambda", "0.7", "-o", str(out)])
    return {"kills": kills}


def main() -> None:
    """Make the checkpoints, measure, write the results."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    if not (folder / "b").exists():
        subprocess.run([*FLOOR, "make", str(folder)], check=True)
    a, b, base = (str(folder / name) for name in ("a", "b", "base"))
    out = folder / "out"
    cases = {
        "bare import of torch": [sys.executable, "-c", "import torch"],
        "floor": [*FLOOR, "floor", a, b, str(out)],
        "linear": [*OURS, a, b, "--lambda", "0.7", "-o", str(out)],
        "linear, one thread": [*OURS, a, b, "--lambda", "0.7", "-o", str(out), "--threads", "1"],
        "ties": [*OURS, a, b, "--method", "ties", "--base", base, "--option", "density=0.5",
                 "-o", str(out)],
        "dry run": [*OURS, a, b, "--lambda", "0.7", "--dry-run"],
    }  # fmt: skip
    if shutil.which("mergekit-yaml"):
        for method in ("linear", "ties"):
            text = {"merge_method": method, "dtype": "bfloat16", "base_model": base,
                    "models": [{"model": m, "parameters": {"weight": w, "density": 0.5}}
                               for m, w in ((a, 0.3), (b, 0.7))]}  # fmt: skip
            file = folder / f"{method}.yml"
            file.write_text(json.dumps(text))  # JSON is YAML
            cases[f"mergekit {method}"] = ["mergekit-yaml", str(file), str(out), "-j", "2"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    digests = set()
    for turn in range(ROUNDS):
        for name, command in cases.items():
            if turn and name in ("ties", "mergekit ties"):
                continue  # once: it takes long, and the ratio is far from its bound
            shutil.rmtree(out, ignore_errors=True)
            runs[name].append(measured(command))
            print(name, runs[name][-1], flush=True)
            if name.startswith("linear"):
                digests.add(digest(out))
    best = {name: min(run["processor"] for run in found) for name, found in runs.items()}
    walls = {name: min(run["wall"] for run in found) for name, found in runs.items()}
    memory = {n: max(run["private_megabytes"] for run in found) for n, found in runs.items()}
    shutil.rmtree(out, ignore_errors=True)
    kills = killed([a, b], out, walls["linear"])
    digests.add(digest(out))
    shutil.rmtree(out, ignore_errors=True)
    bare = memory["bare import of torch"]
    result = {
        "environment": environment("mergekit", "sd-mecha"),
        "runs": runs,
        "linear / floor, processor time, best of the runs": best["linear"] / best["floor"],
        "linear / floor, wall time, best of the runs": walls["linear"] / walls["floor"],
        "one thread / floor, wall time": walls["linear, one thread"] / walls["floor"],
        "megabytes beyond torch's": {name: most - bare for name, most in memory.items()},
        "ties / linear, processor time": best["ties"] / best["linear"],
        "kills until it ended": kills["kills"],
        "one digest over threads and kills": len(digests) == 1,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}, indent=1))
    (RESULTS / "merge_files.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
