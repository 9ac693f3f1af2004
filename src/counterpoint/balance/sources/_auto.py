"""Which source to use: the one of a name, or, where nobody said, the one that fits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoint.balance._graph import Graph, trace
from counterpoint.balance._rule import Rule
from counterpoint.balance.sources._features import Features
from counterpoint.balance.sources._hook import spelt
from counterpoint.balance.sources._last import last_layer
from counterpoint.balance.sources._loss import Loss
from counterpoint.balance.sources._parameters import Parameters
from counterpoint.balance.sources._sketch import Sketch
from counterpoint.balance.sources._source import GramSource, Measured, StepContext, Unfit
from counterpoint.errors import InputError, one_of
from counterpoint.parameters import Pattern, select

GRAMS = ("auto", "features", "parameters", "last", "sketch", "loss")
"""Names of the sources of the Gram matrix."""

_MANY = 8  # goals; beyond, a backward pass through the whole trunk for each costs too much


def make_source(
    gram: str, why: str = "", *, at: Pattern | None = None, seed: int = 0
) -> GramSource:
    """The source of a name.

    Args:
        gram: one of `GRAMS` but "auto".
        why: why this one, for the record.
        at: the weights that count, for "parameters" and "last".
        seed: of what "sketch" draws.

    Raises:
        InputError: no source has this name.
    """
    gram = one_of("gram", gram, GRAMS[1:])
    if gram == "features":
        return Features(why)
    if gram == "loss":
        return Loss(why)
    if gram == "sketch":
        return Sketch(seed=seed)
    if at is not None:
        return Parameters(lambda context: _selected(context.model, at), f" {spelt(at)}")
    if gram == "last":
        return Parameters(_last, f" of the last shared layer{why}")
    return Parameters(None, why)


def source_of(gram: str | GramSource, rule: Rule, at: Pattern | None, seed: int) -> GramSource:
    """The source that somebody asks for, by itself or by its name.

    Raises:
        InputError: it is neither a source nor the name of one.
    """
    if isinstance(gram, str):
        return AutoSource(rule) if gram == "auto" else make_source(gram, at=at, seed=seed)
    # by what it does: a source of somebody else need not know the protocol
    if not callable(getattr(gram, "measure", None)):
        raise InputError(f"gram: expected a source or the name of one, found {gram!r}")
    return gram


class AutoSource:
    """The source that `choose` finds for the goals of the first step, until it fits no longer.

    Attributes:
        choice: the chosen source's name, and why; None before the first step.

    Args:
        rule: what the source is for.
    """

    def __init__(self, rule: Rule) -> None:
        self.choice: tuple[str, str] | None = None
        self._rule = rule
        self._source: GramSource | None = None

    @property
    def text(self) -> str:
        """Where it measures, and why there; "" before the first step."""
        return "" if self._source is None else self._source.text

    def measure(self, context: StepContext) -> Measured:
        """See `GramSource`."""
        if self._source is not None:
            try:
                return self._source.measure(context)
            except Unfit:
                # the goals of this step are others than those it was chosen for: choose again
                self._source = None
        self.choice = choose(self._rule, context)
        self._source = make_source(*self.choice)
        return self._source.measure(context)

    def restore(self, choice: Sequence[str] | None) -> None:
        """Go on with the choice of another run; None: choose at the next step."""
        self.choice = self._source = None
        if choice is not None:
            gram, why = choice
            self.choice, self._source = (gram, why), make_source(gram, why)


def choose(rule: Rule, context: StepContext) -> tuple[str, str]:
    """By rule and model: the cheapest source that shows the rule what it needs, and why.

    Losses alone: no source. Where all goals go through computed values before they reach what
    they share: there, if they pull at the same numbers there. Entries of one output, or of one
    vector of losses, show no angles, and not always the goals' units. Otherwise at the weights: all
    that are shared for up to eight goals, the last shared layer for more.
    """
    if rule.needs == "losses":
        return "loss", " (auto: the rule looks at losses only)"
    if context.features:
        return "features", " (as passed)"
    meeting = Graph(trace(context.losses), len(context.losses)).meeting()
    if meeting is not None:
        names = ", ".join(sorted({edge.node.name() for edge in meeting}))
        if _overlap(context):
            return "features", f" (auto: the goals meet at the output of {names})"
        why = "pull at different entries of one value"
    else:
        why = "meet in weights only"
    if len(context.names) <= _MANY:
        return "parameters", f" (auto: the goals {why})"
    return "last", f" (auto: the goals {why}, and are more than {_MANY})"


def _overlap(context: StepContext) -> bool:
    cosines = Features().measure(context).gram.cosines
    apart = cosines.masked_fill(torch.eye(len(cosines), device=cosines.device) > 0, 0.0)
    return bool((apart != 0).any())  # what is not finite says nothing against it


def _last(context: StepContext) -> list[Tensor]:
    return last_layer(context)[1]


def _selected(model: nn.Module, pattern: Pattern) -> Sequence[Tensor]:
    return list(select(model, pattern).values())
