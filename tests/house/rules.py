"""The rules of the house as functions of a source tree; each gives the places that break it.

`FLOORS` is the one table of floors: a room imports only from rooms on lower floors.
"""

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator
from pathlib import Path

PACKAGE = "counterpoint"

FLOORS = {
    # the ground: single modules that every room may use
    "errors": -2,
    "plain": -1,
    "seeding": -1,
    # rooms
    "data": 0,
    "datasets": 0,
    "findings": 0,
    "parameters": 0,
    "recipe": 0,
    "storage": 0,
    "checkpoints": 1,
    "derivatives": 1,
    "nn": 1,
    "gaussian": 1,
    "goals": 2,
    "report": 2,
    "balance": 3,
    "curvature": 3,
    "train": 4,
    "continual": 5,
    "merge": 5,
    "posterior": 5,
    "estimators": 6,
    "landscape": 6,
    "table": 7,
    "cli": 8,
    "__main__": 9,
}

LONGEST_FILE = 400

UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
}
BLANKETS = {"Exception", "BaseException"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

# Written in pieces, so that this file does not contain what it forbids.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:ro" + r"ot|wo" + r"rk|ho" + r"me|Us" + r"ers)/\w",
            r"C:\\\\?Us" + r"ers",
            r"py" + r"pi\.org",
            r"python" + r"hosted\.org",
            r"npm" + r"js\.(?:org|com)",
            r"download\.py" + r"torch\.org",
            r"arti" + r"factory",
            r"\.in" + r"ternal\b",
        ]
    )
)


def python_files(root: Path) -> list[Path]:
    """Every Python file below a folder, caches left out."""
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def imports_upwards(package: Path) -> list[str]:
    """Imports of a room from one on the same or a higher floor; rooms without a floor.

    The package's own ``__init__`` is exempt: it loads rooms when they are asked for.
    """
    found = []
    for path in python_files(package):
        inside = path.relative_to(package)
        room = inside.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        if room not in FLOORS:
            found.append(f"{inside}: room {room!r} has no floor")
            continue
        for line, other in _rooms_imported(path, package):
            if other == room or (other in FLOORS and FLOORS[other] < FLOORS[room]):
                continue
            floor = FLOORS.get(other, "none")
            found.append(
                f"{inside}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {floor})"
            )
    return found


