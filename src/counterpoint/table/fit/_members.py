"""Train the members of a table: all in one pass where nothing speaks against it, else in turns."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from counterpoint.goals import Goals
from counterpoint.nn import TableNet, pack, unpack
from counterpoint.recipe import PLAIN, Recipe, Training
from counterpoint.seeding import derive, seeded
from counterpoint.storage import from_json
from counterpoint.table.fit._context import Context, Interrupted
from counterpoint.table.fit._losses import goal_names, make_goals, make_source
from counterpoint.table.fit._luna import drop_heads, make_luna_goals
from counterpoint.table.fit._member_rows import MemberRows, goal_name, make_member_goals
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._network import build_network, chunk
from counterpoint.train import Fit, FitEnding, Row, fit

_TOGETHER = "members"


def train_members(
    prepared: Prepared, recipe: Recipe, context: Context
) -> list[tuple[TableNet, Fit]]:
    """Each member's network, trained, and the course of it.

    Args:
        prepared: the table.
        recipe: with every default resolved.
        context: where it happens.

    Raises:
        Interrupted: it was asked to stop; a checkpoint was written if there is a folder.
    """
    members = range(recipe.network.members)
    if packable(recipe, len(goal_names(prepared.targets))):
        trained = train_together(prepared, recipe, context)
    else:
        trained = [train_alone(prepared, recipe, context, place) for place in members]
    for place, (network, _) in enumerate(trained):
        _fill_unused(network, prepared, torch.from_numpy(prepared.rows.fitted(place)))
    return trained


def packable(recipe: Recipe, goals: int) -> bool:
    """Whether members can be trained in one pass: where nothing that they do sees all weights."""
    training = _training(recipe, goals)
    shares = training.balance != PLAIN or training.compile
    return recipe.network.members > 1 and _heads(recipe) == 1 and not shares


def train_together(
    prepared: Prepared, recipe: Recipe, context: Context
) -> list[tuple[TableNet, Fit]]:
    """All members side by side, in one pass of batched products, each on its own rows.

    None sees another's rows or weights; a member has its own order of rows, its own best epoch, and
    the initial weights that it would have alone.
    """
    members = range(recipe.network.members)
    networks = [_initial(prepared, recipe, place) for place in members]
    goals = goal_names(prepared.targets)
    packed = pack(networks)
    held = [torch.from_numpy(part) for part in prepared.rows.held]
    course = fit(
        packed,
        make_member_goals(prepared, len(members)),
        MemberRows(prepared, [torch.from_numpy(prepared.rows.fitted(m)) for m in members]),
        replace(_training(recipe, len(goals)), seed=derive(recipe.training.seed, 2)),
        validation=MemberRows(prepared, held, chunk(networks[0]) // len(members)),
        models=len(members),
        folder=context.within(_TOGETHER),
        recipe=_identity(recipe, context),
        command=context.command or None,
        progress=context.progress and f"{len(members)} networks",
    )
    _stop_if_asked(course)
    unpack(packed, networks)
    return [(network, _own_course(course, place, goals)) for place, network in enumerate(networks)]


def train_alone(
    prepared: Prepared, recipe: Recipe, context: Context, place: int
) -> tuple[TableNet, Fit]:
    """One member by itself."""
    network, heads = _initial(prepared, recipe, place), _heads(recipe)
    told = _training(recipe, len(goal_names(prepared.targets)))
    fitted = torch.from_numpy(prepared.rows.fitted(place))
    course = fit(
        network,
        _goals(prepared, recipe, fitted),
        make_source(prepared, fitted),
        replace(told, seed=derive(told.seed, 2, place)),
        validation=make_source(prepared, torch.from_numpy(prepared.rows.held[place]), fitted),
        folder=context.within(member_folder(place)),
        recipe=_identity(recipe, context),
        command=context.command or None,
        progress=context.progress and f"network {place + 1} of {recipe.network.members}",
    )
    _stop_if_asked(course)
    if heads > 1:
        with seeded(0):  # its weights are replaced; the caller's random numbers are not to be
            network = drop_heads(network, build_network(prepared.schema, recipe), heads)
    return network, course


def member_folder(place: int) -> str:
    """What the run folder of a member by itself is called."""
    return f"member-{place}"


def read_log(context: Context, members: int) -> str:
    """The log of the training, JSON lines; a member's own with its place."""
    lines = list[str]()
    for place, name in [*((m, member_folder(m)) for m in range(members)), (None, _TOGETHER)]:
        folder = context.within(name)
        if folder is not None and (folder / "log.jsonl").exists():
            own = {} if place is None else {"member": place}
            file = folder / "log.jsonl"
            for line in file.read_bytes().splitlines():
                lines.append(json.dumps({**own, **from_json(line, file)}))
    return "".join(f"{line}\n" for line in lines)


def _initial(prepared: Prepared, recipe: Recipe, place: int) -> TableNet:
    with seeded(derive(recipe.training.seed, 1, place)):
        return build_network(prepared.schema, recipe, _heads(recipe))


def _training(recipe: Recipe, goals: int) -> Training:
    told = recipe.training
    return replace(told, balance=told.balance if goals > 1 else PLAIN)


def _heads(recipe: Recipe) -> int:
    """Heads of each target while training."""
    return recipe.posterior.heads if recipe.posterior.uncertainty == "luna" else 1


def _goals(prepared: Prepared, recipe: Recipe, fitted: Tensor) -> Goals:
    heads = _heads(recipe)
    if heads == 1:
        return make_goals(prepared.targets, fitted)
    return make_luna_goals(prepared.targets, fitted, heads, recipe.posterior.diversity)


def _identity(recipe: Recipe, context: Context) -> dict[str, Any]:
    """What must be the same for a run to be resumed, besides what `fit` itself compares."""
    # `fit` knows which settings of the training may change between two starts; this does not
    rest = {name: part for name, part in asdict(recipe).items() if name != "training"}
    return {**rest, "table": context.fingerprint}


def _stop_if_asked(course: Fit) -> None:
    if course.status is FitEnding.INTERRUPTED:
        raise Interrupted(course.signal)


def _own_course(course: Fit, place: int, goals: Sequence[str]) -> Fit:
    """The course of one member of a run of all."""

    def own(every: dict[str, float]) -> dict[str, float]:
        mine = {goal: every[goal_name(place, goal)] for goal in goals}
        return {"score": sum(mine.values()) / len(mine), **mine}

    history = list[Row]()
    for whole in course.history:
        row = whole.copy()
        row["train"] = own(row["train"])
        row["validation"] = own(row["validation"] or {})
        history.append(row)
    best = course.best_epochs[place]
    seconds = course.seconds / len(course.best_epochs)
    return replace(
        course, history=tuple(history), best_epoch=best, best_epochs=(best,), seconds=seconds
    )


def _fill_unused(network: TableNet, prepared: Prepared, fitted: Tensor) -> None:
    codes = prepared.inputs["categories"][fitted]
    counts = [
        torch.bincount(codes[:, place], minlength=levels)
        for place, levels in enumerate(prepared.schema.cardinalities)
    ]
    network.embeddings.fill_unused(counts)
