"""Records of goals that share their steps, to draw."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

from counterpoint.findings import AlarmFindings, BalanceFindings


def balanced(goals: list[str], steps: int = 240, seed: int = 3) -> BalanceFindings:
    """A record of the impartial rule: the first two goals pull against each other later on."""
    draw = random.Random(seed)
    size = len(goals)
    step = [1 + 50 * place for place in range(steps)]
    fall = [math.exp(-4 * place / steps) for place in range(steps)]
    places = range(0, steps, max(1, steps // 24))

    def matrix(late: float) -> list[list[float | None]]:
        found: list[list[float | None]] = [[1.0] * size for _ in range(size)]
        for i, j in combinations(range(size), 2):
            middle = 0.5 - 1.1 * late if j == 1 else 0.2
            found[i][j] = found[j][i] = max(-1.0, min(1.0, middle + draw.gauss(0, 0.08)))
        return found

    scale = {name: 10.0 ** (1 - place % 3) for place, name in enumerate(goals)}
    return BalanceFindings(
        rule="impartial",
        source="features (the trunk's output)",
        goals=goals,
        step=step,
        losses={
            name: [scale[name] * (0.2 + f + draw.uniform(0, 0.2)) for f in fall] for name in goals
        },
        weights={
            name: [size / scale[name] / 12 * draw.uniform(0.8, 1.2) for _ in fall] for name in goals
        },
        control={name: [draw.uniform(0.6, 1.4) / size for _ in fall] for name in goals},
        cosine_step=[step[place] for place in places],
        cosines=[matrix(place / steps) for place in places],
        alarms=[
            AlarmFindings(
                step[int(0.7 * steps)],
                "obnoxious teammate",
                goals[:1],
                "One goal takes over the step again and again while the others lose.",
                "Use the impartial rule, or give it a smaller preference.",
            ),
            AlarmFindings(
                step[int(0.95 * steps)],
                "standoff",
                goals[:2],
                "Nothing moves although these goals still pull: they pull against each other.",
                "This is a compromise; choose it with preferences.",
            ),
        ][: min(steps, 2)],
    )


def renamed(base: BalanceFindings, pick: Callable[[], str]) -> BalanceFindings:
    """The same with every name and text from `pick`."""
    names = {name: pick() for name in base.goals}
    curves = {
        part: {names[name]: values for name, values in getattr(base, part).items()}
        for part in ("losses", "weights", "control")
    }
    alarms = [
        AlarmFindings(alarm.step, pick(), [pick(), pick()], pick(), pick()) for alarm in base.alarms
    ]
    goals = list(names.values())
    return replace(base, rule=pick(), source=pick(), goals=goals, alarms=alarms, **curves)
