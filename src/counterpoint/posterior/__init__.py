"""What the model knows, and what it does not: Gaussians over weights and their predictions.

In come the features that a trained trunk gives the rows of a table, and their targets; out come
predictive distributions with the noise of the data and the model's own ignorance kept apart.

- Number targets: `Statistics` of the rows (sums that stream, add and subtract) give `LastLayer`,
  the exact posterior of a linear last layer, its prior and noise at the greatest evidence.
  `update` and `remove` take rows in and out exactly. It predicts a `Predictive` (Gaussian).
  The evidence knows nothing of a trunk that was fitted to the same rows: `left_out_noise` is the
  noise that rows reveal which it was trained without.
- Category targets: `Softmax`, the Laplace approximation around the exact optimum. It predicts a
  `CategoricalPredictive`, in closed form (probit) or by Monte Carlo.
- Any trained network: `laplace` makes a Gaussian over any selection of its weights and predicts
  with it (`Laplace`), for every likelihood and for several heads; `laplace_from` reads one back.
- Both layers are a `Posterior`, and all predict a `Distribution`; a `TuningEnding` says how the
  search for prior and noise ended.
- `probe` and `separability` ask whether a linear map could tell classes apart, layer by layer.
- `calibration` holds what they promised against what came true.

>>> import torch
>>> features = torch.tensor([[-1.0], [0.0], [1.0]])
>>> layer = LastLayer.fit(Statistics.of(features, features[:, 0]), prior=1.0, noise=1.0)
>>> layer.mean[0]  # Σxy / (Σx² + prior · noise)
tensor([0.6667], dtype=torch.float64)
>>> layer.predict(torch.tensor([[3.0]])).knowledge  # 3² / (Σx² + 1) + 1 / (n + 1)
tensor([[3.2500]], dtype=torch.float64)
"""

from counterpoint.posterior import calibration
from counterpoint.posterior._probe import Probe, probe
from counterpoint.posterior._protocol import Distribution, Posterior
from counterpoint.posterior._separability import Separability, separability
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.laplace._laplace import Laplace, laplace
from counterpoint.posterior.laplace._restore import laplace_from
from counterpoint.posterior.last_layer._held_out import UnseenRows, held_out_noise, left_out_noise
from counterpoint.posterior.last_layer._last_layer import LastLayer
from counterpoint.posterior.last_layer._statistics import Statistics
from counterpoint.posterior.predictive._categorical import CategoricalPredictive
from counterpoint.posterior.predictive._counts import BernoulliPredictive, PoissonPredictive
from counterpoint.posterior.predictive._mixture import MixturePredictive
from counterpoint.posterior.predictive._predictive import Predictive
from counterpoint.posterior.softmax._joined import join_softmax
from counterpoint.posterior.softmax._softmax import Softmax

__all__ = [
    "BernoulliPredictive",
    "CategoricalPredictive",
    "Distribution",
    "Laplace",
    "LastLayer",
    "MixturePredictive",
    "PoissonPredictive",
    "Posterior",
    "Predictive",
    "Probe",
    "Separability",
    "Softmax",
    "Statistics",
    "TuningEnding",
    "UnseenRows",
    "calibration",
    "held_out_noise",
    "join_softmax",
    "laplace",
    "laplace_from",
    "left_out_noise",
    "probe",
    "separability",
]
