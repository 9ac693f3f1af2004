r"""Softmax layers of several sites over the same features, as one.

What the rows of a site say of the weights is, by Laplace, a quadratic: curvature ``H`` at the
optimum ``V`` and, since the prior has its mean at zero, the natural parameter ``(H + αI) V``. Both
add over sites, and what all sites share (the rows before they parted) is to be there once:

    ``H = Σ H_k − (K − 1) H_0``, ``(H + αI) V = Σ (H_k + α_k I) V_k − (K − 1) (H_0 + α_0 I) V_0``.

Source: Spiegelhalter & Lauritzen 1990, Sequential updating of conditional probabilities on directed
graphical structures, for the conjugate form.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.posterior._rows import refuse_width
from counterpoint.posterior.softmax._multinomial import contrasts
from counterpoint.posterior.softmax._softmax import Softmax


def join_softmax(parts: Sequence[Softmax], shared: Softmax | None = None) -> Softmax:
    """The posterior after the rows of all sites, those that they share counted once.

    Args:
        parts: one a site, of the same features and classes, with dense precisions.
        shared: of the rows that every part has; none where they have none in common.

    Returns:
        The Gaussian, with the prior of `shared` or the first part; its evidence is the sum of
        theirs.

    Raises:
        InputError: features or classes differ, a precision is not dense, or what is shared is more
            certain than the parts, so that it cannot be in all of them.
    """
    first = parts[0]
    prior = first.prior if shared is None else shared.prior
    terms = [(part, 1.0) for part in parts]
    if shared is not None:
        terms.append((shared, 1.0 - len(parts)))
    total = (first.classes - 1) * len(first.mean)
    curvature = torch.zeros(total, total, dtype=torch.float64)
    natural, evidence = torch.zeros(total, dtype=torch.float64), 0.0
    for part, sign in terms:
        own = _curvature(part, first)
        weights = (part.mean @ contrasts(part.classes)).T.reshape(-1)
        curvature += sign * own
        natural += sign * (own @ weights + part.prior * weights)
        evidence += sign * part.log_evidence
    precision = curvature + prior * torch.eye(total, dtype=torch.float64)
    factor, failed = torch.linalg.cholesky_ex(precision)
    if int(failed):
        raise InputError(
            "softmax: what the sites share is more certain than they are, so that it is not in all"
            " of them; name the model from which all of them went on"
        )
    mean = torch.cholesky_solve(natural[:, None], factor).reshape(first.classes - 1, -1).T
    # Σ d / (d + α) over the eigenvalues d of the curvature, without them
    effective = total - prior * float(torch.cholesky_inverse(factor).diagonal().sum())
    numbers = torch.tensor([prior, evidence, effective, 1.0], dtype=torch.float64)
    state = {"mean": mean @ contrasts(first.classes).T, "numbers": numbers, "matrix": curvature}
    return Softmax.from_state({**first.state(), **state})


def _curvature(part: Softmax, first: Softmax) -> Tensor:
    refuse_width(part.mean.shape[0] - 1, first.mean.shape[0] - 1)
    if part.classes != first.classes:
        raise InputError(f"softmax: expected {first.classes} classes, found {part.classes}")
    tensors = part.precision.tensors()
    if "matrix" not in tensors:
        raise InputError("softmax: a layer this wide has no dense precision that could be added")
    # a scale is lazy in a precision, and so is the prior: this is the rows' part alone
    return part.precision.shift(-part.prior).double().dense()
