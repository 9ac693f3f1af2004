"""Models over one trunk: their last layers add, as if all rows had been at one place.

A model that was updated at two places is two posteriors that share what was learnt before; their
product has that once: sums of squares are ``S_a + S_b - S_0``, precisions of a softmax layer
``H_a + H_b - H_0`` (Spiegelhalter & Lauritzen 1990).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.findings import Findings
from counterpoint.nn import TableNet
from counterpoint.posterior import LastLayer, Softmax, join_softmax
from counterpoint.table.columns import ColumnCounts, Schema, TableCounts, UsableColumn
from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.merge._differences import apart, common
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.uncertainty._last_layer import LastLayers
from counterpoint.table.update._grow import grow_network

_NAMELESS = 2  # codes of a missing value and of one that nobody saw


def why_not(models: Sequence[TableModel], base: TableModel | None) -> str:
    """Why last layers cannot be added, in words; empty where they can.

    Args:
        models: the sites'.
        base: the model that all of them learnt more rows with.
    """
    first, *others = [*models, *([] if base is None else [base])]
    if not all(isinstance(m.posterior, LastLayers) for model in models for m in model.members):
        return "their uncertainty is not that of last layers"
    differ = next((why for other in others if (why := apart(first.schema, other.schema))), "")
    if differ:
        return f"they are over different trunks ({differ})"
    levels = _shared_levels([model.schema for model in (first, *others)])
    found = (_not_with(first, other, levels, parted=base is None) for other in others)
    return next((reason for reason in found if reason), "") or _not_addable(first.members[0])


def _not_with(first: TableModel, other: TableModel, levels: Sequence[int], *, parted: bool) -> str:
    """Why two models cannot be added; `parted` are those without a base."""
    if len(first.members) != len(other.members):
        return "they have different numbers of members"
    pairs = zip(first.members, other.members, strict=True)
    if not all(_same_trunk(one.network, two.network, levels) for one, two in pairs):
        return "they are over different trunks (their weights differ)"
    if parted and any(_last_layers(m).noises for m in (*first.members, *other.members)):
        return "the noise of their rows was learnt apart"
    outputs = [[target.head.outputs for target in m.schema.targets] for m in (first, other)]
    return "a site knows classes that another does not" if outputs[0] != outputs[1] else ""


def _not_addable(member: Member) -> str:
    for name, layer in _last_layers(member).posteriors.items():
        if not isinstance(layer, LastLayer | Softmax):
            # found around another centre after each update: its information does not add
            return f"what is known of target {name!r} cannot be added"
        if isinstance(layer, Softmax) and "matrix" not in layer.precision.tensors():
            return f"target {name!r} has too many weights for a dense precision"
    return ""


def added(models: Sequence[TableModel], base: TableModel | None) -> tuple[TableModel, list[str]]:
    """One model with the rows of all, those of the base once.

    Args:
        models: over one trunk, see `why_not`.
        base: the model that all of them learnt more rows with; none where they share no rows.

    Returns:
        The model, and the levels that several sites have learnt.
    """
    schema, codes = _joined_schema([model.schema for model in models])
    rows = [sum(entry.rows for entry in model.history) for model in models]
    rows.append(0 if base is None else sum(entry.rows for entry in base.history))
    places = range(len(models[0].members))
    members = tuple(_member(place, models, base, schema, codes, rows) for place in places)
    merged = replace(
        models[0],
        schema=schema,
        members=members,
        findings=_findings(models, base),
        counts=_counts(models, base, schema, codes),
        exemplars=_exemplars(models, schema, codes),
        history=tuple(dict.fromkeys(entry for model in models for entry in model.history)),
    )
    return merged, _learnt_twice(models, base)


def _findings(models: Sequence[TableModel], base: TableModel | None) -> Findings | None:
    """Those of the fit, and the updates of all sites: what each of them brought."""
    first = models[0].findings
    if first is None:
        return None
    before = 0 if base is None or base.findings is None else len(base.findings.updates)
    updates = list(first.updates[:before])
    for model in models:
        if model.findings is not None:
            updates += model.findings.updates[before:]
    return replace(first, updates=updates)


def _learnt_twice(models: Sequence[TableModel], base: TableModel | None) -> list[str]:
    """Levels of inputs that several sites saw first: each gave them a vector of its own."""
    found = list[str]()
    schemas = [model.schema for model in (*models, *([] if base is None else [base]))]
    for name in [c.name for c in schemas[0].inputs if isinstance(c, LevelColumn)]:
        columns = [_level_column(schema, name) for schema in schemas]
        # without a base the vectors of what all have in common are known to be the same
        own = [set(column.levels[common(columns) :]) for column in columns]
        found += sorted(x for x in set().union(*own) if sum(x in each for each in own) > 1)
    return found


def _same_trunk(one: TableNet, two: TableNet, levels: Sequence[int]) -> bool:
    """Whether everything below the heads is the same.

    Args:
        one: a network.
        two: another one.
        levels: of each embedding, how many vectors are to be the same: a site's own follow.
    """
    for a, b, count in zip(one.embeddings.weights, two.embeddings.weights, levels, strict=True):
        if a.shape[1:] != b.shape[1:] or not torch.equal(a[:count], b[:count]):
            return False
    apart = ("heads.", "embeddings.")
    x, y = ({n: v for n, v in net.state_dict().items() if not n.startswith(apart)}
            for net in (one, two))  # fmt: skip
    return x.keys() == y.keys() and all(
        x[name].shape == y[name].shape and torch.equal(x[name], y[name]) for name in x
    )


def _shared_levels(schemas: Sequence[Schema]) -> list[int]:
    """Of each embedding, how many codes mean the same in all models, the base among them."""
    found = list[int]()
    for name, spec in schemas[0].embeddings:
        columns = [schema.column(name) for schema in schemas]
        levels = [column for column in columns if isinstance(column, LevelColumn)]
        found.append(_NAMELESS + common(levels) if levels else len(spec.labels))
    return found


@dataclass(frozen=True)
class Codes:
    """What a site's codes are among all sites': a column's name -> (codes,)."""

    places: Mapping[str, Tensor]


