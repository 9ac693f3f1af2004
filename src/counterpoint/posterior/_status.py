"""How a posterior's tuning ended: a value with a sentence, not an exception."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from counterpoint.errors import Ending, InputError


class TuningEnding(Ending):
    """How the search for prior and noise ended.

    Folders hold the number of a member, so new ones go to the end.

    >>> TuningEnding.TUNED.converged, TuningEnding.UNFINISHED.converged
    (True, False)
    """

    TUNED = "The evidence is at its maximum."
    GIVEN = "Prior and noise are as given."
    PRIOR_CAPPED = (
        "The features carry nothing about this target: the prior precision is at its cap, "
        "and predictions stay near zero."
    )
    PRIOR_FLOORED = (
        "The evidence asks for no shrinkage at all: the prior precision is at or near its floor."
    )
    NOISE_FLOORED = (
        "The features reproduce this target in every row: the noise variance is at or near its "
        "floor, 1e-12 of the target's mean square, and says nothing of new rows."
    )
    UNFINISHED = "The search ended at its limit of evaluations; the best values found are kept."

    @property
    def converged(self) -> bool:
        """Whether prior and noise are where the evidence, inside its bounds, is greatest."""
        return self is not TuningEnding.UNFINISHED

    @staticmethod
    def encode(statuses: Sequence["TuningEnding"]) -> Int64[Tensor, " statuses"]:
        """Statuses as integers, for storage."""
        members = list(TuningEnding)
        return torch.tensor([members.index(status) for status in statuses], dtype=torch.int64)

    @staticmethod
    def decode(codes: Int64[Tensor, " statuses"]) -> tuple["TuningEnding", ...]:
        """The statuses that `encode` wrote.

        Raises:
            InputError: a code that names no status.
        """
        members = list(TuningEnding)
        if any(not 0 <= int(code) < len(members) for code in codes):
            raise InputError(
                f"status: codes must be from 0 to {len(members) - 1}, found {codes.tolist()}"
            )
        return tuple(members[int(code)] for code in codes)
