"""Sources of the Gram matrix, one file each; any rule works with any of them.

`Features`: at the values through which all goals reach what they share. `Parameters`: at weights,
exact; with `last_layer`, at those of one layer. `Sketch`: from directional derivatives. `Loss`:
nothing. In comes a `Scene`, one step's goals with their graph; out comes `Measured`.

>>> made_source("features").text
'features'
"""

from counterpoint.balance.sources.choose import GRAMS, choose, made_source, told_source
from counterpoint.balance.sources.features import Features
from counterpoint.balance.sources.last import last_layer
from counterpoint.balance.sources.loss import Loss
from counterpoint.balance.sources.parameters import Parameters
from counterpoint.balance.sources.sketch import Sketch, movable
from counterpoint.balance.sources.source import Assemble, Measured, Scene, Source, Unfit

__all__ = [
    "GRAMS",
    "Assemble",
    "Features",
    "Loss",
    "Measured",
    "Parameters",
    "Scene",
    "Sketch",
    "Source",
    "Unfit",
    "choose",
    "last_layer",
    "made_source",
    "movable",
    "told_source",
]
