"""Write a pickle as torch reads it, of symbols in place of functions: the way back of `described`.

Nothing is imported and no object is asked how it wants to be pickled, so that the bytes depend on
the value alone. Protocol 2, without a memo: what comes twice is written twice.
"""

import struct
from typing import Any

from counterpoint.checkpoints._opcodes import PickledCall, Reference, Symbol

_ORDERED = Symbol("collections.OrderedDict")


def pickled(value: Any) -> bytes:
    """The pickle of a value.

    Args:
        value: texts, numbers, none, tuples, lists, dictionaries, `Symbol`, `Reference`; and a
            `PickledCall`, which with a state is an object made without arguments.

    >>> from counterpoint.checkpoints._opcodes import described
    >>> described(pickled({"a": (1, None, [True, 2**40])}), "doctest")
    {'a': (1, None, [True, 1099511627776])}
    """
    return b"\x80\x02" + _written(value) + b"."


def ordered(items: dict[str, Any]) -> PickledCall:
    """A dictionary as `state_dict` gives it."""
    return PickledCall(_ORDERED, (), items=list(items.items()))


def _written(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, str):
        # a lone surrogate is in no file's name of ours, and in no key that torch saves
        content = value.encode()
        return b"X" + struct.pack("<I", len(content)) + content
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_written, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_written, value)) + b"e"
    if isinstance(value, dict):
        return b"}" + _items(list(value.items()))
    if isinstance(value, Symbol):
        module, _, name = value.name.rpartition(".")
        return f"c{module}\n{name}\n".encode()
    if isinstance(value, Reference):
        return _written(value.identity) + b"Q"
    if isinstance(value, PickledCall):
        return _call(value)
    raise TypeError(f"no pickle for {type(value).__name__}")


def _whole(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def _call(value: PickledCall) -> bytes:
    begun = _written(value.function) + _written(value.arguments)
    if value.state is not None:
        # NEWOBJ and BUILD: what copyreg does to a dataclass
        return begun + b"\x81" + _written(value.state) + b"b"
    return begun + b"R" + (_items(value.items) if value.items else b"")


def _items(pairs: list[tuple[Any, Any]]) -> bytes:
    return b"(" + b"".join(_written(part) for pair in pairs for part in pair) + b"u"
