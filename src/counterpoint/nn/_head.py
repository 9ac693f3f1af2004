"""Put another head on a trained network."""

from operator import index

from torch import nn

from counterpoint.errors import InputError
from counterpoint.seeding import seeded


def replace_head(model: nn.Module, head: int | nn.Module, *, seed: int = 0) -> str:
    """Replace the last linear layer in place, for another task; all else stays as it was learnt.

    Args:
        model: its last `torch.nn.Linear`, in the order in which its modules were made, is its head.
        head: the new head's number of outputs, or a module that takes the old head's inputs.
        seed: of the new weights; torch's global generators stay as they are.

    Returns:
        The head's dotted name, as `counterpoint.train.groups` takes it.

    Raises:
        InputError: there is no linear layer, it is the model itself, or no output is asked for.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> replace_head(net, 3), net[2]
    ('2', Linear(in_features=8, out_features=3, bias=True))
    """
    found = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not found or not found[-1][0]:
        what = "it is one itself" if found else "found none"
        raise InputError(f"replace_head: expected a linear layer inside the model; {what}")
    name, old = found[-1]
    if not isinstance(head, nn.Module):
        head = index(head)  # of numpy, too
        if head < 1:
            raise InputError(f"replace_head: expected at least 1 output, found {head}")
        bias = "bias" in dict(old.named_parameters())
        with seeded(seed):
            # made on the CPU, where a seed means the same everywhere, and moved
            new: nn.Module = nn.Linear(old.in_features, head, bias=bias)
        new = new.to(device=old.weight.device, dtype=old.weight.dtype)
    else:
        new = head
    new.train(old.training)
    # a head that is shared stands in several places
    for path, part in list(model.named_modules(remove_duplicate=False)):
        if part is old:
            parent, _, attribute = path.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new)
    return name
