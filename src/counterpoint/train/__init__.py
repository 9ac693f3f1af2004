"""Train a model toward several named goals, and survive whatever happens on the way.

In come a model, a function ``goals(model, batch) -> {name: scalar}``, whatever holds the rows (see
the room `data`: tensors, arrays, a `DataLoader`, batches, files) and a frozen `Training`. `fit`
trains the model in place and returns a `Fit`: one row an epoch, how it ended, the best epoch.
With a run folder it writes verified checkpoints and a log, and a run that was killed goes on to
the same bits. `evaluate` gives the goals on held-out rows; `groups` and `spread` give layers their
own learning rates or freeze them; `find_rate` measures which learning rate to use. Goals share a
step as their plain mean, or as a balancer decides (``Training(balance="impartial")``, or one of
your own as ``fit(..., balancer=...)``); `Fit.balance` tells how. `minimize` goes to a minimum with
all rows at once instead, by line searches and curvature, and its `Minimum` says why it stopped.

>>> import torch
>>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
>>> def goals(model, batch):
...     return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}
>>> line = torch.nn.Linear(1, 1)
>>> training = Training(epochs=40, batch_size=8, rate=0.1, weight_decay=0.0)
>>> result = fit(line, goals, (x, 3 * x + 1), training, progress=False)
>>> result.status.sentence, round(line.weight.item(), 2), round(line.bias.item(), 2)
('all epochs were run', 3.0, 1.0)
"""

from counterpoint.recipe import Training
from counterpoint.train._balance_log import BalanceLog
from counterpoint.train._callbacks import Callback, Moment
from counterpoint.train._evaluate import evaluate
from counterpoint.train._finder import RateCurve, find_rate
from counterpoint.train._fit import fit
from counterpoint.train._folder import DamagedRunError
from counterpoint.train._groups import Group, Groups, groups, spread
from counterpoint.train._outcome import Fit, FitEnding, NonFiniteError, Row
from counterpoint.train.full_batch import Evaluations, Iterate, MinimizeEnding, Minimum, minimize

__all__ = [
    "BalanceLog",
    "Callback",
    "DamagedRunError",
    "Evaluations",
    "Fit",
    "FitEnding",
    "Group",
    "Groups",
    "Iterate",
    "MinimizeEnding",
    "Minimum",
    "Moment",
    "NonFiniteError",
    "RateCurve",
    "Row",
    "Training",
    "evaluate",
    "find_rate",
    "fit",
    "groups",
    "minimize",
    "spread",
]