def _joined_schema(schemas: Sequence[Schema]) -> tuple[Schema, list[Codes]]:
    """The columns with the levels of all sites, and how each site's codes read there."""
    joined = dict[str, LevelColumn]()
    for name in [c.name for c in schemas[0].columns if isinstance(c, LevelColumn)]:
        columns = [_level_column(schema, name) for schema in schemas]
        shared = columns[0].levels[: common(columns)]
        new = dict.fromkeys(x for c in columns for x in c.levels if x not in set(shared))
        width = columns[0].embeddings[0].width if columns[0].role == "input" else 0
        grown = (*shared, *new)
        same = grown == columns[0].levels
        joined[name] = replace(columns[0], levels=grown, width=columns[0].width if same else width)
    codes = [
        Codes({name: _places(_level_column(s, name), column) for name, column in joined.items()})
        for s in schemas
    ]
    columns = tuple(joined.get(column.name, column) for column in schemas[0].columns)
    return Schema(columns), codes


def _level_column(schema: Schema, name: str) -> LevelColumn:
    column = schema.column(name)
    if not isinstance(column, LevelColumn):
        raise InputError(f"merge: column {name!r} has levels at one site alone")
    return column


def _places(own: LevelColumn, joined: LevelColumn) -> Tensor:
    known = {level: code for code, level in enumerate(joined.levels, _NAMELESS)}
    return torch.tensor([0, 1, *(known[level] for level in own.levels)])


def _member(
    place: int,
    models: Sequence[TableModel],
    base: TableModel | None,
    schema: Schema,
    codes: Sequence[Codes],
    rows: Sequence[int],
) -> Member:
    own = [model.members[place] for model in models]
    start = None if base is None else base.members[place]
    network = _network(models, own, schema, codes)
    layers = dict[str, LastLayer | Softmax]()
    posteriors = [_last_layers(member) for member in own]
    before = None if start is None else _last_layers(start)
    for name in schema.heads:
        parts = [posterior.posteriors[name] for posterior in posteriors]
        shared = None if before is None else before.posteriors[name]
        layers[name] = _added_layer(parts, shared, rows)
    posterior = LastLayers(schema.heads, layers, posteriors[0].noises)
    posterior.settle(network)
    # Gaussians over whole networks are around other weights: nothing of them adds
    return Member(network, posterior, None)


def _last_layers(member: Member) -> LastLayers:
    if not isinstance(member.posterior, LastLayers):
        raise InputError("merge: the uncertainty is not that of last layers")
    return member.posterior


