"""What holds of goals in harmony, and what does not: every claim as an experiment.

Aligned Perlin layers share one minimum. Do common minima become rare like p^n? Does a sum multiply
minima? Does the rest of the landscape get smoother? Who reaches the shared minimum: a mean, weights
by the length of the gradients, one goal at a time? With scales that differ, minima that are not
quite aligned, more dimensions, other steps and optimisers? Where nothing is shared, who comes to
the Pareto front? Do alarms become rarer? Can it be told before training? And do n equivalent losses
train a real network better than one?

    python examples/harmony.py [FOLDER] [--full]

Each answer is printed as a sentence; with FOLDER also written as a figure and as JSON. By default
few seeds, under a minute; with ``--full`` as many as in docs/landscape.md, about a quarter of an
hour.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from counterpoint.balance.rules import Magnitude
from counterpoint.landscape.noise import Octaves, Perlin, Simplex, Waves
from counterpoint.landscape.questions import (
    COMPARED,
    Measurement,
    alarm_rates,
    common_minima,
    equivalent_losses,
    foretold,
    front_reached,
    reached,
    smoothness,
    unequal_densities,
)
from counterpoint.report.figures import sheet

FEW = {name: COMPARED[name] for name in ("mean", "weights ~ 1/|g|", "alternation")}

FRONTS = {"zdt1": {}, "zdt2": {}, "fonseca-fleming": {"step": 0.1}, "dtlz2": {}}


def unequal(layers: int) -> list[float]:
    """Heights from 1 to 100, evenly in their logarithm."""
    return [100 ** (k / max(layers - 1, 1)) for k in range(layers)]


def quick() -> Mapping[str, Callable[[], Measurement]]:
    """A few seeds of each."""
    return {
        "minima": lambda: common_minima(seeds=range(10)),
        "smoothness": lambda: smoothness((1, 4, 16), seeds=range(2)),
        "reached": lambda: reached((1, 4, 16), compositions=FEW, starts=50, seeds=range(1)),
        "alarms": lambda: alarm_rates((2, 8), starts=2, steps=350, seeds=range(1)),
        "foretold": lambda: foretold((0.0, 0.4, 1.6), starts=30, steps=200, seeds=range(4)),
        "front": lambda: front_reached("zdt2", starts=8, steps=60, seeds=range(1)),
        "losses": lambda: equivalent_losses((1, 4), epochs=10, seeds=range(2)),
    }


def full() -> Mapping[str, Callable[[], Measurement]]:
    """As the page has them."""
    many = (1, 2, 4, 8, 16, 32, 64)
    asked: dict[str, Callable[[], Measurement]] = {
        "minima": common_minima,
        "unequal-densities": unequal_densities,
        "variation": lambda: smoothness(many),
        "curvature": lambda: smoothness(many, measure="curvature"),
        "reached": lambda: reached((1, 2, 4, 8, 16, 32)),
        "reached-small-step": lambda: reached(step=0.3),
        "reached-large-step": lambda: reached(step=1.0),
        "reached-momentum": lambda: reached(step=0.1, momentum=0.9),
        "reached-adam": lambda: reached(step=0.1, optimiser="adam"),
        "reached-scales": lambda: reached(scales=unequal, step=0.05),
        "reached-octaves": lambda: reached(
            make=lambda n, seed: Octaves(
                lambda cells, part: Perlin(n, cells=cells, seed=part), cells=4, seed=100 * seed
            ),
            compositions=FEW,
        ),
        "reached-simplex": lambda: reached(
            make=lambda n, seed: Simplex(n, cells=6, seed=seed), compositions=FEW
        ),
        "foretold": foretold,
        "losses": equivalent_losses,
    }
    for d in (4, 8, 16):
        asked[f"reached-{d}d"] = lambda d=d: reached(
            (1, 4, 16),
            make=lambda n, seed: Waves(n, d, cells=3, length=0.6, waves=128, seed=seed),
            compositions=FEW,
            starts=60,
            seeds=range(2),
            radius=0.15 * d**0.5,
            step=0.2,
        )
    for apart in (0.1, 0.2, 0.4):
        asked[f"reached-apart-{apart:g}"] = lambda apart=apart: reached(
            (2, 4, 8, 16), apart=apart, compositions=FEW, radius=0.15 + apart
        )
    for name, more in FRONTS.items():
        asked[f"front-{name}"] = lambda name=name, more=more: front_reached(name, **more)
    rules = {"sum": "sum", "impartial": "impartial", "by-magnitude": Magnitude(power=1.0)}
    for name, rule in (rules | {"alternate": "alternate", "mgda": "mgda"}).items():
        asked[f"alarms-{name}"] = lambda rule=rule: alarm_rates((2, 4, 8, 16), rule=rule)
    return asked


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    folder = Path(words[0]) if words else None
    for name, ask in (full() if "--full" in sys.argv else quick()).items():
        answer = ask()
        print(f"{name}: {answer.question}\n    {answer.sentence}", flush=True)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(answer.to_json(), indent=1) + "\n")
            (folder / f"{name}.svg").write_text(sheet([answer.figure()], across=1))


if __name__ == "__main__":
    main()
