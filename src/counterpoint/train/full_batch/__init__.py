"""Full-batch methods: all rows at every step, a deterministic score, and a reason to stop.

In come goals, a model and one batch; out comes a `Minimum`: the best weights are in the model, the
value says how it ended (`Ending`), what it cost (`Evaluations`) and how it went (`Iterate`).
`minimize` puts it together; `flat` makes one float64 vector of the weights, `score` one number of
the goals, `objective` a function of the two, with derivatives; `noise` checks that it is one.
`methods` is the table of what minimises it, `watch` decides for all of them when to stop.
"""

from counterpoint.train.full_batch.minimize import minimize
from counterpoint.train.full_batch.outcome import Ending, Evaluations, Iterate, Minimum

__all__ = ["Ending", "Evaluations", "Iterate", "Minimum", "minimize"]
