"""A fitted model of ratings: predicts, learns more, and is kept as one folder."""

from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
import torch

from counterpoint.errors import InputError
from counterpoint.estimators import Recommender
from counterpoint.findings import (
    RATINGS_KIND,
    RATINGS_SCHEMA,
    RatingsFindings,
    RatingsUpdate,
)
from counterpoint.plain import StrPath, from_plain, to_plain
from counterpoint.recipe import Recipe, build
from counterpoint.seeding import generator
from counterpoint.storage import read_folder
from counterpoint.table.columns import Schema, Table
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._fit import now
from counterpoint.table.ratings._columns import RatingColumns, read_later, usable
from counterpoint.table.ratings._describe import described

_TOP = 10


@dataclass(frozen=True)
class Pairs:
    """Who rated what, and how: a frame of two columns of texts, and (rows,)."""

    frame: pd.DataFrame
    value: np.ndarray

    @classmethod
    def of(
        cls, table: Table, columns: RatingColumns, target: str, rows: np.ndarray | None = None
    ) -> "Pairs":
        """Of a table's rows; without the target there are no values."""
        names = (columns.user, columns.item)
        frame = pd.DataFrame({name: table.values[name].data for name in names})
        found = table.values.get(target)
        value = np.full(len(frame), np.nan) if found is None else found.data
        every = cls(frame, value.astype(np.float64))
        return every if rows is None else every.at(rows)

    def at(self, rows: np.ndarray) -> "Pairs":
        """Some rows."""
        return Pairs(self.frame[rows].reset_index(drop=True), self.value[rows])

    def split(self, share: float, seed: int) -> tuple["Pairs", "Pairs"]:
        """Those to learn from, and a share by chance."""
        count = len(self.value)
        order = torch.randperm(count, generator=generator(seed, 11)).numpy()
        out = np.zeros(count, dtype=bool)
        out[order[: round(share * count)]] = True
        return self.at(~out), self.at(out)


def measured(model: Recommender, pairs: Pairs, level: float) -> dict[str, float]:
    """Measures of predictions of ratings; none of no ratings."""
    if not len(pairs.value):
        return {}
    found = model.predictive(pairs.frame)
    apart = model.predict(pairs.frame) - pairs.value
    truth = torch.from_numpy(pairs.value)[:, None]
    low, high = found.interval(level)
    return {
        "RMSE": float(np.sqrt(np.mean(apart**2))),
        "mean absolute error": float(np.mean(np.abs(apart))),
        "log likelihood": float(found.log_prob(truth).mean()),
        "coverage": float(((low <= truth) & (truth <= high)).double().mean()),
    }