def _rooms_imported(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    rooms = {entry.name.removesuffix(".py") for entry in package.iterdir()} - {"__init__"}
    here = (package.name, *path.relative_to(package).with_suffix("").parts)
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == package.name and len(parts) > 1 and parts[1] in rooms | set(FLOORS):
                yield node.lineno, parts[1]


def undocumented(package: Path) -> list[str]:
    """Public names without a docstring, and faces that do not say what is public.

    A face (``__init__.py``) says so in ``__all__``. In another module public are the names in
    ``__all__`` if there is one, or else those without an underscore, and the methods of such a
    class that do not begin with one. A constant that its room exports is documented by a string
    below it.
    """
    found = []
    exported = {
        path.parent.name: set(public(parse(path)) or ()) for path in package.glob("*/__init__.py")
    }
    for path in python_files(package):
        tree = parse(path)
        inside = path.relative_to(package)
        if ast.get_docstring(tree) is None:
            found.append(f"{inside}: the module has no docstring")
        names = public(tree)
        if names is None and path.name == "__init__.py" and _brings_names(tree):
            found.append(f"{inside}: no __all__")
        if names is None:
            names = [name for name in _defined(tree) if not name.startswith("_")]
        constants = exported.get(inside.parts[0], set(names))
        for name in names:
            found += [f"{inside}: {what}" for what in _undocumented_name(tree, name, constants)]
    return found


def public(tree: ast.Module) -> list[str] | None:
    """The names in a module's ``__all__``, if it has one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in _names(node):
            return list(ast.literal_eval(node.value))
    return None


def _names(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _defined(tree: ast.Module) -> list[str]:
    """What a module's own statements name: functions, classes and constants, in order."""
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [
        name
        for node in tree.body
        for name in ([node.name] if isinstance(node, definition) else _names(node))
    ]


def _brings_names(tree: ast.Module) -> bool:
    imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    return imports or any(not name.startswith("_") for name in _defined(tree))


def _undocumented_name(tree: ast.Module, name: str, constants: set[str]) -> Iterator[str]:
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            if ast.get_docstring(node) is None:
                yield f"function {name} has no docstring"
        elif isinstance(node, ast.ClassDef) and node.name == name:
            if ast.get_docstring(node) is None:
                yield f"class {name} has no docstring"
            yield from _undocumented_methods(node)
        elif name in constants and name in _names(node):
            text = below.value if isinstance(below, ast.Expr) else None
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
                yield f"constant {name} has no string below it"


def _undocumented_methods(node: ast.ClassDef) -> Iterator[str]:
    for method in node.body:
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        marks = {ast.unparse(mark).rpartition(".")[2] for mark in method.decorator_list}
        documented_elsewhere = bool(marks & {"overload", "setter", "deleter"})
        if method.name.startswith("_") or documented_elsewhere:
            continue
        if ast.get_docstring(method) is None:
            yield f"method {node.name}.{method.name} has no docstring"


def without_essay(package: Path) -> list[str]:
    """Rooms whose ``__init__`` is no essay: a paragraph or two, an example, and ``__all__``."""
    found = []
    for path in sorted(package.glob("*/__init__.py")):
        tree = parse(path)
        room = path.parent.name
        essay = ast.get_docstring(tree) or ""
        prose = [line for line in essay.splitlines() if line.strip()]
        if ">>>" not in essay:
            found.append(f"{room}: the essay has no example (>>>)")
        if len(prose) < 5:
            found.append(f"{room}: the essay has {len(prose)} lines; say what goes in and out")
        if public(tree) is None:
            found.append(f"{room}: no __all__")
    return found


def too_long(*folders: Path) -> list[str]:
    """Files over `LONGEST_FILE` lines."""
    found = []
    for path in (path for folder in folders for path in python_files(folder)):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            found.append(f"{path}: {lines} lines")
    return found


def unfinished_or_unsafe(package: Path) -> list[str]:
    """print, assert, blanket except, unpickling, eval, global state, and unfinished work.

    An except clause for everything is allowed where it ends by raising again (cleaning up).
    """
    found = []
    for path in python_files(package):
        inside = path.relative_to(package)
        for node in ast.walk(parse(path)):
            found += [f"{inside}:{node.lineno}: {what}" for what in _objections(node)]
        text = path.read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and UNFINISHED.search(token.string):
                found.append(f"{inside}:{token.start[0]}: {token.string.strip()}")
    return found


STRUCTURES = {"Block", "Dense", "Diagonal", "Isotropic", "Kronecker", "Sum"}
"""What a precision may be: nobody's business outside the room that they live in."""


LIKELIHOODS = {
    "Bernoulli", "Categorical", "HeteroscedasticNormal", "NegativeBinomial", "Normal", "Poisson",
    "SubsetCategorical",
}  # fmt: skip
"""What a likelihood may be: likewise."""


def told_apart(
    package: Path, home: str = "gaussian", names: Collection[str] = STRUCTURES
) -> list[str]:
    """Checks outside their room of which of some types a thing is; it answers for itself."""
    found = []
    for path in python_files(package):
        inside = path.relative_to(package)
        if inside.parts[0] == home:
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                asked = {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
                if asked & set(names):
                    found.append(f"{inside}:{node.lineno}: {ast.unparse(node)}")
    return found


def _objections(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assert):
        yield "assert"
    elif isinstance(node, ast.Global):
        yield "global"
    elif isinstance(node, ast.ExceptHandler):
        caught = [] if node.type is None else ast.unparse(node.type).strip("()").split(", ")
        passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        if (not caught or BLANKETS & set(caught)) and not passed_on:
            yield "blanket except"
    elif isinstance(node, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in node.names]
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if module.split(".")[0] in UNSAFE_MODULES:
                yield f"import of {module}"
    elif isinstance(node, ast.Call):
        yield from _objections_to_call(node)


def _objections_to_call(node: ast.Call) -> Iterator[str]:
    function = ast.unparse(node.func)
    options = {option.arg: ast.unparse(option.value) for option in node.keywords}
    if function in ("print", "eval", "exec"):
        yield f"{function}()"
    if function == "torch.load" and options.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if options.get("allow_pickle") == "True":
        yield "allow_pickle=True"


def foreign_names(*files: Path) -> list[str]:
    """Lines that name a folder of somebody's machine or a package registry's host."""
    found = []
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # not text
        for number, line in enumerate(lines, 1):
            if match := FOREIGN.search(line):
                found.append(f"{path}:{number}: {match.group()}")
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))
