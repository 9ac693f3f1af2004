"""`counterpoint update`: from a model folder and a new table to a model that has learnt both."""

import os
import shlex
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli import _ratings
from counterpoint.cli._files import (
    TABLE,
    add_text_format,
    fingerprint,
    name_of,
    read_rows,
    told_format,
)
from counterpoint.cli._say import aligned, note, number, show, show_json, show_model, stoppable
from counterpoint.errors import InputError
from counterpoint.findings import ENSEMBLE_KIND, RATINGS_KIND
from counterpoint.plain import to_plain
from counterpoint.recipe import Update
from counterpoint.storage import folder_kind

if TYPE_CHECKING:
    from counterpoint.findings import UpdateFindings
    from counterpoint.table import TableModel

_SHOWN = 12


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("table", type=Path, help=f"new rows: {TABLE}")
    parser.add_argument(
        "--forget", type=float, default=0.0, metavar="SHARE",
        help="how much of what earlier rows say is forgotten: 0 nothing, 1 all (0)",
    )  # fmt: skip
    parser.add_argument(
        "--deep", action="store_true",
        help="train the whole network, held by what earlier rows say of its weights",
    )  # fmt: skip
    parser.add_argument(
        "--again", action="store_true", help="learn a table that was learnt before once more"
    )
    parser.add_argument(
        "--keep-sample", type=int, metavar="N",
        help="rows that stay in the folder, encoded, to see what is forgotten (as many as so far)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder to write; without it the model's own")
    add_text_format(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(arguments: Namespace) -> None:
    """Learn the rows of a new table; those of the earlier ones are not needed.

    The heads learn exactly as if all rows were there, on the trunk as it is; with --deep the whole
    network learns. New levels and classes are added, old scales stay. What moved, was learnt and
    was forgotten is told, and drawn by the report. A table is not learnt twice unless asked for.
    """
    # before torch is imported: a share of 1.5 is refused at once
    how = Update(arguments.forget, arguments.deep, arguments.again, arguments.keep_sample)
    # a link to a model is that model: it is not replaced by a folder
    source = Path(os.path.realpath(arguments.model))
    out = source if arguments.out is None else Path(os.path.realpath(arguments.out))
    if source in out.parents:
        raise InputError(f"--out {arguments.out}: is inside the model folder; choose another place")
    if folder_kind(source) == ENSEMBLE_KIND:
        raise InputError(
            f"{arguments.model}: is a mixture of sites, which is not updated itself; update the"
            " sites' own models, and merge them again"
        )
    if folder_kind(source) == RATINGS_KIND:
        _ratings.update(arguments, out)
        return
    _update(arguments, how, source, out)


def _update(arguments: Namespace, how: Update, source: Path, out: Path) -> None:
    from counterpoint.table import Context, TableModel, jobs, update_table
    from counterpoint.table.update import refuse_update

    shown = arguments.out or arguments.model  # as it was typed
    before = _digest(source / "manifest.json")
    model = TableModel.load(source)
    frame = read_rows(arguments.table, model.recipe.data, told_format(arguments))
    context = Context(
        name_of(arguments.table),
        command=shlex.join(["counterpoint", *arguments.typed]),
        progress=True,
        fingerprint=fingerprint(arguments.table, frame),
    )
    # in place the source is already what was made of it, so that the identity cannot be made again
    if jobs.finished(out):
        ended = TableModel.load(out)
        if ended.history[-1].sha256 == context.fingerprint:
            note(f"{shown}: this update has ended already")
            _tell(ended, shown, json=arguments.json)
            return
    here = out == source
    jobs.refuse_taken(out, overwrite=here or arguments.overwrite)
    refuse_update(model, how, context)

    def make(run: Path) -> "TableModel":
        # now that the run folder is ours: what was read above may be an earlier model by now
        if _digest(source / "manifest.json") != before:
            raise InputError(
                f"{arguments.model}: was changed by another process meanwhile; begin again"
            )
        return update_table(model, frame, how, replace(context, folder=run))

    identity = jobs.identity_of(before, context.fingerprint, str(asdict(how)))
    with stoppable():
        after = jobs.run_once(out, identity, make, overwrite=arguments.overwrite, here=here)
    _tell(after, shown, json=arguments.json)


def _digest(file: Path) -> str:
    """The content's hash; of a file that is not there, nothing: reading it says so."""
    from counterpoint.storage import digest_file

    return digest_file(file) if file.is_file() else ""


def _tell(model: "TableModel", out: Path, *, json: bool) -> None:
    if model.findings is None:
        return
    update = model.findings.updates[-1]
    if json:
        show_json({"model": str(out), **to_plain(update)})
        return
    show(aligned([["column", "distance", "before", "after", "new levels"], *_moved(update)]))
    show("")
    show(aligned([["target", "rows", "measure", "before", "after"], *_measured(update)]))
    for remark in update.notes:
        note(remark)
    show_model(out)


def _moved(update: "UpdateFindings") -> list[list[str]]:
    """The columns that moved; without any, the one that moved most."""
    moved = [shift for shift in update.shifts if shift.moved or shift.new]
    rows = [
        [
            shift.column[:40] + ("" if shift.moved else " (no shift)"),
            number(shift.distance),
            shift.before_text or number(shift.before),
            shift.after_text or number(shift.after),
            f"{len(shift.new):,}" if shift.new else "",
        ]
        for shift in moved[:_SHOWN]
    ]
    if len(moved) > _SHOWN:
        rows.append([f"and {len(moved) - _SHOWN:,} more", "", "", "", ""])
    return rows or [["(none moved)", "", "", "", ""]]


def _measured(update: "UpdateFindings") -> list[list[str]]:
    rows = list[list[str]]()
    for target in update.targets:
        parts = {
            f"{target.new_rows:,} new": target.new,
            f"{target.earlier_rows:,} earlier, by {target.source}": target.earlier,
        }
        for what, measures in parts.items():
            for name, pair in measures.items():
                rows.append([target.name[:40], what, name, *map(number, pair)])
    return rows
