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
from counterpoint.recipe import Recipe, Update
from counterpoint.seeding import derive, threads
from counterpoint.table.fit import Context, now
from counterpoint.table.history import Learnt
from counterpoint.table.kept import Kept
from counterpoint.table.model import Member, TableModel
from counterpoint.table.predictions import Prediction
from counterpoint.table.prepare import Prepared
from counterpoint.table.read import refuse_names
from counterpoint.table.schema import Column
from counterpoint.table.split import group_labels
from counterpoint.table.tallies import Tallies
from counterpoint.table.uncertainty import KINDS
from counterpoint.table.uncertainty.rows import fresh_noise
from counterpoint.table.update.learner import Learner
from counterpoint.table.update.measure import forgotten, measure, paired, recognised, same_trunk
from counterpoint.table.update.rows import as_known, folds_of, prepare_rows
from counterpoint.table.update.shift import measure_shifts
from counterpoint.table.update.trial import Trial

__all__ = ["refuse_update", "update_table"]

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
    refuse_names(frame.columns, context.name)
    with threads(model.recipe.threads):
        return _Work.begin(model, frame.rename(columns=str), told, context).done()


def refuse_update(model: TableModel, told: Update, context: Context) -> None:
    """Refuse what cannot or should not be done, before any work.

    Raises:
        InputError: see `update_table`.
    """
    kind = model.recipe.posterior.uncertainty
    ways = KINDS[kind].updates
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
    if model.tallies is None or any(member.memory is None for member in model.members):
        raise InputError("this model holds nothing of its earlier rows; fit it with evaluate=True")
    for learnt in model.history:
        if context.fingerprint and learnt.sha256 == context.fingerprint and not told.again:
            raise InputError(
                f"{context.name}: was learnt before, as {learnt.name} ({learnt.how},"
                f" {learnt.rows:,} rows, {learnt.created}); its rows would count twice; pass"
                " --again if they should"
            )


