"""Models of arrays with scikit-learn's interface: fit, predict, score.

`NeuralLinearRegressor` trains a small network on numbers and replaces its last layer by the exact
Gaussian over that layer's weights; in come arrays (rows, columns), out come means and standard
deviations. Everything works inside pipelines, grid search and cross validation. Tables with
categories, missing values and dates are the business of `counterpoint.table`.

>>> import numpy as np
>>> x = np.linspace(-2, 2, 80)[:, None]
>>> model = NeuralLinearRegressor(epochs=40, random_state=0).fit(x, np.sin(x[:, 0]))
>>> mean, std = model.predict(np.array([[0.5], [5.0]]), return_std=True)
>>> bool(std[1] > std[0])
True
"""

from counterpoint.estimators.neural_linear import NeuralLinearRegressor

__all__ = ["NeuralLinearRegressor"]
