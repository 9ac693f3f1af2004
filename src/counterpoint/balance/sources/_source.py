"""What a source of the Gram matrix is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from counterpoint.balance._gram import Gram
from counterpoint.balance._ranks import Ranks
from counterpoint.balance._step import Knowledge
from counterpoint.errors import InputError


@dataclass(frozen=True)
class BackwardOptions:
    """How a caller wants one backward pass; see `counterpoint.balance.Balancer.backward`.

    Attributes:
        scaler: of an automatic mixed precision loop.
        refresh: False for the further parts of an accumulated step.
        share: the part's share of an accumulated step: what the gradient is multiplied by.
        backward: what is called with the balanced loss; None: its own `backward`.
    """

    scaler: torch.amp.GradScaler | None = None
    refresh: bool = True
    share: float = 1.0
    backward: Callable[[Tensor], object] | None = None


class Unfit(InputError):
    """A source cannot measure the goals of this step; another one could."""


Assemble: TypeAlias = Callable[[Tensor, Sequence[int]], None]
"""Adds ``(1/K) sum_k w_k g_k`` to the leaves' `.grad`, given w times the share of this part, and
the goals that take part."""


@dataclass(frozen=True)
class StepContext:
    """One step before anything is differentiated.

    Attributes:
        names: the goals.
        losses: their scalars, with graphs.
        means: the same over the ranks, without, float64 (K,).
        model: the model.
        ranks: who trains it.
        knowledge: what the step will know of its goals' gradients.
        counted: False for the further parts of an accumulated step: the first stands for all.
        features: values that were named as the shared representation; none if nobody did.
        scale: what a GradScaler multiplies losses by before they are differentiated; None: nothing.
        options: how the caller wants the backward pass.
        looked: what a source that looks saw before this step's forward pass; None: it did not.
    """

    names: tuple[str, ...]
    losses: Sequence[Tensor]
    means: Float64[Tensor, " goals"]
    model: nn.Module
    ranks: Ranks
    knowledge: Knowledge = Knowledge.FRESH
    counted: bool = True
    features: tuple[Tensor, ...] = ()
    scale: Tensor | None = None
    options: BackwardOptions = field(default_factory=BackwardOptions)
    looked: object = None

    @property
    def scaled(self) -> Sequence[Tensor]:
        """The losses to differentiate."""
        return self.losses if self.scale is None else [loss * self.scale for loss in self.losses]

    def unscaled(self, gram: Gram) -> Gram:
        """The Gram matrix of the losses from that of the scaled losses."""
        # cosines do not change: the scale is positive, and the same for all
        return gram if self.scale is None else Gram(gram.norms / self.scale, gram.cosines)


@dataclass(frozen=True)
class Measured:
    """What a source found.

    Attributes:
        gram: of the goals' gradients, summed over ranks.
        known: False if nothing was measured in this step: what the Gram matrix holds is NaN, or of
            an earlier one.
        assemble: where the gradients themselves are at hand, what adds them up; else None, and
            an ordinary backward pass does it.
        unseen: goals that do not pass through where it measured.
    """

    gram: Gram
    known: bool = True
    assemble: Assemble | None = field(default=None)
    unseen: tuple[str, ...] = ()

    @classmethod
    def nothing(cls, context: StepContext) -> "Measured":
        """For a step of which nothing is measured."""
        count, device = len(context.names), context.losses[0].device
        # NaN, not 0: whoever reads the record must not take it for a gradient at rest
        unknown = torch.full((count, count), float("nan"), dtype=torch.float64, device=device)
        return cls(Gram(unknown[0], unknown), known=False)


@runtime_checkable
class GramSource(Protocol):
    """Measures the Gram matrix of the goals' gradients; the graph is kept for what follows.

    A source of your own needs no more than `measure`. It may have ``text``, where it measures, for
    the record; ``gives``, what it shows a rule, of "losses", "norms" and "gram" (which is taken
    for granted); ``state() -> {name: tensor}`` and ``restore(state)``, which a balancer's
    `state_dict` then holds; and ``look(goals, model, batch, weights, ranks)``, called before the
    forward pass of `Balancer.step`, whose result comes back as `StepContext.looked`.
    """

    def measure(self, context: StepContext) -> Measured:
        """The Gram matrix of one step, the same on every rank."""
        ...


def once_only(error: RuntimeError) -> RuntimeError | InputError:
    """What to raise where torch would not go backward: words for a model compiled as one."""
    # torch has no type for it: a compiled backward pass that gave its buffers away
    if "donated buffer" not in str(error):
        return error
    return InputError(
        "gram: this compiled model gives its backward pass once only; compile trunk and heads apart"
        " and use gram='features', or set torch._functorch.config.donated_buffer = False before it"
        " is compiled"
    )
