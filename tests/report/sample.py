"""Findings to draw: rich and realistic, empty, hostile, and as large as they come."""

import math
import random
from dataclasses import replace
from statistics import NormalDist, fmean

from counterpoint.findings import (
    Bins,
    ColumnFindings,
    Coverage,
    EmbeddingMap,
    EpochRow,
    Findings,
    HeldOut,
    Importance,
    KnownLeast,
    ReliabilityCurve,
    TargetFindings,
)
from report.maps import disguised, lined, mapped
from report.shares import balanced, renamed

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    'O\'Brien & "Söhne" <b>GmbH</b>',
    "</title></svg></style><!-- ]]>",
    "السعر النهائي",
    "שלום\u202eevil",
    "\x00\x1b[31m\ud800\ufffe",
    "{{7*7}} $script ${title} %s \\",
    "javascript:alert(1)",
    "x" * 5000,
    "",
    "🐘👩‍👩‍👧‍👦价格",
)

_DISTRICTS = (
    "Altstadt Nord", "Hafen", "Lindenthal", "Nippes", "Ehrenfeld", "Kalk", "Rodenkirchen", "Porz",
    "Chorweiler", "Mülheim", "Deutz", "Sülz", "Bayenthal", "Zollstock", "Braunsfeld", "Weiden",
    "Longerich", "Dellbrück", "Holweide", "Poll", "Vingst", "Höhenberg", "Merheim", "Brück",
)  # fmt: skip
_STATES = ("new", "as new", "renovated", "good", "worn", "to be renovated")
_LEVELS = tuple(index / 20 for index in range(1, 20))


def _spread(draw: random.Random, shape: str, bins: int = 24) -> list[int]:
    middle = {"left": 0.25, "even": 0.5, "right": 0.75}[shape]
    return [
        round(900 * math.exp(-((index / bins - middle) ** 2) / 0.05) * draw.uniform(0.8, 1.2))
        for index in range(bins)
    ]


def _columns(draw: random.Random) -> list[ColumnFindings]:
    def numbers(name, role, missing, low, high, text, shape="left", kind="number"):
        counts = _spread(draw, shape)
        edges = [low + (high - low) * index / len(counts) for index in range(len(counts) + 1)]
        return ColumnFindings(name, kind, role, missing, text, Bins(counts, edges))

    def levels(name, role, missing, names, kind="category"):
        counts = sorted((round(draw.paretovariate(0.9) * 40) for _ in names), reverse=True)
        text = f"{len(names)} levels; most often {names[0]}"
        return ColumnFindings(name, kind, role, missing, text, Bins(counts, None, list(names)))

    return [
        numbers("price", "target", 0, 45_000, 1_450_000, "mean 312,400, sd 148,900"),
        numbers("days_on_market", "target", 14, 1, 240, "mean 47.2, sd 38.8"),
        levels("condition", "target", 0, _STATES),
        numbers("living_area_m2", "input", 12, 18, 310, "mean 92.4, sd 41.0"),
        numbers("plot_m2", "input", 2_214, 0, 2_400, "mean 401, sd 318"),
        numbers("rooms", "input", 3, 1, 11, "mean 3.8, sd 1.6"),
        numbers("year_built", "input", 208, 1880, 2024, "median 1974", "right"),
        numbers("floor", "input", 640, -1, 24, "mean 2.6, sd 2.4"),
        numbers("energy_kwh_m2", "input", 1_902, 12, 420, "mean 143, sd 61", "even"),
        numbers("lat", "input", 0, 50.83, 51.08, "mean 50.94, sd 0.05", "even"),
        numbers("lon", "input", 0, 6.77, 7.16, "mean 6.95, sd 0.07", "even"),
        levels("district", "input", 5, _DISTRICTS),
        levels("heating", "input", 77, ("gas", "district heat", "heat pump", "oil", "electric")),
        levels("balcony", "input", 0, ("yes", "no"), "boolean"),
        numbers("listed", "input", 0, 17_900, 19_850, "2019-01-04 to 2024-05-07", "even", "date"),
        ColumnFindings("listing_id", "id", "ignored", 0, "4,812 different values"),
        numbers("weight", "weight", 0, 0.2, 3.0, "mean 1.00", "even"),
    ]


