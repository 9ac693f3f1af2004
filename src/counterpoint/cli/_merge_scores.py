"""`counterpoint merge path` and `merge search`: merges that are scored on rows."""

import os
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.cli._files import refuse_file
from counterpoint.cli._say import aligned, number, show, show_json
from counterpoint.errors import InputError, one_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from counterpoint.goals import Likelihood

_LIKELIHOODS = {
    "categorical": "Categorical",
    "bernoulli": "Bernoulli",
    "normal": "Normal",
    "poisson": "Poisson",
}
_SHOWN = 5


def show_path(arguments: Namespace) -> None:
    """Loss and accuracy on the line between two models, naive and with their units in one order."""
    figure: Path | None = arguments.out
    if figure is not None:
        if not figure.name.endswith(".svg"):
            raise InputError(f"--out {figure}: a figure is an .svg file")
        refuse_file(figure, overwrite=arguments.overwrite)
    models, (x, y) = _models(arguments), _rows(arguments.data, "--data")
    from counterpoint.merge import path, score_by
    from counterpoint.storage import write_file

    found = path(models, score_by(_likelihood(arguments), (x, y)), inputs=x)
    barriers = {"naive": found.barrier(), "aligned": found.barrier(aligned=True)}
    if figure is not None:
        write_file(figure, found.figure().document().encode())
    if arguments.json:
        lines = {"naive": found.naive, "aligned": found.aligned}
        show_json({"lambdas": found.lambdas, **lines, "barrier": barriers})
        return
    rows = [["share of B", *found.naive, *(f"{name}, aligned" for name in found.naive)]]
    step = max(1, (len(found.lambdas) - 1) // (_SHOWN - 1))
    for place in range(0, len(found.lambdas), step):
        both = [*found.naive.values(), *(found.aligned or {}).values()]
        rows.append([f"{found.lambdas[place]:.2f}", *(number(line[place]) for line in both)])
    show(aligned(rows))
    show("\n".join(f"barrier, {name}: {number(height)}" for name, height in barriers.items()))


def write_search(arguments: Namespace) -> None:
    """Weights a layer that are best on some rows, judged on others; the merge of files by them."""
    if arguments.report is None:
        raise InputError("merge search: give rows to judge by as --report, not those of --data")
    out: Path | None = arguments.out
    if out is None:
        raise InputError("merge search: say where the result goes with --out")
    from counterpoint.checkpoints import refuse_taken
    from counterpoint.merge import search
    from counterpoint.merge.files import merge_files

    refuse_taken(out, overwrite=arguments.overwrite)
    models, tuning = _models(arguments), _rows(arguments.data, "--data")
    likelihood, reporting = _likelihood(arguments), _rows(arguments.report, "--report")

    def goals(model: "nn.Module", batch: Any) -> dict[str, Any]:
        return {"loss": likelihood.nll(model(batch["x"]), batch["y"])}

    found = search(models, goals, tuning, reporting)
    inputs = arguments.inputs[1:]
    weights = {
        f"#{place}": weight if isinstance(weight, tuple) else float(weight)
        for place, weight in enumerate(found.weights)
    }
    merge_files(inputs, out, weights, overwrite=arguments.overwrite)
    if arguments.json:
        layers = dict(zip(found.layers, found.weights, strict=True))
        losses = {"tuning": found.tuning, "reporting": found.reporting}
        show_json({"out": str(out), "weights": layers, **losses})
        return
    pairs = zip(found.layers, found.weights, strict=True)
    show(aligned([["layer", "weight"], *([name, str(weight)] for name, weight in pairs)]))
    for what, (before, after) in (("tuned on", found.tuning), ("judged by", found.reporting)):
        show(f"loss on the rows {what}: {number(before)} with equal weights, {number(after)} now")


def _models(arguments: Namespace) -> "list[nn.Module]":
    """The inputs as modules of the user's own class."""
    if arguments.model is None or arguments.data is None:
        raise InputError(
            f"merge {arguments.inputs[0]}: needs --model module:function, which makes the model,"
            " and --data FILE with tensors x and y"
        )
    from counterpoint.merge.files import load_state

    name, _, function = str(arguments.model).partition(":")
    # the user's own module, as python -m finds it: the command's folder is first
    sys.path.insert(0, os.getcwd())
    try:
        make = getattr(import_module(name), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--model {arguments.model}: cannot be imported: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    models = list["nn.Module"]()
    for path in arguments.inputs[1:]:
        model = make()
        try:
            model.load_state_dict(load_state(path))
        except RuntimeError as error:
            raise InputError(f"{path}: does not fit {arguments.model}: {error!s:.300}") from error
        models.append(model.eval())
    return models


def _rows(path: str, option: str) -> "tuple[Tensor, Tensor]":
    from counterpoint.merge.files import load_state

    state = load_state(path)
    if not {"x", "y"} <= set(state):
        raise InputError(f"{option} {path}: expected tensors x and y, found {', '.join(state)}")
    return state["x"], state["y"]


def _likelihood(arguments: Namespace) -> "Likelihood":
    from counterpoint import goals

    name = one_of("--likelihood", arguments.likelihood or "categorical", _LIKELIHOODS)
    return getattr(goals, _LIKELIHOODS[name])()
