"""Whether the representations of a network are separable, layer by layer."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.parameters import device_of, evaluating, modules, unwrapped
from counterpoint.posterior._separability import AnyArray, Separability, separability


@dataclass(frozen=True)
class Probe:
    """What `probe` found.

    Attributes:
        layers: separability of the rows by the layer that puts them out, in the order of calls; the
            first is "inputs", where they are numbers.
    """

    layers: Mapping[str, Separability]

    def __str__(self) -> str:
        """A line a layer."""
        wide = max(len(name) for name in self.layers)
        return "\n".join(f"{name:{wide}}  {one.sentence}" for name, one in self.layers.items())


def probe(
    model: nn.Module,
    inputs: Shaped[Tensor, "rows ..."],
    labels: AnyArray,
    layers: str | nn.Module | Sequence[str | nn.Module] | None = None,
) -> Probe:
    """Ask of every layer whether a linear map could tell the classes apart from what it puts out.

    To find such a representation is what a classifier's layers before the last are for; where it
    is found, how far and which rows it leaves aside is what this shows. See `separability`.

    Args:
        model: called once, in evaluation mode, without gradients.
        inputs: what it is called with.
        labels: the class of each row: numbers or texts.
        layers: a `counterpoint.parameters.modules` pattern; None: every module without parts.

    Raises:
        InputError: a pattern matches nothing, a layer is not called or gives no row an input row.

    >>> from counterpoint.nn import Maxout
    >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> net = nn.Sequential(Maxout(2, 1), nn.Linear(1, 2))
    >>> net[0].linear.weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # |x - y|
    >>> net[0].linear.bias.data = torch.zeros(2)
    >>> print(probe(net, corners, ["no", "yes", "yes", "no"], "0"))
    inputs  not separable: row 0 stands in the way
    0       separable, by 0.5 (1 of a row's way from the mean row)
    """
    chosen = (
        {name: one for name, one in unwrapped(model).named_modules() if not any(one.children())}
        if layers is None
        else modules(model, layers)
    )
    found = dict[str, Tensor]()
    with ExitStack() as stack:
        for name, module in chosen.items():
            hook = module.register_forward_hook(partial(_keep, found, name or "model"))
            stack.callback(hook.remove)
        with evaluating(model), torch.no_grad():
            model(inputs.to(device_of(model)))
    if not found:
        raise InputError(f"probe: none of the layers {', '.join(chosen)} is called by the model")
    before = {"inputs": inputs} if inputs.is_floating_point() else {}
    kept = {**before, **found}
    for name, one in kept.items():
        if one.shape[:1] != (len(inputs),):
            raise InputError(
                f"probe: layer {name!r} gives no row for each of the {len(inputs)} inputs, found "
                f"shape {tuple(one.shape)}; name other layers"
            )
    return Probe({name: separability(one, labels) for name, one in kept.items()})


def _keep(found: dict[str, Tensor], name: str, _: nn.Module, __: object, output: object) -> None:
    # recurrent layers and attention give a tuple, their output first
    first = output[0] if isinstance(output, tuple) and output else output
    if isinstance(first, Tensor):
        found[name] = first.detach().clone()  # the next layer may work in place