def _history(draw: random.Random, epochs: int) -> list[EpochRow]:
    rows: list[EpochRow] = []
    for epoch in range(1, epochs + 1):
        fall = math.exp(-epoch / 9)
        train = {
            "price": -0.55 + 1.9 * fall + draw.gauss(0, 0.01),
            "days_on_market": 0.92 + 0.5 * fall + draw.gauss(0, 0.008),
            "condition": 0.045 + 1.7 * fall + draw.uniform(0, 0.004),
        }
        late = max(0, epoch - 44) / 260
        held = {name: value + 0.06 + late + draw.gauss(0, 0.012) for name, value in train.items()}
        for losses in (train, held):
            losses["score"] = fmean(losses.values())
        rate = 0.004 * math.sin(math.pi * min(epoch / epochs, 1.0)) ** 2 + 1e-5
        rows.append(EpochRow(epoch, rate, draw.uniform(0.4, 0.6), train, held))
    return rows


def _held_out(draw: random.Random, rows: int, middle: float, unit: float, sure: float) -> HeldOut:
    z = NormalDist().inv_cdf(0.95)
    held = HeldOut([], [], [], [], [], [], [])
    for _ in range(rows):
        mean = middle * math.exp(draw.gauss(0, 0.45))
        noise = unit * (0.5 + mean / middle / 2)
        knowledge = unit * draw.gammavariate(1.4, 0.14)
        deviation = math.hypot(noise, knowledge)
        held.row.append(draw.randrange(4_812))
        held.actual.append(mean + draw.gauss(0, sure * deviation))
        held.mean.append(mean)
        held.low.append(mean - z * deviation)
        held.high.append(mean + z * deviation)
        held.noise.append(noise)
        held.knowledge.append(knowledge)
    return held


def _coverage(held: HeldOut) -> Coverage:
    observed = []
    for level in _LEVELS:
        z = NormalDist().inv_cdf((1 + level) / 2)
        rows = zip(held.actual, held.mean, held.noise, held.knowledge, strict=True)
        observed.append(fmean(abs(a - m) <= z * math.hypot(n, k) for a, m, n, k in rows))
    return Coverage(list(_LEVELS), observed, len(held.actual))


def _number(name: str, held: HeldOut, base: float) -> TargetFindings:
    errors = [a - m for a, m in zip(held.actual, held.mean, strict=True)]
    rmse, mae = math.sqrt(fmean(e * e for e in errors)), fmean(map(abs, errors))
    metrics = {"RMSE": rmse, "MAE": mae, "R²": 1 - (rmse / base) ** 2, "log likelihood": -12.31}
    metrics["coverage of 90 % interval"] = _coverage(held).observed[17]
    baseline = {"RMSE": base, "MAE": base * 0.8, "R²": 0.0, "log likelihood": -13.4}
    return TargetFindings(name, "number", metrics, baseline, 0.9, held, _coverage(held))


def _category(draw: random.Random, rows: int) -> TargetFindings:
    size = len(_STATES)
    confusion = [[0] * size for _ in range(size)]
    counts, right, sure = [0] * 10, [0] * 10, [0.0] * 10
    for _ in range(rows):
        actual = min(int(draw.expovariate(0.5)), size - 1)
        confidence = min(0.25 + draw.betavariate(4, 1.6) * 0.75, 0.999)
        hit = draw.random() < confidence * 0.97
        said = actual if hit else min(max(actual + draw.choice((-1, 1)), 0), size - 1)
        bin_ = int(confidence * 10)
        counts[bin_] += 1
        right[bin_] += said == actual
        sure[bin_] += confidence
        confusion[actual][said] += 1
    share = [r / c if c else None for r, c in zip(right, counts, strict=True)]
    mean = [s / c if c else None for s, c in zip(sure, counts, strict=True)]
    accuracy = sum(right) / rows
    return TargetFindings(
        "condition",
        "category",
        {"accuracy": accuracy, "log loss": 0.713, "Brier score": 0.341, "AUC": None},
        {"accuracy": 0.39, "log loss": 1.52, "Brier score": 0.742},
        classes=list(_STATES),
        reliability=ReliabilityCurve(mean, share, counts, 0.031),
        confusion=confusion,
    )


