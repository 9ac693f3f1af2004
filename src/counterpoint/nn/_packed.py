"""Several networks of one shape as one module: a batched product takes the place of several."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


def pack(networks: Sequence[nn.Module]) -> nn.Module:
    """One module that runs networks of one shape side by side, each on rows of its own.

    Inputs and outputs have a leading axis, one place a network: ``packed(x)[m]`` is
    ``networks[m](x[m])`` to rounding. Parameters keep their names and are stacked along a leading
    axis, so that the slices of a step of Adam or SGD are the networks' own steps. Small networks
    cost overhead, not arithmetic: packed, several cost little more than one.

    Args:
        networks: of one shape, with linear layers, embeddings and layer normalisations as their
            only parameters; copied, not changed. Their forward must take leading axes.

    Raises:
        TypeError: a parameter belongs to another kind of module.

    >>> nets = [nn.Linear(2, 1), nn.Linear(2, 1)]
    >>> x = torch.randn(2, 5, 2)
    >>> torch.allclose(pack(nets)(x)[1], nets[1](x[1]), atol=1e-6)
    True
    """
    first = networks[0]
    kind = next((packed for plain, packed in _PACKED if type(first) is plain), None)
    if kind is not None:
        return kind(networks)
    own = [name for name, _ in first.named_parameters(recurse=False)]
    if own:
        raise TypeError(f"pack: {type(first).__name__} has a parameter {own[0]!r} of its own")
    # everything but parameters is one for all: activations, dropout, bins
    packed = deepcopy(first)
    for name, _ in first.named_children():
        setattr(packed, name, pack([network.get_submodule(name) for network in networks]))
    return packed


@torch.no_grad()
def unpack(packed: nn.Module, networks: Sequence[nn.Module]) -> None:
    """Give each network its slice of the packed parameters, in place.

    Args:
        packed: of `pack`.
        networks: those that it was made of.
    """
    stacked = dict(packed.named_parameters())
    for place, network in enumerate(networks):
        for name, parameter in network.named_parameters():
            parameter.copy_(stacked[name][place])


def _stacked(modules: Sequence[nn.Module], name: str) -> nn.Parameter:
    return nn.Parameter(torch.stack([getattr(module, name).detach() for module in modules]))


class _Linear(nn.Module):
    """``x_m W_m' + b_m`` for all m at once."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.weight, self.bias = _stacked(modules, "weight"), _stacked(modules, "bias")

    def forward(self, x: Float[Tensor, "nets batch in"]) -> Float[Tensor, "nets batch out"]:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


class _Embedding(nn.Module):
    """All tables below one another, each network's codes shifted to its own."""

    offset: Tensor

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.weight = _stacked(modules, "weight")
        nets, levels, _ = self.weight.shape
        self.register_buffer("offset", levels * torch.arange(nets).unsqueeze(1), persistent=False)

    def forward(self, codes: Int[Tensor, "nets batch"]) -> Float[Tensor, "nets batch width"]:
        return functional.embedding(codes + self.offset, self.weight.flatten(0, 1))


class _LayerNorm(nn.Module):
    """One normalisation, and each network's own scale and shift."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.weight, self.bias = _stacked(modules, "weight"), _stacked(modules, "bias")
        self._eps = float(getattr(modules[0], "eps"))  # noqa: B009 - of a LayerNorm, which has one

    def forward(self, x: Float[Tensor, "nets batch width"]) -> Float[Tensor, "nets batch width"]:
        whole = functional.layer_norm(x, x.shape[-1:], eps=self._eps)
        return torch.addcmul(self.bias.unsqueeze(1), whole, self.weight.unsqueeze(1))


_PACKED = ((nn.Linear, _Linear), (nn.Embedding, _Embedding), (nn.LayerNorm, _LayerNorm))
