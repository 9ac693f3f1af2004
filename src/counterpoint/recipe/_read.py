"""From TOML, flags and overrides to a checked `Recipe`, and back to TOML."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args, get_origin

from counterpoint.errors import InputError, nearest
from counterpoint.plain import StrPath
from counterpoint.recipe._sections import Data, Network, Posterior, Recipe
from counterpoint.recipe._training import Training

_SECTIONS = {"data": Data, "network": Network, "training": Training, "posterior": Posterior}
_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
    Mapping: "a table of texts",
}
_FORMERLY = ("category", "number", "date")
"""Kinds of which a recipe once had a list of columns each."""


def load(path: StrPath) -> dict[str, dict[str, Any]]:
    """Read a TOML recipe as nested values, every key known and of the right type.

    Raises:
        InputError: no such file, not TOML, or a key that is unknown or of another type (names
            file, line and key).
    """
    # here, since the command says --help without reading any file
    import tomllib

    try:
        text = Path(path).read_text("utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such recipe file") from None
    # beside errors of TOML itself: a number too long for Python, and "[[[[…" of a hostile file
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else f"{error!s:.160}"
        raise InputError(f"{path}: not readable as TOML: {reason}") from error
    try:
        # for its refusals alone: only here are file and line known
        build(values)
    except InputError as error:
        raise InputError(f"{path}{_line(text, str(error))}: {error}") from None
    return {section: _current(section, content) for section, content in values.items()}


def build(values: Mapping[str, Any], *, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Check nested values and overrides and make them a `Recipe`.

    Args:
        values: section -> key -> value, as TOML gives them.
        overrides: "section.key" -> text, read as a TOML value where that works.

    Raises:
        InputError: an unknown section or key (names the nearest), a wrong type, or a value
            outside its range.
    """
    merged: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for section, content in values.items():
        _known_section(section)
        if not isinstance(content, Mapping):
            raise InputError(f"recipe: expected a section [{section}], found {content!r}")
        for key, value in _current(section, cast("Mapping[str, Any]", content)).items():
            merged[section][key] = _typed(section, key, value)
    for dotted, text in (overrides or {}).items():
        section, _, key = dotted.partition(".")
        _known_section(section, dotted)
        merged[section][key] = _typed(section, key, _value(section, key, text))
    return Recipe(**{name: cast(Any, kind)(**merged[name]) for name, kind in _SECTIONS.items()})


def _current(section: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A section as it is now; model folders and recipes that were written before are read."""
    if section != "data":
        return dict(content)
    rest = {key: value for key, value in content.items() if key not in _FORMERLY}
    lists = {kind: _typed("data", "ignore", content[kind]) for kind in _FORMERLY if kind in content}
    kinds = {name: kind for kind, names in lists.items() for name in names}
    if kinds:
        rest["kinds"] = {**kinds, **content.get("kinds", {})}
    return rest


def dump(recipe: Recipe) -> str:
    """The recipe as TOML; `load` of it gives the same recipe.

    >>> print(dump(Recipe()).splitlines()[0])
    [data]
    """
    lines: list[str] = []
    for section in _SECTIONS:
        lines.append(f"[{section}]")
        part = getattr(recipe, section)
        for item in fields(part):
            value = getattr(part, item.name)
            if value is None:  # TOML has no word for it; a key that is absent means the same
                continue
            value = list(value) if isinstance(value, tuple) else value
            lines.append(f"{item.name} = {_toml(value)}")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for tables."""
    import json

    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, str]", value).items()
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(part)}' for key, part in pairs)} }}"
    return json.dumps(value, ensure_ascii=False)


def _keys() -> list[str]:
    return [f"{name}.{item.name}" for name, kind in _SECTIONS.items() for item in fields(kind)]


def _known_section(section: str, dotted: str = "") -> None:
    if section not in _SECTIONS:
        found = dotted or section
        raise InputError(
            f"recipe: unknown key {found!r}{nearest(found, _keys() if dotted else _SECTIONS)}"
        )


def _kind(section: str, key: str) -> tuple[type, bool]:
    """The type of a key's value, and whether it may be none."""
    for item in fields(_SECTIONS[section]):
        if item.name == key:
            kind, arguments = cast("type", item.type), get_args(item.type)
            if NoneType in arguments:
                return arguments[0], True
            return get_origin(kind) or kind, False
    dotted = f"{section}.{key}"
    raise InputError(f"recipe: unknown key {dotted!r}{nearest(dotted, _keys())}")


def _typed(section: str, key: str, value: Any) -> Any:
    kind, optional = _kind(section, key)
    _refuse_long(f"recipe: {section}.{key}: expected {_WORDS[kind]}", value)
    if value is None and optional:  # in the JSON of a model folder; a file leaves the key out
        return None
    if kind is tuple:
        items: Any = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif kind is Mapping:
        known = cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {0: 0}
        if all(isinstance(part, str) for pair in known.items() for part in pair):
            return dict(known)
    elif isinstance(value, bool) or kind is bool:  # a bool is an int, and is never meant as one
        if kind is bool and isinstance(value, bool):
            return value
    elif kind in (float, str) and isinstance(value, int | float):
        return kind(value)
    elif isinstance(value, kind):
        return value
    raise InputError(f"recipe: {section}.{key}: expected {_WORDS[kind]}, found {value!r:.80}")


def _refuse_long(expected: str, value: Any) -> None:
    # more than tensors and seeds hold, and in a message thousands of digits
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f"{expected}, found one of {value.bit_length():,} bits")


def _value(section: str, key: str, text: str) -> Any:
    if _kind(section, key)[0] is str:
        return text
    import tomllib

    try:
        # 3e-3, true and ["a", "b"] are TOML; a bare word is not, and is itself
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _line(text: str, message: str) -> str:
    """Where a key named in a message stands in the file, as ", line 3"."""
    import re

    # messages name a key as section.key, so the line is found without a TOML parser of ours
    named = re.search(r"(\w+)\.(\w+)", message)
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w-]+)\s*\]", line)
        section = header[1] if header else section
        key = re.match(r"\s*([\w-]+)\s*=", line)
        if named and key and (section, key[1]) == (named[1], named[2]):
            return f", line {number}"
    return ""
