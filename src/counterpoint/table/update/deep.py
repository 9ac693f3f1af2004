"""Train a whole network on new rows, held by the Gaussian of all earlier ones."""

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn

from counterpoint.continual import OnlineEWC
from counterpoint.goals import Goals
from counterpoint.nn import TableNet
from counterpoint.recipe import Recipe
from counterpoint.seeding import derive
from counterpoint.table.fit import Context, Interrupted, member_folder
from counterpoint.table.losses import make_goals, make_source
from counterpoint.table.masked import Masked
from counterpoint.table.prepare import Prepared
from counterpoint.train import Fit, Status, Training, evaluate, fit

__all__ = ["train_deep"]

_REMEMBER = "remember"


def train_deep(
    network: TableNet,
    memory: OnlineEWC,
    prepared: Prepared,
    inside: Tensor,
    held: Tensor,
    noise: Mapping[str, float | None],
    *,
    recipe: Recipe,
    keep: float,
    context: Context,
    place: int,
) -> tuple[TableNet, Fit]:
    """A network that has learnt new rows, and how that went.

    The loss is the mean over the rows of the targets' negative log likelihoods, each at the noise
    that is known, and ``keep`` times the Gaussian's energy over the rows: Bayes' rule. There is no
    weight decay, which the Gaussian stands for. The epoch best on the rows held out counts; where
    none is better than no training at all, the network stays as it was.

    The Gaussian knows the loss of earlier rows near the old weights only: rows far from all earlier
    ones can lead a network of ReLU out of its reach (docs/remembering-tables.md).

    Args:
        network: as grown; left as it is.
        memory: what earlier rows say of its weights.
        prepared: the table of new rows.
        inside: places of the rows to learn from.
        held: places of those that decide when to stop.
        noise: target -> noise variance of a number, standardised; None of a category.
        recipe: how the network was trained, batch and epochs those for so many rows.
        keep: share of what earlier rows say that stays.
        context: where it happens.
        place: of the member.

    Raises:
        Interrupted: it was asked to stop; a checkpoint was written if there is a folder.
    """
    start, trained = network, deepcopy(network).train()
    goals = _goals(prepared, inside, noise, memory, keep)
    validation = make_source(prepared, held, inside)
    told = recipe.training
    settings = Training(
        epochs=told.epochs,
        batch_size=told.batch_size,
        optimiser=told.optimiser,
        rate=told.rate,
        schedule=told.schedule,
        clip=told.clip,
        patience=told.patience,
        seed=derive(told.seed, 3, place),
    )
    course = fit(
        trained,
        goals,
        make_source(prepared, inside),
        settings,
        validation=validation,
        folder=member_folder(context, place),
        recipe=context.fingerprint,
        command=context.command or None,
        progress=context.progress and f"network {place + 1} of {recipe.network.members}",
    )
    if course.status is Status.INTERRUPTED:
        raise Interrupted(course.signal)
    scores = [evaluate(model, goals, validation)["score"] for model in (start, trained)]
    return (trained.eval() if scores[1] < scores[0] else start), course


def _goals(
    prepared: Prepared,
    inside: Tensor,
    noise: Mapping[str, float | None],
    memory: OnlineEWC,
    keep: float,
) -> Goals:
    fitted = make_goals(prepared.targets, inside, noise)
    name, rows = _REMEMBER, len(inside)
    while name in {target.name for target in prepared.targets}:
        name += "'"

    def goals(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not isinstance(model, TableNet):
            raise TypeError(f"expected a TableNet, found {type(model).__name__}")
        found = fitted(model, batch)
        if keep > 0:
            found[name] = memory.penalty(Masked(model), rows=rows / keep)
        return found

    return goals
