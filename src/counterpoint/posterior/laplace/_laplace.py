"""The Laplace approximation of any trained network: a Gaussian over the weights it ended at."""

from collections import defaultdict
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.func import functional_call

from counterpoint.curvature import (
    LABELS,
    Labels,
    Linearised,
    LinearisedOutput,
    NormalOutput,
    Structure,
    linearised_fisher,
    over_ranks,
)
from counterpoint.data import Batch, DataLike, Unpack
from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import Diagonal, Gaussian, Precision
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import Pattern
from counterpoint.posterior._protocol import Distribution
from counterpoint.posterior._state import State
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.laplace._links import closed, joined, sampled
from counterpoint.posterior.laplace._marginal import DataFit, best
from counterpoint.posterior.laplace._prior import Each, Prior, given, log_density, spread
from counterpoint.storage import JSONValue

LINKS = ("closed", "outputs", "montecarlo")
"""Ways from the Gaussian over the weights to the target."""


@dataclass(frozen=True, eq=False)
class Laplace:
    r"""``N(θ*, P⁻¹)`` over the weights of a trained network, ``P = H/s + diag(α)``.

    ``H`` is the Fisher information at the optimum ``θ*``, ``α`` the prior's precision, ``s`` the
    factor by which a normal likelihood's noise variance is scaled (MacKay 1992; Daxberger et al.
    2021). Predictions linearise the network around ``θ*`` (Khan et al. 2019; Immer, Korzepa & Bauer
    2021), or draw weights.

    Attributes:
        linearised: the model, and how its weights are read.
        mean: ``θ*``, a copy.
        curvature: ``H``.
        prior: name -> ``α``, one number or one a weight.
        noise_scale: ``s``; 1 unless the evidence chose it.
        fit: how well the model fits the data at ``θ*``.
        status: how prior and noise came about, with a sentence.
        scalable: whether the curvature is in proportion to the noise's precision: all likelihoods
            Gaussian, labels not the observed ones.
        seen: the model as it was then.
    """

    linearised: Linearised
    mean: dict[str, Tensor]
    curvature: Precision = field(repr=False)
    prior: dict[str, Tensor]
    noise_scale: float
    fit: DataFit
    status: TuningEnding
    scalable: bool
    seen: State = field(repr=False)

    @cached_property
    def gaussian(self) -> Gaussian:
        """The posterior over the weights: to save, to merge, to remember."""
        full = {name: spread(self.prior[name], value) for name, value in self.mean.items()}
        prior = Diagonal(full)
        return Gaussian(self.mean, self.precision, counts=self.fit.weight, prior=prior)

    @cached_property
    def precision(self) -> Precision:
        """``P``."""
        return self._shifted(self.curvature, self.prior, self.noise_scale)

    def predict(
        self,
        batch: Any,
        *,
        link: str = "closed",
        samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Distribution | dict[str, Distribution]:
        """The predictive distribution of the target, or one a head.

        - ``"closed"``: outputs are normal, ``N(f(x), J P⁻¹ J')`` with the joint covariance of all
          outputs of a row; the target then follows in closed form: normal, probit for classes and
          for yes or no, lognormal for rates.
        - ``"outputs"``: outputs are drawn from the same normals, and the target's distribution is
          their average. Exact up to the draws where the closed form approximates: many classes.
        - ``"montecarlo"``: weights are drawn, and the network itself is run with each draw. Not
          linearised, so it can be poor where the Gaussian is wide (Immer et al. 2021).

        Args:
            batch: inputs, spelt as `counterpoint.data.as_batch` says.
            link: which.
            samples: draws of the weights.
            generator: source of randomness, needed for draws.

        Raises:
            InputError: an unknown link, no generator, or weights that changed since the fit.
        """
        heads = self.linearised.plan.heads
        link = one_of("link", link, LINKS)
        if link == "closed":
            parts = [
                {name: closed(heads.likelihoods[name], one, self.noise_scale) for name, one in each}
                for each in self._normals(batch)
            ]
            found = {name: joined([part[name] for part in parts]) for name in parts[0]}
        else:
            if generator is None:
                raise InputError(f"link={link!r} needs generator=, a torch.Generator")
            if link == "outputs":
                self._refuse_given()
            make = self._output_draws if link == "outputs" else self._weight_draws
            found = {
                name: sampled(heads.likelihoods[name], draws, self.noise_scale)
                for name, draws in make(batch, samples, generator).items()
            }
        return found if heads.names else found[""]

    def outputs(self, batch: Any) -> LinearisedOutput:
        """The network's outputs, and the joint covariance of all outputs of a row.

        Args:
            batch: inputs, spelt as `counterpoint.data.as_batch` says.

        Raises:
            InputError: weights that changed since the fit.
        """
        self._refuse_changed()
        return self.linearised.at(batch, self.precision)

    def log_evidence(
        self, prior: Prior | None = None, noise_scale: float | Tensor | None = None
    ) -> Float64[Tensor, ""]:
        r"""Laplace's approximation of the log marginal likelihood, in nats.

        .. math:: \log p(y \mid \theta^*) - \tfrac12 \theta^{*\top} A\, \theta^*
            + \tfrac12 \log\det A - \tfrac12 \log\det (H / s + A), \qquad A = \mathrm{diag}(\alpha)

        Differentiable in prior and noise scale where they are tensors that require gradients.

        Args:
            prior: precision: one number, name -> number, or name -> one a weight; none: its own.
            noise_scale: factor on a normal likelihood's noise variance; none: its own.

        Raises:
            InputError: precisions or a scale that are not positive, or a scale for likelihoods
                that have no noise.
        """
        chosen = self.prior if prior is None else given(prior, self.curvature.shapes)
        scale = self.noise_scale if noise_scale is None else noise_scale
        number = float(torch.as_tensor(scale).detach())
        if not number > 0:
            raise InputError(f"noise_scale: must be positive, found {number:g}")
        self._refuse_scale(scale)
        determinant = self._shifted(self._wide, chosen, scale).logdet().cpu()
        return self.fit.log_likelihood(scale) + log_density(self.mean, chosen) - determinant / 2

    def tuned(self, *, each: Each = "model", noise: bool | None = None) -> "Laplace":
        """The same at the prior (and noise) where the evidence is greatest.

        One precision a weight has a closed form while the curvature is diagonal; everything else
        takes a few gradient steps on logarithms (L-BFGS), in which no decomposition is repeated
        where one precision is shared by a layer.

        Args:
            each: one precision for the ``"model"``, one a ``"layer"``, or one a ``"weight"``.
            noise: whether a normal likelihood's noise is scaled, too; none means where all heads
                are normal.

        Raises:
            InputError: an unknown `each`, or a noise to scale where there is none.
        """
        noise = self.scalable if noise is None else noise
        if noise:
            self._refuse_scale(0.0)
        prior, scale, status = best(
            self.log_evidence, self.mean, self.curvature, self.fit, each=each, noise=noise
        )
        return replace(self, prior=prior, noise_scale=scale, status=status)

    def tempered(self, temperature: float) -> "Laplace":
        """The same with its covariance multiplied; its evidence is no longer that of the data.

        Args:
            temperature: the factor, positive; below 1 makes a colder, surer posterior.

        Raises:
            InputError: a temperature that is not positive and finite.
        """
        if not 0 < temperature < float("inf"):
            raise InputError(f"temperature: must be positive and finite, found {temperature:g}")
        # the covariance (H + A)⁻¹ times T: both terms over T
        prior = {name: value / temperature for name, value in self.prior.items()}
        return replace(self, curvature=self.curvature.scaled(1 / temperature), prior=prior)

    def spec(self) -> JSONValue:
        """How `tensors` are to be read, as a JSON value."""
        return {"curvature": self.curvature.spec(), "scalable": self.scalable}

    def tensors(self) -> dict[str, Tensor]:
        """All but the weights, which are the model's; `laplace_from` makes the posterior again."""
        fit = [self.fit.nll, self.fit.residual, self.fit.numbers, self.fit.weight]
        return {
            **{f"curvature/{name}": value for name, value in self.curvature.tensors().items()},
            **{f"prior/{name}": value for name, value in self.prior.items()},
            "noise_scale": torch.tensor(self.noise_scale, dtype=torch.float64),
            "fit": torch.tensor(fit, dtype=torch.float64),
            "status": TuningEnding.encode([self.status]),
        }

    @cached_property
    def _wide(self) -> Precision:
        return self.curvature.double()

    @staticmethod
    def _shifted(
        curvature: Precision, prior: Mapping[str, Tensor], scale: float | Tensor
    ) -> Precision:
        if isinstance(scale, Tensor) or scale != 1:
            curvature = curvature.scaled(1 / scale)
        return curvature.shift(dict(prior))

    def _normals(self, batch: Any) -> Iterator[ItemsView[str, NormalOutput]]:
        """Outputs by head, some rows at a time: classes squared of many rows fill a memory."""
        self._refuse_changed()
        for part in self.linearised.parts(batch):
            yield self.linearised.normal(part, self.precision).items()

    def _output_draws(
        self, batch: Any, samples: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        found = defaultdict[str, list[Tensor]](list)
        for part in self._normals(batch):
            for name, normal in part:
                values, vectors = torch.linalg.eigh(normal.covariance.double())
                # a root by eigenvectors: a covariance of fewer weights than outputs is singular
                root = vectors * values.clamp_min(0).sqrt()[..., None, :]
                unit = torch.randn(
                    samples,
                    *root.shape[:-1],
                    generator=generator,
                    dtype=torch.float64,
                    device=generator.device,
                )
                apart = (root @ unit.to(root.device)[..., None]).squeeze(-1)
                found[name].append(normal.mean + normal.shaped(apart))
        return {name: torch.cat(parts, 1) for name, parts in found.items()}

    def _weight_draws(
        self, batch: Any, samples: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        self._refuse_changed()
        plan = self.linearised.plan
        read = self.linearised.read(batch)
        gaussian, found = self.gaussian, list[dict[str, Tensor]]()
        with torch.no_grad():
            for _ in range(samples):
                drawn = gaussian.sample(generator, 1)
                weights = {name: value[0] for name, value in drawn.items()}
                outputs = functional_call(plan.model, weights, read.inputs, dict(read.named))
                found.append(plan.heads.outputs(outputs))
        return {name: torch.stack([one[name] for one in found]) for name in found[0]}

    def _refuse_given(self) -> None:
        for one in self.linearised.plan.heads.likelihoods.values():
            if one.classes and not one.natural:
                raise InputError(
                    "link='outputs': normal draws of probabilities are none; let the model put out "
                    "logits, or use link='montecarlo'"
                )

    def _refuse_scale(self, scale: float | Tensor) -> None:
        if (isinstance(scale, Tensor) or scale != 1) and not self.scalable:
            raise InputError(
                "noise_scale: only normal likelihoods have a noise to be scaled, and not with "
                "labels='empirical'"
            )

    def _refuse_changed(self) -> None:
        changed = self.seen.changed(self.linearised.plan.model)
        if changed is not None:
            raise InputError(
                f"laplace: {changed!r} of the model changed since the fit; fit again, or put it "
                "back with model.load_state_dict(...)"
            )


@torch.inference_mode(False)
def laplace(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    *,
    structure: Structure = "kronecker",
    parameters: Pattern | None = None,
    prior: Prior | None = None,
    labels: Labels = "exact",
    generator: torch.Generator | None = None,
    unpack: Unpack | None = None,
) -> Laplace:
    """A Gaussian over the weights of a trained network, from its data, in one pass.

    With torch.distributed initialised, each rank gives its own rows, and every rank has the
    posterior of all of them.

    Args:
        model: trained, in evaluation mode; any module with one row of output for one of input.
        likelihood: of the output, or one a head for a model that returns a mapping.
        data: the batches it was trained on, with targets, iterated once.
        structure: of the curvature, see `counterpoint.curvature.fisher`.
        parameters: which weights are uncertain, a `counterpoint.parameters.Pattern` (``"head"`` for
            the last layer); none means all that are trained. The others count as known.
        prior: precision of the weights: one number, name -> number, or one a weight; none means
            the one number (and, for normal likelihoods, the noise scale) of greatest evidence.
        labels: of the curvature.
        generator: source of randomness for sampled labels.
        unpack: reads a batch.

    Raises:
        InputError: as `counterpoint.curvature.fisher`, or a prior that is not positive.

    A linear model's posterior is exact:

    >>> from counterpoint.goals import Normal
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> line = nn.Linear(1, 1, bias=False)
    >>> posterior = laplace(line, Normal(), [(x, x)], structure="dense", prior=1.0)
    >>> posterior.predict(torch.tensor([[3.0]])).knowledge  # 3² / (1² + 2² + 1)
    tensor([[1.5000]], dtype=torch.float64)
    """
    labels = one_of("labels", labels, LABELS)
    if labels == "jac":
        raise InputError(
            "labels: 'jac' is no curvature of the likelihood, so there is no posterior from it; "
            "use exact, sampled or empirical"
        )
    fit = DataFit()

    def observe(batch: Batch, heads: Heads, outputs: dict[str, Tensor]) -> None:
        fit.add(heads.likelihoods, outputs, heads.targets(batch), batch)

    curvature, linearised = linearised_fisher(
        model,
        likelihood,
        data,
        structure=structure,
        labels=labels,
        parameters=parameters,
        generator=generator,
        unpack=unpack,
        observe=observe,
    )
    # as every memory does: each rank has its own rows, and all have the posterior of all of them
    curvature, fit = over_ranks(curvature), fit.all_reduced()
    weights = linearised.plan.weights
    mean = {name: value.detach().clone() for name, value in weights.items()}
    found = Laplace(
        linearised,
        mean,
        curvature,
        given(1.0 if prior is None else prior, curvature.shapes),
        1.0,
        fit,
        TuningEnding.GIVEN,
        scalable=labels != "empirical" and _all_gaussian(linearised),
        seen=State.of(linearised.plan.model),
    )
    return found.tuned() if prior is None else found


def _all_gaussian(linearised: Linearised) -> bool:
    heads = linearised.plan.heads.likelihoods.values()
    return all(one.noise is not None for one in heads)