def _importance(draw: random.Random, columns: list[ColumnFindings]) -> list[Importance]:
    inputs = [column.name for column in columns if column.role == "input"]
    found: list[Importance] = []
    for target in ("price", "days_on_market", "condition"):
        order = draw.sample(inputs, len(inputs))
        found += [
            Importance(
                target, name, 0.9 * math.exp(-place / 2.2) - 0.004, 0.01 + 0.03 / (place + 1)
            )
            for place, name in enumerate(order)
        ]
    return found


def _map(draw: random.Random, column: str, names: tuple[str, ...]) -> EmbeddingMap:
    x, y = [draw.gauss(0, 1) for _ in names], [draw.gauss(0, 0.6) for _ in names]
    count = [round(draw.paretovariate(0.9) * 40) for _ in names]
    return EmbeddingMap(column, list(names), x, y, count, [0.44, 0.19])


def _least(
    draw: random.Random, target: str, columns: list[ColumnFindings], unit: float
) -> KnownLeast:
    def values() -> dict[str, str]:
        return {
            column.name: draw.choice(column.bins.labels)
            if column.bins and column.bins.labels
            else f"{draw.uniform(column.bins.edges[0], column.bins.edges[-1]):.4g}"
            for column in columns
            if column.role == "input" and column.bins
        }

    knowledge = sorted((unit * draw.uniform(0.5, 1.4) for _ in range(12)), reverse=True)
    rows = [draw.randrange(4_812) for _ in knowledge]
    if target == "condition":
        texts = [f"{draw.choice(_STATES)} ({draw.uniform(30, 60):.0f} %)" for _ in rows]
        return KnownLeast(
            target, rows, knowledge, texts, list(_STATES) * 2, [values() for _ in rows]
        )
    texts = [f"{unit * draw.uniform(2, 14):,.0f} ± {value:,.0f}" for value in knowledge]
    actual = [f"{unit * draw.uniform(2, 14):,.0f}" for _ in rows]
    return KnownLeast(target, rows, knowledge, texts, actual, [values() for _ in rows])


def rich(rows: int = 400, epochs: int = 60) -> Findings:
    """A flat-price table: two numbers and a category to predict, 17 columns."""
    draw = random.Random(7)
    columns = _columns(draw)
    price = _held_out(draw, rows, 300_000, 38_000, 1.04)
    days = _held_out(draw, rows, 45, 14, 1.35)
    return Findings(
        name="Flats in Cologne",
        created="2025-06-03 14:12",
        version="0.1.0",
        command="counterpoint fit flats.csv --target price --target days_on_market"
        " --target condition --weight weight --split time:listed --seed 7 --out flats/",
        rows={"training": 3_930, "validation": 482, "held-out": 400},
        parameters=184_322,
        status="Stopped early: no better score in 16 epochs. The last layer is a Gaussian.",
        best_epoch=min(44, epochs) or None,
        seconds=0.52 * epochs,
        columns=columns,
        history=_history(draw, epochs),
        targets=[
            _number("price", price, 148_900.0),
            _number("days_on_market", days, 38.8),
            _category(draw, rows),
        ],
        importance=_importance(draw, columns),
        embeddings=[
            _map(draw, "district", _DISTRICTS),
            _map(
                draw,
                "heating",
                ("gas", "district heat", "heat pump", "oil", "electric", "(missing)"),
            ),
            _map(draw, "condition of neighbours", _STATES),
        ],
        known_least=[
            _least(draw, "price", columns, 52_000.0),
            _least(draw, "days_on_market", columns, 14.0),
            _least(draw, "condition", columns, 0.14),
        ],
        notes=["plot_m2 is missing in 46 % of the rows; an indicator stands in for it."],
        balance=balanced(["price", "days_on_market", "condition"]),
        maps=[mapped("price", 30_000.0), lined("days_on_market")],
    )


