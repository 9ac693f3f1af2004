"""What a merge of files is told, as plain values: it goes into the merged file, and comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterpoint.errors import InputError, one_of
from counterpoint.merge._entries import dtype_name
from counterpoint.merge._plan import Weights
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge._schedules import WeightSchedule, read_weight
from counterpoint.plain import StrPath

FLOATS = ("F16", "BF16", "F32", "F64")
"""Types in which a merged file may be."""


@dataclass(frozen=True)
class MergeRecipe:
    """Inputs, method and weights of a merge of files, as they are kept in its result.

    Attributes:
        inputs: the files or folders, as they were given.
        method: its name.
        rules: selector and weight of each rule, as `read_weight` reads it; none: all alike.
        each: instead of rules: one weight a layer.
        first: λ is the share of the first of two inputs.
        base: the common start, for methods that need one.
        evidence: what is known of each input beside its weights, for methods that are told it.
        buffers: selector and policy of tensors that are not to be treated as usual.
        dtype: the type of floating tensors, such as "BF16"; empty: that of the first input.
        options: settings of the method that are not its defaults.
    """

    inputs: tuple[str, ...]
    method: str = "linear"
    rules: tuple[tuple[str, str], ...] = ()
    each: tuple[float, ...] = ()
    first: bool = False
    base: str = ""
    evidence: tuple[str, ...] = ()
    buffers: tuple[tuple[str, str], ...] = ()
    dtype: str = ""
    options: dict[str, float | int | str | bool] = field(
        default_factory=dict[str, float | int | str | bool]
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", one_of("method", self.method, METHODS))
        if len(self.inputs) < 2:
            raise InputError(f"merge: two or more inputs are needed, found {len(self.inputs)}")
        if self.dtype:
            names = {name.lower(): name for name in FLOATS}
            names |= {dtype_name(name): name for name in FLOATS}
            known = one_of("dtype", self.dtype, names)
            object.__setattr__(self, "dtype", names[known])
        _refuse_unfit(self, METHODS[self.method])

    @property
    def facts(self) -> Facts:
        """What the method is like."""
        return METHODS[self.method]

    @property
    def weights(self) -> Weights:
        """As `MergePlan.of` takes them."""
        if self.each:
            return list(self.each)
        return {selector: read_weight(text) for selector, text in self.rules} or None

    @property
    def sources(self) -> tuple[str, ...]:
        """All that is read tensor by tensor: the inputs, and the base where there is one."""
        return (*self.inputs, self.base) if self.base else self.inputs


def recipe_of(
    inputs: Sequence[StrPath],
    weights: Weights = None,
    *,
    first: Weights = None,
    base: StrPath | None = None,
    evidence: Sequence[StrPath] = (),
    buffers: Mapping[str, str] | None = None,
    **more: Any,
) -> MergeRecipe:
    """The recipe of what a call was given.

    Raises:
        InputError: weights that a file cannot keep: tensors, and numbers of more than six digits
            in a schedule.
    """
    if weights is not None and first is not None:
        raise InputError("merge: weights are shares of the second input or of the first, not both")
    given = weights if first is None else first
    rules, each = _spelt(given)
    return MergeRecipe(
        tuple(str(path) for path in inputs),
        rules=rules,
        each=each,
        first=first is not None,
        base="" if base is None else str(base),
        evidence=tuple(str(path) for path in evidence),
        buffers=tuple((buffers or {}).items()),
        **more,
    )


def _spelt(weights: Any) -> tuple[tuple[tuple[str, str], ...], tuple[float, ...]]:
    if weights is None:
        return (), ()
    if isinstance(weights, Mapping):
        return tuple((str(name), _text(weight)) for name, weight in weights.items()), ()
    # a list is one weight a layer, as in memory; a tuple one share an input
    if isinstance(weights, list):
        return (), tuple(float(weight) for weight in weights)
    return (("**", _text(weights)),), ()


def _text(weight: Any) -> str:
    if isinstance(weight, str):
        return weight
    if isinstance(weight, tuple | list):
        # repr: the shortest text that reads back as the same number
        return ",".join(repr(float(part)) for part in weight)
    text = str(weight) if isinstance(weight, WeightSchedule) else repr(weight)
    if isinstance(weight, WeightSchedule) and read_weight(text) != weight:
        raise InputError(f"weights: a file keeps six digits of a schedule's numbers, found {text}")
    if not isinstance(weight, WeightSchedule | int | float):
        raise InputError(
            f"weights: a merge of files takes numbers and schedules, found {type(weight).__name__};"
            " merge modules or state dicts with tensors"
        )
    return text


def _refuse_unfit(recipe: MergeRecipe, facts: Facts) -> None:
    """See that the method has what it needs, and is given nothing that it does not use."""
    name = f"method {recipe.method!r}"
    if facts.base and not recipe.base:
        raise InputError(f"{name} merges what was learnt since a common start; give it as --base")
    if recipe.base and not facts.base:
        raise InputError(f"{name} takes no --base; methods with one: {_with_base()}")
    if facts.evidence and len(recipe.evidence) != len(recipe.inputs):
        raise InputError(
            f"{name} is told {facts.evidence}: one --evidence for each of {len(recipe.inputs)}"
            f" inputs, found {len(recipe.evidence)}"
        )
    if recipe.evidence and not facts.evidence:
        raise InputError(f"{name} takes no --evidence")
    if facts.models not in (0, len(recipe.inputs)):
        raise InputError(f"{name} takes {facts.models} inputs, found {len(recipe.inputs)}")


def _with_base() -> str:
    return ", ".join(name for name, facts in METHODS.items() if facts.base)
