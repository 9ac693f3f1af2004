"""What the sites of a mixture brought, for its report."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from counterpoint.findings import Findings, SiteFindings, TargetFindings
from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.model._model import TableModel


def findings_of(
    names: Sequence[str], models: Sequence[TableModel], shares: Sequence[float]
) -> Findings:
    """The findings of a mixture: its sites.

    Args:
        names: of the sites.
        models: theirs.
        shares: of the rows.
    """
    known = [_levels(model) for model in models]
    sites = [
        SiteFindings(
            name,
            sum(entry.rows for entry in model.history),
            share,
            [] if model.findings is None else [_scores(t) for t in model.findings.targets],
            0 if model.findings is None else len(model.findings.updates),
            _alone(known, place),
        )
        for place, (name, model, share) in enumerate(zip(names, models, shares, strict=True))
    ]
    first = models[0].members[0].network
    return Findings(
        name=" + ".join(names),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("counterpoint"),
        command="",
        rows={"total": sum(site.rows for site in sites)},
        parameters=sum(weight.numel() for weight in first.parameters()),
        status=f"{len(sites)} models of sites, mixed by their shares of the rows.",
        best_epoch=None,
        seconds=0.0,
        columns=[],
        history=[],
        targets=[],
        importance=[],
        embeddings=[],
        known_least=[],
        sites=sites,
    )


def _scores(target: TargetFindings) -> TargetFindings:
    """The measures; rows stay with the site."""
    return TargetFindings(target.name, target.kind, target.metrics, target.baseline)


def _levels(model: TableModel) -> dict[str, tuple[str, ...]]:
    columns = [*model.schema.inputs, *model.schema.targets]
    return {c.name: c.levels for c in columns if isinstance(c, LevelColumn)}


def _alone(known: Sequence[dict[str, tuple[str, ...]]], place: int) -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    for name, levels in known[place].items():
        others = {x for k, each in enumerate(known) if k != place for x in each.get(name, ())}
        own = [level for level in levels if level not in others]
        if own:
            found[name] = own
    return found
