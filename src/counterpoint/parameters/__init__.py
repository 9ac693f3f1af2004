"""Names of weights: which parameters a thing is about, and one flat vector of them.

In comes a module and a pattern: the dotted name of one of its modules (``"trunk"``), a glob
(``"trunk.*.weight"``), the module itself, several of these, or a function of name and parameter.
Out comes `dict[str, Tensor]`, the form in which every room above speaks of weights; a tied weight
appears once, under its first name. `modules` reads the same patterns where modules are meant.
`flatten` and `unflatten` go between named tensors and one vector; `unwrapped` finds the module
inside what torch wraps around one, under whose names everything is known. `evaluating` and
`modes_kept` put every module's mode back, and `device_of` says where a model is.

>>> import torch
>>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
>>> list(select(net, "1.*"))
['1.weight', '1.bias']
>>> flatten(select(net, net[0])).shape
torch.Size([8])
"""

from counterpoint.parameters._flat import flatten, unflatten
from counterpoint.parameters._modes import device_of, evaluating, modes_kept
from counterpoint.parameters._select import Pattern, modules, named, select
from counterpoint.parameters._unwrapped import unwrapped

__all__ = [
    "Pattern",
    "device_of",
    "evaluating",
    "flatten",
    "modes_kept",
    "modules",
    "named",
    "select",
    "unflatten",
    "unwrapped",
]
