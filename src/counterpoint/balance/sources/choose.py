"""Which source to use where nobody said."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoint.balance.catch import unwrapped
from counterpoint.balance.graph import Graph, trace
from counterpoint.balance.rule import Rule
from counterpoint.balance.sources.features import Features
from counterpoint.balance.sources.last import last_layer
from counterpoint.balance.sources.loss import Loss
from counterpoint.balance.sources.parameters import Parameters
from counterpoint.balance.sources.sketch import Sketch
from counterpoint.balance.sources.source import Scene, Source
from counterpoint.errors import InputError, nearest
from counterpoint.parameters import Pattern, select

__all__ = ["GRAMS", "choose", "made_source", "told_source"]

GRAMS = ("auto", "features", "parameters", "last", "sketch", "loss")
"""Names of the sources of the Gram matrix."""

_MANY = 8


def made_source(gram: str, why: str = "", *, at: Pattern | None = None, seed: int = 0) -> Source:
    """The source of a name.

    Args:
        gram: one of `GRAMS` but "auto".
        why: why this one, for the record.
        at: the weights that count, for "parameters" and "last".
        seed: of what "sketch" draws.

    Raises:
        InputError: no source has this name.
    """
    if gram == "features":
        return Features(why)
    if gram == "loss":
        return Loss(why)
    if gram == "sketch":
        return Sketch(seed=seed)
    if gram not in ("parameters", "last"):
        raise InputError(f"gram: no source is called {gram!r}{nearest(gram, GRAMS)}")
    if at is not None:
        return Parameters(lambda scene: _selected(scene.model, at), f" {at!r}")
    if gram == "last":
        return Parameters(_last, f" of the last shared layer{why}")
    return Parameters(None, why)


def told_source(gram: str | Source, at: Pattern | None, seed: int) -> Source | None:
    """The source that somebody asks for; None for "auto", which needs to see a step.

    Raises:
        InputError: it is neither a source nor the name of one.
    """
    if isinstance(gram, str):
        return None if gram == "auto" else made_source(gram, at=at, seed=seed)
    if not callable(getattr(gram, "measure", None)):
        raise InputError(f"gram: expected a source or the name of one, found {gram!r}")
    return gram


def choose(rule: Rule, scene: Scene) -> tuple[str, str]:
    """By rule and model: the cheapest source that shows the rule what it needs, and why.

    Losses alone: no source. Where all goals go through computed values before they reach what
    they share: there, if they pull at the same numbers there. Entries of one output, or of one
    vector of losses, show no angles, and not always the goals' units. Otherwise at the weights: all
    that are shared for up to eight goals, the last shared layer for more.
    """
    if rule.needs == "losses":
        return "loss", " (auto: the rule looks at losses only)"
    if scene.features:
        return "features", " (as passed)"
    meeting = Graph(trace(scene.losses), len(scene.losses)).meeting()
    if meeting is not None:
        names = ", ".join(sorted({edge.node.name() for edge in meeting}))
        if _overlap(scene):
            return "features", f" (auto: the goals meet at the output of {names})"
        why = "pull at different entries of one value"
    else:
        why = "meet in weights only"
    if len(scene.names) <= _MANY:
        return "parameters", f" (auto: the goals {why})"
    return "last", f" (auto: the goals {why}, and are more than {_MANY})"


def _overlap(scene: Scene) -> bool:
    cosines = Features().measure(scene).gram.cosines
    apart = cosines.masked_fill(torch.eye(len(cosines), device=cosines.device) > 0, 0.0)
    return bool((apart != 0).any())  # what is not finite says nothing against it


def _last(scene: Scene) -> list[Tensor]:
    return last_layer(scene)[1]


def _selected(model: nn.Module, pattern: Pattern) -> Sequence[Tensor]:
    return list(select(unwrapped(model), pattern).values())
