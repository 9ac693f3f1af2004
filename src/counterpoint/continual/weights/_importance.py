"""The curvature of a task as a Gaussian around the weights found for it, judged on the way."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from counterpoint.continual._base import LearntTask
from counterpoint.continual._task_summary import TaskSummary
from counterpoint.continual._trained import trained
from counterpoint.continual._warning import ForgettingWarning
from counterpoint.continual.weights._identity import Identity
from counterpoint.curvature import (
    STRUCTURES,
    Structure,
    linearised_fisher,
    over_ranks,
)
from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import Diagonal, Gaussian, Precision
from counterpoint.parameters import Pattern, evaluating

IMPORTANCE = ("exact", "jac", "sampled", "empirical", "batch")
"""What the Fisher information of a task is taken at; ``"batch"`` is known to be wrong."""

_MERGED = "kronecker-merged"


def gaussian_of(
    task: LearntTask, structure: Structure, labels: str, parameters: Pattern | None
) -> Gaussian:
    """``N(θ, F⁻¹)``: the weights as they are, the Fisher information of a task over its rows."""
    model, heads, bare = task.model, task.heads, bare_structure(structure)
    seen, taken, at = TaskSummary(), heads.likelihoods, labels
    if labels == "jac":
        # of the outputs that the task looks at, and no others
        taken, at = {name: Identity(one) for name, one in taken.items()}, "exact"
    wanted = taken if heads.names else taken[""]

    def once(batches: DataLike) -> Precision:
        if labels == "batch":
            return _of_batches(replace(task, data=batches), parameters, seen)
        return linearised_fisher(
            model,
            wanted,
            batches,
            structure=bare,
            labels=at,
            parameters=parameters,
            generator=task.generator,
            unpack=task.unpack,
            observe=lambda batch, _, outputs: seen(batch, heads, outputs),
        )[0]

    with evaluating(model):
        precision = once(task.data)
    precision, seen = over_ranks(precision), seen.all_reduced()
    weights = trained(model, parameters)
    mean = {name: weights[name].detach().clone() for name in precision.shapes}
    # over all ranks first: every rank must refuse, or some would wait for the others for ever
    with evaluating(model):
        _refuse_infinite(precision, mean, task.data, task.unpack, once)
    seen.refuse_one_class()
    if labels != "jac":
        seen.warn_saturated(stacklevel=4)
    return Gaussian(mean, precision, seen.rows)


def bare_structure(structure: Structure) -> Structure:
    """A structure as `fisher` knows it."""
    if isinstance(structure, str):
        return "kronecker" if structure == _MERGED else structure
    return {glob: "kronecker" if one == _MERGED else one for glob, one in structure.items()}


def is_merged(structure: Structure) -> bool:
    """Whether Kronecker factors of several tasks are to be added."""
    return _MERGED in ((structure,) if isinstance(structure, str) else structure.values())


def known_structure(structure: Structure) -> Structure:
    """A structure by its known names, ``"kronecker-merged"`` among them."""
    known = (*STRUCTURES, _MERGED)
    if isinstance(structure, str):
        return one_of("structure", structure, known)
    return {glob: one_of("structure", one, known) for glob, one in structure.items()}


def known_labels(labels: str, structure: Structure) -> str:
    """Labels by their known name; ``"batch"``, in the diagonal alone, warns."""
    labels = one_of("labels", labels, IMPORTANCE)
    if labels == "batch":
        if structure != "diagonal":
            raise InputError(f"labels='batch': only with structure='diagonal', found {structure!r}")
        warnings.warn(
            "labels='batch' squares the gradient of a batch's mean, in which rows cancel: it is no"
            " Fisher information, and its value depends on the batch size; it is here to compare"
            " with what others do",
            ForgettingWarning,
            stacklevel=5,
        )
    return labels


def _of_batches(task: LearntTask, parameters: Pattern | None, seen: TaskSummary) -> Precision:
    """``N / B`` times the sum over B batches of the square of the mean row's gradient."""
    heads, weights = task.heads, trained(task.model, parameters)
    sums = {name: torch.zeros_like(value, requires_grad=False) for name, value in weights.items()}
    rows = batches = 0.0
    for batch in task.batches():
        outputs = heads.outputs(batch.call(task.model))
        loss = heads.weighted_nll(outputs, batch) / batch.rows
        grads = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        for total, gradient in zip(sums.values(), grads, strict=True):
            total += gradient.square()
        seen(batch, heads, outputs)
        rows, batches = rows + batch.rows, batches + 1
    if not batches:
        raise InputError("data: expected at least one batch, found none")
    # of N rows in B batches: the sum over B stands for a sum over N
    return Diagonal({name: total * (rows / batches) for name, total in sums.items()})


def _refuse_infinite(
    precision: Precision,
    weights: Mapping[str, Tensor],
    data: DataLike,
    unpack: Unpack | None,
    once: Callable[[Iterable[Any]], Precision],
) -> None:
    found = _infinite(precision, weights)
    if not found:
        return
    where = ""
    if not isinstance(data, Iterator):
        # a second pass, which only a failure pays for
        places = (
            number
            for number, batch in enumerate(one_pass(data, unpack))
            if _infinite(once([batch]), weights)
        )
        number = next(places, None)
        where = "" if number is None else f", first in batch {number}"
    raise InputError(
        f"task: the Fisher information of {found!r} is not finite{where}; look at these rows, or"
        " take double precision"
    )


def _infinite(precision: Precision, weights: Mapping[str, Tensor]) -> str:
    """The first weight whose precision is not finite, or nothing."""
    diagonal = precision.diagonal()
    bad = [name for name in weights if not bool(torch.isfinite(diagonal[name]).all())]
    return bad[0] if bad else ""
