"""Statistics of normalisation layers, measured again."""

from torch import isfinite, nn, no_grad
from torch.nn.modules.batchnorm import _NormBase as NormBase  # pyright: ignore[reportPrivateUsage]

from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.parameters import device_of, modes_kept


def refit(
    model: nn.Module, inputs: DataLike, *, size: int = 1024, unpack: Unpack | None = None
) -> nn.Module:
    """Re-estimate the running statistics of batch and instance norms, in place, on unlabelled rows.

    A merged model's activations are of no model that was merged, and the averages of their
    statistics are not its own. Every batch counts by its rows. Where no layer keeps statistics,
    nothing is done.

    Jordan et al. 2023, "REPAIR: REnormalizing Permuted Activations for Interpolation Repair",
    section 3.2.

    Args:
        model: changed in its running statistics alone; on a failure they are as before.
        inputs: rows or batches; targets among them are not looked at.
        size: rows a batch, where the data have no batches of their own.
        unpack: reads a batch.

    Returns:
        The model.

    Raises:
        InputError: there are no rows, a batch of one has no variance, or statistics come out that
            are not finite.

    >>> import torch
    >>> net = nn.BatchNorm1d(1)
    >>> refit(net, torch.tensor([[1.0], [3.0]])).running_mean
    tensor([2.])
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, NormBase) and module.running_mean is not None
    ]
    if not layers:
        return model
    before = [{n: b.clone() for n, b in layer.named_buffers()} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    try:
        with modes_kept(model), no_grad():
            _measure(model, layers, inputs, size, unpack)
    except BaseException:
        for layer, old in zip(layers, before, strict=True):
            layer.load_state_dict(old, strict=False)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return model


def _measure(
    model: nn.Module, layers: list[NormBase], inputs: DataLike, size: int, unpack: Unpack | None
) -> None:
    model.eval()
    device, seen = device_of(model), 0
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
    for batch in one_pass(inputs, unpack, size):
        seen += batch.rows
        for layer in layers:
            # the share of this batch in all rows so far: their mean, whatever the sizes
            layer.momentum = batch.rows / seen
        try:
            batch.to(device).call(model)
        except ValueError as error:
            raise InputError(f"refit: {error}; give batches of two rows or more") from error
    if not seen:
        raise InputError("refit: at least one batch is expected, found none")
    for layer in layers:
        if not all(bool(isfinite(value).all()) for value in layer.buffers()):
            name = next(name for name, module in model.named_modules() if module is layer)
            raise InputError(
                f"refit: statistics of {name!r} are not finite; look for values that are not in the"
                " inputs or weights"
            )
