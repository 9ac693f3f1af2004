"""Learn the rows of a new table without those of the earlier ones."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.findings import UpdatedTarget, UpdateFindings
from counterpoint.posterior import Predictive
from counterpoint.recipe import Recipe, Update
from counterpoint.seeding import derive, threads
from counterpoint.table.columns import Table, TableCounts
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._fit import now
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.fit._split import group_labels
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._history import HistoryEntry
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.targets._prediction import Prediction
from counterpoint.table.uncertainty import UNCERTAINTIES
from counterpoint.table.uncertainty._rows import fresh_noise
from counterpoint.table.update._cross_prediction import CrossPrediction
from counterpoint.table.update._measure import forgotten, measure, paired, recognised, same_trunk
from counterpoint.table.update._rows import as_known, folds_of, prepare_rows, read_rows
from counterpoint.table.update._shift import measure_shifts
from counterpoint.table.update._updater import Updater

_LEAST_DEEP = 10
_NOISIER = 4.0


def update_table(
    model: TableModel,
    frame: pd.DataFrame,
    told: Update | None = None,
    context: Context | None = None,
) -> TableModel:
    """Learn new rows; the earlier ones are not needed.

    The heads of numbers become what a fit to all rows on the same trunk would give them, to
    rounding; those of categories what Laplace's approximation of the earlier rows allows. New
    levels of categories get vectors, new classes get outputs; scales, bins and old codes stay.
    The noise of a number is the mean, by rows, of what it was and of what the new rows reveal, each
    predicted by a model that had not learnt it.

    Args:
        model: before; left as it is.
        frame: the new rows.
        told: how.
        context: where it happens; its fingerprint identifies the table.

    Returns:
        The model after, not saved yet. The last of ``findings.updates`` says what moved, what was
        forgotten and what was learnt.

    Raises:
        InputError: the table cannot be used, was learnt before, or the model cannot be updated.
        Interrupted: it was asked to stop; with a folder it goes on when it is called again.
    """
    told, context = told or Update(), context or Context()
    refuse_update(model, told, context)
    with threads(model.recipe.threads):
        return UpdateRun.begin(model, frame, told, context).done()


def refuse_update(model: TableModel, told: Update, context: Context) -> None:
    """Refuse what cannot or should not be done, before any work.

    Raises:
        InputError: see `update_table`.
    """
    kind = model.recipe.posterior.uncertainty
    ways = UNCERTAINTIES[kind].updates
    if not ways:
        raise InputError(
            f"a model of uncertainty {kind!r} cannot be updated; fit it again with all rows, or"
            " use last-layer, luna or ensemble"
        )
    if ("network" if told.deep else "heads") not in ways:
        raise InputError(
            f"a model of uncertainty {kind!r} has no head that could learn alone; pass --deep to"
            " train the whole network"
        )
    forgot = told.deep and any(member.memory is None for member in model.members)
    if model.counts is None or forgot:
        raise InputError("this model holds nothing of its earlier rows; fit it with evaluate=True")
    for learnt in model.history:
        if context.fingerprint and learnt.sha256 == context.fingerprint and not told.again:
            raise InputError(
                f"{context.name}: was learnt before, as {learnt.name} ({learnt.how},"
                f" {learnt.rows:,} rows, {learnt.created}); its rows would count twice; pass"
                " --again if they should"
            )


@dataclass(frozen=True)
class UpdateRun:
    """An update under way.

    Attributes:
        model: before.
        table: the new one, its columns grown.
        settings: how.
        context: where.
        prepared: the table's rows, the columns grown.
        updater: how they are learnt.
        counts: of the new rows.
        groups: of the rows to learn, where the fit was split by groups.
        began: `time.perf_counter` at the beginning.
    """

    model: TableModel
    table: Table
    settings: Update
    context: Context
    prepared: Prepared
    updater: Updater
    counts: TableCounts
    groups: np.ndarray | None
    began: float

    @classmethod
    def begin(
        cls, model: TableModel, frame: pd.DataFrame, told: Update, context: Context
    ) -> "UpdateRun":
        """Read the table under the model's columns."""
        began = time.perf_counter()
        table = read_rows(model, frame, context.name)
        prepared = prepare_rows(table)
        if told.deep and len(prepared.rows.train) < _LEAST_DEEP:
            raise InputError(
                f"{context.name}: --deep needs at least {_LEAST_DEEP} rows with a target, found"
                f" {len(prepared.rows.train)}; without it any number will do"
            )
        rows = prepared.rows.train
        counts = table.count(rows, prepared.weight.numpy())
        groups = None
        if table.split.kind == "group":
            groups = group_labels(table.values[table.split.column])[rows]
        updater = Updater.of(model, prepared, 1.0 - told.forget, told.deep, context)
        return cls(model, table, told, context, updater.prepared, updater, counts, groups, began)

    @property
    def rows(self) -> Tensor:
        """Places of the rows to learn."""
        return torch.from_numpy(self.prepared.rows.train)

    def done(self) -> TableModel:
        """The model after."""
        folds = folds_of(self.rows, derive(self.model.recipe.training.seed, 4), self.groups)
        if self.settings.deep:
            # a whole network is trained for each fold, and one costs as much as the update itself
            folds = folds[:1]
        crossed = CrossPrediction.of(self.updater, self.rows, folds)
        # a deep update trains once; on a trunk that stays, vectors of new levels see all rows now
        once = self.settings.deep and crossed.networks
        networks = once or self.updater.networks(self.rows, self.rows[:0])
        noise = self._noise(crossed)
        members = self.updater.members(networks, self.rows, noise, final=True)
        return self._with_findings(self._model(members), crossed, noise)

    def _noise(self, crossed: CrossPrediction) -> dict[str, float]:
        """Of each number: what it was and what the new rows reveal, by rows.

        Ten rows' worth of what it was stays, whatever is forgotten: few rows fit themselves well.
        """
        before = self.model.members[0].posterior.noise
        found = dict[str, float]()
        for target in self.prepared.targets:
            old, tried = before[target.name], crossed.rows
            weight = target.weight[tried]
            # a class has no noise of its own
            if old is None or not crossed.parts or not (weight > 0).any():
                continue
            used = weight > 0
            parts = [
                Predictive(part.mean[used], part.noise[used], part.knowledge[used])
                for part in (every[target.name] for every in crossed.parts)
            ]
            fresh = fresh_noise(target.values[tried][used], parts, weight[used], old)
            rows = self._earlier(target.name)
            # the noise of so few rows is mostly chance, even where all earlier rows are forgotten
            earlier = max(self.updater.keep * rows, min(rows, _LEAST_DEEP))
            new = self.counts.columns[target.name].weight
            found[target.name] = (earlier * old + new * fresh) / (earlier + new)
        return found

    def _earlier(self, name: str) -> float:
        counts = self.model.counts
        return 0.0 if counts is None else counts.columns[name].weight

    def _model(self, members: tuple[Member, ...]) -> TableModel:
        """The model after, but for its findings."""
        model, keep, context = self.model, self.updater.keep, self.context
        how = "deep update" if self.settings.deep else "update"
        learnt = HistoryEntry(context.name, context.fingerprint, len(self.rows), now(), how)
        counts = self.counts
        if model.counts is not None:
            counts = model.counts.joined(counts, keep)
        return replace(
            model,
            schema=self.prepared.schema,
            recipe=self._recipe(),
            members=members,
            counts=counts,
            exemplars=self._exemplars(),
            history=(*model.history, learnt),
        )

    def _exemplars(self) -> Exemplars | None:
        before, most = self.model.exemplars, self._recipe().data.keep_sample
        if most == 0:
            return None
        seed = derive(self.model.recipe.training.seed, 5, len(self.model.history))
        fresh = Exemplars.of(self.prepared, self.rows, most, seed)
        return fresh if before is None else before.joined(fresh, most, seed, self.updater.keep)

    def _recipe(self) -> Recipe:
        """The recipe, with the number of rows to keep from now on."""
        recipe, most = self.model.recipe, self.settings.keep_sample
        if most is None:
            return recipe
        return replace(recipe, data=replace(recipe.data, keep_sample=most))

    def _with_findings(
        self, after: TableModel, crossed: CrossPrediction, noise: Mapping[str, float]
    ) -> TableModel:
        """The model after, with what the update found out."""
        if after.findings is None or self.model.counts is None:
            return after
        schema = self.prepared.schema
        was = self.model.predict_encoded(as_known(self.prepared, self.updater.first, crossed.rows))
        before = self.model.members[0].posterior.noise
        # the members predicted by the noise of before; they are judged by what is known now
        factors = {name: now / (before[name] or now) for name, now in noise.items()}
        found = crossed.predictions(schema, factors)
        update = UpdateFindings(
            name=self.context.name,
            created=after.history[-1].created,
            rows=len(self.rows),
            earlier_rows=sum(learnt.rows for learnt in self.model.history),
            forget=self.settings.forget,
            deep=self.settings.deep,
            seconds=time.perf_counter() - self.began,
            shifts=measure_shifts(schema, self.model.counts, self.counts),
            targets=[
                self._target(after, crossed.rows, was[column.name], found.get(column.name), place)
                for place, column in enumerate(schema.targets)
            ],
            notes=[*self._notes(after), *self._noise_notes(noise)],
        )
        updates = [*after.findings.updates, update]
        return replace(after, findings=replace(after.findings, updates=updates))

    def _target(
        self,
        after: TableModel,
        rows: Tensor,
        was: Prediction,
        found: Prediction | None,
        place: int,
    ) -> UpdatedTarget:
        target, column = self.prepared.targets[place], self.prepared.schema.targets[place]
        known = self.model.schema.targets[place].head.outputs
        before = measure(target, rows, was, known)
        later = None if found is None else measure(target, rows, found, known)
        fresh = self._classes(place)
        source, earlier_rows, earlier = forgotten(self.model, after, place)
        return UpdatedTarget(
            name=column.name,
            kind=target.head.kind,
            source=source,
            earlier_rows=earlier_rows,
            earlier=earlier,
            new_rows=int((target.weight[rows] > 0).sum()),
            new=paired(before, later),
            classes=fresh,
            recognised=recognised(target, rows, found, known) if fresh and found else None,
        )

    def _noise_notes(self, noise: Mapping[str, float]) -> list[str]:
        """Where predictions are much more or less sure than they were."""
        notes = list[str]()
        for target in self.prepared.targets:
            name = target.name
            if name not in noise:
                continue
            after = noise[name]
            before = self.model.members[0].posterior.noise[name] or after
            if not 1 / _NOISIER < after / before < _NOISIER:
                was, became = (target.head.deviation(variance) for variance in (before, after))
                notes.append(
                    f"target {name!r}: the standard deviation of its noise was"
                    f" {was:.4g} and is {became:.4g}: these rows are"
                    " scattered otherwise than earlier ones; look for outliers"
                )
        return notes

    def _classes(self, place: int) -> dict[str, int]:
        """Classes of a target that are new, with their rows."""
        column, before = self.prepared.schema.targets[place], self.model.counts
        if before is None:
            return {}
        now = self.counts.columns[column.name]
        return dict(column.moved(before.columns[column.name], now).new)

    def _notes(self, after: TableModel) -> list[str]:
        notes = [*self.table.remarks]
        notes += [
            f"column {column.name!r}: {missing:,} missing values; the fit had none, so that they"
            " count as the mean"
            for column in self.model.schema.inputs
            if column.edges and (missing := self.table.missing[column.name]) and not column.gaps
        ]
        same = sum(map(same_trunk, self.model.members, after.members))
        if self.settings.deep and same:
            notes.append(
                f"{same} of {len(after.members)} networks are as they were: no epoch was better on"
                " the rows held out than none"
            )
        marked = self.table.rows - len(self.rows)
        if marked:
            notes.append(
                f"{marked:,} of {self.table.rows:,} rows were not learnt: they have no target, no"
                " weight, or are marked as test"
            )
        if self.settings.deep and self.model.exemplars is None:
            notes.append(
                "the loss added to earlier rows is a guess from the curvature where the weights"
                " were: of new rows far from the earlier ones it can be far too low; rows kept with"
                " --keep-sample are measured, and help to decide when training stops"
            )
        for place, column in enumerate(self.prepared.schema.targets):
            fresh = self._classes(place)
            if fresh and self.model.exemplars is None:
                names = ", ".join(repr(name[:40]) for name in list(fresh)[:3])
                notes.append(
                    f"target {column.name!r}: earlier rows say nothing of {names}: where new rows"
                    " of other classes are few, it is predicted too often; rows kept with"
                    " --keep-sample would stand against that"
                )
        return notes
