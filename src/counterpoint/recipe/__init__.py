"""What a run is told: one frozen value, from a TOML file, flags and overrides.

A `Recipe` has four sections, `data`, `network`, `training` and `posterior`; each is a frozen
dataclass whose fields are the only keys a file may hold. In come a TOML file, values given by
flags, and ``section.key = value`` overrides, the later winning over the earlier; out comes a
checked recipe, or one line that names the file, the line, the key and the nearest valid one.
`dump` writes it back as TOML: the resolved recipe is stored beside every model it made.
`Training` is also what `counterpoint.train.fit` takes, so a recipe reaches everything it can do.

`Update` says how a fitted table learns new rows, `Lab` what the landscape lab shows.

Nothing here imports torch, so a wrong recipe is refused at once.

>>> recipe = build({"data": {"target": ["price"]}}, overrides={"training.rate": "3e-3"})
>>> recipe.training.rate, recipe.data.target
(0.003, ('price',))
>>> build({}, overrides={"training.rte": "1"})
Traceback (most recent call last):
counterpoint.errors.InputError: recipe: unknown key 'training.rte'; did you mean 'training.rate'?
"""

from counterpoint.recipe._lab import LAB_PRESETS, LAB_RULES, Lab, LabWalk
from counterpoint.recipe._read import build, dump, load
from counterpoint.recipe._sections import (
    DISTRIBUTIONS,
    UNCERTAINTY,
    Data,
    Network,
    Posterior,
    Recipe,
)
from counterpoint.recipe._training import BALANCE, PLAIN, Training
from counterpoint.recipe._update import Update

__all__ = [
    "BALANCE",
    "DISTRIBUTIONS",
    "LAB_PRESETS",
    "LAB_RULES",
    "PLAIN",
    "UNCERTAINTY",
    "Data",
    "Lab",
    "LabWalk",
    "Network",
    "Posterior",
    "Recipe",
    "Training",
    "Update",
    "build",
    "dump",
    "load",
]
