"""The verbs for tables of ratings, and for the folders of their models."""

import os
import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.cli._files import fingerprint, name_of, read_rows, told_format, where_of
from counterpoint.cli._say import aligned, note, number, show, show_json, show_model
from counterpoint.errors import InputError
from counterpoint.plain import to_plain
from counterpoint.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from counterpoint.findings import RatingsFindings
    from counterpoint.table.ratings import RatingColumns, RatingsModel

_EVERY = 10.0


def fit(
    frame: "pd.DataFrame", recipe: Recipe, columns: "RatingColumns", arguments: Namespace
) -> None:
    """Fit ratings, and write a model folder."""
    from counterpoint.table import Context, jobs
    from counterpoint.table.ratings import fit_ratings

    out = Path(os.path.normpath(arguments.out))
    jobs.refuse_taken(out, overwrite=arguments.overwrite)
    path = Path(recipe.data.table)
    note(columns.sentence(recipe.data.target[0]))
    context = Context(
        name_of(path),
        command=shlex.join(["counterpoint", *arguments.typed]),
        fingerprint=fingerprint(path, frame),
    )
    model = fit_ratings(frame, recipe, columns, context, tell=_Teller().tell)
    model.save(out, overwrite=arguments.overwrite)
    _tell(model, out, json=arguments.json)


def predicted(arguments: Namespace) -> "pd.DataFrame":
    """Predictions of a table of pairs, or recommendations for one of users."""
    from counterpoint.table.ratings import RatingsModel

    model = RatingsModel.load(arguments.model)
    if arguments.shifted:
        raise InputError(f"{arguments.model}: is a model of ratings, which has no --shifted")
    frame = read_rows(arguments.table, model.recipe.data, told_format(arguments))
    where = where_of(arguments.table)
    if model.findings.item not in frame.columns and model.findings.user in frame.columns:
        note(f"{where}: no column {model.findings.item!r}, so each user gets a list")
        return model.recommend(frame, where, arguments.top or 10, arguments.interval)
    if arguments.top is not None:
        raise InputError(
            f"--top {arguments.top}: is for a table of users; {where} says which"
            f" {model.findings.item!r}, too"
        )
    for remark in model.remarks(frame, where):
        note(f"{where}: {remark}")
    return model.predict(frame, where, arguments.interval)


def update(arguments: Namespace, out: Path) -> None:
    """Learn more ratings."""
    from counterpoint.table import Context, jobs
    from counterpoint.table.ratings import RatingsModel

    for option in ("forget", "deep", "keep_sample"):
        if getattr(arguments, option):
            raise InputError(
                f"--{option.replace('_', '-')}: does not apply to ratings, which are learnt exactly"
            )
    here = out == Path(os.path.realpath(arguments.model))
    jobs.refuse_taken(out, overwrite=here or arguments.overwrite)
    model = RatingsModel.load(arguments.model)
    frame = read_rows(arguments.table, model.recipe.data, told_format(arguments))
    context = Context(name_of(arguments.table), fingerprint=fingerprint(arguments.table, frame))
    after = model.update(frame, context, again=arguments.again)
    after.save(out, overwrite=here or arguments.overwrite)
    found = after.findings.updates[-1]
    if arguments.json:
        show_json({"model": str(arguments.out or arguments.model), **to_plain(found)})
        return
    cells = [["measure on the new ratings", "before", "after"]]
    cells += [[n, number(found.before[n]), number(found.after[n])] for n in found.before]
    show(f"{found.ratings:,} ratings, {found.new_users:,} new users, {found.new_items:,} new items")
    show(aligned(cells))
    show_model(arguments.out or arguments.model)  # as it was typed


class _Teller:
    """Says how a fit goes on: on a line that moves on a terminal, every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def tell(self, sentence: str) -> None:
        """Say it, if it is time to."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if terminal:
            sys.stderr.write(f"\r{sentence}\x1b[K")
            sys.stderr.flush()
        elif now - self._shown >= _EVERY:
            self._shown = now
            note(sentence)


def _tell(model: "RatingsModel", out: Path, *, json: bool) -> None:
    found = model.findings
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if json:
        show_json(_summary(found, out))
        return
    show(f"{found.rows['total']:,} ratings, {found.users:,} users, {found.items:,} items\n")
    if found.metrics:
        models = {"model": found.metrics, **found.baselines}
        cells = [["held-out measure", *models]]
        cells += [[n, *(number(each.get(n)) for each in models.values())] for n in found.metrics]
        show(aligned(cells))
    for remark in found.notes:
        note(remark)
    show_model(out)


def _summary(found: "RatingsFindings", out: Path) -> dict[str, Any]:
    return {
        "model": str(out),
        "rows": found.rows,
        "seconds": found.seconds,
        "columns": {"user": found.user, "item": found.item, "target": found.target},
        "users": found.users,
        "items": found.items,
        "metrics": found.metrics,
        "baselines": found.baselines,
        "notes": found.notes,
    }
