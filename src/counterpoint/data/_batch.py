"""One batch: what the model is called with, what was observed, and how much each row counts."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.errors import InputError, nearest

_NONE: Mapping[str, Any] = {}
_RESERVED = "it is how much each row counts; call an input of another meaning by another name"
_ORDERLESS = "it has names and no order: batch['x'] and batch['y'] of (x, y)"
_ABSENT = object()
_OF_TYPES = re.compile(r"dtype|scalar type|[Ii]nput type|same type")


# Compared as an object: `==` of tensors has no truth value. Slots because one is made every step.
@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch, read: what goals, losses and memories are given.

    `as_batch` makes one of what a loader yields, `Batch.of` of tensors at hand; the constructor
    itself looks at nothing. ``batch["x"]`` is what the user's own batch called ``x``.

    Attributes:
        inputs: positional arguments of the model.
        named: its keyword arguments, and whatever else a batch brings.
        target: what was observed: one tensor, or one a head; none where it is not known.
        weight: how much each row counts, as repetition; none means once.
        rows: examples in the batch: the first dimension of its first tensor.
        shared: places and names of inputs that all rows share, whatever their sizes.
        offset: place of its first row in the batch that it is part of.
        spelt: what the user calls the target.
    """

    inputs: tuple[Any, ...]
    named: Mapping[str, Any]
    target: Tensor | Mapping[str, Tensor] | None
    weight: Float[Tensor, " rows"] | None
    rows: int
    shared: frozenset[int | str] = frozenset()
    offset: int = 0
    spelt: str = "y"

    @classmethod
    def of(
        cls,
        *inputs: Any,
        target: Tensor | Mapping[str, Tensor] | None = None,
        weight: Tensor | None = None,
        named: Mapping[str, Any] = _NONE,
        shared: Collection[int | str] = (),
        spelt: str = "y",
    ) -> "Batch":
        """A batch from what the model is called with, checked.

        Args:
            inputs: positional arguments.
            target: what was observed.
            weight: of each row, finite and at least 0; values are looked at where that does not
                make a device wait.
            named: keyword arguments, by whatever names.
            shared: places or names of arguments that all rows share (a mask of positions), even
                where their first dimension happens to be as long as the batch.
            spelt: what else than ``"y"`` the target is called.

        Raises:
            InputError: no tensor among the inputs, no rows, or targets or weights of other lengths.

        >>> x, y = torch.zeros(3, 2), torch.zeros(3)
        >>> batch = Batch.of(x, target=y, weight=torch.ones(3), named={"mask": x > 0})
        >>> batch.rows, batch["mask"].shape, batch["y"] is y
        (3, torch.Size([3, 2]), True)
        """
        targets = target if isinstance(target, Mapping) else {spelt: target}
        rows = _rows([*inputs, *named.values(), *targets.values()])
        for name, value in targets.items():
            _check_rows(name, value, rows)
        checked = None if weight is None else _checked(weight, rows)
        return cls(inputs, named, target, checked, rows, frozenset(shared), 0, spelt)

    def __getitem__(self, name: Any) -> Any:
        """What the user's batch calls by this name.

        Names of the user's own come first, then ``"x"`` (the first input), the target as it was
        spelt or a head's, and ``"weight"``.

        Raises:
            InputError: there is none (names the nearest).
        """
        found = self._find(name)
        if found is _ABSENT and isinstance(name, int):  # no name of the user's, so a place
            raise InputError(f"batch: no {name!r}; {_ORDERLESS}")
        if found is _ABSENT:
            raise InputError(f"batch: no {name!r}{nearest(name, self._names())}")
        return found

    def __contains__(self, name: str) -> bool:
        """Whether ``batch[name]`` is there."""
        return self._find(name) is not _ABSENT

    def __iter__(self) -> Iterator[Any]:
        """Refused: Python would else go through ``batch[0]``, ``batch[1]``, ...

        Raises:
            InputError: always.
        """
        raise InputError(f"batch: cannot be taken apart by position; {_ORDERLESS}")

    def get(self, name: str, default: Any = None) -> Any:
        """What ``batch[name]`` is, or the default where there is none."""
        found = self._find(name)
        return default if found is _ABSENT else found

    def call(self, model: nn.Module) -> Any:
        """The model's output.

        Raises:
            InputError: inputs of another type of number than the model's weights (names one), or
                others than the model's `forward` takes.
        """
        try:
            return model(*self.inputs, **self.named)
        except TypeError as error:
            raise _arguments_named(error, model, self) from error
        except RuntimeError as error:
            raise types_named(error, model, self) from error

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; the same object when it is there already."""
        for value in self.tensors():
            if value.device != device:
                break
        else:
            return self
        # a copy to the CPU may not be awaited by what reads it there; one to a device is, by its
        # stream
        away = device.type != "cpu"
        return self.map(lambda value: value.to(device, non_blocking=away))

    def detached(self) -> "Batch":
        """Copies of inputs that were made in inference mode, which no graph may keep."""
        return self.map(lambda value: value.clone() if value.is_inference() else value)

    def map(self, each: Callable[[Tensor], Tensor]) -> "Batch":
        """The same rows: a function of every tensor, which keeps their number."""
        return Batch(
            tuple([each(v) if isinstance(v, Tensor) else v for v in self.inputs]),
            {n: each(v) if isinstance(v, Tensor) else v for n, v in self.named.items()},
            _each(self.target, each),
            None if self.weight is None else each(self.weight),
            self.rows,
            self.shared,
            self.offset,
            self.spelt,
        )

    def take(self, rows: slice | Tensor) -> "Batch":
        """Some of the rows; what all rows share goes along whole."""
        if isinstance(rows, slice):
            # not counted in a tensor of all rows: a loader asks this for every batch
            places = range(*rows.indices(self.rows))
            return self.select(lambda v: v[rows], len(places), self.offset + places.start)
        count = int(rows.sum()) if rows.dtype == torch.bool else len(rows)
        return self.select(lambda v: v[rows], count, self.offset)

    def select(self, each: Callable[[Tensor], Tensor], rows: int, offset: int = 0) -> "Batch":
        """Rows by a function of each tensor that has them; what all rows share goes along whole.

        Args:
            each: given every tensor that has rows; returns some of them.
            rows: how many it returns.
            offset: place of the first in the batch that they are part of.
        """
        mine = self.sharing()
        return Batch(
            tuple([v if place in mine else each(v) for place, v in enumerate(self.inputs)]),
            {name: v if name in mine else each(v) for name, v in self.named.items()},
            _each(self.target, each),
            None if self.weight is None else each(self.weight),
            rows,
            mine,  # a part may be as long as something that all rows share
            offset,
            self.spelt,
        )

    def parts(self, rows: int) -> "list[Batch]":
        """The batch in parts of at most some rows."""
        if rows >= self.rows:
            return [self]
        return [self.take(slice(at, at + rows)) for at in range(0, self.rows, rows)]

    def items(self) -> dict[int | str, Any]:
        """All inputs by place or name."""
        return {**dict(enumerate(self.inputs)), **self.named}

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor in it."""
        target = self.target
        for value in (*self.inputs, *self.named.values()):
            if isinstance(value, Tensor):
                yield value
        if isinstance(target, Tensor):
            yield target
        elif target is not None:
            yield from target.values()
        if self.weight is not None:
            yield self.weight

    def is_rows(self, key: int | str) -> bool:
        """Whether an input has a row an example."""
        return key not in self.sharing()

    def sharing(self) -> frozenset[int | str]:
        """Inputs that all rows share, as far as sizes tell."""
        rows = (self.rows,)
        return frozenset(
            key
            for key, value in self.items().items()
            if key in self.shared or not isinstance(value, Tensor) or value.shape[:1] != rows
        )

    # asked several times a step, so nothing is built: a name table cost more than the look-up
    def _find(self, name: Any) -> Any:
        if name in self.named:
            return self.named[name]
        if name == "x" and self.inputs:
            return self.inputs[0]
        target = self.target
        if isinstance(target, Tensor):
            if name == self.spelt:
                return target
        elif target is not None and name in target:
            return target[name]
        if name == "weight" and self.weight is not None:
            return self.weight
        return _ABSENT

    def _names(self) -> list[str]:
        names = [*self.named]
        if self.inputs:
            names.append("x")
        if isinstance(self.target, Mapping):
            names += self.target
        elif self.target is not None:
            names.append(self.spelt)
        return names if self.weight is None else [*names, "weight"]


