"""One network, several goals, and a model that knows what it knows.

The rooms, from the ground up: `parameters`, `storage`, `recipe`, `datasets`; `derivatives`,
`gaussian`, `nn`; `goals`; `balance`, `curvature`; `train`; `posterior`, `continual`; `estimators`;
`table`; `report`; `cli`. What most programs need is here, and imported when it is first used, so
that `import counterpoint` itself costs nothing:

>>> import counterpoint as cp
>>> cp.TableRegressor(epochs=20, random_state=0)
TableRegressor(epochs=20, random_state=0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from counterpoint.balance import Balancer
    from counterpoint.errors import InputError
    from counterpoint.estimators import LunaRegressor, NeuralLinearRegressor
    from counterpoint.posterior import LastLayer, Softmax, laplace
    from counterpoint.recipe import Recipe
    from counterpoint.table import (
        TableClassifier,
        TableModel,
        TableRegressor,
        fit_table,
        read_table,
    )

__all__ = [
    "Balancer",
    "InputError",
    "LastLayer",
    "LunaRegressor",
    "NeuralLinearRegressor",
    "Recipe",
    "Softmax",
    "TableClassifier",
    "TableModel",
    "TableRegressor",
    "fit_table",
    "laplace",
    "read_table",
]

_HOMES = {
    "Balancer": "balance",
    "InputError": "errors",
    "LastLayer": "posterior",
    "LunaRegressor": "estimators",
    "NeuralLinearRegressor": "estimators",
    "Recipe": "recipe",
    "Softmax": "posterior",
    "TableClassifier": "table",
    "TableModel": "table",
    "TableRegressor": "table",
    "fit_table": "table",
    "laplace": "posterior",
    "read_table": "table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'counterpoint' has no attribute {name!r}")
    return getattr(import_module(f"counterpoint.{_HOMES[name]}"), name)
