"""Tasks in sequence: what is kept of the earlier ones, and what leaving it costs.

In come a model, a likelihood and the batches of a task that has been learnt (`consolidate`); out
comes a penalty for the tasks that follow, in the units of Bayes' rule: divided by the rows of the
current task, with a strength of 1, the minimum is that of the posterior.

- of weights, all of them one `counterpoint.gaussian.Gaussian` whatever the number of tasks: `EWC`,
  `OnlineEWC`, `SI`, `MAS`. Their gradient can be added after ``backward()`` at the cost of one pass
  over the weights (`add_gradients`).
- of outputs: `LwF`, the earlier model's answers on new rows;
- of rows, within a hard bound: `Replay`, `DER`, `Functional`. A-GEM is `Replay` under
  ``Balancer(Protect(("old",)))``.

All answer `Memory`. What cannot work is said as a `ForgettingWarning`.

To try them: a `Scenario` cuts a labelled data set into `Task`s, whose likelihoods know which
outputs compete (`counterpoint.goals.SubsetCategorical`); `run` learns them one after the other,
`compare` several memories beside joint training and none, and `Accuracies` says what is left of
each.

For a line with Gaussian noise the Fisher information is exact, and two tasks in sequence give the
fit to all rows: the first says a slope of 2 over ``1² + 2² = 5``, the second 5 over ``3² = 9``:

>>> import torch
>>> from counterpoint.goals import Normal
>>> line, noise, memory = torch.nn.Linear(1, 1, bias=False), Normal(), EWC()
>>> _ = torch.nn.init.constant_(line.weight, 2.0)
>>> x = torch.tensor([[1.0], [2.0]])
>>> memory.consolidate(line, noise, [(x, 2 * x)])
>>> x = torch.tensor([[3.0]])
>>> for _ in range(20):
...     loss = noise.nll(line(x), 5 * x) + memory.penalty(line, rows=1)
...     (slope,) = torch.autograd.grad(loss, [line.weight])
...     _ = line.weight.data.sub_(slope / 14)
>>> round(line.weight.item(), 4), round((5 * 2 + 9 * 5) / 14, 4)
(3.9286, 3.9286)
"""

from counterpoint.continual._memory import Memory
from counterpoint.continual._step_observer import StepObserver
from counterpoint.continual._warning import ForgettingWarning
from counterpoint.continual.outputs._lwf import LwF
from counterpoint.continual.rows._der import DER
from counterpoint.continual.rows._functional import Functional
from counterpoint.continual.rows._rehearsal import Replayed
from counterpoint.continual.rows._replay import Replay
from counterpoint.continual.scenarios._inputs import Permuted, Rotated
from counterpoint.continual.scenarios._metrics import Accuracies
from counterpoint.continual.scenarios._run import Run, compare, joint, run
from counterpoint.continual.scenarios._scenario import Scenario
from counterpoint.continual.scenarios._sequence import STANDARD, TaskTraining
from counterpoint.continual.scenarios._task import Task
from counterpoint.continual.weights._ewc import EWC, OnlineEWC
from counterpoint.continual.weights._mas import MAS
from counterpoint.continual.weights._si import SI

__all__ = [
    "DER",
    "EWC",
    "MAS",
    "SI",
    "STANDARD",
    "Accuracies",
    "ForgettingWarning",
    "Functional",
    "LwF",
    "Memory",
    "OnlineEWC",
    "Permuted",
    "Replay",
    "Replayed",
    "Rotated",
    "Run",
    "Scenario",
    "StepObserver",
    "Task",
    "TaskTraining",
    "compare",
    "joint",
    "run",
]
