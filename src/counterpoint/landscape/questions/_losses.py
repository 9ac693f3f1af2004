"""The thesis on a network: does it help to train one task by many equivalent losses?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.balance import Balancer, Rule
from counterpoint.balance.rules import Magnitude
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import checked_counts
from counterpoint.seeding import seeded

Loss = Callable[[Tensor, Tensor], Tensor]


def _brier(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.softmax(1) - functional.one_hot(labels, logits.shape[1])).square().sum(1).mean()


def _focal(logits: Tensor, labels: Tensor) -> Tensor:
    own = logits.log_softmax(1).gather(1, labels[:, None])
    return -((1 - own.exp()).square() * own).mean()


def _absolute(logits: Tensor, labels: Tensor) -> Tensor:
    return (1 - logits.softmax(1).gather(1, labels[:, None])).mean()


def _one_against_all(logits: Tensor, labels: Tensor) -> Tensor:
    target = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, target)


def _squares(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(logits, functional.one_hot(labels, logits.shape[1]).to(logits.dtype))


EQUIVALENT: Mapping[str, Loss] = {
    "cross entropy": functional.cross_entropy,
    "Brier score": _brier,
    "margin": functional.multi_margin_loss,
    "smoothed": lambda logits, labels: functional.cross_entropy(
        logits, labels, label_smoothing=0.1
    ),
    "focal": _focal,
    "one against all": _one_against_all,
    "squares": _squares,
    "absolute": _absolute,
}
"""Losses of one classifier, each lowest where every label is predicted; in the order of n."""

RULES_COMPARED: Mapping[str, str | Rule] = {
    "sum": "sum",
    "alternate": "alternate",
    "impartial": "impartial",
    "by magnitude": Magnitude(power=1.0),
}


def equivalent_losses(
    ns: Sequence[int] = (1, 2, 4, 8),
    *,
    rules: Mapping[str, str | Rule] = RULES_COMPARED,
    epochs: int = 30,
    rows: int = 400,
    seeds: Sequence[int] = range(5),
) -> Measurement:
    """Test error on handwritten digits, trained by the first n of `EQUIVALENT` at once.

    The claim that is tried: goals in harmony smooth one another's landscapes, so that many
    equivalent losses train better than one.

    Args:
        ns: how many losses, 1 to 8.
        rules: of the balancer, by the name they are to be called by.
        epochs: passes over the training rows.
        rows: training rows of scikit-learn's 1,797 digits; all others are the test.
        seeds: of weights, rows and order.

    Raises:
        InputError: no losses or seeds, or an unknown rule.
    """
    checked_counts(ns, seeds)
    runs: dict[str, list[list[float]]] = {
        name: [[_error(n, rule, epochs, rows, seed) for n in ns] for seed in seeds]
        for name, rule in rules.items()
    }
    curves = [Curve.of(name, ns, run) for name, run in runs.items()]
    parts = "; ".join(
        f"{c.name} {c.mean[0]:.2f} to {c.mean[-1]:.2f} ± {2 * c.error[-1]:.2f}" for c in curves
    )
    return Measurement(
        "Do n equivalent losses train one network better than one?",
        f"Test error in percent, n = {ns[0]} to {ns[-1]} (two standard errors): {parts}.",
        "losses n",
        "test error (%)",
        curves,
        {curve.name: curve.mean[-1] - curve.mean[0] for curve in curves},
        x_log=True,
    )


def _error(n: int, rule: str | Rule, epochs: int, rows: int, seed: int) -> float:
    """Percent of the rows left out that a small network gets wrong."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    x = torch.from_numpy(pixels[order] / 16.0).float()
    y = torch.from_numpy(labels[order]).long()
    # the same weights, rows and order for every rule and n: they differ in the losses alone
    with seeded(seed):
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    balancer = Balancer(rule, monitor=False, seed=seed)
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    drawn = torch.Generator().manual_seed(seed)
    losses = list(EQUIVALENT.items())[:n]
    for _ in range(epochs):
        for part in torch.randperm(rows, generator=drawn).split(50):
            adam.zero_grad()
            logits = net(x[part])
            balancer.backward({name: loss(logits, y[part]) for name, loss in losses}, net)
            adam.step()
    with torch.no_grad():
        wrong = net(x[rows:]).argmax(1) != y[rows:]
    return 100 * float(wrong.double().mean())
