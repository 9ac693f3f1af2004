"""Full-batch methods: all rows at every step, a deterministic score, and a reason to stop.

In come goals, a model and one batch; out comes a `Minimum`: the best weights are in the model, the
value says how it ended (`MinimizeEnding`), what it cost (`Evaluations`), how it went (`Iterate`).
`minimize` puts it together; `flat` makes one float64 vector of the weights, `objective` a function
of it from the goals, with derivatives; `noise` checks that it is one. `methods` is the table of
what minimises it, `observer` decides for all of them when to stop.
"""

from counterpoint.train.full_batch._minimize import minimize
from counterpoint.train.full_batch._outcome import Evaluations, Iterate, MinimizeEnding, Minimum

__all__ = ["Evaluations", "Iterate", "MinimizeEnding", "Minimum", "minimize"]
