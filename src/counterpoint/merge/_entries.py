"""What is known of a tensor without its numbers, and what may be done with it in a merge."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import TypeAlias

from counterpoint.errors import InputError

_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_WHOLE = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
_SHORT = {"BF16": "bfloat16", "BOOL": "bool"}
_LETTERS = {"F": "float", "I": "int", "U": "uint"}
_STATISTICS = {"running_mean", "running_var"}


class Policy(Enum):
    """What becomes of a tensor; the value says it."""

    MERGE = "merged by the method"
    AVERAGE = "averaged with the layer's shares"
    MAX = "the greatest of the inputs"
    EQUAL = "the same in all inputs, or refused"
    FIRST = "that of the first input"
    ZERO = "set to zero"


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's name, shape and type: all that a plan needs, as a header says it.

    Attributes:
        name: dotted, without the prefixes of wrappers.
        shape: its sizes.
        dtype: as torch names it (``"bfloat16"``), or as safetensors does (``"BF16"``).
        kind: of its layer, where a module says so.
        buffer: whether it is no parameter, where that is known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""
    buffer: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))
        object.__setattr__(self, "shape", tuple(self.shape))

    @property
    def layer(self) -> str:
        """The path of the module that owns it: the name up to the last dot."""
        return self.name.rpartition(".")[0]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def statistic(self) -> bool:
        """Whether it is a mean or variance that a normalisation gathered."""
        return self.name.rpartition(".")[2] in _STATISTICS

    @property
    def bias(self) -> bool:
        """Whether it is a bias, by its name."""
        return self.name.rpartition(".")[2].endswith("bias")


Listed: TypeAlias = TensorEntry | tuple[str, Iterable[int], object]
"""An entry, or (name, shape, type)."""


def policy(entry: TensorEntry) -> Policy:
    """What becomes of a tensor where nobody says otherwise.

    Floats are merged, statistics of a normalisation averaged. What counts steps takes the greatest
    count; other integers and masks must be equal, since half of an index or of a mask is none.

    Raises:
        InputError: complex, quantised and eight-bit floating tensors, whose merge nobody defined.

    >>> policy(TensorEntry("bn.num_batches_tracked", (), "int64"))
    <Policy.MAX: 'the greatest of the inputs'>
    """
    if entry.dtype in _FLOATS:
        return Policy.AVERAGE if entry.statistic else Policy.MERGE
    if entry.dtype in _WHOLE:
        counts = entry.name.rpartition(".")[2] == "num_batches_tracked"
        return Policy.MAX if counts else Policy.EQUAL
    raise InputError(
        f"{entry.name}: tensors of type {entry.dtype} are not merged; expected one of"
        f" {', '.join(sorted(_FLOATS | _WHOLE))}; convert it first"
    )


def dtype_name(dtype: object) -> str:
    """A type as torch names it, whoever names it.

    >>> dtype_name("F32"), dtype_name("BF16"), dtype_name("torch.int64")
    ('float32', 'bfloat16', 'int64')
    """
    name = str(dtype).removeprefix("torch.")
    if name in _SHORT:
        return _SHORT[name]
    found = re.fullmatch(r"([FIU])(\d+)", name)
    return f"{_LETTERS[found[1]]}{found[2]}" if found else name


def entries_of(listing: Iterable[Listed]) -> list[TensorEntry]:
    """Entries of a header's listing."""
    return [
        each
        if isinstance(each, TensorEntry)
        else TensorEntry(each[0], tuple(each[1]), str(each[2]))
        for each in listing
    ]
