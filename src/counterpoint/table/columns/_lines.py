"""Where the table begins in a text file: its separator, what stands above its header, its names."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.errors import InputError

_SEP = re.compile(r'"?sep=(?P<sign>.|\\t)"?[ ;,]*(?:\r\n|\r|\n)', re.IGNORECASE)
_SIGNS = ",;\t|"
_LINES = 50
_LONGEST = 1_000_000
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+(?:e[-+]?\d+)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class TableText:
    """How the text of a table is laid out.

    Attributes:
        body: the text from the header on, without blank lines before it.
        separator: between cells.
        header: the cells of its first line.
        ended: whether all other lines have a separator more, with nothing behind it.
        said: what was passed over, sentences.
    """

    body: str
    separator: str
    header: tuple[str, ...]
    ended: bool = False
    said: tuple[str, ...] = ()


def find_layout(text: str, where: str, separator: str, *, tabbed: bool, header: bool) -> TableText:
    """Find the header.

    Args:
        text: of the file.
        where: its name, for messages.
        separator: as told; empty: whichever most lines have.
        tabbed: whether the file's name says that tabs are between the cells.
        header: whether there is one.

    Raises:
        InputError: the header cannot be read.
    """
    # line ends of old Macintoshes, which Python's csv refuses inside a line
    if "\n" not in text:
        text = text.replace("\r", "\n")
    text = text.lstrip("\r\n")
    said = list[str]()
    named = _SEP.match(text)
    if named is not None:
        separator = separator or named["sign"]
        text = text[named.end() :].lstrip("\r\n")
    separator = {"\\t": "\t"}.get(separator, separator)
    if len(separator) > 1 or not separator.isascii():
        raise InputError(f"separator: expected one ASCII sign, found {separator!r}")
    first = _first_lines(text)
    separator = separator or ("\t" if tabbed else _separator(first))
    if separator == " ":
        said.append("cells are taken to stand between single spaces")
    # Arrow keeps a quotation mark that does not come right after the separator
    if re.search(rf'{re.escape(separator)} +"', "\n".join(first)):
        text = _requoted(text, separator)
    rows = _rows(text, separator, where)
    width = _width(rows)
    above = _above(rows, width) if header else 0
    if above:
        some = " ".join(cell for cell in rows[0] if cell.strip())[:60]
        lines = "line" if above == 1 else "lines"
        said.append(f"{above} {lines} above the header passed over, such as {some!r}")
        text, rows = _without(text, above), rows[above:]
    below = [row for row in rows[1:] if row]
    longer = len(rows[0]) + 1
    ended = header and all(len(row) == longer and not row[-1].strip() for row in below)
    return TableText(text, separator, tuple(rows[0]), bool(below) and ended, tuple(said))


def names_of(header: Sequence[str]) -> list[str]:
    """Names of columns from the cells of a header, in the one form that Unicode has for each."""
    plain = [unicodedata.normalize("NFC", name).strip() for name in header]
    return [name or f"column_{place}" for place, name in enumerate(plain, 1)]


def looks_like_values(names: Sequence[str]) -> bool:
    """Whether what stands where names should are values: a number is hardly a name.

    >>> looks_like_values(["0.126", "east", "0.179"]), looks_like_values(["x", "2023", "2024"])
    (True, False)
    """
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    # tables have a column a year, or numbered ones
    years = [name for name in numbers if re.fullmatch(r"\d{1,4}", name.strip())]
    return len(numbers) > len(years) or (bool(years) and len(years) == len(names))


def _first_lines(text: str) -> list[str]:
    lines = text[:_LONGEST].split("\n", _LINES)
    return [line for line in lines[:_LINES] if line.strip()]


def _separator(lines: Sequence[str]) -> str:
    """The sign that most lines have as often as each other."""

    def score(sign: str) -> tuple[int, int, bool]:
        counts = Counter(count for line in lines if (count := line.count(sign)))
        usual = counts.most_common(1)[0] if counts else (0, 0)
        return usual[1], usual[0], sign == ","

    best = max(_SIGNS, key=score)
    if not score(best)[0]:
        # without any of them, words between single spaces are cells where all lines have as many
        widths = {len(line.strip().split(" ")) for line in lines}
        return " " if len(widths) == 1 and widths.pop() > 1 and len(lines) > 1 else ","
    return best


def _requoted(text: str, separator: str) -> str:
    """The same table without spaces between a separator and a quotation mark."""
    out = io.StringIO()
    rows = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _rows(text: str, separator: str, where: str) -> list[list[str]]:
    """The cells of the first lines."""
    reader = csv.reader(io.StringIO(text[:_LONGEST]), delimiter=separator)
    rows = list[list[str]]()
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == _LINES:
                break
    except csv.Error as error:
        if not rows:
            raise InputError(f"{where}: the header is not readable: {error}") from error
    if not rows:
        raise InputError(f"{where}: the file is empty")
    return rows


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Cells of most lines; of two as common ones those of the first line."""
    counts = Counter(len(row) for row in rows if row)
    return max(counts, key=lambda cells: (counts[cells], cells == len(rows[0])))


def _above(rows: Sequence[Sequence[str]], width: int) -> int:
    """Lines above the header: titles, blank ones and comments."""
    for place, row in enumerate(rows[:-1]):
        filled = [cell for cell in row if cell.strip()]
        # a header may begin with # itself: then it has as many cells as the rows
        remark = row and row[0].lstrip().startswith("#") and len(row) != width
        alone = width > 1 and len(filled) <= 1
        if not (remark or alone or _is_title(row, rows[place + 1 :], width)):
            return place
    return 0


def _is_title(row: Sequence[str], rest: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a line with another number of cells stands above one that could be the header."""
    # one name fewer than cells is a header without the name of the rows, or a slip to be refused
    if len(row) in (width, width - 1) or not rest:
        return False
    following = next((other for other in rest if any(cell.strip() for cell in other)), [])
    words = all(cell.strip() and not _NUMBER.fullmatch(cell) for cell in following)
    return len(following) == width and words


def _without(text: str, lines: int) -> str:
    """The text after so many rows of cells, of which none above a header has a line break."""
    for _ in range(lines):
        text = text.split("\n", 1)[1]
    return text
