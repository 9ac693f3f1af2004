"""Which columns of new rows are unlike those of the earlier ones, and by how much."""

from typing import Any

import numpy as np

from counterpoint.findings import ShiftFindings
from counterpoint.table.columns import ColumnCounts, Schema, TableCounts, UsableColumn

_CHANCE = 0.01
_DISTANCE = 0.1
_EXPECTED = 5.0
_MOST = 10


def measure_shifts(schema: Schema, before: TableCounts, now: TableCounts) -> list[ShiftFindings]:
    """Compare every column, those that moved most first.

    The distance is ``1/2 sum |p - q|`` over bins or levels, the test a chi-squared one of
    homogeneity; bins of few rows are put together first, until the smaller table expects 5 rows in
    each, and those of a number are at most ten. By chance alone the distance of 60 rows is about
    0.15, of 1,000 about 0.04. A column has moved where the p value is below 0.01 over the number of
    columns (Bonferroni) and the distance above 0.1.

    Args:
        schema: of the new rows; what it has more than the earlier one is at the end.
        before: the earlier rows.
        now: the new rows.
    """
    columns = (*schema.inputs, *schema.targets)
    found = [
        _compare(column, before.columns[column.name], now.columns[column.name], len(columns))
        for column in columns
    ]
    return sorted(found, key=lambda shift: (not shift.moved, -shift.distance))


def _compare(
    column: UsableColumn, before: ColumnCounts, now: ColumnCounts, columns: int
) -> ShiftFindings:
    table = np.zeros((2, len(now.counts)))
    table[0, : len(before.counts)] = before.counts
    table[1] = now.counts
    distance, chance = _test(_pooled(table, ordered=column.ordered))
    found = column.moved(before, now)
    return ShiftFindings(
        column=column.name,
        kind=column.kind,
        distance=distance,
        chance=chance,
        moved=chance < _CHANCE / columns and distance > _DISTANCE,
        before=found.before,
        after=found.after,
        level=found.level,
        new=dict(found.new),
        before_text=found.before_text,
        after_text=found.after_text,
    )


def _pooled(table: np.ndarray, *, ordered: bool) -> np.ndarray:
    """Bins side by side, or the rarest levels, put together until each is expected often enough.

    Missing values, the first place, stay apart where they can.
    """
    total = table.sum(axis=0)
    expected = total * table.sum(axis=1).min() / max(total.sum(), 1.0)
    places = np.arange(1, table.shape[1])
    if not ordered:
        places = places[np.argsort(-total[1:], kind="stable")]
    groups, rest = list[np.ndarray](), list[int]()
    least = max(_EXPECTED, expected.sum() / _MOST) if ordered else _EXPECTED
    for place in places:
        rest.append(int(place))
        if expected[rest].sum() >= least:
            groups.append(table[:, rest].sum(axis=1))
            rest = []
    left = table[:, rest].sum(axis=1)
    if groups and expected[rest].sum() > 0:
        groups[-1] = groups[-1] + left
    elif rest:
        groups.append(left)
    if expected[0] >= _EXPECTED or not groups:
        groups.append(table[:, 0])
    else:
        groups[-1] = groups[-1] + table[:, 0]
    return np.stack(groups, axis=1)


def _test(table: np.ndarray) -> tuple[float, float]:
    """Total variation distance and p value."""
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 1.0
    shares = table / table.sum(axis=1, keepdims=True)
    distance = 0.5 * float(np.abs(shares[0] - shares[1]).sum())
    from scipy.stats import chi2_contingency  # slow to import, and predictions do without

    test: Any = chi2_contingency(table, correction=False)
    return distance, float(test.pvalue)
