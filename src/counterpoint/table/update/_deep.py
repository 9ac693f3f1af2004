"""Train a whole network on new rows, held by the Gaussian of all earlier ones."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256

from torch import Tensor, nn

from counterpoint.continual import OnlineEWC
from counterpoint.data import Batch
from counterpoint.goals import Goals
from counterpoint.nn import TableNet
from counterpoint.recipe import PLAIN, Recipe
from counterpoint.seeding import derive
from counterpoint.table.fit._context import Context, Interrupted
from counterpoint.table.fit._losses import make_goals, make_source, unused_name
from counterpoint.table.fit._members import member_folder
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._observed import ObservedTargets
from counterpoint.train import FitEnding, evaluate, fit

_REMEMBER = "remember"


@dataclass(frozen=True)
class DeepUpdateData:
    """What a deep update learns from, and what decides when it stops.

    Attributes:
        prepared: the table, its weights those of learning.
        inside: places of the rows to learn from.
        judged: the same rows, their weights those of judging.
        validation: places of those that decide when to stop.
        with_exemplars: whether earlier rows are among these, so that nothing has to guess
            what they lose.
    """

    prepared: Prepared
    inside: Tensor
    judged: Prepared
    validation: Tensor
    with_exemplars: bool


def train_deep(
    network: TableNet,
    memory: OnlineEWC,
    data: DeepUpdateData,
    noise: Mapping[str, float | None],
    *,
    recipe: Recipe,
    keep: float,
    context: Context,
    place: int,
) -> TableNet:
    """A network that has learnt new rows.

    What is minimised is the sum over new rows of the targets' negative log likelihoods, each at the
    noise that is known and by the row's weight, and ``keep`` times the Gaussian's energy, over the
    number of new rows: Bayes' rule. There is no weight decay; weights of which earlier rows say
    nothing are free. The epoch best on the rows held out counts; where none is better than no
    training at all, the network stays as it was.

    The Gaussian knows the loss of earlier rows near the old weights only: rows far from all earlier
    ones can lead a network of ReLU out of its reach (docs/remembering-tables.md).

    Args:
        network: as grown; left as it is.
        memory: what earlier rows say of its weights.
        data: the rows.
        noise: target -> its noise variance, standardised; None where its head has none.
        recipe: how the network is trained.
        keep: share of what earlier rows say that stays.
        context: where it happens.
        place: of the member.

    Raises:
        Interrupted: it was asked to stop; a checkpoint was written if there is a folder.
    """
    trained = deepcopy(network).train()
    goals = _goals(data, noise, memory, keep)
    validation = make_source(data.judged, data.validation)
    told = recipe.training
    # no decay: the Gaussian holds the weights; not compiled: torch cannot trace its penalty
    settings = replace(
        told,
        seed=derive(told.seed, 3, place),
        weight_decay=0.0,
        balance=PLAIN,
        compile=False,
    )
    course = fit(
        trained,
        goals,
        make_source(data.prepared, data.inside),
        settings,
        validation=validation,
        folder=context.within(member_folder(place)),
        recipe=_identity(network, memory, context, keep),
        command=context.command or None,
        progress=context.progress and f"network {place + 1} of {recipe.network.members}",
    )
    if course.status is FitEnding.INTERRUPTED:
        raise Interrupted(course.signal)
    before, after = (evaluate(m, goals, validation)["score"] for m in (network, trained))
    return trained.eval() if after < before else network


def _goals(
    data: DeepUpdateData, noise: Mapping[str, float | None], memory: OnlineEWC, keep: float
) -> Goals:
    targets, rows = data.prepared.targets, len(data.inside)
    fitted = make_goals(targets, None, noise)
    name = unused_name(_REMEMBER, targets)

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        if not isinstance(model, TableNet):
            raise TypeError(f"expected a TableNet, found {type(model).__name__}")
        found = fitted(model, batch)
        if keep > 0 and (model.training or not data.with_exemplars):
            found[name] = memory.penalty(ObservedTargets(model), rows=rows / keep)
        elif keep > 0:
            found[name] = next(iter(found.values())).new_zeros(())
        return found

    return goals


def _identity(network: TableNet, memory: OnlineEWC, context: Context, keep: float) -> str:
    """What must be the same for a run to be resumed: the table, the network, what it remembers."""
    found = sha256(f"{context.fingerprint} {keep}".encode())
    for tensors in (network.state_dict(), memory.state_dict()):
        for name, value in sorted(tensors.items()):
            found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
