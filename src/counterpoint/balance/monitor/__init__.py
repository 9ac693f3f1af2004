"""A watch over goals that share a network: who wanders, who disturbs, what swings, what is stuck.

In come, step by step, the record of the step and a few numbers that say where the weights are
(`Positions`); nothing is read from the device. Every fifty steps the `Monitor` looks at the last
two hundred, in one transfer, and out comes a `counterpoint.balance.Alarm` when one of four failures
begins or is over: desert, obnoxious teammate, oscillation, standoff. Each says in a sentence what
was seen, in which numbers, and what to do; `remedied` does it, where it can be done to the weights
of the goals. How each is told is in `diagnostics`; how well, on runs with seeds that no threshold
was set on, in the documentation.

Two goals that want the weight at 1 and at -1, of which the one that pulls harder is followed:

>>> import torch
>>> from counterpoint.balance._step import BalancedStep
>>> model = torch.nn.Linear(1, 1, bias=False)
>>> monitor, positions = Monitor(), Positions(model, torch.Generator().manual_seed(0))
>>> for _ in range(300):
...     x = model.weight.detach()[0]
...     away = torch.cat([x - 1, x + 1]).double()
...     weights = 2 * (away.abs() >= away.abs().max()).double()
...     losses, signs = away**2 / 2, away.sign()
...     step = BalancedStep(("up", "down"), losses, losses.mean(), weights, away.abs(),
...                 signs[:, None] * signs)
...     for alarm in monitor.add(step, positions()):
...         print(alarm.sentence, alarm.remedy, sep="; ")
...     x -= 0.2 * (weights * away).mean()
step 300: oscillation of up, down: the weights go round in a cycle and no goal improves
(period 2, again 1, back -1); lower the learning rate, or use a rule that does not switch between
goals
>>> remedied(weights, away.abs(), step.names, monitor.in_force)  # half of the mean, which is 1
tensor([0.5000, 0.5000], dtype=torch.float64)
"""

from counterpoint.balance.monitor._monitor import Monitor, MonitorState
from counterpoint.balance.monitor._positions import Positions
from counterpoint.balance.monitor._remedy import remedied

__all__ = ["Monitor", "MonitorState", "Positions", "remedied"]
