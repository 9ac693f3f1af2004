"""What one wants to know of goals in harmony, each a function with error bars and a figure.

- `common_minima`, `unequal_densities`: how fast common minima become rare, and that a mean does
  not multiply minima.
- `smoothness`: what adding layers does to the rest of the landscape.
- `reached`: who finds the shared minimum, by composition, step, optimiser, dimension, scale, and
  with minima that are not quite aligned.
- `front_reached`: who comes to the Pareto front of goals that do not share a minimum.
- `alarm_rates`: how often the monitor raises each alarm, by rule.
- `foretold`, `harmony`: whether it shows before training.
- `equivalent_losses`: the thesis on a network.

>>> answer = common_minima((1, 2), seeds=range(3), per=16)
>>> answer.y_label, [curve.name for curve in answer.curves][:2]
('share of space, minima per cell', ['near a minimum of every layer', 'p^n'])
"""

from counterpoint.landscape.questions._alarms import alarm_rates
from counterpoint.landscape.questions._basins import COMPARED, reached
from counterpoint.landscape.questions._fronts import ON_FRONTS, front_reached
from counterpoint.landscape.questions._harmony import MEASURES, foretold, harmony
from counterpoint.landscape.questions._losses import EQUIVALENT, equivalent_losses
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import common_minima, unequal_densities
from counterpoint.landscape.questions._smoothness import smoothness
from counterpoint.landscape.questions._walk import Walk

__all__ = [
    "COMPARED",
    "EQUIVALENT",
    "MEASURES",
    "ON_FRONTS",
    "Curve",
    "Measurement",
    "Walk",
    "alarm_rates",
    "common_minima",
    "equivalent_losses",
    "foretold",
    "front_reached",
    "harmony",
    "reached",
    "smoothness",
    "unequal_densities",
]
