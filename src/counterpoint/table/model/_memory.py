"""What all rows so far say of one network's weights: the Gaussian under which a trunk may move on.

It is `counterpoint.continual.OnlineEWC` over all targets together, in Kronecker factors for linear
layers (merged, Ritter et al. 2018, section 3.2) and diagonal for embeddings: at a strength of 1,
which is Bayes' rule, it forgot less and learnt more than diagonals of any strength
(docs/decisions.md).
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from counterpoint.continual import ForgettingWarning, OnlineEWC
from counterpoint.nn import TableNet
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._observed import ObservedTargets, batches, likelihoods


def remember(
    network: TableNet,
    prepared: Prepared,
    rows: Tensor,
    noise: Mapping[str, float | None],
    *,
    before: OnlineEWC | None = None,
    keep: float = 1.0,
) -> OnlineEWC:
    """What rows say of a network's weights, and what was known before.

    Args:
        network: as trained on the rows; its heads the means of what is believed of them.
        prepared: the table.
        rows: places in it.
        noise: target -> its noise variance, standardised; None where its head has none.
        before: of the earlier rows, left as it is; weights may have grown since, what is new being
            free.
        keep: share of what was known before that stays.
    """
    memory = _empty(keep)
    if before is not None:
        memory.load_state_dict(before.state_dict())
    network.eval()
    # no labels: the exact Fisher information needs none, and the rows of a month may well be of
    # one class, which a task may not
    data = [replace(batch, target=None) for batch in batches(prepared, rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ForgettingWarning)
        memory.consolidate(
            ObservedTargets(network), likelihoods(prepared.schema.heads, noise), data
        )
    return memory


def read_memory(state: Mapping[str, Tensor]) -> OnlineEWC:
    """The memory whose `state_dict` this is.

    Raises:
        InputError: it is not one of these.
    """
    memory = _empty(1.0)
    memory.load_state_dict(state)
    return memory


def _empty(keep: float) -> OnlineEWC:
    return OnlineEWC(keep=keep, structure="kronecker-merged", grown=True)
