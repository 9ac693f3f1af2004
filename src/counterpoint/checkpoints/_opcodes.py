"""What a pickle would build, without building it.

A pickle is a program for a small stack machine, and loading one runs whatever functions it names.
`pickletools` takes it apart into instructions and runs none; `described` plays them with symbols
in place of functions and classes: a call becomes a `PickledCall` that nobody makes. So a file may
name anything and nothing happens, and no memory is asked for beyond the file's own size.
"""

import pickletools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from counterpoint.errors import InputError


@dataclass(frozen=True)
class Symbol:
    """A class or function that a pickle names."""

    name: str


# Compared, hashed and shown as objects, never by what they hold: n tuples that hold each other
# twice are 2^n long to whoever walks them.
@dataclass(eq=False, repr=False)
class Reference:
    """Something outside the pickle: a storage of a torch file."""

    identity: Any


@dataclass(eq=False, repr=False)
class PickledCall:
    """An object that a pickle would have made: what it calls, with what, and its state."""

    function: Any
    arguments: Any
    state: Any = None
    items: list[Any] = field(default_factory=list[Any])

    @property
    def name(self) -> str:
        """The name of what is called."""
        return self.function.name if isinstance(self.function, Symbol) else "?"


def described(content: bytes, where: Path | str) -> Any:
    """The value of a pickle, with a `PickledCall` wherever it would have made an object.

    Args:
        content: the pickle.
        where: the file, for the message.

    Raises:
        InputError: it is no pickle, or a damaged one.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            machine.step(opcode.name, argument)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # a damaged program meets an empty stack, a missing memo or an argument of another type
        raise InputError(f"{where}: not a whole pickle: {error!s:.80}") from error
    if not machine.ended or not machine.stack:
        raise InputError(f"{where}: not a whole pickle: it ends without a value")
    return machine.stack[-1]


class _Machine:
    """The stack, the marks and the memo of the pickle machine."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.ended = False
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Play one instruction."""
        if name in self._IGNORED:
            return
        if name in self._CONSTANTS:
            self.stack.append(self._CONSTANTS[name]())
        elif name in self._LITERALS:
            self.stack.append(argument)
        elif name in self._ACTIONS:
            self._ACTIONS[name](self, argument)
        else:
            raise InputError(f"not a pickle that torch writes: it has the instruction {name}")

    def _mark(self, _: Any) -> None:
        self._marks.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        above, self.stack = self.stack, self._marks.pop()
        return above

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        above = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return above

    def _put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self.stack[-1]

    def _get(self, place: int) -> None:
        self.stack.append(self._memo[place])

    def _global(self, argument: str) -> None:
        self.stack.append(Symbol(argument.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        module, name = self._top(2)
        self.stack.append(Symbol(f"{module!s:.200}.{name!s:.200}"))

    def _call(self, _: Any) -> None:
        function, arguments = self._top(2)
        if function == Symbol("collections.OrderedDict"):
            # the one call that is made: a plain dictionary keeps its order, too
            pairs = arguments[0] if arguments else []
            self.stack.append({})
            self._set(self.stack[-1], [part for pair in pairs for part in pair])
        else:
            self.stack.append(PickledCall(function, arguments))

    def _build(self, _: Any) -> None:
        (state,) = self._top(1)
        if isinstance(self.stack[-1], PickledCall):
            self.stack[-1].state = state
        # else: attributes of a dictionary, as state dicts have them (_metadata); not needed

    def _append(self, _: Any) -> None:
        self._extend(self._top(1))

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        into = self.stack[-1]
        (into.items if isinstance(into, PickledCall) else into).extend(items)

    def _set_item(self, _: Any) -> None:
        pair = self._top(2)
        self._set(self.stack[-1], pair)

    def _set_items(self, _: Any) -> None:
        items = self._since_mark()
        self._set(self.stack[-1], items)

    def _set(self, into: Any, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            # scalars and objects alone: the hash of tuples of tuples takes 2^depth steps
            flat = not isinstance(key, tuple) or not any(isinstance(k, tuple) for k in key)
            if not flat or not isinstance(key, Hashable):
                raise ValueError("a key that is no text or number")
            if isinstance(into, PickledCall):
                into.items.append((key, value))
                continue
            if key in into:
                raise InputError(f"has the key {key!r:.80} twice")
            into[key] = value

    def _tuple(self, count: int | None) -> None:
        parts = self._since_mark() if count is None else self._top(count)
        self.stack.append(tuple(parts))

    def _reference(self, _: Any) -> None:
        (identity,) = self._top(1)
        self.stack.append(Reference(identity))

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._set(self.stack[-1], items)

    def _list(self, _: Any) -> None:
        parts = self._since_mark()
        self.stack.append(parts)

    def _pop(self, _: Any) -> None:
        self._top(1)

    def _stop(self, _: Any) -> None:
        self.ended = True

    _IGNORED: ClassVar = {"PROTO", "FRAME"}
    _CONSTANTS: ClassVar[dict[str, Callable[[], Any]]] = {
        "NONE": lambda: None,
        "NEWTRUE": lambda: True,
        "NEWFALSE": lambda: False,
        "EMPTY_DICT": dict,
        "EMPTY_LIST": list,
        "EMPTY_TUPLE": tuple,
        "EMPTY_SET": list,
    }
    _LITERALS: ClassVar = {
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
        "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING",
    }  # fmt: skip
    _ACTIONS: ClassVar[dict[str, Callable[["_Machine", Any], None]]] = {
        "MARK": _mark,
        "BINPUT": _put,
        "LONG_BINPUT": _put,
        "MEMOIZE": _put,
        "BINGET": _get,
        "LONG_BINGET": _get,
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _call,
        "NEWOBJ": _call,
        "BUILD": _build,
        "APPEND": _append,
        "APPENDS": _appends,
        "ADDITEMS": _appends,
        "SETITEM": _set_item,
        "SETITEMS": _set_items,
        "DICT": _dict,
        "LIST": _list,
        "TUPLE": lambda self, _: self._tuple(None),
        "TUPLE1": lambda self, _: self._tuple(1),
        "TUPLE2": lambda self, _: self._tuple(2),
        "TUPLE3": lambda self, _: self._tuple(3),
        "BINPERSID": _reference,
        "POP": _pop,
        "STOP": _stop,
    }