def empty(name: str = "nothing") -> Findings:
    """A fit that found nothing."""
    return Findings(name, "", "", "", {}, 0, "", None, 0.0, [], [], [], [], [], [])


def named(names: tuple[str, ...] | list[str], seed: int = 1) -> Findings:
    """The rich findings with every name and text replaced by one of `names`."""
    draw = random.Random(seed)
    base = rich(rows=12, epochs=2)

    def pick() -> str:
        return draw.choice(names)

    targets = [
        replace(
            target,
            name=pick(),
            kind=pick(),
            metrics={pick(): value for value in target.metrics.values()},
            baseline={pick(): value for value in target.baseline.values()},
            classes=None if target.classes is None else [pick() for _ in target.classes],
        )
        for target in base.targets
    ]
    columns = [
        replace(column, name=pick(), kind=pick(), role=pick(), summary=pick())
        for column in base.columns
    ]
    columns += [
        ColumnFindings(pick(), pick(), pick(), 3, pick(), Bins([3, 4], None, [pick(), pick()]))
    ]
    history = [
        EpochRow(row.epoch, row.rate, row.seconds, {pick(): 1.0, "score": 2.0}, {pick(): 1.0})
        for row in base.history
    ]
    least = [
        KnownLeast(pick(), [1, 2], [0.1, 0.2], [pick(), pick()], [pick(), pick()],
                   [{pick(): pick(), pick(): pick()}, {}])
        for _ in base.known_least
    ]  # fmt: skip
    return replace(
        base,
        name=pick(),
        created=pick(),
        version=pick(),
        command=pick(),
        status=pick(),
        notes=[pick(), pick()],
        rows={pick(): 10, pick(): 20},
        columns=columns,
        history=history,
        targets=targets,
        importance=[replace(item, target=pick(), column=pick()) for item in base.importance],
        embeddings=[
            replace(item, column=pick(), labels=[pick() for _ in item.labels])
            for item in base.embeddings
        ],
        known_least=least,
        maps=[disguised(item, pick) for item in base.maps],
        balance=renamed(balanced([f"goal {place}" for place in range(4)], 12), pick),
    )


def largest() -> Findings:
    """More of everything than a page can hold: 10^6 rows, 2,040 columns, 41 targets."""
    base = rich(epochs=3_000)
    long = "a column with quite a long name, as exports from spreadsheets have them " * 4
    held = base.targets[0].held_out
    assert held is not None
    many = HeldOut(*(list(getattr(held, name)) * 2_500 for name in HeldOut.__dataclass_fields__))
    levels = 20_000
    map_ = EmbeddingMap(
        long,
        [f"{index} {long}" for index in range(levels)],
        [math.sin(index) * index for index in range(levels)],
        [math.cos(index) * index for index in range(levels)],
        list(range(levels)),
        [0.4, 0.2],
    )
    many_goals = balanced([f"{index} {long}" for index in range(40)], 2_000)
    first, second, last = base.targets
    wide = replace(last, classes=[f"{index} {long}" for index in range(300)], name=long)
    wide = replace(wide, confusion=[[i * j % 7 for j in range(300)] for i in range(300)])
    return replace(
        base,
        name=long * 10,
        command=long * 100,
        notes=[long * 10] * 200,
        columns=[
            replace(c, name=f"{i} {long}", summary=long * 9)
            for i in range(120)
            for c in base.columns
        ],
        targets=[replace(first, name=long, held_out=many), *[second, wide] * 20],
        importance=[
            Importance(f"{t} {long}", f"{index} {long}", 1 / (index + 1), 0.1)
            for t in range(40)
            for index in range(100)
        ],
        embeddings=[map_] * 30,
        known_least=[
            replace(
                base.known_least[0],
                target=long,
                row=list(range(500)),
                knowledge=[1.0] * 500,
                prediction=[long] * 500,
                actual=[long] * 500,
                values=[{f"{index} {long}": long for index in range(30)}] * 500,
            )
        ]
        * 40,
        balance=replace(
            many_goals, alarms=[replace(alarm, kind=long) for alarm in many_goals.alarms] * 500
        ),
    )
