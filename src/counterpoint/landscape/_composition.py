"""How K layers become one direction: fixed mixtures, choices, and the rules of `balance`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance import Gram, Rule, RuleState
from counterpoint.balance.rules import RULES, rule
from counterpoint.errors import InputError, one_of
from counterpoint.landscape._landscape import Evaluation

LayerWeights: TypeAlias = Float[Tensor, "points layers"]


class Composition(ABC):
    """Weights w of K layers at each of N points; the composite's slope is ``(1/K) sum_k w_k g_k``.

    >>> here = Evaluation(torch.tensor([[1.0, 3.0]]), torch.tensor([[[2.0], [0.0]]]))
    >>> composition("largest-value").direction(here).tolist()  # the layer whose value is 3
    [[0.0]]
    """

    @abstractmethod
    def weights(self, here: Evaluation) -> LayerWeights:
        """w, (N, K); w = 1 is the mean."""

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The composite itself, (N,); the mean of the layers where weights are no derivative."""
        return here.values.mean(1)

    def direction(self, here: Evaluation) -> Float[Tensor, "points dimension"]:
        """``(1/K) sum_k w_k g_k``, (N, d): what is stepped against."""
        weights = self.weights(here).to(here.gradients.dtype)
        return (weights[:, :, None] * here.gradients).mean(1)


class Mean(Composition):
    """``(1/K) sum_k L_k``."""

    def weights(self, here: Evaluation) -> LayerWeights:
        """1 for all."""
        return torch.ones_like(here.values)


@dataclass(frozen=True)
class Weighted(Composition):
    """``w_k = K |g_k|^a / sum_j |g_j|^a`` at each point, from that point alone.

    `balance.rules.Magnitude` does the same with averages of the lengths over steps.

    Args:
        power: a; 1 is by magnitude, -1 gives every layer the same pull, 0 is the mean.
    """

    power: float = 1.0

    def weights(self, here: Evaluation) -> LayerWeights:
        """By the lengths of the gradients; of a gradient of 0 as if it were tiny."""
        norms = here.gradients.norm(dim=2)
        # as the rule has it: a negative power must not divide by a gradient of 0
        floor = norms.amax(1, keepdim=True).clamp_min(1e-300) * 1e-8
        return len(norms.T) * (self.power * torch.maximum(norms, floor).log()).softmax(1)


class LayerSum(Composition):
    """``sum_k L_k``: the mean, K times as steep."""

    def weights(self, here: Evaluation) -> LayerWeights:
        """K for all."""
        return torch.full_like(here.values, float(here.values.shape[1]))

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The sum."""
        return here.values.sum(1)


class Product(Composition):
    """``prod_k L_k``: lowest wherever any layer that is never negative is 0."""

    def weights(self, here: Evaluation) -> LayerWeights:
        """K times the product of all other layers."""
        layers = here.values.shape[1]
        # by leaving one out, not by dividing: a layer may be 0
        apart = here.values[:, None, :].expand(-1, layers, -1).clone()
        apart.diagonal(dim1=1, dim2=2).fill_(1.0)
        return layers * apart.prod(2)

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The product."""
        return here.values.prod(1)


@dataclass(frozen=True)
class SoftMaximum(Composition):
    """``mu log (1/K) sum_k exp(L_k / mu)``: the mean for large mu, the largest layer for small.

    Args:
        mu: in the unit of the layers, positive.
    """

    mu: float = 0.1

    def __post_init__(self) -> None:
        if not self.mu > 0:
            raise InputError(f"soft maximum: mu must be positive, found {self.mu}")

    def weights(self, here: Evaluation) -> LayerWeights:
        """K softmax(L / mu)."""
        return here.values.shape[1] * (here.values / self.mu).softmax(1)

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The soft maximum."""
        shift = torch.log(torch.tensor(float(here.values.shape[1]), dtype=here.values.dtype))
        return self.mu * ((here.values / self.mu).logsumexp(1) - shift)


class LargestValue(Composition):
    """At each point the layer that is highest there: ``max_k L_k``."""

    def weights(self, here: Evaluation) -> LayerWeights:
        """K for the highest."""
        return _all_for(here.values.argmax(1), here)

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The maximum."""
        return here.values.amax(1)