def _added_layer(
    parts: Sequence[object], shared: object, rows: Sequence[int]
) -> LastLayer | Softmax:
    numbers = [part for part in parts if isinstance(part, LastLayer)]
    if len(numbers) == len(parts):
        return added_numbers(numbers, shared if isinstance(shared, LastLayer) else None, rows)
    classes = [part for part in parts if isinstance(part, Softmax)]
    return join_softmax(classes, shared if isinstance(shared, Softmax) else None)


def added_numbers(
    parts: Sequence[LastLayer], shared: LastLayer | None, rows: Sequence[int]
) -> LastLayer:
    """The layer of all rows of some layers over the same features.

    Args:
        parts: the sites'.
        shared: of the rows that all of them have; none where there are none.
        rows: of each part, then of what is shared: the noise is the mean by rows.
    """
    statistics = parts[0].statistics
    for part in parts[1:]:
        statistics = statistics + part.statistics
        if shared is not None:
            statistics = statistics - shared.statistics
    # each site's noise already has the base's rows in it, taken off below
    noise = sum(n * float(part.noise[0]) for n, part in zip(rows, parts, strict=False))
    total = float(sum(rows[: len(parts)]))
    if shared is not None:
        again = (len(parts) - 1) * rows[-1]
        noise, total = noise - again * float(shared.noise[0]), total - again
    # what one site's rows revealed may be less than the base's share of it: never below the least
    least = min(float(part.noise[0]) for part in parts)
    return LastLayer.fit(statistics, noise=max(noise / max(total, 1.0), least / len(parts)))


def _network(
    models: Sequence[TableModel], own: Sequence[Member], schema: Schema, codes: Sequence[Codes]
) -> TableNet:
    """The trunk with the levels of all sites; of one that several sites learnt the mean vector."""
    network = grow_network(own[0].network, models[0].schema, schema, models[0].recipe)
    for place, (name, _) in enumerate(schema.embeddings):
        if not isinstance(schema.column(name), LevelColumn):
            continue
        table = network.embeddings.weights[place].data
        total, count = torch.zeros_like(table), torch.zeros(len(table), 1)
        for member, code in zip(own, codes, strict=True):
            total[code.places[name]] += member.network.embeddings.weights[place].data
            count[code.places[name]] += 1
        table.copy_(total / count)
    return network


def _counts(
    models: Sequence[TableModel], base: TableModel | None, schema: Schema, codes: Sequence[Codes]
) -> TableCounts | None:
    parts = [model.counts for model in models]
    if any(part is None for part in parts):
        return None
    found = dict[str, ColumnCounts]()
    for column in [*schema.inputs, *schema.targets]:
        rows = [
            _recoded(part.columns[column.name], column, code)
            for part, code in zip(parts, codes, strict=True)
            if part is not None
        ]
        total = rows[0]
        for other in rows[1:]:
            total = total.joined(other, 1.0)
        if base is not None and base.counts is not None:
            again = base.counts.columns[column.name]
            # the base is in every site's counts, and stays once
            total = again.joined(total, float(1 - len(models)))
        found[column.name] = total
    return TableCounts(found)


def _recoded(counts: ColumnCounts, column: UsableColumn, codes: Codes) -> ColumnCounts:
    if column.name not in codes.places:
        return counts
    places = codes.places[column.name][: len(counts.counts)]
    moved = [0.0] * (int(places.max()) + 1)
    for place, value in zip(places.tolist(), counts.counts, strict=True):
        moved[place] = value
    return replace(counts, counts=tuple(moved))


def _exemplars(
    models: Sequence[TableModel], schema: Schema, codes: Sequence[Codes]
) -> Exemplars | None:
    kept = [model.exemplars for model in models]
    found: Exemplars | None = None
    for part, code in zip(kept, codes, strict=True):
        if part is None:
            return None
        moved = _recoded_rows(part, schema, code)
        found = moved if found is None else found.joined(moved, len(part.stands), 0)
    return found


def _recoded_rows(part: Exemplars, schema: Schema, codes: Codes) -> Exemplars:
    categories = part.inputs["categories"].clone()
    for place, (name, _) in enumerate(schema.embeddings):
        if name in codes.places:
            categories[:, place] = codes.places[name][categories[:, place]]
    values = tuple(
        codes.places[column.name][value + _NAMELESS] - _NAMELESS
        if column.name in codes.places
        else value
        for column, value in zip(schema.targets, part.values, strict=True)
    )
    return replace(part, inputs={**part.inputs, "categories": categories}, values=values)
