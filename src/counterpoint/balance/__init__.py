"""Several goals share each step: named losses in, `.grad` filled, a record out.

A `Balancer` is a *rule* (the Gram matrix of the goals' gradients and the losses, to K weights; see
`counterpoint.balance.rules`) times a *source* of that matrix (`counterpoint.balance.sources`).
Training goes along ``(1/K) sum_k w_k g_k`` through one ordinary backward pass, and the number that
anything reads, `BalancedStep.score`, stays the plain mean of the losses. A monitor watches for four
ways in which goals fail each other (`counterpoint.balance.monitor`).

>>> import torch
>>> trunk, heads = torch.nn.Linear(3, 8), torch.nn.ModuleDict(
...     {"size": torch.nn.Linear(8, 1), "age": torch.nn.Linear(8, 1)})
>>> model = torch.nn.ModuleDict({"trunk": trunk, "heads": heads})
>>> balancer = Balancer("impartial")
>>> z = trunk(torch.eye(3)).tanh()
>>> losses = {name: (head(z) - 1).square().mean() for name, head in heads.items()}
>>> losses["age"] = losses["age"] * 1000  # another unit
>>> step = balancer.backward(losses, model)
>>> step.source
'features (auto: the goals meet at the output of TanhBackward0)'
>>> [round(share, 3) for share in step.control.tolist()]  # who pulls how hard
[0.5, 0.5]
"""

from counterpoint.balance._balancer import Balancer
from counterpoint.balance._checks import BalanceWarning
from counterpoint.balance._engine import modulated
from counterpoint.balance._gram import Gram
from counterpoint.balance._rule import GoalTensors, Rule, RuleInputs, StatelessRule
from counterpoint.balance._state import RuleState
from counterpoint.balance._step import Alarm, BalancedStep, Failure, Knowledge, StepEnding
from counterpoint.balance.sources import Sketch

__all__ = [
    "Alarm",
    "BalanceWarning",
    "BalancedStep",
    "Balancer",
    "Failure",
    "GoalTensors",
    "Gram",
    "Knowledge",
    "Rule",
    "RuleInputs",
    "RuleState",
    "Sketch",
    "StatelessRule",
    "StepEnding",
    "modulated",
]
