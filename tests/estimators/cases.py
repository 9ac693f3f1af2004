"""Rows with a gap, and small quick models of them."""

import numpy as np

from counterpoint.estimators import LunaRegressor, NeuralLinearRegressor

# one trunk a model: where its noise comes from is asked in test_noise.py
QUICK = {
    "width": 16,
    "depth": 1,
    "epochs": 20,
    "batch_size": 100,
    "rate": 0.03,
    "noise": "evidence",
    "random_state": 0,
}


def cubic(rows: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """y = x^3 + N(0, 3^2) on [-4, -2] and [2, 4], the paper's example."""
    side = np.linspace(2, 4, rows // 2)
    x = np.concatenate([-side, side])[:, None]
    return x, x[:, 0] ** 3 + np.random.default_rng(seed).normal(scale=3, size=rows)


def plane(rows: int = 60, inputs: int = 3, targets: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Several inputs, several targets of unlike units."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(rows, inputs))
    y = np.stack([np.sin(x[:, 0]), 1000 * x[:, 1] * x[:, 2] + 7], 1)[:, :targets]
    return x, y + draw.normal(scale=0.1, size=y.shape) * y.std(0)


def luna(**more) -> LunaRegressor:
    return LunaRegressor(**{**QUICK, "heads": 5, **more})


def linear(**more) -> NeuralLinearRegressor:
    return NeuralLinearRegressor(**{**QUICK, **more})
