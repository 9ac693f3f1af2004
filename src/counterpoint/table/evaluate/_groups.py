"""In which groups of rows intervals hold less than they say."""

from collections.abc import Mapping

from torch import Tensor

from counterpoint.findings import GroupCoverage
from counterpoint.table.columns import Schema

_FEWEST = 50
_MOST = 100


def group_coverage(
    schema: Schema, inputs: Mapping[str, Tensor], inside: Tensor, weight: Tensor
) -> list[GroupCoverage]:
    """The share inside in every level of every category with 50 rows or more, the least first.

    Args:
        schema: of the columns.
        inputs: of the rows, encoded.
        inside: whether a row's value lies in its interval, (N,).
        weight: of each row, (N,).
    """
    labels = [spec.labels for _, spec in schema.embeddings]
    found = list[GroupCoverage]()
    for column, own in schema.slots:
        # a number that repeats has codes, too: its values are no groups
        if "categories" not in own or "numbers" in own:
            continue
        codes = inputs["categories"][:, own["categories"][0]]
        for code in codes.unique().tolist():
            rows = codes == code
            if int(rows.sum()) >= _FEWEST:
                share = float(weight[rows] @ inside[rows].double() / weight[rows].sum())
                level = labels[own["categories"][0]][code]
                found.append(GroupCoverage(column, level, int(rows.sum()), share))
    return sorted(found, key=lambda group: group.inside)[:_MOST]
