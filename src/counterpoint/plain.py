"""Frozen values as JSON holds them, and back: what is written is read by its own annotations.

`to_plain` turns dataclasses, tuples and endings into mappings, lists and words. `from_plain` reads
them back by a type, so that no class says twice what its parts are. JSON has no type of its own:
whatever does not fit is an `InputError` that names the place in the document.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Row:
...     name: str
...     range: tuple[float, float] | None = None
>>> to_plain(Row("price", (0.0, 2.5)))
{'name': 'price', 'range': [0.0, 2.5]}
>>> from_plain(Row, {"name": "price", "range": [0, 2.5]})
Row(name='price', range=(0.0, 2.5))
>>> from_plain(Row, {"name": "price", "range": [0, "x"]}, "row")
Traceback (most recent call last):
    ...
counterpoint.errors.InputError: row.range[1]: expected a number, found 'x'
"""

import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NoReturn,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from counterpoint.errors import Ending, InputError, nearest

__all__ = ["StrPath", "from_plain", "to_plain"]

StrPath: TypeAlias = str | os.PathLike[str]
"""A path as every function takes one that reads or writes."""

_Value = TypeVar("_Value")

_NAMES = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "a text",
    NoneType: "null",
    dict: "an object",
    list: "a list",
    tuple: "a list",
}


def to_plain(value: object) -> Any:
    """A value as nested dicts, lists, texts and numbers.

    Args:
        value: frozen dataclasses, mappings, sequences and enumerations of plain values; an
            `Ending` becomes its word, any other member its value.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: to_plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Enum):
        return value.word if isinstance(value, Ending) else value.value
    if isinstance(value, Mapping):
        return {key: to_plain(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in cast("Sequence[Any]", value)]
    return value


def from_plain(kind: type[_Value], value: object, where: str = "value") -> _Value:
    """Read what `to_plain` gave.

    Args:
        kind: what it is to be: a dataclass, whose parts are dataclasses, enumerations, literals,
            plain types, and lists, tuples, dicts and unions of such. A part with a default may be
            absent.
        value: as JSON gave it.
        where: what the value is called, for the message.

    Raises:
        InputError: a part is missing, unknown or of another type; the message begins with its
            path, such as ``evaluation.targets[0].metrics['RMSE']``.
    """
    return cast("_Value", _read(kind, value, where))


def _read(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind in (bool, int, float, str, NoneType):
        return _scalar(kind, value, where)
    if is_dataclass(kind):
        return _record(cast("type[Any]", kind), value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of({to_plain(member): member for member in kind}, value, where)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _one_of({part: part for part in parts}, value, where)
    if origin in (Union, UnionType):
        return _union(parts, value, where)
    if origin is dict:
        _refuse_unless(isinstance(value, dict), dict, value, where)
        return {
            _read(parts[0], key, where): _read(parts[1], part, f"{where}[{key!r:.60}]")
            for key, part in value.items()
        }
    if origin in (list, tuple):
        _refuse_unless(isinstance(value, list | tuple), list, value, where)
        return origin(_items(origin, parts, value, where))
    raise TypeError(f"{where}: values of the type {kind} have no plain form")


def _scalar(kind: type, value: Any, where: str) -> Any:
    # a bool is an int to Python, and 1 for true would pass every later check
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    # JSON writes 2.0 as it was given, and people write 2
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**1023 else _refuse(kind, value, where)
    _refuse_unless(fits, kind, value, where)
    return value


def _record(kind: type[Any], value: Any, where: str) -> Any:
    _refuse_unless(isinstance(value, Mapping), dict, value, where)
    parts = {part.name: part for part in fields(kind) if part.init}
    for name in value:
        if name not in parts:
            raise InputError(f"{where}: has no part {name!r:.60}{nearest(str(name), parts)}")
    for name, part in parts.items():
        if name not in value and _needed(part):
            raise InputError(f"{where}: the part {name!r} is missing")
    types = _annotations(kind)
    return kind(**{name: _read(types[name], value[name], f"{where}.{name}") for name in value})


def _needed(part: "Field[Any]") -> bool:
    return part.default is MISSING and part.default_factory is MISSING


@cache
def _annotations(kind: type[Any]) -> dict[str, Any]:
    # annotations may be strings, and reading a list asks for those of one class thousands of times
    return get_type_hints(kind)


def _items(origin: Any, parts: tuple[Any, ...], value: Sequence[Any], where: str) -> list[Any]:
    if origin is list or parts[-1] is ...:
        types: Sequence[Any] = [parts[0]] * len(value)
    else:
        types = parts
    if len(types) != len(value):
        raise InputError(f"{where}: expected {len(types)} values, found {len(value)}")
    return [
        _read(kind, part, f"{where}[{index}]")
        for index, (kind, part) in enumerate(zip(types, value, strict=True))
    ]


def _union(parts: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in parts:
        return None
    others = [part for part in parts if part is not NoneType]
    if len(others) == 1:
        # what is wrong inside the one type that it can be says more than "or null"
        return _read(others[0], value, where)
    for part in others:
        try:
            return _read(part, value, where)
        except InputError:
            continue
    raise InputError(f"{where}: expected {' or '.join(map(_name, parts))}, {_found(value)}")


def _one_of(known: Mapping[Any, Any], value: Any, where: str) -> Any:
    if isinstance(value, str | int) and value in known:
        return known[value]
    close = nearest(str(value)[:60], map(str, known))
    raise InputError(f"{where}: {_found(value)}, which it cannot be{close}")


def _refuse_unless(fits: bool, kind: type, value: Any, where: str) -> None:
    if not fits:
        _refuse(kind, value, where)


def _refuse(kind: type, value: Any, where: str) -> NoReturn:
    raise InputError(f"{where}: expected {_name(kind)}, {_found(value)}")


def _name(kind: Any) -> str:
    kind = get_origin(kind) or kind
    return _NAMES.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _found(value: Any) -> str:
    # reprlib: the value may be a list of a million
    return f"found {reprlib.repr(value)}"
