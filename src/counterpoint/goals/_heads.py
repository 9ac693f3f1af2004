"""One likelihood a head of a model, and the goals that follow from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.errors import InputError, nearest
from counterpoint.goals._contract import Goals
from counterpoint.goals._likelihood import Likelihood


@dataclass(frozen=True)
class Heads:
    """The likelihood of each head of a model, and what it makes of the head's output.

    Attributes:
        likelihoods: head -> likelihood; one head without a name is ``""``.

    >>> from counterpoint.goals import Normal, Poisson
    >>> heads = Heads.of({"price": Normal(), "days": Poisson()})
    >>> heads.names
    ('price', 'days')
    """

    likelihoods: Mapping[str, Likelihood]

    @classmethod
    def of(cls, likelihood: Any) -> "Heads":
        """The heads of a likelihood, or of a mapping from head to likelihood.

        Raises:
            InputError: neither, or an empty mapping.
        """
        heads: Any = {"": likelihood} if isinstance(likelihood, Likelihood) else likelihood
        if not isinstance(heads, Mapping) or not heads:
            raise InputError(
                "likelihood: expected one of counterpoint.goals, or a mapping from head to one, "
                f"found {type(heads).__name__}"
            )
        for name, one in heads.items():
            if not isinstance(one, Likelihood):
                raise InputError(
                    f"likelihood: {name!r} must be one of counterpoint.goals, "
                    f"found {type(one).__name__}"
                )
        return cls(dict(heads))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the heads; empty where there is one without a name."""
        return tuple(name for name in self.likelihoods if name)

    def read(self, batch: Batch) -> Batch:
        """The batch with a target a head, where these are among what it names.

        Args:
            batch: as `counterpoint.data.as_batch` makes it, which knows of no heads.
        """
        if not self.names or isinstance(batch.target, Mapping):
            return batch
        spelt = {} if batch.target is None else {batch.spelt: batch.target}
        given = {**batch.named, **spelt}
        targets = {name: given[name] for name in self.names if name in given}
        if not targets:
            return batch
        return Batch(
            batch.inputs,
            {name: value for name, value in given.items() if name not in targets},
            targets,
            batch.weight,
            batch.rows,
            batch.shared,
            batch.offset,
        )

    def counted(self, batch: Batch) -> Batch | None:
        """The rows that say something, or none where no row does.

        Left out are rows of weight 0, and rows whose target counts for nothing under every head:
        nothing of them is looked at, so that it need not be finite, nor a class there is.

        Args:
            batch: as `read` gives it.
        """
        keep = None if batch.weight is None else batch.weight > 0
        weights = [one for _, one in self._weights_of(batch)]
        if weights and len(weights) == len(self.likelihoods):
            said = torch.stack([(one > 0).reshape(len(one), -1).any(1) for one in weights]).any(0)
            keep = said if keep is None else keep & said
        if keep is None or bool(keep.all()):
            return batch
        return batch.take(keep) if bool(keep.any()) else None

    def target_weights(self, batch: Batch) -> dict[str, Tensor]:
        """How much each row counts by what was observed under a head, where that is not once.

        Raises:
            InputError: classes have weights, and there is no target.
        """
        found = dict(self._weights_of(batch))
        for name, likelihood in self.likelihoods.items():
            if likelihood.weighs and name not in found:
                raise InputError(
                    f"batch: no target for {_spelt(name)}, and the likelihood has a weight for each"
                    " class: how much a row counts is not known without; yield (x, y)"
                )
        return found

    def row_weights(self, batch: Batch) -> Tensor | None:
        """How much each row counts, none: once: by its own weight and, of one head, its target."""
        counts = dict(self._weights_of(batch))
        # of several heads each has its own share, and what they have in common counts as the row
        own = next(iter(counts.values())) if len(self.likelihoods) == 1 and counts else None
        # positions that count for nothing leave the row one: what it was shown is still its input
        own = None if own is not None and own.ndim > 1 else own
        if own is None or batch.weight is None:
            return batch.weight if own is None else own
        return batch.weight.double() * own.double()

    def check(self, outputs: Mapping[str, Tensor], batch: Batch) -> None:
        """Refuse targets that are not of their likelihoods, whatever device they are on.

        Raises:
            InputError: names the head, the rule and the row.
        """
        with torch.no_grad():
            for name, target in self._targets(batch):
                # likelihoods read no values on an accelerator, and wrong ones end in an assertion
                self._each(name, outputs[name].detach().cpu(), target.cpu())

    def _targets(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        found = batch.target if isinstance(batch.target, Mapping) else {"": batch.target}
        for name in self.likelihoods:
            target = found.get(name)
            if target is not None:
                yield name, target

    def _weights_of(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        for name, target in self._targets(batch):
            weight = self.likelihoods[name].weight_of(target)
            if weight is not None:
                yield name, weight

    @property
    def plain(self) -> "Heads":
        """The likelihoods without what weighs, leaves out or smooths targets."""
        return Heads({name: one.plain for name, one in self.likelihoods.items()})

    def outputs(self, found: Any) -> dict[str, Tensor]:
        """The output of each head out of what the model returned.

        Of one head a tensor, the ``logits`` of a mapping or object, as language models return
        them, or the first of a tuple's tensors that is no scalar (a loss beside it). Of several a
        mapping, or an object with their names.

        Raises:
            InputError: the model returned something else, or lacks a head.
        """
        if not self.names:
            return {"": _single(found)}
        named = found if isinstance(found, Mapping) else _attributes(found, self.names)
        if named is None:
            raise InputError(
                f"model: expected a mapping with the heads {', '.join(self.names)}, "
                f"found a {type(found).__name__}"
            )
        missing = [name for name in self.names if name not in named]
        if missing:
            raise InputError(
                f"model: no output for the head {missing[0]!r}{nearest(missing[0], named)}"
            )
        return {name: named[name] for name in self.names}

    def goals(self, *, name: str = "fit", mean_weight: float = 1.0) -> Goals:
        """One goal a head: its mean negative log likelihood, in nats a row.

        Args:
            name: of the goal where there is one head without a name.
            mean_weight: of the rows of the whole data set; see
                `counterpoint.goals.Likelihood.nll`.

        >>> from counterpoint.goals import Normal
        >>> goals = Heads.of(Normal()).goals()
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> goals(nn.Identity(), Batch.of(x, target=x))  # log(2 pi) / 2
        {'fit': tensor(0.9189)}
        """
        means = dict.fromkeys(self.likelihoods, mean_weight)

        def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            read = self.read(batch)
            weights = dict.fromkeys(self.likelihoods, read.weight)
            outputs = self.outputs(read.call(model))
            losses = self.losses(outputs, self.targets(read), weights, means)
            return {head or name: loss for head, loss in losses.items()}

        return goals

    def losses(
        self,
        outputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        weights: Mapping[str, Tensor | None],
        mean_weights: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """The mean negative log likelihood of each head, with row weights of its own.

        Args:
            outputs: of each head.
            targets: of each head.
            weights: of each head's rows; none means once.
            mean_weights: of each head's rows in the whole data set.

        Raises:
            InputError: a target is not of its likelihood; names the head.
        """
        found: dict[str, Tensor] = {}  # not dict[...](), which torch.compile cannot trace
        for name, likelihood in self.likelihoods.items():
            told, mean_weight = (outputs[name], targets[name], weights[name]), mean_weights[name]
            try:
                found[name] = likelihood.nll(*told, mean_weight=mean_weight)
            except InputError as error:
                raise InputError(f"head {name!r}: {error}" if name else str(error)) from error
        return found

    def nll(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Negative log likelihood, summed over rows and heads, in nats."""
        each = [self._each(name, outputs[name], targets[name]) for name in outputs]
        return torch.stack([part.sum() for part in each]).sum()

    def weighted_nll(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Negative log likelihood with row weights, summed over rows and heads."""
        targets = self.targets(batch)
        total = torch.stack([self._each(n, outputs[n], targets[n]) for n in outputs]).sum(0)
        return total.sum() if batch.weight is None else total @ batch.weight.to(total)

    def _each(self, name: str, output: Tensor, target: Tensor) -> Tensor:
        try:
            return self.likelihoods[name].nll_each(output, target)
        except InputError as error:
            where = f"head {name!r}: " if name else ""
            raise InputError(f"{where}the likelihood does not fit the model: {error}") from error

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """The target of each head.

        Raises:
            InputError: the batch has none.
        """
        found: Mapping[str, Tensor | None]
        found = batch.target if isinstance(batch.target, Mapping) else {"": batch.target}
        names = self.names or ("",)
        absent = [name for name in names if found.get(name) is None]
        if absent:
            raise InputError(
                f"batch: no target for {_spelt(absent[0])}; yield (x, y) or a mapping with a "
                "target (of curvature, labels='exact' needs none)"
            )
        return {name: value for name in names if (value := found[name]) is not None}


def _spelt(name: str) -> str:
    return f"the head {name!r}" if name else "the labels"


def _single(found: Any) -> Tensor:
    """The one output among what a model returned."""
    output = getattr(found, "logits", found)
    if isinstance(output, Mapping):
        output = output.get("logits", output)
    if isinstance(output, tuple | list):
        # losses and scalars stand before or beside what a row has
        tensors = [one for one in output if isinstance(one, Tensor) and one.ndim > 0]
        output = tensors[0] if tensors else output
    if not isinstance(output, Tensor):
        raise InputError(
            f"model: expected one output tensor, found a {type(output).__name__}; "
            "for several heads pass a mapping from head to likelihood"
        )
    return output


def _attributes(found: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The heads of an object that has them by name; none where it has not one of them."""
    named = {name: getattr(found, name) for name in names if hasattr(found, name)}
    return named or None
