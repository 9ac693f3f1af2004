"""`counterpoint merge`: several weight files or model folders to one; and looking at them."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.cli._merge_scores import show_path, write_search
from counterpoint.cli._merge_tables import merge_models
from counterpoint.cli._say import Counter, note, show, show_json
from counterpoint.errors import InputError
from counterpoint.findings import ENSEMBLE_KIND, MODEL_KIND, RATINGS_KIND
from counterpoint.plain import to_plain
from counterpoint.storage import folder_kind

if TYPE_CHECKING:
    from counterpoint.merge import Layers
    from counterpoint.merge.files import MergeRecipe, PreparedMerge

_MERGE = (
    "out weights lambda first rules method base evidence buffers dtype options last schedule layout"
)
_SCORES = "model data report likelihood"
_OPTIONS = {"rules": "set", "options": "option", "buffers": "buffer"}
_TABLES = (MODEL_KIND, ENSEMBLE_KIND)
_ACTIONS = {
    "inspect": (1, 1, ""),
    "diff": (2, 2, ""),
    "verify": (1, 99, "pieces"),
    "path": (2, 2, "out model data likelihood"),
    "search": (2, 99, "out model data report likelihood"),
}
"""Word -> how few and how many paths follow it, and the options that it takes beside --json."""


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    argue = parser.add_argument
    looking = "files or folders; or 'inspect X', 'diff A B', 'verify OUT', 'path A B', 'search A B'"
    argue("inputs", nargs="+", metavar="INPUT", help=looking)
    argue("-o", "--out", type=Path, help="a .safetensors or .pt file, or a folder")
    argue("--lambda", type=float, metavar="SHARE", help="share of the second of two inputs")
    argue("--first", type=float, metavar="SHARE", help="share of the first of two, instead")
    argue("--weights", metavar="A,B,…", help="one number an input, or a schedule such as 0..1")
    some = "other weights for some layers, such as 'blocks[*]=0..1'; later ones win"
    argue("--set", "--ramp", action="append", dest="rules", metavar="LAYERS=WEIGHT", help=some)
    argue("--method", metavar="NAME", help="how tensors are merged (linear)")
    argue("--option", action="append", dest="options", metavar="NAME=VALUE",
          help="a setting of the method, such as density=0.2")  # fmt: skip
    argue("--base", metavar="PATH", help="the common start, for methods that need one")
    argue("--evidence", action="append", metavar="PATH",
          help="what is known of an input, one for each, for methods that use it")  # fmt: skip
    argue("--buffer", action="append", dest="buffers", metavar="NAMES=POLICY",
          help="average, max, equal, first or zero, where the usual is not meant")  # fmt: skip
    argue("--dtype", metavar="TYPE", help="of the result: float16, bfloat16, … (the first input's)")
    argue("--last", type=int, metavar="N", help="the last N checkpoints of a run, or of a list")
    argue("--schedule", metavar="NAME", help="their weights: uniform, linear, minus-sqrt")
    argue("--threads", type=int, default=0, metavar="N", help="workers (one a core, four at most)")
    argue("--processes", type=int, default=1, metavar="N", help="share the work among N processes")
    argue("--layout", metavar="NAME", help="of a folder: safetensors or distributed (as the first)")
    argue("--pieces", type=int, metavar="N", help="verify: how many are merged again (16)")
    argue("--model", metavar="MODULE:FUNCTION", help="path, search: what makes the model")
    argue("--data", metavar="FILE", help="path, search: tensors x and y to score on, to tune on")
    argue("--report", metavar="FILE", help="search: other rows, to judge by")
    argue("--likelihood", metavar="NAME", help="categorical, bernoulli, normal, poisson")
    argue("--dry-run", action="store_true", help="say what would be done, from headers alone")
    argue("--overwrite", action="store_true", help="replace what is there")
    argue("--json", action="store_true", help="print one JSON value")


def run(arguments: Namespace) -> None:
    """Merge models layer by layer into one, or look at what would be merged.

    Inputs are safetensors, files of torch.save, sharded folders and distributed checkpoints.
    --lambda is the share of the second input; a merge that was interrupted goes on.
    Model folders of tables are joined without their rows; with the model that all of them were
    updated from as --base exactly, otherwise as a mixture.
    """
    # a file of such a name is ./inspect
    action = arguments.inputs[0]
    if action in _ACTIONS:
        _refuse_options(action, arguments)
        ways = {"inspect": _inspect, "diff": _diff, "verify": _verify}
        {**ways, "path": show_path, "search": write_search}[action](arguments)
        return
    for name in _SCORES.split():
        if getattr(arguments, name) is not None:
            raise InputError(f"merge: --{name} is for 'merge path' and 'merge search'")
    for path in arguments.inputs:
        if folder_kind(path) == RATINGS_KIND:
            raise InputError(
                f"{path}: is a model of ratings, and such are not merged; update one with the"
                " ratings of the other"
            )
    tables = [str(path) for path in arguments.inputs if folder_kind(path) in _TABLES]
    if len(tables) == len(arguments.inputs):
        merge_models(arguments)
        return
    if tables:
        raise InputError(f"{tables[0]}: is a model of a table, and not all inputs are such")
    _merge(arguments)


def _merge(arguments: Namespace) -> None:
    from counterpoint.merge.files import prepare

    recipe = _recipe(arguments)
    out: Path | None = arguments.out
    if out is None and not arguments.dry_run:
        raise InputError("merge: say where the result goes with --out, or look with --dry-run")
    prepared = prepare(recipe)
    if out is None or arguments.dry_run:
        _say_plan(prepared, arguments)
        return
    from counterpoint.merge.files import write_merge

    # under torchrun all ranks come here: the first one speaks for them
    first = os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ
    for remark in prepared.notes if first else ():
        note(remark)
    # on standard error, so that --json is one value
    with Counter("merge") as counter:
        done = write_merge(
            prepared,
            out,
            layout=arguments.layout or "",
            overwrite=arguments.overwrite,
            threads=arguments.threads,
            processes=arguments.processes,
            tell=counter.tell if first else None,
        )
    if not first:
        return
    for remark in done.notes[len(prepared.notes) :]:
        note(remark)
    if arguments.json:
        show_json(to_plain(done))
        return
    again = f", {done.resumed} parts from before" if done.resumed else ""
    show(f"{done.out}: {done.tensors:,} tensors, {done.size / 1e9:.2f} GB{again}")


def _recipe(arguments: Namespace) -> "MergeRecipe":
    from counterpoint.merge.files import recipe_of

    inputs, weights, first = list(arguments.inputs), arguments.weights, None
    if arguments.last is not None or arguments.schedule is not None:
        inputs, weights = _series(arguments)
    given = [weights, arguments.first, getattr(arguments, "lambda")]
    if sum(value is not None for value in given) > 1:
        raise InputError("merge: give one of --lambda, --first, --weights and --schedule")
    if arguments.first is not None:
        first = _rules(str(arguments.first), arguments.rules)
    elif getattr(arguments, "lambda") is not None:
        weights = str(getattr(arguments, "lambda"))
    return recipe_of(
        inputs,
        None if first is not None else _rules(weights, arguments.rules),
        first=first,
        method=arguments.method or "linear",
        base=arguments.base,
        evidence=arguments.evidence or (),
        buffers=dict(_pair(text, "--buffer") for text in arguments.buffers or ()),
        dtype=arguments.dtype or "",
        options=dict(_setting(text) for text in arguments.options or ()),
    )


def _series(arguments: Namespace) -> tuple[list[str], str]:
    from counterpoint.merge.files import series_of, series_weights

    inputs = series_of(arguments.inputs, arguments.last or 0)
    shares = series_weights(len(inputs), arguments.schedule or "uniform")
    return inputs, ",".join(repr(share) for share in shares)


def _rules(weights: str | None, rules: Sequence[str] | None) -> dict[str, str] | None:
    """The rule for all layers, then those for some, in the order in which they were typed."""
    found = {} if weights is None else {"**": weights}
    return found | dict(_pair(text, "--set") for text in rules or ()) or None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    # points:0=0,1=0.5 has such signs of its own
    if "=points:" in text:
        name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise InputError(f"{option} {text!r}: expected NAMES=VALUE")
    return name, value


def _setting(text: str) -> tuple[str, float | int | bool | str]:
    name, value = _pair(text, "--option")
    if value in ("true", "false"):
        return name, value == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _say_plan(prepared: "PreparedMerge", arguments: Namespace) -> None:
    if arguments.json:
        show_json(
            {
                "recipe": to_plain(prepared.recipe),
                "layers": _layer_rows(prepared.table),
                "rules": to_plain(prepared.plan.coverage),
                "notes": prepared.notes,
            }
        )
        return
    show(str(prepared))
    for remark in prepared.notes:
        note(remark)


def _inspect(arguments: Namespace) -> None:
    from counterpoint.checkpoints import open_checkpoint
    from counterpoint.merge.files import table_of

    path = arguments.inputs[1]
    found, table = open_checkpoint(path), table_of(path)
    if arguments.json:
        show_json(
            {
                "path": str(path),
                "layout": found.layout,
                "size": found.size,
                "metadata": found.metadata,
                "tied": found.tied,
                "notes": found.notes,
                "layers": _layer_rows(table),
            }
        )
        return
    show(f"{table}\n\n{found.layout}: {len(found.tensors):,} tensors, {found.size / 1e9:.3f} GB")
    for remark in found.notes:
        note(remark)


def _diff(arguments: Namespace) -> None:
    from counterpoint.merge import layers

    table = layers(*arguments.inputs[1:])
    if arguments.json:
        show_json({"layers": _layer_rows(table)})
    else:
        show(str(table))


def _verify(arguments: Namespace) -> None:
    from counterpoint.merge.files import verify_merge

    out, *inputs = arguments.inputs[1:]
    pieces = 16 if arguments.pieces is None else arguments.pieces
    found = verify_merge(out, inputs, pieces=pieces)
    if arguments.json:
        show_json({**to_plain(found), "holds": found.holds})
    else:
        show(f"{found.out}: {'as it was written' if found.undamaged else 'DAMAGED'}")
        for path, same in found.inputs:
            show(f"{path}: {'what was merged' if same else 'NOT what was merged'}")
        which = ", ".join(found.differing[:5])
        how = f"NOT the same: {which}" if which else "the same"
        show(f"{found.pieces} pieces merged again: {how}")
    # for scripts: what does not hold is no success, and nobody's bad argument either
    if not found.holds:
        raise SystemExit(1)


def _layer_rows(table: "Layers") -> list[dict[str, Any]]:
    return [
        {
            "index": layer.index,
            "name": layer.name,
            "kind": layer.kind,
            "tensors": list(layer.tensors),
            "dtype": layer.dtype,
            "parameters": layer.parameters,
            "distance": layer.distance,
            "cosine": layer.cosine,
        }
        for layer in table
    ]


def _refuse_options(action: str, arguments: Namespace) -> None:
    """Refuse what an action takes no notice of, and other numbers of paths than it takes."""
    least, most, takes = _ACTIONS[action]
    given = len(arguments.inputs) - 1
    if not least <= given <= most:
        paths = f"{least}" if least == most else f"{least} or more"
        raise InputError(f"merge {action}: expected {paths} paths, found {given}")
    for name in [*_MERGE.split(), *_SCORES.split(), "pieces"]:
        if getattr(arguments, name) not in (None, 0, False) and name not in takes.split():
            raise InputError(f"merge {action}: takes no --{_OPTIONS.get(name, name)}")
