"""`counterpoint report`: from a model folder to one HTML file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from counterpoint.cli._files import refuse_file
from counterpoint.cli._say import show, show_json
from counterpoint.errors import InputError


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--out", type=Path, help="file to write; report.html in the folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what the report draws")


def run(arguments: Namespace) -> None:
    """Write one HTML file that shows the data, the training and the held-out predictions."""
    from counterpoint.plain import to_plain
    from counterpoint.report import read_findings, render
    from counterpoint.storage import write_file

    findings = read_findings(arguments.model)
    if arguments.json:
        show_json(to_plain(findings))
        return
    file = arguments.model / "report.html" if arguments.out is None else arguments.out
    # the report in the model's own folder is ours, and may be drawn again
    refuse_file(file, overwrite=arguments.overwrite or arguments.out is None)
    try:
        page = render(findings)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{arguments.model}: its evaluation cannot be drawn; was it written by hand?"
            f" ({error!s:.80})"
        ) from error
    write_file(file, page.encode())
    show(str(file))
