"""LUNA: a trunk trained under many heads that disagree, and an exact last layer on it."""

import math
import warnings
from copy import deepcopy

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from counterpoint.balance.rules import RULES
from counterpoint.data import Batch
from counterpoint.derivatives import (
    Drawn,
    Fixed,
    Relative,
    Scheme,
    Subset,
    gradients,
    scheme,
    values_and_gradients,
)
from counterpoint.errors import InputError, one_of
from counterpoint.estimators._checks import number, whole
from counterpoint.estimators._training import TrunkPlan, activation_of
from counterpoint.estimators._trunk import RandomState, TrunkRegressor
from counterpoint.goals import Goals, Normal, diversity
from counterpoint.seeding import generator

_SMOOTHING = 0.01
"""Steps from which on kinks are seen well enough."""
_BLIND = 1e-3
"""Steps below which no kink is seen, or one at a time."""
_ADVICE = (
    "take a smooth activation ('silu', 'tanh', 'softplus', 'gelu'), or smooth on purpose with a "
    "step of 0.01 to 0.1, such as ForwardDifference(Fixed(0.03))"
)


class KinkWarning(UserWarning):
    """Diversity is asked of a network with kinks, by derivatives that hardly see them move."""


class LunaRegressor(TrunkRegressor):
    r"""Regression that knows where it has seen nothing: a trunk under heads that disagree.

    The trunk is trained under M linear heads a target, each of which fits the target, while their
    input gradients at the rows are driven apart:

    .. math:: \frac{1}{M} \sum_m -\log N(y; f_m(x), 1)
        + \lambda \, \frac{2}{M (M - 1)} \sum_{i < j} \cos^2(\nabla_x f_i, \nabla_x f_j)

    So the features can be combined to functions that agree on the rows and differ between and
    beyond them. Then the heads are dropped for the exact posterior of Bayesian linear regression on
    the features, whose noise and prior are found as in `NeuralLinearRegressor`. Of several targets
    each has M heads, which are driven apart from one another and not from those of other targets;
    both terms are means over the targets, so that :math:`\lambda` means the same for any number of
    them and of heads.

    Derivatives are for standardised inputs. On ReLU exact ones and tiny steps cannot see the kinks
    move: biases get no signal at all, and signs can be wrong. So the activation is smooth; with
    ReLU take a step of 0.01 to 0.1, which smooths on purpose. A smaller one draws a warning, and
    one below 0.001 is refused.

    The paper sums the squared cosines over pairs: beside the same fit its lambda, times
    :math:`M (M - 1) / 2`, is the one here. In place of its penalty :math:`\gamma |\psi|^2` stands
    AdamW's decay, which shrinks all weights at the same rate, whatever their gradients; there is no
    exact conversion between the two.

    How much diversity is best is for gaps to say, not for random rows: see `tune`.

    Source: Thakur et al., "Uncertainty-Aware (UNA) Bases for Bayesian Regression Using
    Multi-Headed Auxiliary Networks" (arXiv 2006.11695), whose first version calls it LUNA.

    Args:
        activation: "silu", "tanh", "softplus", "gelu" or "relu".
        heads: M, of each target.
        diversity: lambda, at least 0; 0 trains the heads on the fit alone.
        scheme: how the gradients are computed: a name of `counterpoint.derivatives.SCHEMES` or a
            scheme with a step of its own, of which every fit uses a copy.
        share: of a batch's rows, drawn at every step, at which gradients are compared.
        over: "stacked": one vector a head for all rows, as in the paper; "points": row by row.
        balance: "sum": the goals "fit" and "diverse" are added up; or another rule of
            `counterpoint.balance.rules`, for which lambda only scales "diverse" (a rule that looks
            at directions alone does not see it).
        width, depth, epochs, batch_size, rate, weight_decay, dropout, prior, noise, random_state:
            see `NeuralLinearRegressor`.

    Attributes:
        posterior_, network_, features_, n_features_in_: see `NeuralLinearRegressor`.
        history_: how training went, one `counterpoint.train.Row` an epoch, with both goals.

    Warns:
        KinkWarning: in fit, of diversity on ReLU by exact derivatives or a step below 0.01.
    """

    def __init__(
        self,
        *,
        width: int = 50,
        depth: int = 2,
        activation: str = "silu",
        heads: int = 20,
        diversity: float = 0.1,
        scheme: str | Scheme = "auto",
        share: float = 1.0,
        over: str = "stacked",
        balance: str = "sum",
        epochs: int = 100,
        batch_size: int = 32,
        rate: float = 0.01,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        prior: float | None = None,
        noise: float | str = "held-out",
        random_state: RandomState = None,
    ) -> None:
        super().__init__(
            width=width,
            depth=depth,
            activation=activation,
            epochs=epochs,
            batch_size=batch_size,
            rate=rate,
            weight_decay=weight_decay,
            dropout=dropout,
            prior=prior,
            noise=noise,
            random_state=random_state,
        )
        self.heads = heads
        self.diversity = diversity
        self.scheme = scheme
        self.share = share
        self.over = over
        self.balance = balance

    def similarity(self, X: ArrayLike) -> float:
        """How alike the heads are at rows: the goal that diversity lowers, without its factor.

        1 where the gradients of all heads are collinear, as heads without diversity become.

        Args:
            X: (rows, columns), finite numbers; rows of fit, or any others.

        Raises:
            InputError: there is one head.
        """
        x = self._standardised(X)
        heads, over, chosen = self._comparison  # as in fit, whatever was set since
        # the head that was trained, not the last layer: that has one output a target to compare
        net = nn.Sequential(self.network_, self._head)
        with torch.no_grad():
            return _alike(gradients(net, x, deepcopy(chosen)), None, heads, over).item()

    def _plan(self, targets: int, seed: int) -> TrunkPlan:
        heads = whole("heads", self.heads, 1)
        factor = number(
            "diversity",
            self.diversity,
            "a finite number of at least 0",
            lambda size: 0 <= size < math.inf,
        )
        balance = one_of("balance", self.balance, sorted(RULES))
        over = one_of("over", self.over, ("stacked", "points"))
        number("share", self.share, "a number above 0 and at most 1", lambda part: 0 < part <= 1)
        self._comparison = heads, over, deepcopy(self.scheme)
        if factor == 0.0:
            return TrunkPlan(targets * heads, self._fit_alone())
        if heads == 1:
            raise InputError(
                "heads: diversity needs 2 or more to compare, found 1; or set diversity=0"
            )
        chosen = deepcopy(_scheme_of(self.scheme))
        _mind_kinks(self.activation, chosen)
        # slopes cost several passes over their rows, so a share of these may stand for all
        rows = None if self.share == 1 else Subset(self.share, generator(seed, 2))
        return TrunkPlan(targets * heads, self._both(factor, chosen, rows), balance)

    def _fit_alone(self) -> Goals:
        def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
            return {"fit": self._misfit(net(batch["x"]), batch)}

        return goals

    def _both(self, factor: float, chosen: Scheme, subset: Subset | None) -> Goals:
        heads, over, _ = self._comparison

        def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
            x, weight = batch["x"], batch["weight"]
            if subset is None:
                outputs, slopes = values_and_gradients(net, x, chosen)
            else:
                rows = subset.rows(len(x))
                outputs, slopes = net(x), gradients(net, x[rows], chosen)
                weight = weight[rows]
            alike = _alike(slopes, weight, heads, over)
            return {"fit": self._misfit(outputs, batch), "diverse": factor * alike}

        return goals

    def _misfit(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean over targets and heads of the negative log likelihood."""
        wanted = batch["y"].repeat_interleave(int(self.heads), dim=1)
        # unit noise: how much there is, the evidence says afterwards; fit has checked the targets
        likelihood = Normal(1.0, validate=False)
        return likelihood.nll(outputs, wanted, batch["weight"]) / outputs.shape[1]


def _alike(slopes: Tensor, weight: Tensor | None, heads: int, over: str) -> Tensor:
    """The mean over targets of the similarity of each one's heads."""
    each = [diversity(part, weight, over=over) for part in slopes.split(heads, dim=1)]
    return torch.stack(each).mean()


def _scheme_of(given: object) -> Scheme:
    """The scheme of a name, or the one given."""
    if isinstance(given, str):
        return scheme(given)
    if isinstance(given, type) or not isinstance(given, Scheme):
        raise InputError(
            f"scheme: expected a name or a scheme, such as CentralDifference(), found {given!r}"
        )
    return given


def _mind_kinks(activation: str, chosen: Scheme) -> None:
    """Warn of, or refuse, what cannot train slopes that jump."""
    if activation_of(activation) is not nn.ReLU:
        return
    step: object = getattr(chosen, "step", None)
    if step is None:
        warnings.warn(
            "activation: exact derivatives of 'relu' do not see its kinks move, so biases get no "
            f"signal from diversity; {_ADVICE}",
            KinkWarning,
            stacklevel=4,  # where fit is called
        )
    elif _BLIND <= _length(step) < _SMOOTHING:
        warnings.warn(
            f"scheme: a step below {_SMOOTHING:g} on 'relu' sees few kinks, so that diversity "
            f"trains on noise, found {step!r}; {_ADVICE}",
            KinkWarning,
            stacklevel=4,
        )
    elif _length(step) < _BLIND:
        raise InputError(
            f"scheme: a step below {_BLIND:g} on 'relu' sees no kink or one at a time, and "
            f"trains on noise, found {step!r}; {_ADVICE}"
        )


def _length(step: object) -> float:
    """About how far a difference goes between standardised inputs."""
    match step:
        case Fixed(size=length) | Drawn(deviation=length):
            return length
        case Relative(factor=length):
            return length or 0.0
        case _:
            return math.inf