def _each(target: Any, function: Callable[[Tensor], Tensor]) -> Any:
    # the usual case first: to ask whether something is a Mapping is slow where it is not
    if target is None or isinstance(target, Tensor):
        return None if target is None else function(target)
    return {name: function(value) for name, value in target.items()}


def _rows(values: Sequence[Any]) -> int:
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            if value.shape[0] == 0:
                raise InputError("batch: expected at least one row, found none")
            return value.shape[0]
    raise InputError("batch: expected at least one tensor with rows as its first axis, found none")


def _check_rows(name: str, value: Any, rows: int) -> None:
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise InputError(f"batch: {name!r} must be a tensor, found a {type(value).__name__}")
    if value.ndim == 0 or value.shape[0] != rows:
        raise InputError(
            f"batch: {name!r} must have {rows} rows like the inputs, "
            f"found shape {tuple(value.shape)}"
        )


def _checked(weight: Any, rows: int) -> Tensor:
    _check_rows("weight", weight, rows)
    if weight.ndim != 1 or weight.is_complex():
        raise InputError(
            f"batch: 'weight' must be one real number a row, found shape {tuple(weight.shape)};"
            f" {_RESERVED}"
        )
    # elsewhere a look would wait for the device at every step
    if weight.device.type == "cpu":
        check_weight_values(weight)
    return weight.detach()