@dataclass(frozen=True)
class _Work:
    """An update under way.

    Attributes:
        model: before.
        frame: the new table.
        told: how.
        context: where.
        prepared: the table's rows, the columns grown.
        learner: how they are learnt.
        tallies: of the new rows.
        groups: of the rows to learn, where the fit was split by groups.
        began: `time.perf_counter` at the beginning.
    """

    model: TableModel
    frame: pd.DataFrame
    told: Update
    context: Context
    prepared: Prepared
    learner: Learner
    tallies: Tallies
    groups: np.ndarray | None
    began: float

    @classmethod
    def begin(
        cls, model: TableModel, frame: pd.DataFrame, told: Update, context: Context
    ) -> "_Work":
        """Read the table under the model's columns."""
        began = time.perf_counter()
        prepared = prepare_rows(model.schema, frame, context.name)
        if told.deep and len(prepared.rows.train) < _LEAST_DEEP:
            raise InputError(
                f"{context.name}: --deep needs at least {_LEAST_DEEP} rows with a target, found"
                f" {len(prepared.rows.train)}; without it any number will do"
            )
        rows, weight = prepared.rows.train, prepared.weight.numpy()
        tallies = Tallies.of(prepared.schema, frame, rows, weight)
        groups = _groups(model, frame, rows)
        learner = Learner.of(model, prepared, 1.0 - told.forget, told.deep, context)
        return cls(model, frame, told, context, learner.prepared, learner, tallies, groups, began)

    @property
    def rows(self) -> Tensor:
        """Places of the rows to learn."""
        return torch.from_numpy(self.prepared.rows.train)

    def done(self) -> TableModel:
        """The model after."""
        folds = folds_of(self.rows, derive(self.model.recipe.training.seed, 4), self.groups)
        if self.told.deep:
            folds = folds[:1]
        trial = Trial.of(self.learner, self.rows, folds)
        # a deep update trains once; on a trunk that stays, vectors of new levels see all rows now
        once = self.told.deep and trial.networks
        networks = once or self.learner.networks(self.rows, self.rows[:0])
        noise = self._noise(trial)
        members = self.learner.members(networks, self.rows, noise, final=True)
        return self._told(self._model(members), trial, noise)

    def _noise(self, trial: Trial) -> dict[str, float]:
        """Of each number: what it was and what the new rows reveal, by rows.

        Ten rows' worth of what it was stays, whatever is forgotten: few rows fit themselves well.
        """
        before = self.model.members[0].belief.noise
        found = dict[str, float]()
        for target in self.prepared.targets:
            old, tried = before[target.name], trial.rows
            weight = target.weight[tried]
            if old is None or not trial.parts or not (weight > 0).any():
                continue
            used = weight > 0
            parts = [part[target.name] for part in trial.parts]
            fresh = fresh_noise(
                target.values[tried][used],
                [part.mean[used] for part in parts],
                [part.knowledge[used] for part in parts],
                weight[used],
            )
            rows = self._earlier(target.name)
            earlier = max(self.learner.keep * rows, min(rows, _LEAST_DEEP))
            new = self.tallies.columns[target.name].weight
            found[target.name] = (earlier * old + new * fresh) / (earlier + new)
        return found

    def _earlier(self, name: str) -> float:
        tallies = self.model.tallies
        return 0.0 if tallies is None else tallies.columns[name].weight

    def _model(self, members: tuple[Member, ...]) -> TableModel:
        """The model after, but for its findings."""
        model, keep, context = self.model, self.learner.keep, self.context
        how = "deep update" if self.told.deep else "update"
        learnt = Learnt(context.name, context.fingerprint, len(self.rows), now(), how)
        tallies = self.tallies
        if model.tallies is not None:
            tallies = model.tallies.joined(tallies, keep)
        return replace(
            model,
            schema=self.prepared.schema,
            recipe=self._recipe(),
            members=members,
            tallies=tallies,
            kept=self._kept(),
            history=(*model.history, learnt),
        )

    def _kept(self) -> Kept | None:
        before, most = self.model.kept, self._recipe().data.keep_sample
        if most == 0:
            return None
        seed = derive(self.model.recipe.training.seed, 5, len(self.model.history))
        fresh = Kept.of(self.prepared, self.rows, most, seed)
        return fresh if before is None else before.joined(fresh, most, seed, self.learner.keep)

    def _recipe(self) -> Recipe:
        """The recipe, with the number of rows to keep from now on."""
        recipe, most = self.model.recipe, self.told.keep_sample
        if most is None:
            return recipe
        return replace(recipe, data=replace(recipe.data, keep_sample=most))

    def _told(self, after: TableModel, trial: Trial, noise: Mapping[str, float]) -> TableModel:
        """The model after, with what the update found out."""
        if after.findings is None or self.model.tallies is None:
            return after
        schema = self.prepared.schema
        was = self.model.predict_encoded(as_known(self.prepared, self.learner.first, trial.rows))
        found = trial.predictions(schema, noise)
        update = UpdateFindings(
            name=self.context.name,
            created=after.history[-1].created,
            rows=len(self.rows),
            earlier_rows=sum(learnt.rows for learnt in self.model.history),
            forget=self.told.forget,
            deep=self.told.deep,
            seconds=time.perf_counter() - self.began,
            shifts=measure_shifts(schema, self.model.tallies, self.tallies),
            targets=[
                self._target(after, trial.rows, was[column.name], found.get(column.name), place)
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
        known = len(self.model.schema.column(column.name).levels)
        before = measure(column, target, rows, was, known)
        later = None if found is None else measure(column, target, rows, found, known)
        fresh = self._classes(column, known)
        source, earlier_rows, earlier = forgotten(self.model, after, place)
        return UpdatedTarget(
            name=column.name,
            kind="category" if column.categorical else "number",
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
        for name, after in noise.items():
            before = self.model.members[0].belief.noise[name] or after
            if not 1 / _NOISIER < after / before < _NOISIER:
                scale = self.model.schema.column(name).features[0].scale
                notes.append(
                    f"target {name!r}: the standard deviation of its noise was"
                    f" {before**0.5 * scale:.4g} and is {after**0.5 * scale:.4g}: these rows are"
                    " scattered otherwise than earlier ones; look for outliers"
                )
        return notes

    def _classes(self, column: Column, known: int) -> dict[str, int]:
        """Classes that are new, with their rows."""
        counts = self.tallies.columns[column.name].counts[2:]
        fresh = range(known, len(column.levels))
        return {column.levels[place]: int(counts[place]) for place in fresh}

    def _notes(self, after: TableModel) -> list[str]:
        notes = [
            f"column {column.name!r}: {missing:,} missing values; the fit had none, so that they"
            " count as the mean"
            for column in self.model.schema.numbers
            if (missing := int(self.frame[column.name].isna().sum())) and not column.gaps
        ]
        same = sum(map(same_trunk, self.model.members, after.members))
        if self.told.deep and same:
            notes.append(
                f"{same} of {len(after.members)} networks are as they were: no epoch was better on"
                " the rows held out than none"
            )
        marked = len(self.frame) - len(self.rows)
        if marked:
            notes.append(
                f"{marked:,} of {len(self.frame):,} rows were not learnt: they have no target, no"
                " weight, or are marked as test"
            )
        if self.told.deep and self.model.kept is None:
            notes.append(
                "the loss added to earlier rows is a guess from the curvature where the weights"
                " were: of new rows far from the earlier ones it can be far too low; rows kept with"
                " --keep-sample are measured, and help to decide when training stops"
            )
        for column in self.prepared.schema.targets:
            fresh = self._classes(column, len(self.model.schema.column(column.name).levels))
            if fresh and self.model.kept is None:
                names = ", ".join(repr(name[:40]) for name in list(fresh)[:3])
                notes.append(
                    f"target {column.name!r}: earlier rows say nothing of {names}: where new rows"
                    " of other classes are few, it is predicted too often; rows kept with"
                    " --keep-sample would stand against that"
                )
        return notes


def _groups(model: TableModel, frame: pd.DataFrame, rows: np.ndarray) -> np.ndarray | None:
    """The groups of rows, where the fit kept groups together and the table has them."""
    kind, _, name = model.recipe.data.split.partition(":")
    if kind != "group" or name not in frame.columns:
        return None
    return group_labels(frame[name].iloc[rows])
