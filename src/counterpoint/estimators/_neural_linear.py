"""The neural linear model: a trained trunk under an exact Bayesian linear regression."""

from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.estimators._training import TrunkPlan
from counterpoint.estimators._trunk import TrunkRegressor
from counterpoint.goals import Normal


class NeuralLinearRegressor(TrunkRegressor):
    """Regression with a network whose last layer is an exact Gaussian.

    The trunk is trained with a linear head on the squared error; then the head is replaced by the
    posterior of Bayesian linear regression on the trunk's features. Inputs and targets are
    standardised inside.

    The evidence counts the weights of the last layer and none of the trunk's, which was fitted to
    the same rows: by it the noise is the error in training, and intervals are too narrow. So the
    noise is the one under which rows are likeliest that further trunks, of the same settings, were
    trained without: a fifth of the rows at a time until 200 were left out or all (one further trunk
    with 1,000 rows or more, five with 200 or fewer). Given it, the posterior of all rows is exact,
    and the prior precision has the greatest evidence.

    Nothing in its training asks the trunk for features that differ where there are no rows, so it
    can be sure of itself in a gap between rows: `LunaRegressor` asks for them.

    Source: Snoek et al., "Scalable Bayesian Optimization Using Deep Neural Networks" (arXiv
    1502.05700), section 3; MacKay, "Bayesian Interpolation" (1992) for the evidence.

    Args:
        width: units of each hidden layer; also the number of features.
        depth: hidden layers.
        activation: "relu", "tanh", "silu", "softplus" or "gelu".
        epochs: passes over the rows.
        batch_size: rows a step; as many as there are or more: every step sees all.
        rate: highest learning rate of the one-cycle schedule.
        weight_decay: decoupled decay of all weights in training.
        dropout: share of units silenced in training.
        prior: precision of the last layer's weights, for standardised targets; None: where the
            evidence is greatest.
        noise: "held-out": from rows that a trunk was trained without; "evidence": where the
            evidence is greatest, at a half to a sixth of the time, too small unless rows are many;
            or the variance of standardised targets, where it is known (divide it by the variance
            of the target). The trunk's training does not know it.
        random_state: seed, `numpy.random.RandomState`, or None for a fresh one.

    Attributes:
        posterior_: the Gaussian over the last layer's weights, for standardised targets.
        network_: the trained trunk.
        features_: what it makes of the rows of fit.
        history_: how training went, one `counterpoint.train.Row` an epoch.
        n_features_in_: number of columns seen in fit.
    """

    def _plan(
        self,
        targets: int,
        seed: int,  # noqa: ARG002 - as every plan
    ) -> TrunkPlan:
        # unit noise makes it half the squared error; fit has checked the targets already
        likelihood = Normal(1.0, validate=False)

        def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
            return {"fit": likelihood.nll(net(batch["x"]), batch["y"], batch["weight"])}

        return TrunkPlan(targets, goals)
