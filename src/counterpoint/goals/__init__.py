"""Goals: the named scalars that training minimises, and the likelihoods that most of them are.

A goal is one scalar tensor with a graph; goals travel together as ``dict[str, Tensor]``, made by
one function of a model and a batch (`Goals`), and `check_goals` refuses anything else by name;
`ModelWithGoals` is both as one module.

A `Likelihood` says how a target scatters around what a network puts out. In come outputs
``(batch, ...)``, targets and, if rows count unequally, row weights; out comes the negative log
likelihood, per row (`nll_each`) or as the one scalar to minimise (`nll`), and the distribution
itself. From outputs alone come targets drawn from it (`draw`) and a root of its Fisher information
(`root`), whose columns estimates of curvature pull back through the network. All logarithms are
natural, no constant is dropped, and row weights are divided by the mean weight of the whole data
set, so that batches, micro-batches and ranks add up.

Besides likelihoods there are goals for what a network holds inside: `kl_normal` and
`kl_categorical` draw a distribution that it puts out toward a prior, `moments` draws the mean,
variances and covariances of a latent toward given values. And goals that keep parts of it apart:
`diversity` the directions in which several heads change with the input, `negative_correlation`
their errors, `orthogonality` the columns of features.

>>> import torch
>>> output, target = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [3.0]])
>>> Normal(noise=1.0).nll(output, target)  # MSE / 2 + log(2 pi) / 2
tensor(1.1689)
>>> def goals(model, batch):
...     return {"price": Normal().nll(model(batch["x"]), batch["y"])}
>>> sorted(check_goals(goals(torch.nn.Linear(1, 1), {"x": output, "y": target})))
['price']
"""

from counterpoint.goals._bernoulli import Bernoulli
from counterpoint.goals._categorical import Categorical
from counterpoint.goals._contract import Goals, ModelWithGoals, call_goals, check_goals
from counterpoint.goals._divergence import kl_categorical, kl_normal
from counterpoint.goals._diversity import diversity, negative_correlation, orthogonality
from counterpoint.goals._heads import Heads
from counterpoint.goals._heteroscedastic import HeteroscedasticNormal
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._moments import moments
from counterpoint.goals._negative_binomial import NegativeBinomial
from counterpoint.goals._normal import Normal
from counterpoint.goals._poisson import Poisson
from counterpoint.goals._rows import checked_weight
from counterpoint.goals._subset import SubsetCategorical

__all__ = [
    "Bernoulli",
    "Categorical",
    "Goals",
    "Heads",
    "HeteroscedasticNormal",
    "Likelihood",
    "ModelWithGoals",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "SubsetCategorical",
    "call_goals",
    "check_goals",
    "checked_weight",
    "diversity",
    "kl_categorical",
    "kl_normal",
    "moments",
    "negative_correlation",
    "orthogonality",
]
