"""How a posterior's tuning ended: a value with a sentence, not an exception."""

from collections.abc import Sequence

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from counterpoint.errors import Ending, InputError


class TuningEnding(Ending):
    """How the search for prior and noise ended.

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
    def encode(statuses: Sequence["TuningEnding"]) -> UInt8[Tensor, " bytes"]:
        """The words of statuses, a line each, as bytes: for storage among tensors.

        >>> bytes(TuningEnding.encode([TuningEnding.PRIOR_CAPPED]).tolist())
        b'prior capped'
        """
        text = "\n".join(status.word for status in statuses)
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    @staticmethod
    def decode(codes: Shaped[Tensor, "..."]) -> tuple["TuningEnding", ...]:
        """The statuses that `encode` wrote, or an earlier version as numbers.

        Raises:
            InputError: something that names no status.
        """
        if codes.dtype == torch.uint8:
            text = bytes(codes.flatten().tolist()).decode(errors="replace")
            return tuple(TuningEnding.of(word) for word in text.split("\n"))
        numbers = codes.flatten().tolist()
        if any(number not in range(len(_NUMBERED)) for number in numbers):
            raise InputError(
                f"status: codes must be from 0 to {len(_NUMBERED) - 1}, found {numbers}"
            )
        return tuple(_NUMBERED[int(number)] for number in numbers)


_NUMBERED = tuple(TuningEnding)[:6]
"""In the order by which folders of earlier versions number them."""
