"""Experience replay: some of the old rows, seen again."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from counterpoint.continual.rows._rehearsal import RehearsalMemory, Replayed
from counterpoint.data import Batch


@dataclass(frozen=True, eq=False, kw_only=True)
class Replay(RehearsalMemory):
    r"""Experience replay (Robins 1995; Chaudhry et al. 2019): the likelihood of old rows, sampled.

    .. math:: \frac{N_\text{old}}{N} \cdot \frac{1}{|B|} \sum_{i \in B} -\log p(y_i \mid x_i)

    with B drawn from the rows held, which stand for all that were offered: an unbiased estimate of
    what training on all rows together would add, if the store is a reservoir. Balanced, each class
    of each task weighs the same. The weight that many papers give, 1/k for the k-th task and
    1 - 1/k for all before, is this one for tasks of equal size.

    As a goal of its own it can be protected instead of pursued, which is A-GEM (Chaudhry et al.
    2019): ``Balancer(Protect(("old",)))`` with ``goals["old"] = memory.penalty(...)``.

    >>> import torch
    >>> from counterpoint.goals import Categorical
    >>> memory = Replay(capacity=4)
    >>> x = torch.arange(20.0)[:, None]
    >>> memory.consolidate(torch.nn.Linear(1, 2), Categorical(), [(x, x[:, 0].long() % 2)])
    >>> memory.size, memory.rows(3).batch.rows
    (4, 3)
    """

    def _against(
        self, outputs: Mapping[str, Tensor], drawn: Replayed, moved: Batch, rows: float
    ) -> Tensor:
        return self._nll(outputs, drawn, moved) * (self._held.rows / rows)
