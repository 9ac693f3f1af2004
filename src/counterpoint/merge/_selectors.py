r"""Which tensors a rule is about: names by segments, regular expressions, numbers, kinds.

=================  ==============================================================
``encoder.0``      this module with all that is in it, or this tensor
``encoder.*``      ``*`` stands for anything within one segment of the name
``**.weight``      ``**`` stands for any number of segments
``blocks[4:8]``    numbered modules as Python counts; ``blocks[*]`` are all, ``[-1]`` the last
``re:.*\.bias``    a regular expression that the whole name of a layer or tensor matches
``#3``, ``#2:5``   layers by their number in the table
``@bias``          by kind: that of a layer, ``@bias`` or ``@buffer``
=================  ==============================================================

A name goes by whole segments: ``conv1`` is never ``conv10``.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from counterpoint.errors import InputError, nearest, one_of
from counterpoint.merge._entries import TensorEntry
from counterpoint.merge._layers import KINDS, Layer, Layers

_RANGE = re.compile(r"\[\s*(?:(\*)|(-?\d+)|(-?\d*)\s*:\s*(-?\d*))\s*\]")
_NUMBERS = re.compile(r"#(\d+)(?::(\d+))?")
_OF_TENSORS = ("bias", "buffer")


@dataclass(frozen=True)
class Match:
    """A tensor that a selector chose.

    Attributes:
        entry: the tensor.
        layer: the one that it is in.
        place: the number of its block where the selector has a range, else of its layer.
    """

    entry: TensorEntry
    layer: Layer
    place: int


def choose(selector: str, table: Layers) -> list[Match]:
    """All tensors that a selector is about, in the table's order.

    Args:
        selector: see the module.
        table: the layers; a tied tensor is found by any of its names.

    Raises:
        InputError: it matches nothing (says the nearest names), or cannot be read.

    >>> from counterpoint.merge._layers import tabulate
    >>> table = tabulate([(f"blocks.{i}.weight", (2, 2), "F32") for i in range(12)])
    >>> [match.layer.name for match in choose("blocks[-2:]", table)]
    ['blocks.10', 'blocks.11']
    """
    if not isinstance(selector, str) or not selector.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"a rule's selector is a text such as 'encoder.*', found {selector!r}")
    text = selector.strip()
    if text.startswith("#"):
        return _by_number(text, table)
    if text.startswith("@"):
        return _by_kind(text, table)
    if text.startswith("re:"):
        return _by_expression(text, table)
    return _by_path(text, table)


def _by_number(text: str, table: Layers) -> list[Match]:
    found = _NUMBERS.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r}: expected a layer's number such as '#3' or '#2:5'")
    first = int(found[1])
    end = first + 1 if found[2] is None else int(found[2])
    if not first < end <= len(table):
        raise InputError(f"{text!r}: there are {len(table)} layers, #0 to #{len(table) - 1}")
    return [_of_layer(entry, layer) for layer in table.rows[first:end] for entry in layer.entries]


def _by_kind(text: str, table: Layers) -> list[Match]:
    kind = one_of(f"kind {text!r}", text[1:], (*KINDS, *_OF_TENSORS))
    matches = [
        _of_layer(entry, layer)
        for layer in table
        for entry in layer.entries
        if kind == layer.kind
        or (kind == "bias" and entry.bias)
        or (kind == "buffer" and (entry.buffer or entry.statistic))
    ]
    there = sorted({layer.kind for layer in table})
    return _some(matches, f"{text!r} matches no layer; kinds here are {', '.join(there)}")


def _by_expression(text: str, table: Layers) -> list[Match]:
    try:
        pattern = re.compile(text.removeprefix("re:"))
    except re.error as error:
        raise InputError(f"{text!r} is no regular expression: {error}") from None
    matches = [
        _of_layer(entry, layer)
        for layer in table
        for entry in layer.entries
        if any(pattern.fullmatch(name) for name in (*_names(entry.name, table), layer.name))
    ]
    return _some(matches, f"{text!r} matches no whole name of a layer or tensor")


def _by_path(text: str, table: Layers) -> list[Match]:
    # negative numbers count from the last block that this very pattern could meet
    pattern = _Path.read(text)
    most = _greatest(pattern, table)
    matches = list[Match]()
    for layer in table:
        for entry in layer.entries:
            for name in _names(entry.name, table):
                numbers = _match(pattern.parts, tuple(name.split(".")), most)
                if numbers is not None:
                    matches.append(Match(entry, layer, numbers[-1] if numbers else layer.index))
                    break
    return _some(matches, f"{text!r} matches no layer or tensor{_hint(text, table)}")


@dataclass(frozen=True)
class _Range:
    """Numbers of blocks: ``start <= number < stop``, negative ones from the end."""

    start: int | None
    stop: int | None

    def holds(self, number: int, most: int) -> bool:
        count = most + 1
        start = 0 if self.start is None else self.start + count * (self.start < 0)
        stop = count if self.stop is None else self.stop + count * (self.stop < 0)
        return start <= number < stop


@dataclass(frozen=True)
class _Path:
    """Segments of a name: globs and ranges, one after the other."""

    parts: tuple[str | _Range, ...]

    @classmethod
    def read(cls, text: str) -> "_Path":
        parts = list[str | _Range]()
        for segment in re.split(r"\.(?![^\[]*\])", text):
            name, bracket, _ = segment.partition("[")
            if name:
                parts.append(name)
            rest = segment[len(name) :]
            while bracket and rest:
                found = _RANGE.match(rest)
                if found is None:
                    raise InputError(
                        f"{text!r}: expected numbers as in 'blocks[4:8]', 'blocks[2]' or"
                        f" 'blocks[*]', found {rest!r}"
                    )
                parts.append(_range(found))
                rest = rest[found.end() :]
        return cls(tuple(parts))


def _range(found: re.Match[str]) -> _Range:
    if found[1]:
        return _Range(None, None)
    if found[2] is not None:
        number = int(found[2])
        # the last: there is no number after -1 to stop before
        return _Range(number, None if number == -1 else number + 1)
    return _Range(*(int(each) if each else None for each in (found[3], found[4])))


def _match(
    parts: tuple[str | _Range, ...], segments: tuple[str, ...], most: int
) -> tuple[int, ...] | None:
    """The numbers that ranges met, where the pattern fits the first segments; else none."""
    if not parts:
        return ()
    first, rest = parts[0], parts[1:]
    if first == "**":
        # as few segments as will do: the first match has the numbers that a reader would see
        tails = (_match(rest, segments[skip:], most) for skip in range(len(segments) + 1))
        return next((tail for tail in tails if tail is not None), None)
    if not segments:
        return None
    head = segments[0]
    if isinstance(first, _Range):
        if not (head.isdecimal() and first.holds(int(head), most)):
            return None
        tail = _match(rest, segments[1:], most)
        return None if tail is None else (int(head), *tail)
    return _match(rest, segments[1:], most) if fnmatchcase(head, first) else None


def _greatest(pattern: _Path, table: Layers) -> int:
    """The last block's number, from which negative numbers count."""
    if not any(isinstance(part, _Range) for part in pattern.parts):
        return 0
    # the last block is not known yet, so any number is met
    open_ended = tuple(
        _Range(0, 1 << 62) if isinstance(part, _Range) else part for part in pattern.parts
    )
    numbers = [
        met[-1]
        for name in (*table.entries, *table.ties)
        if (met := _match(open_ended, tuple(name.split(".")), 0))
    ]
    return max(numbers, default=0)


def _names(name: str, table: Layers) -> list[str]:
    return [name, *(alias for alias, known in table.ties.items() if known == name)]


def _of_layer(entry: TensorEntry, layer: Layer) -> Match:
    return Match(entry, layer, layer.index)


def _some(matches: list[Match], refusal: str) -> list[Match]:
    if not matches:
        raise InputError(refusal)
    return matches


def _hint(text: str, table: Layers) -> str:
    """The nearest names, and a path that ends as the selector begins."""
    known = {
        ".".join(name.split(".")[:end])
        for name in (*table.entries, *table.ties)
        for end in range(1, name.count(".") + 2)
    }
    bare, bracket, numbers = text.partition("[")
    ending = sorted(name for name in known if name.endswith(f".{bare}"))
    if ending:
        return f"; did you mean {ending[0] + bracket + numbers!r}?"
    if bracket:
        lists = sorted({name.rpartition(".")[0] for name in known if name[-1].isdecimal()} - {""})
        close = get_close_matches(bare, lists, n=1, cutoff=0.4)
        if close:
            return f"; did you mean {close[0] + bracket + numbers!r}?"
        return f"; numbered modules: {', '.join(lists[:8])}" if lists else ""
    return nearest(text, known)
