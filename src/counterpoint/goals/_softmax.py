"""The arithmetic of one class out of several: rows of logits or probabilities."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def multinomial_root(output: Float[Tensor, "batch classes"]) -> Float[Tensor, "columns batch _"]:
    """A root of ``diag(p) - p p'`` at logits, see `Categorical.root`."""
    # In logarithms, which stay finite where probabilities and their sums are 0; the floor is for
    # logits of minus infinity (masked classes).
    logs = output.log_softmax(1).clamp_min(torch.finfo(output.dtype).min / 8)
    tails = logs.flip(1).logcumsumexp(1).flip(1)
    shared = 0.5 * (logs - tails)[:, :-1, None]
    later = 0.5 * tails[:, 1:, None]
    place = torch.arange(output.shape[1], device=output.device)
    below = place > place[:-1, None]
    exponents = torch.where(below, shared - later + logs[:, None, :], shared + later)
    # Masked before the exponential, which could overflow above the diagonal.
    values = exponents.masked_fill(place < place[:-1, None], -torch.inf).exp()
    return torch.where(below, -values, values).movedim(1, 0)


def against_classes(
    output: Float[Tensor, "batch classes"], target: Shaped[Tensor, " batch"], inputs: str
) -> Float[Tensor, " batch"]:
    """Losses of class numbers."""
    if inputs == "logits":
        return torch.nn.functional.cross_entropy(output, target, reduction="none")
    return -output.gather(1, target.unsqueeze(1)).squeeze(1).log()


def against_rows(
    output: Float[Tensor, "batch classes"], target: Float[Tensor, "batch classes"], inputs: str
) -> Float[Tensor, " batch"]:
    """Losses of rows of probabilities, or of weights."""
    # A class of target probability 0 contributes 0 even where its own probability is 0; masking
    # before the logarithm (not after) also keeps the gradient free of 0 * inf.
    unseen = target == 0
    if inputs == "logits":
        logs = output.log_softmax(1).masked_fill(unseen, 0.0)
    else:
        logs = output.masked_fill(unseen, 1.0).log()
    return -(target * logs).sum(1)