@dataclass(frozen=True)
class RatingsModel:
    """What a fit of ratings gives, and all that a prediction needs.

    Attributes:
        recommender: the fitted factors.
        recipe: what the fit was told.
        schema: the columns of user, item and rating.
        findings: what the report draws.
    """

    recommender: Recommender
    recipe: Recipe
    schema: Schema
    findings: RatingsFindings

    @property
    def columns(self) -> RatingColumns:
        """Who and what."""
        return RatingColumns(self.findings.user, self.findings.item, told=True)

    def predict(
        self, frame: pd.DataFrame, where: str = "table", level: float | None = None
    ) -> pd.DataFrame:
        """The rating of each row with its interval and deviations, in the table's order.

        Args:
            frame: with the columns of user and item.
            where: the table's name, for messages.
            level: of the interval; none: that of the recipe.
        """
        table = read_later(frame, self.schema, where, learn=False)
        found = self.recommender.predictive(Pairs.of(table, self.columns, "").frame)
        low, high = found.interval(self.recipe.posterior.interval if level is None else level)
        name, within = self.findings.target, self.recommender.range_
        return pd.DataFrame(
            {
                name: found.mean[:, 0].numpy().clip(*within),
                f"{name} low": low[:, 0].numpy().clip(*within),
                f"{name} high": high[:, 0].numpy().clip(*within),
                f"{name} sd": found.std[:, 0].numpy(),
                f"{name} noise sd": found.noise[:, 0].sqrt().numpy(),
                f"{name} knowledge sd": found.knowledge[:, 0].sqrt().numpy(),
            }
        )

    def recommend(
        self, frame: pd.DataFrame, where: str = "table", top: int = _TOP, level: float | None = None
    ) -> pd.DataFrame:
        """What each user of a table would rate highest of what he has not rated.

        Args:
            frame: with the column of users.
            where: the table's name, for messages.
            top: how many each.
            level: of the interval; none: that of the recipe.
        """
        users = self.findings.user
        schema = Schema(tuple(c for c in self.schema.columns if c.name == users))
        labels = read_later(frame, schema, where, learn=False).values[users].data
        level = self.recipe.posterior.interval if level is None else level
        name = self.findings.target
        lists = [
            self.recommender.recommend(user, top, level=level)
            .rename(columns={"mean": name, "low": f"{name} low", "high": f"{name} high"})
            .assign(**{users: user})
            for user in dict.fromkeys(labels)
            if user is not None
        ]
        if not lists:
            raise InputError(f"{where}: column {users!r}: found no user")
        found = pd.concat(lists, ignore_index=True)
        return found[[users, *(column for column in found.columns if column != users)]]

    def remarks(self, frame: pd.DataFrame, where: str = "table") -> list[str]:
        """What is unlike the ratings of the fit, in sentences."""
        table = read_later(frame, self.schema, where, learn=False)
        known = self.recommender.known(Pairs.of(table, self.columns, "").frame)
        said = (
            (self.findings.user, "predicted by what all say of the item"),
            (self.findings.item, "predicted by what is known of the user alone"),
        )
        return [
            f"column {name!r}: {int((~seen).sum()):,} of {len(seen):,} rows were never seen; {what}"
            for (name, what), seen in zip(said, known, strict=True)
            if not seen.all()
        ]

    def update(
        self, frame: pd.DataFrame, context: Context | None = None, *, again: bool = False
    ) -> "RatingsModel":
        """The model after more ratings, which are all that is needed; see `partial_fit`.

        Args:
            frame: with the columns of user, item and rating.
            context: where it happens.
            again: whether to learn a table that was learnt before.
        """
        context = context or Context()
        learnt = {self.findings.sha256, *(each.sha256 for each in self.findings.updates)} - {""}
        if context.fingerprint in learnt and not again:
            raise InputError(
                f"{context.name}: was learnt before; --again learns it once more, and counts it"
                " twice"
            )
        table = read_later(frame, self.schema, context.name, learn=True)
        target = self.findings.target
        rows, remarks = usable(table, [self.findings.user, self.findings.item, target])
        pairs, level = Pairs.of(table, self.columns, target, rows), self.recipe.posterior.interval
        before = measured(self.recommender, pairs, level)
        model = _copied(self.recommender).partial_fit(pairs.frame, pairs.value)
        update = RatingsUpdate(
            name=context.name,
            created=now(),
            ratings=len(pairs.value),
            new_users=len(model.users_) - len(self.recommender.users_),
            new_items=len(model.items_) - len(self.recommender.items_),
            before=before,
            after=measured(model, pairs, level),
            sha256=context.fingerprint,
        )
        found = replace(
            described(self.findings, model),
            updates=[*self.findings.updates, update],
            notes=[*self.findings.notes, *remarks],
        )
        return replace(self, recommender=model, findings=found)

    def save(self, path: StrPath, *, overwrite: bool = False) -> None:
        """Write the folder, whole or not at all.

        Raises:
            InputError: the folder exists, or the disk refused.
        """
        documents = {
            "recipe": asdict(self.recipe),
            "columns": self.schema.to_json(),
            "evaluation": to_plain(self.findings),
        }
        self.recommender.save(path, overwrite=overwrite, documents=documents)

    @classmethod
    def load(cls, path: StrPath) -> "RatingsModel":
        """Read a folder; every byte is verified first.

        Raises:
            InputError: it is missing, damaged, of another kind or version, or was saved by
                `Recommender` alone.
        """
        folder = read_folder(path, kind=RATINGS_KIND, schema=RATINGS_SCHEMA)
        if not folder.has("recipe.json"):
            raise InputError(f"{path}: holds a Recommender alone; read it with Recommender.load")
        where = f"{path}: evaluation"
        return cls(
            Recommender.load(path),
            build(folder.document("recipe")),
            Schema.from_json(folder.document("columns")),
            from_plain(RatingsFindings, folder.document("evaluation"), where),
        )


def _copied(model: Recommender) -> Recommender:
    """One that can be updated while the model stays: its parts are replaced, never changed."""
    twin = Recommender(**model.get_params())
    twin.__dict__.update(model.__dict__)
    return twin
