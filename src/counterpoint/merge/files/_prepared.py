"""What a merge of files will do, known from headers alone, and without torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from counterpoint.checkpoints import Checkpoint, NewTensor, StoredTensor, open_checkpoint
from counterpoint.errors import InputError, nearest
from counterpoint.merge._entries import Policy
from counterpoint.merge._layers import Layers, tabulate
from counterpoint.merge._plan import MergePlan
from counterpoint.merge.files._recipe import FLOATS, MergeRecipe
from counterpoint.plain import StrPath, to_plain

CHUNK = 1 << 20
"""Elements of a tensor that are merged, hashed and written as one part."""


KEY = "counterpoint"
"""Under which a merged file's metadata say how it was made."""


@dataclass(frozen=True)
class Part:
    """What is written as one: some elements of a tensor, or all.

    Attributes:
        name: the tensor's.
        first: the first element.
        last: the one after the last.
        whole: whether the method is to see the whole tensor.
    """

    name: str
    first: int
    last: int
    whole: bool = False


@dataclass(frozen=True)
class PreparedMerge:
    """A merge of files before it reads a tensor; its text is what a dry run shows.

    Attributes:
        recipe: what was asked.
        sources: the inputs, and the base behind them where there is one.
        plan: what becomes of each tensor.
        tensors: what the result holds, in the order in which it is written.
        notes: what whoever asked should know.
    """

    recipe: MergeRecipe
    sources: tuple[Checkpoint, ...]
    plan: MergePlan
    tensors: tuple[NewTensor, ...]
    notes: tuple[str, ...]

    @cached_property
    def known(self) -> Mapping[str, str]:
        """A tensor's name -> the one under which the plan knows it."""
        return {tensor.name: tensor.name for tensor in self.tensors} | self.plan.table.ties

    @property
    def table(self) -> Layers:
        """The layers, numbered."""
        return self.plan.table

    def stored(self, source: int, name: str) -> StoredTensor:
        """A tensor of a source; a tied one by any of its names."""
        tensors = self.sources[source].tensors
        ties = self.plan.table.ties
        first = ties.get(name, name)
        for other in (name, first, *(alias for alias, to in ties.items() if to == first)):
            if other in tensors:
                return tensors[other]
        raise KeyError(name)

    def parts(self) -> list[Part]:
        """The parts in which the result is written."""
        found = list[Part]()
        for tensor in self.tensors:
            elements = self.stored(0, tensor.name).elements
            policy = self.plan.policies[self.known[tensor.name]]
            if policy is Policy.MERGE and not self.piecewise:
                found.append(Part(tensor.name, 0, elements, whole=True))
                continue
            # an empty tensor has a part, too: its name is in the digests
            for first in range(0, max(elements, 1), CHUNK):
                found.append(Part(tensor.name, first, min(first + CHUNK, elements)))
        return found

    @property
    def piecewise(self) -> bool:
        """Whether the method needs to see no more than a piece of a tensor."""
        return self.recipe.facts.elementwise and not self.recipe.evidence

    def identity(self, digests: Sequence[str]) -> str:
        """What decides the result, as one text: recipe, and the digests of the headers read."""
        return json.dumps([to_plain(self.recipe), *digests], sort_keys=True)

    def __str__(self) -> str:
        return f"{self.plan.table}\n\n{self.plan}"


