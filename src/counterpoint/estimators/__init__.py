"""Models of arrays with scikit-learn's interface: fit, predict, score.

In come arrays (rows, columns), out come means and standard deviations. `NeuralLinearRegressor`
trains a small network on numbers and replaces its last layer by the exact Gaussian over that
layer's weights. `LunaRegressor` trains the network under many heads whose slopes are driven apart,
so that it also says where it has seen nothing. Both give functions drawn from prior and posterior,
log densities, and a `GapReport` on what they claim to know where there are no data.

`Recommender` takes ratings of items by users instead: two columns of ids, and numbers.

Everything works inside pipelines, grid search and cross validation; `GapSplit` leaves out gaps in
place of random rows, `tune` chooses settings in them, and `neighbour_distance` is the score of
ignorance that knows nothing of a model. Tables with categories, missing values
and dates are the business of `counterpoint.table`.

>>> import numpy as np
>>> x = np.linspace(-2, 2, 80)[:, None]
>>> model = NeuralLinearRegressor(epochs=40, random_state=0).fit(x, np.sin(x[:, 0]))
>>> mean, std = model.predict(np.array([[0.5], [5.0]]), return_std=True)
>>> bool(std[1] > std[0])
True
>>> [test.tolist() for train, test in GapSplit().split(x[:6])]  # the middle third
[[2, 3]]
"""

from counterpoint.estimators._distance import neighbour_distance
from counterpoint.estimators._gaps import GapReport, GapSplit
from counterpoint.estimators._luna import KinkWarning, LunaRegressor
from counterpoint.estimators._neural_linear import NeuralLinearRegressor
from counterpoint.estimators._recommender import Recommender
from counterpoint.estimators._tuning import Tuned, tune

__all__ = [
    "GapReport",
    "GapSplit",
    "KinkWarning",
    "LunaRegressor",
    "NeuralLinearRegressor",
    "Recommender",
    "Tuned",
    "neighbour_distance",
    "tune",
]
