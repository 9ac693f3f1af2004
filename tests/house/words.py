"""Rules about what is written: a type's name means one thing, and delicate lines have reasons."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from house.rules import parse, python_files

SEVERAL_HOMES = {
    "Posterior",  # of a recipe: the section `[posterior]`, whose keys are those of the room
    "Sum",  # of a balancer: the rule "sum"; its class name is in the states that it wrote
}
"""Names of types that still mean several things. It only shrinks: take out what you rename."""

COMMENT_SHARE = 0.035
"""Fewest lines of comment a line of code, in the whole package."""

_TO_A_TOOL = re.compile(r"#\s*(pyright|type|noqa|fmt|ruff)\b")


def several_homes(package: Path, known: Collection[str] = SEVERAL_HOMES) -> list[str]:
    """Public types of one name in several modules, and known ones that have one home by now.

    A type is a class or an alias. A name with an underscore is its module's own.
    """
    homes = defaultdict[str, list[str]](list)
    for path in python_files(package):
        for name in _types(parse(path)):
            homes[name].append(str(path.relative_to(package)))
    several = {name: where for name, where in sorted(homes.items()) if len(where) > 1}
    return [
        *(f"{name}: {', '.join(several[name])}" for name in several if name not in known),
        *(f"{name}: known, and has one home by now" for name in known if name not in several),
    ]


def _types(tree: ast.Module) -> set[str]:
    names = set[str]()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
            names.add(ast.unparse(node.target))
    return {name for name in names if not name.startswith("_")}


def too_few_comments(package: Path, least: float = COMMENT_SHARE) -> list[str]:
    """Every room's comments a line of code, fewest first, where the package has too few in all.

    A comment is a line or the end of one that is no instruction to a tool; code is every line
    that is neither blank, nor a comment, nor in a string that documents.
    """
    counts = defaultdict[str, list[int]](lambda: [0, 0])
    for path in python_files(package):
        comments, code = comments_and_code(path.read_text(encoding="utf-8"))
        for room in (path.relative_to(package).parts[0], "in all"):
            counts[room][0] += comments
            counts[room][1] += code
    comments, code = counts.pop("in all")
    if comments >= least * code:
        return []
    return [f"in all: {comments} of {code}, {comments / code:.2%}", *_by_share(counts)]


def _by_share(counts: Mapping[str, list[int]]) -> list[str]:
    shares = {room: comments / max(code, 1) for room, (comments, code) in counts.items()}
    return [f"{room}: {shares[room]:.2%}" for room in sorted(shares, key=lambda room: shares[room])]


def comments_and_code(text: str) -> tuple[int, int]:
    """Lines with a comment, and lines of code."""
    comments, code = set[int](), set[int]()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if not _TO_A_TOOL.match(token.string):
                comments.add(token.start[0])
        elif token.type not in layout:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        # a statement that is a string does nothing but document
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(comments), len(code)
