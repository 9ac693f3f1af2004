"""Hidden units in one order: which may change places, and which order is nearest.

In go models of one architecture and a few rows that they can be called with; out come models that
compute what they did before, with their units in the order of the first.

>>> import torch
>>> nets = [torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)) for _ in range(2)]
>>> found = align(nets, torch.zeros(1, 2))
>>> x = torch.ones(1, 2)
>>> torch.allclose(found.models[1](x), nets[1](x)), [each.layer for each in found.units]
(True, ['0', '1'])
"""

from counterpoint.merge.alignment._align import Alignment, Units, align

__all__ = ["Alignment", "Units", "align"]
