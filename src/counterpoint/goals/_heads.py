"""One likelihood a head of a model, and the goals that follow from it."""

from collections.abc import Mapping
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

    def outputs(self, found: Any) -> dict[str, Tensor]:
        """The output of each head out of what the model returned.

        Raises:
            InputError: the model returned something else, or lacks a head.
        """
        if not self.names:
            found = getattr(found, "logits", found)
            if not isinstance(found, Tensor):
                raise InputError(
                    f"model: expected one output tensor, found a {type(found).__name__}; "
                    "for several heads pass a mapping from head to likelihood"
                )
            return {"": found}
        if not isinstance(found, Mapping):
            raise InputError(
                f"model: expected a mapping with the heads {', '.join(self.names)}, "
                f"found a {type(found).__name__}"
            )
        missing = [name for name in self.names if name not in found]
        if missing:
            raise InputError(
                f"model: no output for the head {missing[0]!r}{nearest(missing[0], found)}"
            )
        return {name: found[name] for name in self.names}

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
        """
        return {
            name: likelihood.nll(
                outputs[name], targets[name], weights[name], mean_weight=mean_weights[name]
            )
            for name, likelihood in self.likelihoods.items()
        }

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
            what = f"the head {absent[0]!r}" if absent[0] else "the labels"
            raise InputError(
                f"batch: no target for {what}; yield (x, y) or a mapping with a target "
                "(of curvature, labels='exact' needs none)"
            )
        return {name: value for name in names if (value := found[name]) is not None}