class LargestGradient(Composition):
    """At each point the layer that is steepest there; as a function it jumps where that changes."""

    def weights(self, here: Evaluation) -> LayerWeights:
        """K for the steepest."""
        return _all_for(here.gradients.norm(dim=2).argmax(1), here)

    def value(self, here: Evaluation) -> Float[Tensor, " points"]:
        """The value of the steepest layer."""
        steepest = here.gradients.norm(dim=2).argmax(1, keepdim=True)
        return here.values.gather(1, steepest)[:, 0]


class Alternation(Composition):
    """One layer a step, drawn at each point for itself; what `balance.rules.Alternate` does to one.

    Args:
        pick: "uniform", or "magnitude": with chances as the lengths of the gradients.
        seed: of the draws.

    Raises:
        InputError: another `pick`.
    """

    def __init__(self, pick: str = "uniform", seed: int = 0) -> None:
        self.pick = one_of("alternation: pick", pick, ("uniform", "magnitude"))
        self._generator = torch.Generator().manual_seed(seed)

    def weights(self, here: Evaluation) -> LayerWeights:
        """K for the layer that was drawn."""
        chances = torch.ones_like(here.values)
        if self.pick == "magnitude":
            norms = here.gradients.norm(dim=2)
            # where all rest, any may be drawn: its step is 0
            chances = torch.where(norms.sum(1, keepdim=True) > 0, norms, chances)
        # independent draws a point: neighbours that start together do not stay together
        drawn = torch.multinomial(chances, 1, generator=self._generator)
        return _all_for(drawn[:, 0], here)


class Ruled(Composition):
    """A rule of `balance`, at work at every point for itself, on the true Gram matrix there.

    Args:
        chosen: a rule, or the name of one.
        seed: of what it draws.

    Raises:
        InputError: there is no such rule.
    """

    def __init__(self, chosen: str | Rule, seed: int = 0) -> None:
        self.rule = rule(chosen)
        self._seed = seed
        self._states: list[RuleState] = []  # one a point, in the order of the points

    def weights(self, here: Evaluation) -> LayerWeights:
        """What the rule says, point by point."""
        if len(self._states) != len(here.values):
            self._states = [
                RuleState(self.rule, {}, self._seed + point) for point in range(len(here.values))
            ]
        # a rule's memory is of one run, and every point is a run of its own
        names = tuple(str(layer) for layer in range(here.values.shape[1]))
        said = [
            state.weigh(names, losses, Gram.of(rows))
            for state, losses, rows in zip(
                self._states, here.values.double(), here.gradients.double(), strict=True
            )
        ]
        return torch.stack(said) if said else torch.ones_like(here.values)


COMPOSITIONS: dict[str, type[Composition]] = {
    "mean": Mean,
    "total": LayerSum,
    "product": Product,
    "soft-maximum": SoftMaximum,
    "largest-value": LargestValue,
    "largest-gradient": LargestGradient,
    "alternation": Alternation,
    "weighted": Weighted,
}
"""Compositions by name; any name of `balance.rules.RULES` stands for that rule."""


def composition(chosen: "str | Rule | Composition") -> Composition:
    """The composition of a name, or of a rule of `balance`; one that is made passes through.

    Raises:
        InputError: nothing has this name; says the nearest.

    >>> type(composition("product")).__name__, composition("mgda").rule
    ('Product', Mgda())
    """
    if isinstance(chosen, Composition):
        return chosen
    if not isinstance(chosen, str):
        return Ruled(chosen)
    name = one_of("composition", chosen, [*COMPOSITIONS, *RULES])
    return COMPOSITIONS[name]() if name in COMPOSITIONS else Ruled(name)


def _all_for(chosen: Tensor, here: Evaluation) -> Tensor:
    layers = here.values.shape[1]
    return float(layers) * torch.nn.functional.one_hot(chosen, layers).to(here.values.dtype)
