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
from counterpoint.balance.sources._source import GramSource, StepContext
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
        InputError: no source has this name, or it has no use for `at`.
    """
    gram = one_of("gram", gram, GRAMS[1:])
    if gram == "loss" and at is not None:
        raise InputError(
            f"at: gram='loss' measures nowhere, so {spelt(at)} would not be looked at; leave one of"
            " the two out"
        )
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
