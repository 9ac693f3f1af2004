"""Numbers that say how good predictions are; every one honours row weights."""

import math

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import Coverage, ReliabilityCurve
from counterpoint.posterior.calibration import brier, coverage, nll, reliability, top_label

_LEVELS = (0.05, *(n / 10 for n in range(1, 10)), 0.95, 0.99)
_BINS = 10


def finite(value: float) -> float | None:
    """The value, or None where it is no finite number.

    >>> finite(1.5), finite(float("nan"))
    (1.5, None)
    """
    return float(value) if math.isfinite(value) else None


def number_measures(
    mean: np.ndarray, log_prob: Tensor, actual: Tensor, weight: Tensor
) -> dict[str, float | None]:
    """RMSE, mean absolute error and R² in the table's units; log likelihood in nats a row.

    Args:
        mean: predicted, (N,).
        log_prob: of what was, (N,).
        actual: what was, float64 (N,).
        weight: of each row, (N,).
    """
    from sklearn import metrics  # slow to import, and predictions do without

    w = weight.numpy()
    # squares of huge numbers overflow; in units of the largest they do not
    unit = max(float(actual.abs().max()), float(np.abs(mean).max())) or 1.0
    y, mean = actual.numpy() / unit, mean / unit
    score = metrics.r2_score(y, mean, sample_weight=w) if len(y) > 1 else float("nan")
    return {
        "RMSE": finite(unit * metrics.mean_squared_error(y, mean, sample_weight=w) ** 0.5),
        "mean absolute error": finite(unit * metrics.mean_absolute_error(y, mean, sample_weight=w)),
        "R²": finite(float(score)),
        "log likelihood": finite(-float(nll(log_prob, weight))),
    }


def category_measures(
    probabilities: Tensor, actual: Tensor, weight: Tensor
) -> dict[str, float | None]:
    """Accuracy, log likelihood in nats a row, Brier score, and AUROC of two classes.

    Args:
        probabilities: float64 (N, C), rows sum to one.
        actual: places of the classes, (N,).
        weight: of each row, (N,).
    """
    from sklearn import metrics  # see above

    p, y, w = probabilities.numpy(), actual.numpy(), weight.numpy()
    loss = metrics.log_loss(y, p, labels=list(range(p.shape[1])), sample_weight=w)
    measures = {
        "accuracy": finite(float(metrics.accuracy_score(y, p.argmax(1), sample_weight=w))),
        "log likelihood": finite(-float(loss)),
        "Brier score": finite(brier(probabilities, actual, weight)),
    }
    if p.shape[1] == 2 and len(actual.unique()) == 2:
        measures["AUROC"] = finite(float(metrics.roc_auc_score(y, p[:, 1], sample_weight=w)))
    return measures


def covered(pit: Tensor, weight: Tensor) -> Coverage:
    """The share of rows inside the central interval of each nominal level.

    Args:
        pit: predicted probability of at most what was, (N,).
        weight: of each row, (N,).
    """
    levels = torch.tensor(_LEVELS, dtype=torch.float64)
    observed = coverage(pit[:, None], levels, weight)
    return Coverage(list(_LEVELS), observed[:, 0].tolist(), len(pit))


def reliable(probabilities: Tensor, actual: Tensor, weight: Tensor) -> ReliabilityCurve:
    """Confidence against accuracy in ten bins of equal width, and the debiased calibration error.

    The error is None where no bin has two rows.
    """
    confidence, right = top_label(probabilities, actual)
    found = reliability(confidence, right, weight, bins=_BINS)
    place = (confidence * _BINS).long().clamp_max(_BINS - 1)
    return ReliabilityCurve(
        confidence=[finite(value) for value in found.confidence.tolist()],
        accuracy=[finite(value) for value in found.accuracy.tolist()],
        count=torch.bincount(place, minlength=_BINS).tolist(),
        error=finite(found.debiased_ece),
    )
