"""The goals on held-out rows."""

import torch
from torch import Tensor, nn

from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.goals import Goals, call_goals
from counterpoint.parameters import device_of, evaluating
from counterpoint.seeding import seeded
from counterpoint.train._meter import averages
from counterpoint.train._step import autocast, names_of, precision_of


def evaluate(
    model: nn.Module,
    goals: Goals,
    data: DataLike,
    batch_size: int = 4096,
    *,
    precision: str = "float32",
    unpack: Unpack | None = None,
) -> dict[str, float]:
    """The mean of every goal over all rows, with the model in evaluation mode.

    A batch counts by its rows, so the result is that of one batch with all rows for every goal
    that is a mean over rows. One wait for the device, at the end.

    Args:
        model: left in the modes it was found in.
        goals: computed without gradients.
        data: what `counterpoint.data.one_pass` takes, gone through in its stored order.
        batch_size: rows at a time; decides memory and speed, not the result.
        precision: as in `Training`.
        unpack: reads a batch; none means `counterpoint.data.as_batch`.

    Returns:
        "score" (the mean of the goals) and each goal by name.

    Raises:
        InputError: the goals are not named scalars.

    >>> def goals(model, batch):
    ...     return {"square": batch["x"].square().mean()}
    >>> evaluate(nn.Identity(), goals, {"x": torch.tensor([1.0, 2.0, 4.0])}, batch_size=2)
    {'score': 7.0, 'square': 7.0}
    """
    device = device_of(model)
    kind = precision_of(precision, device)
    names: tuple[str, ...] = ()
    total: Tensor | None = None
    rows = 0
    # seeded: a goal that draws is the same every epoch, and the run draws what it would have
    with evaluating(model), seeded(0), torch.no_grad(), autocast(kind, device):
        for batch in one_pass(data, unpack, batch_size):
            found = call_goals(goals, model, batch.to(device))
            here = names_of(found, graph=False)
            if total is not None and here != names:
                raise InputError(f"goals: expected {names} in every batch, found {here}")
            # float64 on the device: sums of many rows, and no wait for them
            values = torch.stack([found[name] for name in here]).double() * batch.rows
            names, total = here, values if total is None else total + values
            rows += batch.rows
    if total is None:
        raise InputError("evaluate: the data have no rows")
    return averages(names, total.tolist(), rows)
