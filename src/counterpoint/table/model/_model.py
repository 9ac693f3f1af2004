"""A fitted table: a few networks and what is known of their weights; predict, save, load."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from counterpoint.continual import OnlineEWC
from counterpoint.errors import InputError
from counterpoint.findings import MODEL_KIND, MODEL_SCHEMA, Findings
from counterpoint.nn import TableNet
from counterpoint.plain import StrPath, from_plain, to_plain
from counterpoint.recipe import Recipe, build, dump
from counterpoint.seeding import seeded, threads
from counterpoint.storage import Folder, read_folder, write_folder
from counterpoint.table.columns import KINDS, ColumnCounts, Kinds, Schema, Table, TableCounts
from counterpoint.table.model._aside import conformal_levels, groups_of, reweighted
from counterpoint.table.model._embed import embedded
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._history import HistoryEntry
from counterpoint.table.model._memory import read_memory
from counterpoint.table.model._network import build_network, compute_features_each
from counterpoint.table.targets._head import MemberPrediction
from counterpoint.table.targets._prediction import Levels, Prediction
from counterpoint.table.uncertainty import (
    UNCERTAINTIES,
    FeaturePosterior,
    MemberPosterior,
    PosteriorFiles,
)

PIECE = 50_000
"""Rows that are predicted at a time where there are many."""

# what Python and torch raise where a document has the right hash and the wrong parts
_UNFIT = (LookupError, TypeError, AttributeError, RuntimeError, ValueError, ArithmeticError)


@dataclass(frozen=True)
class Member:
    """One network of the ensemble.

    Attributes:
        network: the trained network, in evaluation mode.
        posterior: what is known of its weights.
        memory: what all rows so far say of all its weights, under which a deep update trains.
    """

    network: TableNet
    posterior: MemberPosterior
    memory: OnlineEWC | None = None

    def predict(self, inputs: Mapping[str, Tensor]) -> dict[str, MemberPrediction]:
        """The distribution of each target in each row, numbers standardised."""
        return self.posterior.predict(self.network, inputs)


@dataclass(frozen=True)
class TableModel:
    """What a fit gives, and all that a prediction needs.

    Attributes:
        schema: the columns.
        recipe: what the fit was told, every default resolved.
        members: the networks and what is known of them; a prediction is their equal mixture.
        findings: what the fit found out; none if it was not asked.
        log: the training log, JSON lines.
        counts: the values of the rows learnt from, by which later tables are compared.
        exemplars: rows kept to see what an update forgets.
        aside: rows that nothing was fitted to, which make the intervals of numbers hold what they
            say; updates leave them as they are, and the intervals hold for the model of then.
        history: the tables learnt, the fit's first.
        unresolved: the recipe before its defaults were resolved by the number of rows.
    """

    schema: Schema
    recipe: Recipe
    members: tuple[Member, ...]
    findings: Findings | None = None
    log: str = ""
    counts: TableCounts | None = None
    exemplars: Exemplars | None = None
    aside: Exemplars | None = None
    history: tuple[HistoryEntry, ...] = ()
    unresolved: Recipe | None = None

    def read(self, frame: pd.DataFrame, where: str = "table") -> Table:
        """The cells of a table to predict, parsed.

        Args:
            frame: the rows; columns are found by name, others are ignored.
            where: the table's name, for messages.

        Raises:
            InputError: a column is absent (names the nearest), or a cell is not of its kind.
        """
        return Table.read(frame, self.schema, where)

    def predict(self, table: pd.DataFrame | Table, where: str = "table") -> dict[str, Prediction]:
        """Predict every target in every row.

        Args:
            table: the rows, or what `read` made of them.
            where: the table's name, for messages.

        Raises:
            InputError: see `read`.
        """
        with threads(self.recipe.threads):
            return self.predict_encoded(self._read(table, where).encode())

    def predict_pieces(self, table: Table, rows: int = PIECE) -> Iterator[dict[str, Prediction]]:
        """`predict`, so many rows at a time: the memory that it takes is that of a piece.

        Args:
            table: what `read` made of the rows.
            rows: of a piece.
        """
        for piece in table.pieces(rows):
            yield self.predict(piece)

    def predict_encoded(self, inputs: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Predict from tensors that `Table.encode` made."""
        found = self.mixture(inputs)
        if self.aside is None:
            return found
        groups = groups_of(self.schema, self.recipe.data.conformal_by, inputs)
        levels = self._levels
        return {
            name: part.conformed(levels[name], groups) if name in levels else part
            for name, part in found.items()
        }

    def shifted(self, table: pd.DataFrame | Table, where: str = "table") -> "TableModel":
        """The model whose intervals hold for rows like those of a table, not like those of the fit.

        The rows aside count by how much denser the table's are where they lie.

        Args:
            table: rows to predict, enough of them to tell how they lie.
            where: the table's name, for messages.

        Raises:
            InputError: the fit kept no rows aside; see `read`.
        """
        if self.aside is None:
            raise InputError("this model has no rows aside to weigh; fit it with conformal")
        inputs = self._read(table, where).encode()
        return replace(self, aside=reweighted(self.aside, inputs))

    def mixture(self, inputs: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """`predict_encoded` without the rows aside: what the members say of themselves."""
        posteriors = [member.posterior for member in self.members]
        following = [part for part in posteriors if isinstance(part, FeaturePosterior)]
        if len(following) < len(posteriors):
            return self.mixed([member.predict(inputs) for member in self.members])
        networks = [member.network for member in self.members]
        features = compute_features_each(networks, inputs)
        members = zip(following, networks, features, strict=True)
        return self.mixed([one.of_features(network, own, inputs) for one, network, own in members])

    def mixed(self, found: Sequence[Mapping[str, MemberPrediction]]) -> dict[str, Prediction]:
        """The mixture of what the members predict of the same rows."""
        return {
            column.name: column.head.combine([part[column.name] for part in found])
            for column in self.schema.targets
        }

    @cached_property
    def _levels(self) -> dict[str, Levels]:
        """Of each number, the levels at which its intervals hold the rows aside."""
        if self.aside is None:
            return {}
        predicted = self.mixture(self.aside.inputs)
        by = self.recipe.data.conformal_by
        return conformal_levels(self.schema, by, self.aside, predicted)

    def remarks(self, table: pd.DataFrame | Table, where: str = "table") -> list[str]:
        """What is unlike the training rows in a table to predict, in sentences.

        Args:
            table: the rows, or what `read` made of them.
            where: the table's name, for messages.

        Raises:
            InputError: see `read`.
        """
        table = self._read(table, where)
        found = list(table.remarks)
        for column in self.schema.inputs:
            missing, unseen = table.missing[column.name], column.unseen(table.values[column.name])
            if missing and not column.gaps:
                rule = f"{missing:,} missing values; the training rows had none"
                found.append(f"column {column.name!r}: {rule}")
            elif unseen:
                rule = f"{unseen:,} values that training rows hardly had"
                found.append(f"column {column.name!r}: {rule}")
        return found

    def embed(
        self, table: pd.DataFrame | Table, where: str = "table", *, member: int = 0
    ) -> pd.DataFrame:
        """Each cell as the network reads it: a vector for a level, a standardised number.

        Args:
            table: the rows, or what `read` made of them.
            where: the table's name, for messages.
            member: which of the networks; their axes have nothing in common.

        Raises:
            InputError: there is no such network; see `read`.
        """
        if not 0 <= member < len(self.members):
            raise InputError(f"member: expected 0 to {len(self.members) - 1}, found {member}")
        inputs = self._read(table, where).encode()
        return pd.DataFrame(embedded(self.members[member].network, self.schema, inputs))

    def _read(self, table: pd.DataFrame | Table, where: str) -> Table:
        return table if isinstance(table, Table) else self.read(table, where)

    def save(self, path: StrPath, *, overwrite: bool = False, identity: str = "") -> None:
        """Write the model folder, whole or not at all.

        Args:
            path: the folder.
            overwrite: replace a model that is there.
            identity: what the fit was made from, for `TableModel.identity` to give back.

        Raises:
            InputError: the folder exists, or the disk refused.
        """
        tensors, documents, texts = self.contents()
        write_folder(
            path,
            kind=MODEL_KIND,
            schema=MODEL_SCHEMA,
            tensors=tensors,
            documents=documents,
            texts=texts,
            data={"identity": identity},
            overwrite=overwrite,
        )

    def contents(
        self,
    ) -> tuple[dict[str, Mapping[str, Tensor]], dict[str, Any], dict[str, str]]:
        """What a folder holds of it: tensors, documents and texts by name."""
        tensors: dict[str, Mapping[str, Tensor]] = {}
        documents: dict[str, Any] = {
            "columns": self.schema.to_json(),
            "recipe": asdict(self.recipe),
        }
        for place, member in enumerate(self.members):
            tensors[f"network-{place}"] = member.network.state_dict()
            files = member.posterior.files()
            for name, group in files.tensors.items():
                tensors[f"{_posterior(place)}-{name}"] = group
            if files.document is not None:
                documents[_posterior(place)] = files.document
            if member.memory is not None:
                tensors[f"memory-{place}"] = member.memory.state_dict()
        if self.counts is not None:
            documents["tallies"] = to_plain(self.counts.columns)
        if self.exemplars is not None:
            tensors["kept"] = self.exemplars.tensors()
        if self.aside is not None:
            tensors["aside"] = self.aside.tensors()
        if self.unresolved is not None:
            documents["told"] = asdict(self.unresolved)
        documents["history"] = to_plain(self.history)
        if self.findings is not None:
            documents["evaluation"] = to_plain(self.findings)
        return tensors, documents, {"recipe.toml": dump(self.recipe), "log.jsonl": self.log}

    @staticmethod
    def identity(path: StrPath) -> str | None:
        """The identity that a model folder was saved with; None where there is no sound one."""
        try:
            data = read_folder(path, kind=MODEL_KIND, schema=MODEL_SCHEMA).data
        except InputError:
            return None
        return data.get("identity") if isinstance(data, dict) else None

    @classmethod
    def load(cls, path: StrPath, kinds: Kinds = KINDS) -> "TableModel":
        """Read a model folder; every byte is verified first.

        Args:
            path: the folder.
            kinds: those that the table was fitted with.

        Raises:
            InputError: it is missing, damaged, of another version, or its parts do not fit.
        """
        return cls.of_folder(read_folder(path, kind=MODEL_KIND, schema=MODEL_SCHEMA), kinds)

    @classmethod
    def of_folder(cls, folder: Folder, kinds: Kinds = KINDS) -> "TableModel":
        """Read what `contents` gave.

        Args:
            folder: verified.
            kinds: those that the table was fitted with.

        Raises:
            InputError: its parts do not fit.
        """
        try:
            return cls._assemble(folder, kinds)
        except InputError:
            raise
        except _UNFIT as error:
            where = f"{folder.path}: its parts do not fit together"
            raise InputError(f"{where}: {error!s:.200}") from error

    @classmethod
    def _assemble(cls, folder: Folder, kinds: Kinds) -> "TableModel":
        schema = Schema.from_json(folder.document("columns"), kinds)
        recipe = build(folder.document("recipe"))
        members = tuple(
            _member(folder, schema, recipe, place) for place in range(recipe.network.members)
        )
        model = cls(
            schema,
            recipe,
            members,
            log=folder.text("log.jsonl"),
            counts=_counts(folder),
            exemplars=_exemplars(folder, schema, "kept"),
            aside=_exemplars(folder, schema, "aside"),
            history=tuple(
                from_plain(HistoryEntry, entry, "history") for entry in folder.document("history")
            ),
            unresolved=build(folder.document("told")) if folder.has("told.json") else None,
        )
        if folder.has("evaluation.json"):
            where = f"{folder.path}: evaluation"
            return replace(
                model, findings=from_plain(Findings, folder.document("evaluation"), where)
            )
        return model


def _posterior(place: int) -> str:
    return f"posterior-{place}"


def _member(folder: Folder, schema: Schema, recipe: Recipe, place: int) -> Member:
    tensors = folder.tensors(f"network-{place}")
    # on the meta device no memory is taken: a recipe that asks for more than the file holds is
    # refused by its shapes, not by the machine
    with torch.device("meta"):
        _refuse_other_shapes(build_network(schema, recipe), tensors)
    with seeded(0):  # the weights are replaced; the caller's random numbers are not to be
        network = build_network(schema, recipe)
    network.load_state_dict(tensors)
    lead, end = f"{_posterior(place)}-", ".safetensors"
    names = [name for name in folder.files if name.startswith(lead) and name.endswith(end)]
    groups = [name.removesuffix(end) for name in names]
    document = f"{_posterior(place)}.json"
    files = PosteriorFiles(
        {name.removeprefix(lead): folder.tensors(name) for name in groups},
        folder.document(_posterior(place)) if folder.has(document) else None,
    )
    posterior = UNCERTAINTIES[recipe.posterior.uncertainty].read(schema, network.eval(), files)
    memory = None
    if folder.has(f"memory-{place}.safetensors"):
        memory = read_memory(folder.tensors(f"memory-{place}"))
    return Member(network, posterior, memory)


def _refuse_other_shapes(network: TableNet, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of the network that schema and recipe call for."""
    wanted = {name: tuple(own.shape) for name, own in network.state_dict().items()}
    found = {name: tuple(own.shape) for name, own in tensors.items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise InputError(
                f"its parts do not fit together: the recipe calls for {name} of shape "
                f"{wanted.get(name, 'nothing')}, the file holds {found.get(name, 'nothing')}"
            )


def _counts(folder: Folder) -> TableCounts | None:
    if not folder.has("tallies.json"):
        return None
    items = folder.document("tallies").items()
    return TableCounts({name: from_plain(ColumnCounts, part, name) for name, part in items})


def _exemplars(folder: Folder, schema: Schema, name: str) -> Exemplars | None:
    has = folder.has(f"{name}.safetensors")
    return Exemplars.read(folder.tensors(name), schema) if has else None