def prepare(recipe: MergeRecipe) -> PreparedMerge:
    """Open all inputs and settle what becomes of each tensor; reads headers alone.

    Raises:
        InputError: an input cannot be used, they are not of one architecture, or a rule matches
            nothing.
    """
    sources = tuple(open_checkpoint(path) for path in recipe.sources)
    first = sources[0]
    table = _table(first)
    for other in sources[1:]:
        _refuse_other(first, other, table.ties)
    plan = MergePlan.of(
        table,
        recipe.weights,
        inputs=len(recipe.inputs),
        scales=recipe.facts.scales,
        first=recipe.first,
        buffers=dict(recipe.buffers),
    )
    tensors = tuple(
        NewTensor(
            t.name,
            _type(recipe, t.dtype),
            t.shape,
            first.shards.get(t.name, ""),
            table.ties.get(t.name, ""),
        )
        for t in sorted(first.tensors.values(), key=lambda t: (t.boxes[0].file, t.boxes[0].offset))
    )
    notes = [note for source in sources for note in source.notes]
    return PreparedMerge(recipe, sources, plan, tensors, tuple(notes + _remarks(sources, plan)))


def table_of(path: StrPath) -> Layers:
    """The numbered layers of a weight file or folder, from its header.

    Raises:
        InputError: it cannot be used.
    """
    return _table(open_checkpoint(path))


def _table(found: Checkpoint) -> Layers:
    ties = {alias: group[0] for group in found.tied for alias in group[1:]}
    listing = [(tensor.name, tensor.shape, tensor.dtype) for tensor in found.tensors.values()]
    return tabulate(listing, ties=ties)


def refuse_same(recipe: MergeRecipe, out: Path) -> None:
    """Refuse to write where an input is.

    Raises:
        InputError: the output is an input, inside one, or around one.
    """
    # links and relative names are the file that they lead to
    place = out.resolve()
    for source in (*recipe.sources, *recipe.evidence):
        read = Path(source).resolve()
        if place == read or place in read.parents or read in place.parents:
            raise InputError(f"{out}: is an input of this merge ({source}); choose another name")


def _type(recipe: MergeRecipe, dtype: str) -> str:
    return recipe.dtype if recipe.dtype and dtype in FLOATS else dtype


def _refuse_other(first: Checkpoint, other: Checkpoint, ties: Mapping[str, str]) -> None:
    """See that two checkpoints have the same tensors."""
    a, b = first.tensors, other.tensors
    groups = [
        {name, *(alias for alias, to in ties.items() if to == name)} for name in ties.values()
    ]
    spared = {name for group in groups if group & set(b) for name in group}
    missing = [name for name in a if name not in b and name not in spared]
    extra = [name for name in b if name not in a]
    where = f"{other.path}: does not fit {first.path}"
    # the nearest name helps where the two differ by one, as with a head that was renamed
    if missing:
        hint = nearest(missing[0], extra) if extra else ""
        raise InputError(f"{where}: it lacks {_listed(missing)}{hint}")
    if extra:
        raise InputError(f"{where}: it has {_listed(extra)}, which that has not")
    for name in a:
        if name not in b:
            continue
        if a[name].shape != b[name].shape:
            raise InputError(
                f"{where}: {name!r:.80} has shape {b[name].shape}, there {a[name].shape}"
            )
        # floats of several widths are merged in the widest; half an integer is none
        if a[name].dtype != b[name].dtype and {a[name].dtype, b[name].dtype} - set(FLOATS):
            raise InputError(f"{where}: {name!r:.80} is {b[name].dtype}, there {a[name].dtype}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name!r:.80}" for name in names[:3]) + more


def _remarks(sources: Sequence[Checkpoint], plan: MergePlan) -> list[str]:
    found = list[str]()
    # no refusal: a base in float32 and fine-tuned models in bfloat16 are usual
    mixed = [
        name
        for name, tensor in sources[0].tensors.items()
        if len({source.tensors.get(name, tensor).dtype for source in sources}) > 1
    ]
    if mixed:
        found.append(f"{len(mixed)} tensors are of different types in the inputs ({mixed[0]:.60})")
    averaged = {n.rpartition(".")[0] for n, p in plan.policies.items() if p is Policy.AVERAGE}
    if averaged:
        found.append(
            f"the statistics of {len(averaged)} normalisation layers ({min(averaged)}, ...) are"
            " averages, and not those of the merged model; re-estimate them on some inputs"
        )
    return found
