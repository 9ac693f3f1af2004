"""The numbered table of a model's layers, from the names, shapes and types of its tensors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from counterpoint.checkpoints import natural
from counterpoint.merge._entries import Listed, TensorEntry, entries_of

KINDS = ("embedding", "norm", "convolution", "attention", "linear", "head", "other")
"""What a layer may be: by its module's class, or by the names and shapes of its tensors."""

_EMBEDDING = {"embed", "embedding", "embeddings", "embed_tokens", "wte", "wpe", "tok_embeddings"}
_HEAD = {"head", "heads", "lm_head", "classifier", "fc", "logits", "score", "output", "proj_out"}
_NORM = ("norm", "bn", "ln")


@dataclass(frozen=True)
class Layer:
    """A layer: the path of a module that owns tensors, which have their shares in common.

    Attributes:
        index: its number, from 0, in the model's order.
        name: the path; empty where the model itself owns the tensors.
        kind: one of `KINDS`.
        entries: its tensors, in order.
        distance: between two models' tensors, Euclidean; none where one model is listed.
        cosine: of the angle between them.
    """

    index: int
    name: str
    kind: str
    entries: tuple[TensorEntry, ...]
    distance: float | None = None
    cosine: float | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their full names."""
        return tuple(entry.name for entry in self.entries)

    @property
    def dtype(self) -> str:
        """Of its first floating tensor, or of its first."""
        floating = [entry.dtype for entry in self.entries if "float" in entry.dtype]
        return (floating or [entry.dtype for entry in self.entries])[0]

    @property
    def parameters(self) -> int:
        """How many numbers, buffers left out."""
        return sum(entry.size for entry in self.entries if not entry.buffer)

    @property
    def shown(self) -> str:
        """The name for a table: ``(model)`` where it is empty."""
        return self.name or "(model)"


@dataclass(frozen=True)
class Layers:
    """All layers in order; its text is the table.

    Attributes:
        rows: the layers.
        ties: a name of a tensor -> the name under which it is known, where it has several.
    """

    rows: tuple[Layer, ...]
    ties: dict[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Layer:
        return self.rows[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.rows)

    @property
    def entries(self) -> dict[str, TensorEntry]:
        """All tensors by name, in order."""
        return {entry.name: entry for layer in self.rows for entry in layer.entries}

    def __str__(self) -> str:
        compared = any(layer.distance is not None for layer in self.rows)
        heads = ["#", "layer", "kind", "tensors", "type", "parameters"]
        heads += ["distance", "cosine"] if compared else []
        return columns([heads, *(self._cells(layer, compared) for layer in self.rows)])

    def _cells(self, layer: Layer, compared: bool) -> list[str]:
        cells = [str(layer.index), layer.shown, layer.kind, str(len(layer.entries)), layer.dtype]
        cells.append(f"{layer.parameters:,}")
        if compared:
            pair = (layer.distance, layer.cosine)
            cells += ["" if value is None else f"{value:.4g}" for value in pair]
        return cells


def tabulate(
    listing: Iterable[Listed],
    *,
    sort: bool = False,
    ties: Mapping[str, str] | None = None,
) -> Layers:
    """The table of a listing of tensors: entries, or (name, shape, type).

    Args:
        listing: in the model's order.
        sort: names in natural order instead, for files that keep none (safetensors sorts by name).
        ties: a name -> the name of the tensor that it is, too; it is in no layer.

    >>> print(tabulate([("b.10.weight", (3, 2), "F32"), ("b.9.weight", (2,), "F32")], sort=True))
    #  layer  kind  tensors  type     parameters
    0  b.9    norm  1        float32  2
    1  b.10   head  1        float32  6
    """
    tied = dict(ties or {})
    found = [entry for entry in entries_of(listing) if entry.name not in tied]
    if sort:
        found.sort(key=lambda entry: natural(entry.name))
    groups: dict[str, list[TensorEntry]] = {}
    for entry in found:
        groups.setdefault(entry.layer, []).append(entry)
    rows = [
        Layer(index, name, _kind(name, entries), tuple(entries))
        for index, (name, entries) in enumerate(groups.items())
    ]
    return Layers(tuple(_with_heads(rows)), tied)


def columns(rows: list[list[str]]) -> str:
    """Cells as text in columns, two spaces apart."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _kind(name: str, entries: list[TensorEntry]) -> str:
    """What a module's class says, else a guess from names and shapes."""
    said = next((entry.kind for entry in entries if entry.kind), "")
    if said:
        return said
    # statistics first: a norm without weights has nothing else to be known by
    last = name.rpartition(".")[2].lower()
    ranks = {entry.name.rpartition(".")[2]: len(entry.shape) for entry in entries if not entry.bias}
    if "in_proj_weight" in ranks:
        return "attention"
    if any(entry.statistic for entry in entries) or (
        ranks.get("weight", 0) < 2 and ("weight" in ranks or any(word in last for word in _NORM))
    ):
        return "norm"
    if _EMBEDDING & {last, last.rstrip("0123456789_")} and ranks.get("weight") == 2:
        return "embedding"
    return {2: "linear", 3: "convolution", 4: "convolution", 5: "convolution"}.get(
        ranks.get("weight", 0), "other"
    )


def _with_heads(rows: list[Layer]) -> list[Layer]:
    """Linear layers called a head are one; where none is, the last one is."""
    linear = [layer.index for layer in rows if layer.kind == "linear"]
    named = [
        index
        for index in linear
        if _HEAD & {part.rstrip("0123456789_") for part in rows[index].name.split(".")}
    ]
    heads = set(named or (linear[-1:] if len(rows) > 1 else []))
    return [replace(row, kind="head") if row.index in heads else row for row in rows]
