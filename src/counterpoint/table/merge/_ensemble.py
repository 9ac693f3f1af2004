"""Models of several sites side by side: each reads a row in its own way, and they are mixed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.findings import ENSEMBLE_KIND, ENSEMBLE_SCHEMA, Findings
from counterpoint.plain import StrPath, to_plain
from counterpoint.posterior import Predictive
from counterpoint.recipe import Recipe
from counterpoint.storage import Folder, read_folder, write_folder
from counterpoint.table.columns import Schema, Table
from counterpoint.table.merge._findings import findings_of
from counterpoint.table.model._model import PIECE, TableModel
from counterpoint.table.targets._category import CategoryPrediction
from counterpoint.table.targets._number import NumberPrediction
from counterpoint.table.targets._prediction import Prediction


@dataclass(frozen=True)
class TableEnsemble:
    """Models fitted at several sites, each under its own columns and scales.

    A prediction is their mixture, each by its share of the rows: for a number the normal
    distribution with the mixture's mean and variance, for a class the mean probability, a class
    that a site has never seen having none there.

    Attributes:
        names: of the sites.
        sites: their models.
    """

    names: tuple[str, ...]
    sites: tuple[TableModel, ...]

    @property
    def schema(self) -> Schema:
        """The columns as the first site has them."""
        return self.sites[0].schema

    @property
    def recipe(self) -> Recipe:
        """The first site's."""
        return self.sites[0].recipe

    @property
    def findings(self) -> Findings:
        """What each site brought."""
        return findings_of(self.names, self.sites, self.shares)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Each site's share of the rows learnt from."""
        rows = [float(sum(entry.rows for entry in site.history)) for site in self.sites]
        total = sum(rows)
        return tuple(each / total if total else 1 / len(rows) for each in rows)

    def read(self, frame: pd.DataFrame, where: str = "table") -> list[Table]:
        """A table to predict, parsed as each site reads it.

        Raises:
            InputError: see `TableModel.read`.
        """
        return [site.read(frame, where) for site in self.sites]

    def predict(
        self, table: pd.DataFrame | Sequence[Table], where: str = "table"
    ) -> dict[str, Prediction]:
        """Predict every target in every row.

        Args:
            table: the rows, or what `read` made of them.
            where: the table's name, for messages.

        Raises:
            InputError: see `TableModel.read`.
        """
        tables = self.read(table, where) if isinstance(table, pd.DataFrame) else table
        found = [site.predict(own) for site, own in zip(self.sites, tables, strict=True)]
        return {
            column.name: mixed_prediction([part[column.name] for part in found], self.shares)
            for column in self.schema.targets
        }

    def predict_pieces(
        self, tables: Sequence[Table], rows: int = PIECE
    ) -> Iterator[dict[str, Prediction]]:
        """`predict`, so many rows at a time.

        Args:
            tables: what `read` made of the rows.
            rows: of a piece.
        """
        for pieces in zip(*(table.pieces(rows) for table in tables), strict=True):
            yield self.predict(pieces)

    def remarks(self, table: pd.DataFrame | Sequence[Table], where: str = "table") -> list[str]:
        """What is unlike the training rows of every site, in sentences."""
        tables = self.read(table, where) if isinstance(table, pd.DataFrame) else table
        own = [site.remarks(each) for site, each in zip(self.sites, tables, strict=True)]
        # what one site knows is no surprise
        return [remark for remark in own[0] if all(remark in other for other in own)]

    def save(self, path: StrPath, *, overwrite: bool = False, identity: str = "") -> None:
        """Write the folder, whole or not at all.

        Args:
            path: the folder.
            overwrite: replace a model that is there.
            identity: what it was made from.

        Raises:
            InputError: the folder exists, or the disk refused.
        """
        tensors = dict[str, Mapping[str, Tensor]]()
        documents: dict[str, Any] = {
            "sites": list(self.names),
            "evaluation": to_plain(self.findings),
        }
        texts = dict[str, str]()
        for place, site in enumerate(self.sites):
            lead = _lead(place)
            own = site.contents()
            tensors |= {f"{lead}{name}": group for name, group in own[0].items()}
            documents |= {f"{lead}{name}": value for name, value in own[1].items()}
            texts |= {f"{lead}{name}": text for name, text in own[2].items()}
        write_folder(
            path,
            kind=ENSEMBLE_KIND,
            schema=ENSEMBLE_SCHEMA,
            tensors=tensors,
            documents=documents,
            texts=texts,
            data={"identity": identity},
            overwrite=overwrite,
        )

    @classmethod
    def load(cls, path: StrPath) -> "TableEnsemble":
        """Read a folder; every byte is verified first.

        Raises:
            InputError: it is missing, damaged, of another version, or its parts do not fit.
        """
        folder = read_folder(path, kind=ENSEMBLE_KIND, schema=ENSEMBLE_SCHEMA)
        names = folder.document("sites")
        if not isinstance(names, list) or len(names) < 2:
            raise InputError(f"{path}: expected the names of two sites or more")
        sites = tuple(TableModel.of_folder(_site(folder, n)) for n in range(len(names)))
        return cls(tuple(map(str, names)), sites)


def mixed_prediction(parts: Sequence[Prediction], shares: Sequence[float]) -> Prediction:
    """One prediction of several of the same target, each with its share."""
    numbers = [part for part in parts if isinstance(part, NumberPrediction)]
    if len(numbers) == len(parts):
        return _mixed_numbers(numbers, shares)
    return _mixed_classes([p for p in parts if isinstance(p, CategoryPrediction)], shares)


def _mixed_numbers(parts: Sequence[NumberPrediction], shares: Sequence[float]) -> NumberPrediction:
    weight = np.asarray(shares)[:, None]
    means = np.stack([part.mean for part in parts])
    # in the units of the table: each site has standardised in its own way
    mean = (weight * means).sum(0)
    # the law of total variance: where sites disagree, more rows would tell
    between = (weight * (means - mean) ** 2).sum(0)
    knowledge = (weight * np.stack([part.knowledge**2 for part in parts])).sum(0) + between
    noise = (weight * np.stack([part.noise**2 for part in parts])).sum(0)
    columns = (torch.from_numpy(value)[:, None] for value in (mean, noise, knowledge))
    # the heaviest tails of those that are mixed
    degrees = min((part.distribution.degrees for part in parts), default=math.inf)
    return NumberPrediction(Predictive(*columns, degrees=degrees))


def _mixed_classes(
    parts: Sequence[CategoryPrediction], shares: Sequence[float]
) -> CategoryPrediction:
    classes = tuple(dict.fromkeys(label for part in parts for label in part.classes))
    place = {label: at for at, label in enumerate(classes)}
    # what a site has never seen has no probability there
    each = np.zeros((len(parts), len(parts[0].spread), len(classes)))
    for at, part in enumerate(parts):
        each[at][:, [place[label] for label in part.classes]] = part.probabilities
    weight = np.asarray(shares)
    mean = np.tensordot(weight, each, 1)
    best = mean.argmax(1)
    rows = np.arange(len(best))
    between = (weight[:, None] * (each[:, rows, best] - mean[rows, best]) ** 2).sum(0)
    spread = weight @ np.stack([part.spread**2 for part in parts]) + between
    return CategoryPrediction(classes, mean, np.sqrt(spread))


def _lead(place: int) -> str:
    return f"site-{place}-"


def _site(folder: Folder, place: int) -> Folder:
    """The part of a folder that is one site's model folder."""
    lead = _lead(place)
    own = {n.removeprefix(lead): c for n, c in folder.files.items() if n.startswith(lead)}
    return replace(folder, files=own)
