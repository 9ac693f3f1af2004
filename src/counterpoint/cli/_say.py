"""What the verbs print: aligned text for people, one JSON value for programs."""

import shlex
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from counterpoint.plain import StrPath

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}


def visible(text: str) -> str:
    r"""A text whose control characters are seen, not obeyed.

    A column's name may hold what makes a terminal change its title or hide what follows (CWE-150).

    >>> print(visible("a" + chr(27) + "]0;title"))
    a\x1b]0;title
    """
    return text.translate(_CONTROLS)


def show(text: str) -> None:
    """Print to standard output."""
    sys.stdout.write(f"{visible(text)}\n")
    # progress is on the other stream: without this they come in another order than written
    sys.stdout.flush()


def show_json(value: Any) -> None:
    """Print one JSON value to standard output."""
    import json

    # NaN is no JSON: whoever reads the output would fail at it, far from the cause
    show(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def note(text: str) -> None:
    """Print a remark to standard error."""
    sys.stderr.write(f"{visible(text)}\n")


def show_model(out: StrPath) -> None:
    """Where a model is, and how to look at it."""
    show(f"\nmodel: {out}\nlook at it: counterpoint report {shlex.quote(str(out))}")


def number(value: float | None) -> str:
    """A measured number in four significant digits, or a dash.

    >>> number(0.123456), number(12345.6), number(None)
    ('0.1235', '1.235e+04', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text with aligned columns.

    >>> print(aligned([["name", "kind"], ["price", "number"]]))
    name   kind
    price  number
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


class Counter:
    """How far something is whose size is known: a line that moves on a terminal, a few elsewhere.

    Args:
        what: what is being done.
    """

    def __init__(self, what: str) -> None:
        self._what, self._began, self._shown = what, time.monotonic(), 0.0
        # elsewhere (a log) a line in ten seconds is enough
        self._every = 0.2 if sys.stderr.isatty() else 10.0

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    def tell(self, done: int, total: int) -> None:
        """Say how many bytes are done, if it is time to."""
        now = time.monotonic() - self._began
        if now - self._shown < self._every or not done:
            return
        self._shown = now
        left = now * (total - done) / done
        text = f"{self._what}: {done / total:.0%} of {total / 1e9:.2f} GB, {left:.0f} s left"
        sys.stderr.write(f"\r{text}\x1b[K" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()


@contextmanager
def stoppable() -> Generator[None]:
    """End with the status that a shell expects where the work inside was asked to stop."""
    from counterpoint.table import Interrupted

    try:
        yield
    except Interrupted as stop:
        raise SystemExit(128 + stop.signal) from None
