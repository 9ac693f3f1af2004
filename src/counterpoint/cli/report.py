"""`counterpoint report`: from a model folder to one HTML file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from counterpoint.cli.say import show, show_json
from counterpoint.errors import InputError

__all__ = ["add", "run"]


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--out", type=Path, help="file to write; report.html in the folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what the report draws")


def run(told: Namespace) -> None:
    """Write one HTML file that shows the data, the training and the held-out predictions."""
    from counterpoint.plain import to_plain
    from counterpoint.report import read_findings, render
    from counterpoint.storage import write_file

    findings = read_findings(told.model)
    if told.json:
        show_json(to_plain(findings))
        return
    file = told.model / "report.html" if told.out is None else told.out
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {str(file.parent)!r}")
    if told.out is not None and file.exists() and not told.overwrite:
        raise InputError(f"{file}: exists already; choose another name, or pass --overwrite")
    try:
        page = render(findings)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{told.model}: its evaluation cannot be drawn; was it written by hand? ({error!s:.80})"
        ) from error
    write_file(file, page.encode())
    show(str(file))
