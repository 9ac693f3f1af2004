"""What torch wraps around a model, for the tests of every room that takes one."""

import torch
from torch import nn


def compiled(net):
    """A compiled model, by the backend that leaves operations as they are."""
    return torch.compile(net, backend="eager")


def uncompilable(net):
    """A compiled model that fails once it is run, so that compiling it is found out."""

    def refuse(graph, inputs):
        raise AssertionError("the model was compiled")

    return torch.compile(net, backend=refuse)


WRAPPERS = {
    "plain": lambda net: net,
    "compiled": compiled,
    "DataParallel": nn.DataParallel,
    "both": lambda net: nn.DataParallel(compiled(net)),
    "compiled twice": lambda net: compiled(nn.DataParallel(compiled(net))),
}