def types_named(error: RuntimeError, model: nn.Module, batch: Batch) -> RuntimeError | InputError:
    """What to raise where torch could not go on: words for inputs of another type than the weights.

    Args:
        error: what torch raised.
        model: what was called.
        batch: with what.
    """
    # torch has no type of its own for it, and half a dozen wordings
    if not _OF_TYPES.search(str(error)):
        return error
    known = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    for key, value in batch.items().items():
        odd = isinstance(value, Tensor) and value.is_floating_point() and value.dtype not in known
        if known and odd:
            found, wanted = (
                str(kind).removeprefix("torch.") for kind in (value.dtype, next(iter(known)))
            )
            return InputError(
                f"batch: {'x' if key == 0 else key!r} is {found}, the model's weights are {wanted};"
                f" convert it (array.astype('{wanted}'), tensor.to(torch.{wanted})), or the model"
                f" (model.to(torch.{found}))"
            )
    return error


def _arguments_named(error: TypeError, model: nn.Module, batch: Batch) -> TypeError | InputError:
    """What to raise where a call failed: words for arguments that `forward` does not take."""
    try:
        signature(model.forward).bind(*batch.inputs, **batch.named)
    except TypeError as unfit:
        return InputError(
            f"batch: does not fit {type(model).__name__}.forward: {unfit}; yield (x, y) or a"
            " mapping with forward's own names and the target as 'y', or pass unpack= a function"
            " that returns Batch.of(x, ..., target=y)"
        )
    # the call was right, and it was something inside
    return error


def check_weight_values(weight: Tensor) -> None:
    """Refuse row weights that are negative or not finite; waits for their device."""
    if not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise InputError(f"batch: 'weight' must be finite and at least 0; {_RESERVED}")
