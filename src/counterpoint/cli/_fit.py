"""`counterpoint fit`: from a table to a model folder."""

import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from counterpoint.cli._teacher import with_teachers
from counterpoint.errors import InputError
from counterpoint.recipe import Recipe, build, dump, load

if TYPE_CHECKING:
    import pandas as pd

    from counterpoint.table import Findings, Schema, TableModel

_LISTS = {
    "target": "column to predict; may be repeated",
    "ignore": "leave a column out; may be repeated",
    "distribution": "of the numbers to predict: auto | normal | log-normal | power-normal | poisson"
    " | negative-binomial; or TARGET=NAME, may be repeated (auto)",
}
_TEACHER = (
    "what another model predicts, to imitate beside fitting: a column (of a class: columns 'NAME"
    " p(CLASS)'), or a model folder; TARGET=NAME where there are several targets"
)
_KINDS = ("category", "number", "date")
_SINGLE = {
    "weight": "column that says how much a row counts",
    "user": "column of who rated, of a table of ratings (found where there are two ids)",
    "item": "column of what was rated",
    "split": "held-out rows: 0.2 | none | COLUMN | time:COLUMN | group:COLUMN",
}

_KEPT = ("keep_sample", "conformal", "conformal_by", "teacher")


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("table", nargs="?", type=Path, help=TABLE)
    for name, text in _LISTS.items():
        parser.add_argument(f"--{name}", action="append", metavar="NAME", help=text)
    for name in _KINDS:
        parser.add_argument(
            f"--{name}", action="append", metavar="NAME",
            help=f"take a column as a {name}; may be repeated",
        )  # fmt: skip
    for name, text in _SINGLE.items():
        parser.add_argument(f"--{name}", metavar="TEXT", help=text)
    add_text_format(parser)
    parser.add_argument(
        "--balance", metavar="RULE",
        help="how several targets share a step: sum | impartial | upgrad | ... (sum)",
    )  # fmt: skip
    parser.add_argument(
        "--uncertainty", metavar="KIND",
        help="where knowledge comes from: last-layer | luna | laplace | ensemble (last-layer)",
    )  # fmt: skip
    parser.add_argument(
        "--factors", type=int, metavar="N", help="of ratings: entries of a taste (20)"
    )
    parser.add_argument("--interval", type=float, metavar="P", help="nominal coverage (0.9)")
    parser.add_argument(
        "--conformal", type=float, nargs="?", const=0.2, metavar="SHARE",
        help="keep rows aside that make intervals hold what they say (0.2 where no share is told)",
    )  # fmt: skip
    parser.add_argument(
        "--conformal-by", metavar="COLUMN",
        help="likewise, in every group of a category among the inputs",
    )  # fmt: skip
    parser.add_argument("--teacher", action="append", metavar="NAME", help=_TEACHER)
    parser.add_argument(
        "--keep-sample", type=int, metavar="N",
        help="held-out rows kept in the folder, encoded, to see what updates forget (0)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="decides everything random (0)")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="TOML file with any of this")
    parser.add_argument(
        "--set", action="append", metavar="SECTION.KEY=VALUE",
        help="any key of a recipe; --section.key VALUE means the same",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("model"), help="model folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(arguments: Namespace) -> None:
    """Fit a table and write a model folder.

    A fit that was stopped or killed goes on when the same command is given again.
    """
    data = {name: getattr(arguments, name) for name in (*_LISTS, *_SINGLE)}
    data["kinds"] = _kinds(arguments)
    data |= {name: getattr(arguments, name) for name in _KEPT} | told_format(arguments)
    data["table"] = None if arguments.table is None else str(arguments.table)
    flags = {
        "data": data,
        "network": {"factors": arguments.factors},
        "training": {"seed": arguments.seed, "balance": arguments.balance},
        "posterior": {"interval": arguments.interval, "uncertainty": arguments.uncertainty},
    }
    recipe = _recipe(arguments.recipe, flags, dict(_pair(key) for key in arguments.set or []))
    command = shlex.join(["counterpoint", *arguments.typed])
    frame = read_rows(Path(recipe.data.table), recipe.data)
    from counterpoint.table.ratings import ratings_hint, ratings_in

    columns = ratings_in(frame, recipe.data, name_of(Path(recipe.data.table)))
    if columns is not None:
        _ratings.fit(frame, recipe, columns, arguments)
        return
    if hint := ratings_hint(frame, recipe.data):
        note(hint)
    _fit(frame, recipe, arguments, command)


def _kinds(arguments: Namespace) -> dict[str, str]:
    kinds = dict[str, str]()
    for kind in _KINDS:
        for name in getattr(arguments, kind) or []:
            if kinds.setdefault(name, kind) != kind:
                raise InputError(
                    f"column {name!r}: told to be {kinds[name]} and {kind}; choose one"
                )
    return kinds


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"--set {text}: expected SECTION.KEY=VALUE")
    return key, value


def _recipe(file: Path | None, flags: dict[str, Any], overrides: dict[str, str]) -> Recipe:
    values = {} if file is None else load(file)
    for section, content in flags.items():
        # an option that was not given leaves what the file says
        chosen = {key: value for key, value in content.items() if value not in (None, [])}
        before = values.get(section, {})
        if "kinds" in chosen:
            chosen["kinds"] = {**before.get("kinds", {}), **chosen["kinds"]}
        values[section] = {**before, **chosen}
    recipe = build(values, overrides=overrides)
    if not recipe.data.table:
        raise InputError("name a table to fit: counterpoint fit TABLE --target COLUMN")
    return recipe


def _fit(frame: "pd.DataFrame", recipe: Recipe, arguments: Namespace, command: str) -> None:
    from counterpoint.table import Context, TableModel, fit_table, jobs

    path, out, json = Path(recipe.data.table), arguments.out, arguments.json
    frame, taught = with_teachers(frame, recipe.data, name_of(path))
    announced = list[str]()

    # before the long work, and once: the findings have them again
    def announce(schema: "Schema", rows: Any, remarks: Sequence[str]) -> None:
        if not json:
            _announce(schema, rows)
        for remark in remarks:
            note(remark)
        announced.extend(remarks)

    context = Context(
        name=name_of(path),
        command=command,
        progress=True,
        announce=announce,
        sized=note,
        fingerprint=fingerprint(path, frame),
    )
    # "model/" has no name of its own, and the run folder is beside it by name
    out = Path(os.path.normpath(out))
    if not out.name or out.name == "..":
        raise InputError(f"--out {out}: expected the name of a new folder")
    identity = jobs.identity_of(dump(recipe), context.fingerprint, *taught)
    if jobs.finished(out) == identity:
        note(f"{out}: this fit has ended already")
        _tell(TableModel.load(out), out, json=json)
        return
    with stoppable():
        model = jobs.run_once(
            out,
            identity,
            lambda run: fit_table(frame, recipe, replace(context, folder=run)),
            overwrite=arguments.overwrite,
        )
    _tell(model, out, announced, json=json)


def _announce(schema: "Schema", rows: Any) -> None:
    cells = [["column", "kind", "role", "why"]]
    cells += [[c.name[:40], c.kind, c.role, c.note] for c in schema.columns]
    show(aligned(cells))
    aside = f", {len(rows.aside):,} kept aside for the intervals" if len(rows.aside) else ""
    show(f"\n{len(rows.train):,} rows to learn from, {len(rows.test):,} held out{aside}\n")


def _tell(model: "TableModel", out: Path, announced: Sequence[str] = (), *, json: bool) -> None:
    findings = model.findings
    if findings is None:
        return
    if json:
        show_json(_summary(findings, out))
        return
    cells = [["target", "held-out measure", "model", "knowing nothing"]]
    for target in findings.targets:
        for name, value in target.metrics.items():
            cells.append([target.name[:40], name, number(value), number(target.baseline.get(name))])
    show(aligned(cells))
    for remark in findings.notes:
        if remark not in announced:
            note(remark)
    show_model(out)


def _summary(findings: "Findings", out: Path) -> dict[str, Any]:
    return {
        "model": str(out),
        "rows": findings.rows,
        "seconds": findings.seconds,
        "columns": [
            {"name": c.name, "kind": c.kind, "role": c.role, "missing": c.missing}
            for c in findings.columns
        ],
        "targets": [
            {"name": t.name, "kind": t.kind, "metrics": t.metrics, "baseline": t.baseline}
            for t in findings.targets
        ],
        "notes": findings.notes,
    }
