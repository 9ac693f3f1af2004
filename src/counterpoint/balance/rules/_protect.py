"""A-GEM and GEM: the other goals may not harm the protected ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import Rule, RuleInputs, StatelessRule
from counterpoint.balance.program import Array, Mask, nonnegative
from counterpoint.balance.rules._parts import arrays, tensor
from counterpoint.errors import InputError, nearest


@dataclass(frozen=True)
class Protect(StatelessRule):
    """``d = g - min(0, <g, r>) r / <r, r>``: g the mean of the other goals, r of the protected.

    Chaudhry et al., Efficient Lifelong Learning with A-GEM, ICLR 2019, equation 11. With `each`,
    every protected goal for itself: d is the nearest to g with ``<d, r_k> >= 0`` for all of them
    (Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, NeurIPS 2017,
    with margin 0). The protected goals are not pursued, only kept from harm. The
    preference weighs both means.

    A rule that is told names cannot work before it knows where they stand: `bind` gives the one
    that does.

    Attributes:
        protected: names of the goals to keep from harm.
        each: one constraint a protected goal instead of one on their mean.

    >>> Protect(("memory",)).bind(("fit", "memory"))
    Protected(indices=(1,), each=False)
    """

    protected: tuple[str, ...]
    each: bool = False
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.protected:
            raise InputError("rule 'protect': name at least one goal, such as Protect(('memory',))")

    def bind(self, names: tuple[str, ...], absent: tuple[str, ...] = ()) -> Rule:
        """The rule for a step with these goals.

        Args:
            names: the goals of the step, in the order of its tensors.
            absent: goals that are known but not in this step; they need no protection.

        Raises:
            InputError: a protected name is in neither.
        """
        for name in self.protected:
            if name not in names and name not in absent:
                known = {*names, *absent}
                raise InputError(
                    f"rule 'protect': {name!r} is not a goal{nearest(name, sorted(known))}"
                )
        indices = tuple(k for k, name in enumerate(names) if name in self.protected)
        return Protected(indices, self.each)

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Refused: `bind` first.

        Raises:
            InputError: always.
        """
        del inputs
        raise InputError("rule 'protect': does not know the goals' order yet; call bind(names)")


@dataclass(frozen=True)
class Protected(StatelessRule):
    """`Protect`, knowing where the protected goals stand.

    Attributes:
        indices: of the protected goals. If they are all goals, or none, the step is the mean.
        each: one constraint a protected goal instead of one on their mean.
    """

    indices: tuple[int, ...]
    each: bool = False
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The others' mean, and as much of the protected as keeps them from harm."""
        goals = len(inputs.norms)
        if not 0 < len(self.indices) < goals:
            return inputs.preference
        cosines, norms, preference = arrays(inputs)
        kept = np.zeros(goals, dtype=np.bool_)
        kept[list(self.indices)] = True
        others = np.where(kept, 0.0, preference)
        others /= others.sum()
        if self.each:
            added = _cone(cosines, others * norms, kept) / norms
        else:
            added = _line(cosines, norms, others, np.where(kept, preference, 0.0))
        # both are coefficients on the g_k themselves, so w is K times their sum
        return tensor(goals * (others + added))


def _line(cosines: Array, norms: Array, others: Array, memory: Array) -> Array:
    """What of the protected mean makes the product with it zero, where it is negative."""
    # In units of the protected gradients: they may be tiny beside the others.
    unit = float((memory * norms).max())
    mean = memory * norms / unit
    # d = g - <g, r> r / <r, r>, equation 11, as coefficients
    product = float((others * norms) @ cosines @ mean)
    square = float(mean @ cosines @ mean)
    if product >= 0.0 or square <= 1e-28:
        return 0.0 * memory
    return memory * (-product / square) / unit


def _cone(cosines: Array, others: Array, kept: Mask) -> Array:
    """Multiples of the unit gradients that project onto the cone of all that harms none."""
    added = np.zeros_like(others)
    block = np.ascontiguousarray(cosines[kept][:, kept])
    # Moreau: the projection onto the cone is g plus the nearest nonnegative multiples of the u_k
    added[kept] = nonnegative(block, -(cosines @ others)[kept]).x
    return added
