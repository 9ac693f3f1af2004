"""Sources of the Gram matrix, one file each; any rule works with any of them.

`Features`: at the values through which all goals reach what they share. `Parameters`: at weights,
exact; with `last_layer`, at those of one layer. `Sketch`: from directional derivatives. `Loss`:
nothing. `SourceState` is one of them at work, chosen by name or by the goals. In comes a
`StepContext`, one step's goals with their graph; out comes `Measured`.

>>> make_source("features").text
'features'
"""

from counterpoint.balance.sources._auto import GRAMS, choose, make_source
from counterpoint.balance.sources._features import Features
from counterpoint.balance.sources._hook import FeatureHook, spelt
from counterpoint.balance.sources._last import last_layer
from counterpoint.balance.sources._loss import Loss
from counterpoint.balance.sources._parameters import Parameters
from counterpoint.balance.sources._sketch import Sketch, movable
from counterpoint.balance.sources._source import (
    Assemble,
    BackwardOptions,
    GramSource,
    Measured,
    StepContext,
    Unfit,
)
from counterpoint.balance.sources._source_state import SourceState

__all__ = [
    "GRAMS",
    "Assemble",
    "BackwardOptions",
    "FeatureHook",
    "Features",
    "GramSource",
    "Loss",
    "Measured",
    "Parameters",
    "Sketch",
    "SourceState",
    "StepContext",
    "Unfit",
    "choose",
    "last_layer",
    "make_source",
    "movable",
    "spelt",
]
