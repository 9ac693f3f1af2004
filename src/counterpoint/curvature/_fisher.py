"""Fisher information and generalised Gauss-Newton matrix, summed over examples."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from counterpoint.curvature._examples import Examples
from counterpoint.curvature._labels import LABELS, Labels, directions
from counterpoint.curvature._linearise import Linearised
from counterpoint.curvature._structure import Structure, running
from counterpoint.curvature._sums import CurvatureSum
from counterpoint.curvature.reading._forward import Forward
from counterpoint.curvature.reading._plan import PULLED, Plan
from counterpoint.curvature.reading._probe import probe, weights_of
from counterpoint.data import Batch, DataLike, Unpack
from counterpoint.errors import InputError, one_of, warn
from counterpoint.gaussian import Block, Precision
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import Pattern, unwrapped

Observer: TypeAlias = Callable[[Batch, Heads, dict[str, Tensor]], None]
"""Called with part of a batch, the heads, and the output of each; one without a name is ``""``."""


_MANY = 512
"""Directions a row from which exact labels are worth a word."""


def fisher(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    *,
    structure: Structure = "diagonal",
    labels: Labels = "exact",
    parameters: Pattern | None = None,
    generator: torch.Generator | None = None,
    unpack: Unpack | None = None,
    check: bool = True,
) -> Precision:
    r"""The Fisher information of a model's weights: a sum over examples, never a mean.

    .. math:: F = \sum_n w_n J_n^\top \Lambda_n J_n

    with :math:`J_n` the Jacobian of example n's output by the weights and :math:`\Lambda_n` by
    ``labels``:

    - ``"exact"``: the Fisher information of the output, expected over labels in closed form
      (Martens 2020, section 9); for these likelihoods the generalised Gauss-Newton matrix, too;
    - ``"sampled"``: :math:`\nabla\ell \nabla\ell^\top` at one label an example, drawn from the
      model's own prediction: the same in expectation, at the cost of one backward pass;
    - ``"empirical"``: at the observed label. Not an estimate of the Fisher information (Kunstner,
      Hennig & Balles 2019): at a model that fits its data it vanishes;
    - ``"jac"``: the identity, :math:`J^\top J`: how far outputs move, whatever the likelihood.

    Being a sum, it does not depend on how examples are batched or ordered, and those of disjoint
    data sets add (`counterpoint.gaussian.pool`, `all_reduce` over ranks). No gradient of a weight
    is formed where a kernel reads the layer: linear maps, convolutions, embeddings,
    normalisations, and attention through its linear maps, all by the operations they call, so that
    tied and reused modules count as they should.

    Args:
        model: in evaluation mode; one row of output for one row of input. What
            torch wraps around it is taken off: names are the model's own, nothing is compiled, and
            under `DistributedDataParallel` the sum is this rank's own.
        likelihood: of the output, or one a head for a model that returns a mapping.
        data: batches, iterated once (see `counterpoint.data.as_batch`); one is held at a time.
        structure: ``"diagonal"``, ``"kronecker"``, ``"kronecker-reduce"``, ``"block"`` (dense
            within each module), ``"dense"``, or globs over names to these.
        labels: see above.
        parameters: which weights; none means all that are trained.
        generator: source of randomness for ``"sampled"``, on the CPU.
        unpack: reads a batch; none means `counterpoint.data.as_batch`.
        check: look at the first rows three ways before starting: whether outputs repeat, whether
            rows depend on each other, whether kernels agree with plain differentiation.

    Returns:
        The precision over the weights' names, summed in float64: dense blocks stay so, others are
        in the weights' type, float32 or better.

    Raises:
        InputError: dropout or batch statistics in training mode, data that are empty, random or
            not as many as they claim, a likelihood that does not fit the output, outputs that are
            not finite (names the batch), frozen or integer parameters, unknown names.

    Warns:
        UserWarning: weights that have to be taken with the whole model, and what that costs; exact
            labels of more than 512 outputs a row.

    For a linear model with Gaussian noise it is :math:`X^\top X / \sigma^2`, here of variance 1:

    >>> from counterpoint.goals import Normal
    >>> x = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
    >>> line = nn.Linear(2, 1, bias=False)
    >>> fisher(line, Normal(), [(x, x.sum(1))], structure="dense").dense()
    tensor([[5., 6.],
            [6., 9.]], dtype=torch.float64)
    """
    return linearised_fisher(
        model,
        likelihood,
        data,
        structure=structure,
        labels=labels,
        parameters=parameters,
        generator=generator,
        unpack=unpack,
        check=check,
    )[0]


# what is made in inference mode can be in no graph, neither here nor where it is used later
@torch.inference_mode(False)
def linearised_fisher(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    *,
    structure: Structure = "diagonal",
    labels: Labels = "exact",
    parameters: Pattern | None = None,
    generator: torch.Generator | None = None,
    unpack: Unpack | None = None,
    check: bool = True,
    observe: Observer | None = None,
) -> tuple[Precision, Linearised]:
    """The Fisher information, and the model as it was read for it: for predictions alike.

    Args:
        model: see `fisher`, likewise all others.
        likelihood: of the output.
        data: batches.
        structure: of the result.
        labels: kind.
        parameters: which weights.
        generator: for sampled labels.
        unpack: reads a batch.
        check: look at some rows first.
        observe: called with each part of a batch, the heads and the output of each, for whatever
            else is to be known of the same pass.

    Raises:
        InputError: as `fisher`.
    """
    labels = one_of("labels", labels, LABELS)
    if labels == "sampled" and generator is None:
        raise InputError("labels='sampled' needs generator=, a torch.Generator")
    model, heads = unwrapped(model), Heads.of(likelihood)
    weights = weights_of(model, parameters)
    # a loader may draw from the global generator; what it drew is put back
    with torch.random.fork_rng(devices=[]):
        examples = Examples(data, unpack, heads, next(iter(weights.values())).device)
        plan = probe(model, heads, weights, examples.first, check=check)
        _refuse_unfit(plan, examples.first, labels)
        # drawn or observed labels give one gradient a row; the others a direction an output
        directions = 1 if labels in {"sampled", "empirical"} else plan.outputs
        sums = list[CurvatureSum]()
        for number, batch in examples:
            for part in batch.parts(max(1, PULLED // directions)):
                forward = _forward(plan, part, number)
                if not sums:
                    # what a structure can be depends on how weights are used: a pass shows it
                    sums = running(structure, forward)
                    _warn_of_cost(directions)
                _add(sums, forward, labels, generator)
                if observe is not None:
                    observe(part, heads, forward.detached())
    return _joined(sums), Linearised(plan, unpack)


def ggn(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    *,
    structure: Structure = "diagonal",
    parameters: Pattern | None = None,
    unpack: Unpack | None = None,
    check: bool = True,
) -> Precision:
    r"""The generalised Gauss-Newton matrix, summed over examples.

    The Hessian without the curvature of the network itself: :math:`\sum_n w_n J_n^\top H_n J_n`
    with :math:`H_n` the Hessian of the negative log likelihood by the output (Schraudolph 2002).
    For likelihoods in their natural parameter, as all of ours are in what the network puts out, it
    is the Fisher information (Martens 2020, section 9), and this is `fisher` with exact labels.

    Args:
        model: see `fisher`, likewise all others.
        likelihood: of the output.
        data: batches.
        structure: of the result.
        parameters: which weights.
        unpack: reads a batch.
        check: look at the first rows first.

    Raises:
        InputError: as `fisher`; or an output that is no natural parameter (probabilities, say).
    """
    for one in Heads.of(likelihood).likelihoods.values():
        if not one.natural:
            raise InputError(
                f"ggn: the output of {type(one).__name__} is no natural parameter, so that this is "
                "not the Fisher information; let the model put out what is one (logits, say), or "
                "use fisher"
            )
    return fisher(
        model,
        likelihood,
        data,
        structure=structure,
        parameters=parameters,
        unpack=unpack,
        check=check,
    )


def _warn_of_cost(directions: int) -> None:
    if directions > _MANY:
        warn(
            f"labels='exact' pulls {directions:,} directions back for each row, one an output;"
            " labels='sampled' with generator= takes one, and is right on average"
        )


def _forward(plan: Plan, batch: Batch, number: int) -> Forward:
    try:
        return Forward.of(plan, batch)
    except InputError as error:
        raise InputError(f"batch {number}: {error}") from error


def _add(
    sums: list[CurvatureSum], forward: Forward, labels: Labels, generator: torch.Generator | None
) -> None:
    """Add one forward pass to all sums."""
    batch = forward.batch
    columns = directions(forward.plan.heads, forward.detached(), batch, labels, generator)
    pooled = {name for each in sums if each.pooled for name in each.names}
    pulled, weight = forward.pull(columns, pooled), forward.plan.heads.row_weights(batch)
    with torch.no_grad():
        for each in sums:
            for rows, entries in pulled.parts(each.names, joint=each.joint):
                each.add(entries, None if weight is None else weight[rows])


def _joined(sums: list[CurvatureSum]) -> Precision:
    parts = [each.result() for each in sums]
    # each sum is of weights of its own, and nothing between them was asked for: blocks
    return parts[0] if len(parts) == 1 else Block(tuple(parts))


def _refuse_unfit(plan: Plan, batch: Batch, labels: Labels) -> None:
    """Refuse a likelihood that cannot take the model's outputs and targets."""
    few, heads = batch.take(slice(0, 3)), plan.heads
    # the likelihood's own refusals, before a pass over the data is paid for
    if few.target is not None or labels == "empirical":
        with torch.no_grad():
            heads.nll(heads.outputs(few.call(plan.model)), heads.targets(few))
