"""A model around its trained weights: outputs, and the Jacobian by the weights in factored form."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from counterpoint.curvature._labels import flat, identity
from counterpoint.curvature.reading._forward import Forward
from counterpoint.curvature.reading._modes import refuse_modes
from counterpoint.curvature.reading._plan import PULLED, Plan
from counterpoint.curvature.reading._probe import probe, weights_of
from counterpoint.data import Batch, Unpack, as_batch
from counterpoint.errors import InputError, nearest
from counterpoint.gaussian import Jacobian, Precision
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import Pattern, unwrapped


@dataclass(frozen=True)
class LinearisedOutput:
    """Outputs of some rows, and what a Gaussian over the weights says of their spread.

    Attributes:
        outputs: of each head.
        covariance: joint, of all outputs of a row side by side.
    """

    outputs: dict[str, Tensor]
    covariance: Float[Tensor, "rows outputs outputs"]

    @property
    def output(self) -> Float[Tensor, "rows outputs"]:
        """All heads side by side."""
        return flat(self.outputs)


@dataclass(frozen=True)
class NormalOutput:
    """The output of a head for some rows as a normal, with the covariances that are asked for.

    Attributes:
        mean: the output.
        blocks: flat places of the outputs of a row that belong together, a block each.
        covariance: within each block.
    """

    mean: Float[Tensor, "rows ..."]
    blocks: Int64[Tensor, "blocks size"]
    covariance: Float[Tensor, "rows blocks size size"]

    def shaped(self, values: Shaped[Tensor, "... rows blocks size"]) -> Shaped[Tensor, "..."]:
        """Numbers for each output, in the output's own shape.

        Args:
            values: for each block.
        """
        flat = values.flatten(-2)[..., self.blocks.flatten().argsort()]
        return flat.reshape(*flat.shape[:-2], *self.mean.shape)


@dataclass(frozen=True)
class Linearised:
    """A model whose weights have been read, ready for any number of batches.

    Attributes:
        plan: how the weights are read.
        unpack: reads a batch.
    """

    plan: Plan
    unpack: Unpack | None

    def at(self, batch: Any, precision: Precision) -> LinearisedOutput:
        """Outputs of a batch, and their covariance ``J P⁻¹ J'`` under a Gaussian over the weights.

        No Jacobian is formed where the precision is diagonal or Kronecker: layers' inputs and
        outputs' deltas are multiplied into it.

        Args:
            batch: inputs, spelt as `counterpoint.data.as_batch` says.
            precision: over the weights asked for.
        """
        _refuse_other(precision, self.plan)
        outputs, parts = list[dict[str, Tensor]](), list[Tensor]()
        # tensors made in inference mode could be in no graph, and the pull back needs one
        with torch.inference_mode(False), torch.no_grad():
            # bounds rows times directions, and with them the memory of all deltas
            for part in self.read(batch).parts(max(1, PULLED // self.plan.outputs)):
                forward = Forward.of(self.plan, part)
                parts.append(_covariance(forward, precision))
                outputs.append(forward.detached())
            joined = {name: torch.cat([one[name] for one in outputs]) for name in outputs[0]}
            return LinearisedOutput(joined, torch.cat(parts))

    # tensors made in inference mode could be in no graph, and the pull back needs one
    @torch.inference_mode(False)
    def parts(self, batch: Any) -> list[Batch]:
        """A batch in parts of as many rows as `normal` takes well at a time, in order.

        Args:
            batch: inputs, spelt as `counterpoint.data.as_batch` says.
        """
        return self.read(batch).parts(max(1, PULLED // self.plan.outputs))

    @torch.inference_mode(False)
    def normal(self, part: Batch, precision: Precision) -> dict[str, NormalOutput]:
        """Each head's outputs as normals; of several positions a row each has a covariance alone.

        Args:
            part: as `parts` gives it.
            precision: over the weights asked for.
        """
        _refuse_other(precision, self.plan)
        with torch.no_grad():
            forward = Forward.of(self.plan, part)
            outputs, place = forward.detached(), 0
            blocks = dict[str, Tensor]()
            for name, value in outputs.items():
                blocks[name] = place + self.plan.heads.likelihoods[name].blocks(value)
                place += value[0].numel()
            if all(len(one) == 1 for one in blocks.values()):
                joint = _covariance(forward, precision)
                inside = {n: joint[:, None, one[0, :, None], one[0]] for n, one in blocks.items()}
            else:
                # between positions nothing is asked, and all of it would be their number squared
                inside = {
                    name: torch.stack([_covariance(forward, precision, one) for one in each], 1)
                    for name, each in blocks.items()
                }
            return {
                name: NormalOutput(value, blocks[name] - blocks[name].min(), inside[name])
                for name, value in outputs.items()
            }

    def read(self, batch: Any) -> Batch:
        """A batch as the model takes it, on its device.

        Raises:
            InputError: the model was put into training mode since.
        """
        refuse_modes(self.plan.model)
        found = self.plan.heads.read(as_batch(batch, self.unpack))
        # a later batch may be as long as a shared input by chance; the first one knew better
        found = replace(found, shared=found.shared | self.plan.shared).detached()
        return found.to(next(iter(self.plan.weights.values())).device)

    @torch.inference_mode(False)
    def jacobian(self, batch: Any) -> tuple[dict[str, Tensor], Jacobian]:
        """Outputs of a batch, and the Jacobian of all outputs side by side, factored.

        Args:
            batch: inputs, spelt as `counterpoint.data.as_batch` says.
        """
        forward = Forward.of(self.plan, self.read(batch))
        with torch.no_grad():
            pulled = forward.pull(identity(forward.output))
            return forward.detached(), pulled.all(slice(0, forward.batch.rows))


def _covariance(forward: Forward, precision: Precision, outputs: Tensor | None = None) -> Tensor:
    """The joint covariance of the flat outputs, or of some of them, (rows, outputs, outputs)."""
    pulled = forward.pull(identity(forward.output, outputs))
    return torch.cat([precision.pull(one) for _, one in pulled.parts_of_all()])


def _refuse_other(precision: Precision, plan: Plan) -> None:
    for name, shape in precision.shapes.items():
        if name not in plan.weights:
            raise InputError(
                f"precision: no parameter {name!r} among those that were read"
                f"{nearest(name, plan.weights)}"
            )
        if plan.weights[name].shape != shape:
            raise InputError(
                f"precision: {name!r} must have shape {tuple(plan.weights[name].shape)}, "
                f"found {tuple(shape)}"
            )


@torch.inference_mode(False)
def linearise(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    batch: Any,
    *,
    parameters: Pattern | None = None,
    unpack: Unpack | None = None,
    check: bool = True,
) -> Linearised:
    """Find out how a model uses its weights, and check it against plain differentiation.

    Args:
        model: in evaluation mode; one row of output for one row of input.
        likelihood: of the output, or one a head.
        batch: any inputs; a few rows are looked at.
        parameters: which weights; none means all that are trained.
        unpack: reads a batch.
        check: compare with plain differentiation.

    Raises:
        InputError: as `fisher`.

    >>> from counterpoint.goals import Normal
    >>> line = nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[3.0, 4.0]])
    >>> _, jacobian = linearise(line, Normal(), x).jacobian(x)
    >>> jacobian[0].inputs.squeeze()
    tensor([3., 4.])
    """
    model, heads = unwrapped(model), Heads.of(likelihood)
    weights = weights_of(model, parameters)
    device = next(iter(weights.values())).device
    few = heads.read(as_batch(batch, unpack)).to(device)
    return Linearised(probe(model, heads, weights, few, check=check), unpack)
