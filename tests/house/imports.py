"""Rules about imports: no circle between the files of a room, and only faces are imported.

The tables name what is exempt. They only shrink: an exemption that nothing needs fails, too.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from house.rules import parse, public, python_files

CIRCLES = {
    ("gaussian/_precision.py", "gaussian/_algebra.py"): "`__add__` of the interface asks the table "
    "of sums, which knows every structure; the import is inside the method",
}
"""Import from one file to another of its room that closes a circle -> why it may."""

BELOW_FACES = {
    "continual -> train.progress": "until scenarios run on train.fit",
    "estimators -> posterior.rows": "`design`, an internal step of two rooms",
    "posterior -> gaussian.state": "reads one structure out of a larger file",
    "table -> estimators.checks": "the arguments of scikit-learn's estimators, which both are",
    "train -> curvature.gradients": "one gradient in one flat vector",
}
"""Import of one room from a module of another one -> why it does not go through the face."""


def circles(package: Path, exempt: Mapping[tuple[str, str], str] = CIRCLES) -> list[str]:
    """Circles of imports between the files of one room, and exemptions that open none.

    Counted are all imports, also those inside functions and those for types alone: what can be
    read only together is one file, or has an idea too many.
    """
    graph = _graph(package)
    cut = {file: {other for other in graph[file] if (file, other) not in exempt} for file in graph}
    found = [f"{' -> '.join([*circle, circle[0]])}" for circle in _circles(cut)]
    for file, other in exempt:
        if other not in graph.get(file, ()) or not _reaches(graph, other, file):
            found.append(f"{file} -> {other}: exempt, and no longer in a circle")
    return found


def below_faces(
    package: Path, *others: Path, exempt: Collection[str] = tuple(BELOW_FACES)
) -> list[str]:
    """Imports from inside another room: `room.module` instead of `room`, and unneeded exemptions.

    A face is a room, a folder in it, a module that such a face exports as a whole, or a single
    module beneath the floors. What has an underscore is nobody else's, wherever it is.

    Args:
        package: the package; its rooms may look below their own faces.
        others: folders of users' code (examples, benchmarks), which are held to the faces alike.
        exempt: pairs as in `BELOW_FACES`; a module's leading underscore does not count.
    """
    found, used = list[str](), set[str]()
    for folder, path in [(one, path) for one in (package, *others) for path in python_files(one)]:
        inside = folder == package
        shown = path.relative_to(package if inside else folder.parent)
        room = shown.parts[0].removesuffix(".py")
        for line, target, name in imported(path, package):
            other = target.split(".")[0]
            private = name.startswith("_") and not name.startswith("__")
            if other in ("", room) or (_is_face(package, target) and not private):
                continue
            full = f"{target}.{name}" if private else target
            what = ".".join(part.lstrip("_") for part in full.split("."))
            pair = f"{room} -> {what}"
            used.add(pair)
            if pair not in exempt:
                found.append(f"{shown}:{line}: {full}")
    return found + [
        f"{pair}: exempt, and no longer imported" for pair in exempt if pair not in used
    ]


def imported(path: Path, package: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module in the package, name in that module or nothing), for every import of a file."""
    inside = path.is_relative_to(package)
    here = (package.name, *path.relative_to(package).with_suffix("").parts) if inside else ()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            targets = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            targets = [(module, alias.name) for alias in node.names]
        else:
            continue
        for module, name in targets:
            head, _, rest = module.partition(".")
            inner = f"{rest}.{name}".strip(".")
            if head != package.name:
                continue
            if name and _file(package, inner) and not _hidden(package, rest, name, path):
                rest, name = inner, ""  # a module, by `from`
            yield node.lineno, rest, name


def _file(package: Path, module: str) -> Path | None:
    """The file of a module, by its dotted name below the package."""
    place = package.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if module and file.exists():
            return file
    return None


def _hidden(package: Path, module: str, name: str, path: Path) -> bool:
    """Whether a face gives something else by the name of one of its modules: `laplace.laplace`."""
    face = package.joinpath(*module.split("."), "__init__.py")
    return face.exists() and face != path and name in (public(parse(face)) or [])


def _is_face(package: Path, module: str) -> bool:
    parts = module.split(".")
    if any(part.startswith("_") for part in parts):
        return False
    file = _file(package, module)
    if file is None or file.name == "__init__.py" or len(parts) == 1:
        return True
    # a module that its folder's face imports as a whole and exports is a face, too
    face = file.with_name("__init__.py")
    whole = any(target == module and not name for _, target, name in imported(face, package))
    return whole and parts[-1] in (public(parse(face)) or [])


def _graph(package: Path) -> dict[str, set[str]]:
    """File of a room -> files of the same room that it imports."""
    graph = dict[str, set[str]]()
    for path in python_files(package):
        shown = path.relative_to(package)
        if len(shown.parts) == 1:
            continue
        files = {_file(package, module) for _, module, _ in imported(path, package)}
        others = {file.relative_to(package) for file in files if file is not None}
        room = shown.parts[0]
        graph[str(shown)] = {str(other) for other in others if other.parts[0] == room}
    return graph


def _circles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """A shortest circle through the first file of each knot of files that reach one another."""
    seen = set[str]()
    for file in sorted(graph):
        if file in seen:
            continue
        for other in sorted(graph[file]):
            if (way := _way(graph, other, file)) is not None:
                knot = {one for one in graph if _reaches(graph, file, one)}
                seen |= {one for one in knot if _reaches(graph, one, file)}
                yield [file, *way[:-1]]
                break


def _reaches(graph: Mapping[str, set[str]], start: str, end: str) -> bool:
    return _way(graph, start, end) is not None


def _way(graph: Mapping[str, set[str]], start: str, end: str) -> list[str] | None:
    """A shortest way along imports, both ends in it."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        fresh = sorted(graph.get(way[-1], set()) - seen)
        seen |= set(fresh)
        ways += [[*way, other] for other in fresh]  # the list grows while it is walked
    return None
