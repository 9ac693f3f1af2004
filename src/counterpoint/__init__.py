"""One network, several goals, and a model that knows what it knows.

The rooms, from the ground up: `parameters`, `storage`, `recipe`, `data`, `findings`,
`datasets`; `derivatives`, `gaussian`, `nn`; `goals`, `report`; `balance`, `curvature`; `train`;
`posterior`, `continual`, `merge`; `estimators`, `landscape`; `table`; `cli`. What most programs
need is here, and imported when it is first used, so that `import counterpoint` itself costs
nothing:

>>> import counterpoint as cp
>>> cp.TableRegressor(epochs=20, random_state=0)
TableRegressor(epochs=20, random_state=0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from counterpoint.balance import Balancer
    from counterpoint.continual import EWC, OnlineEWC
    from counterpoint.errors import InputError
    from counterpoint.estimators import LunaRegressor, NeuralLinearRegressor
    from counterpoint.merge import merge
    from counterpoint.posterior import LastLayer, Softmax, laplace
    from counterpoint.recipe import Recipe, Update
    from counterpoint.table import (
        TableClassifier,
        TableModel,
        TableRegressor,
        fit_table,
        read_table,
        update_table,
    )

__all__ = [
    "EWC",
    "Balancer",
    "InputError",
    "LastLayer",
    "LunaRegressor",
    "NeuralLinearRegressor",
    "OnlineEWC",
    "Recipe",
    "Softmax",
    "TableClassifier",
    "TableModel",
    "TableRegressor",
    "Update",
    "fit_table",
    "laplace",
    "merge",
    "read_table",
    "update_table",
]

_HOMES = {
    "EWC": "continual",
    "Balancer": "balance",
    "InputError": "errors",
    "LastLayer": "posterior",
    "LunaRegressor": "estimators",
    "NeuralLinearRegressor": "estimators",
    "OnlineEWC": "continual",
    "Recipe": "recipe",
    "Softmax": "posterior",
    "TableClassifier": "table",
    "TableModel": "table",
    "TableRegressor": "table",
    "Update": "recipe",
    "fit_table": "table",
    "laplace": "posterior",
    "merge": "merge",
    "read_table": "table",
    "update_table": "table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'counterpoint' has no attribute {name!r}")
    room = import_module(f"counterpoint.{_HOMES[name]}")
    # a room that is its own verb can be called, and is what Python gives from now on
    return room if name == _HOMES[name] else getattr(room, name)
