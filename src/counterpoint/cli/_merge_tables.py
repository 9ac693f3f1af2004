"""`counterpoint merge` of model folders: sites that never exchanged rows become one model."""

import shlex
from argparse import Namespace
from pathlib import Path

from counterpoint.cli._say import note, show, show_json
from counterpoint.errors import InputError

_OF_FILES = {
    "lambda": "lambda", "first": "first", "weights": "weights", "rules": "set",
    "method": "method", "options": "option", "evidence": "evidence", "buffers": "buffer",
    "dtype": "dtype", "last": "last", "schedule": "schedule", "pieces": "pieces",
    "layout": "layout",
}  # fmt: skip


def merge_models(arguments: Namespace) -> None:
    """Join the models of several sites into one folder."""
    for name, option in _OF_FILES.items():
        if getattr(arguments, name) is not None:
            raise InputError(f"merge: models of tables are joined by their rows; no --{option}")
    out: Path | None = arguments.out
    if out is None and not arguments.dry_run:
        raise InputError("merge: say where the result goes with --out, or look with --dry-run")
    inputs = [Path(path) for path in arguments.inputs]
    if out is not None:
        _refuse_input(out, [*inputs, *([Path(arguments.base)] if arguments.base else [])])
    from counterpoint.table import TableModel, jobs
    from counterpoint.table.merge import merge_tables

    if out is not None:
        # before the models are read and verified, which may take a while
        jobs.refuse_taken(out, overwrite=arguments.overwrite)
    base = None if arguments.base is None else TableModel.load(arguments.base)
    merged = merge_tables(
        [TableModel.load(path) for path in inputs], list(map(str, inputs)), base=base
    )
    if out is not None and not arguments.dry_run:
        merged.model.save(out, overwrite=arguments.overwrite)
    if arguments.json:
        found = {"exact": merged.exact, "why": merged.why, "rows": merged.rows}
        show_json({"model": None if out is None else str(out), **found})
        return
    for name, rows in merged.rows.items():
        show(f"{name}: {rows:,} rows")
    note(merged.why)
    if out is not None and not arguments.dry_run:
        where = shlex.quote(str(out))
        show(f"\nmodel: {out}\nuse it: counterpoint predict {where} TABLE")


def _refuse_input(out: Path, inputs: list[Path]) -> None:
    place = out.resolve()
    for path in inputs:
        read = path.resolve()
        if place == read or read in place.parents or place in read.parents:
            raise InputError(f"{out}: is an input of this merge ({path}); choose another name")
