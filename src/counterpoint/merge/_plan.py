"""Weights, by whatever rule, as one number a tensor and input: what a merge will do, before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias, cast

from counterpoint.errors import InputError, one_of
from counterpoint.merge._entries import Policy, TensorEntry, policy
from counterpoint.merge._layers import Layers, columns
from counterpoint.merge._schedules import WeightSchedule
from counterpoint.merge._selectors import Match, choose

Coefficient: TypeAlias = Any
"""A float, a 0-d tensor, or a tensor that broadcasts to the weights that it is for."""

Weights: TypeAlias = Any
"""A number, a schedule, one a layer, or selector -> any of these; see `MergePlan.of`."""

_ALL = "**"
_SUM = 1e-6
"""How far shares may be from one in all: numbers that were written with seven digits."""


@dataclass(frozen=True)
class Covered:
    """A rule, and what it decides.

    Attributes:
        rule: the selector.
        weight: what it gives, as text.
        layers: the names of the layers with a tensor that it matches.
        tensors: how many it matches.
        decided: how many of these no later rule decides.
    """

    rule: str
    weight: str
    layers: tuple[str, ...]
    tensors: int
    decided: int


@dataclass(frozen=True)
class MergePlan:
    """What becomes of each tensor.

    Attributes:
        table: the layers.
        coefficients: a tensor's name -> one number an input; of those that are merged or averaged.
        policies: a tensor's name -> what becomes of it; of all.
        coverage: the rules, in their order.
    """

    table: Layers
    coefficients: dict[str, tuple[Coefficient, ...]]
    policies: dict[str, Policy]
    coverage: tuple[Covered, ...]

    @classmethod
    def of(
        cls,
        table: Layers,
        weights: Weights = None,
        *,
        inputs: int,
        scales: bool = False,
        first: bool = False,
        buffers: Mapping[str, str] | None = None,
    ) -> "MergePlan":
        """Read weights for the layers of a table.

        A weight is λ, the share of the second of two models: ``(1 - λ) A + λ B``. It is a number;
        a `WeightSchedule` over the layers or blocks it is for; a tensor that broadcasts to each
        tensor of these, or has one number for each row of it; or, for any number of models, a
        tuple of their shares, which sum to one. `weights` is one of these for all layers; a list
        or tensor of one a layer, in the table's order; or a mapping from selectors to any of them,
        of which a later one wins. With more than two models a list of numbers is one share each.

        Args:
            table: the layers.
            weights: as above; by default all inputs count alike.
            inputs: how many models.
            scales: weights scale each model's part and need not sum to one; a number is for all.
            first: λ is the share of the first of two models instead: ``λ A + (1 - λ) B``.
            buffers: selector -> ``"merge"``, ``"average"``, ``"max"``, ``"equal"``, ``"first"`` or
                ``"zero"``, where the usual policy is not meant.

        Raises:
            InputError: a rule matches nothing, a layer is left without a weight, shares do not sum
                to one, or a weight has another form. The message names it, and what is nearest.

        >>> from counterpoint.merge._layers import tabulate
        >>> table = tabulate([("a.weight", (2,), "F32"), ("b.weight", (2,), "F32")])
        >>> MergePlan.of(table, {"**": 0.5, "b": 0.25}, inputs=2).coefficients
        {'a.weight': (0.5, 0.5), 'b.weight': (0.75, 0.25)}
        """
        policies = _policies(table, buffers or {})
        reader = _Reader(len(table), inputs, scales, first)
        rules = reader.rules(table, weights)
        matches = {rule: choose(rule, table) for rule, _ in rules}
        decided = dict[str, tuple[str, tuple[Coefficient, ...]]]()
        for rule, weight in rules:
            for match, one in reader.spread(rule, weight, matches[rule]):
                decided[match.entry.name] = (rule, one)
        needed = {name for name, what in policies.items() if what in (Policy.MERGE, Policy.AVERAGE)}
        _refuse_uncovered(table, needed - decided.keys())
        # a rule that a later one covers whole decides nothing, and the table shows it
        last = {name: rule for name, (rule, _) in decided.items()}
        coverage = tuple(_covered(rule, weight, matches[rule], last) for rule, weight in rules)
        coefficients = {name: decided[name][1] for name in policies if name in needed}
        return cls(table, coefficients, policies, coverage)

    def __str__(self) -> str:
        """The table of coverage: a rule a line, and the layers that it decides."""
        rows = [["rule", "weight", "tensors", "decided", "layers"]]
        for row in self.coverage:
            more = f", … ({len(row.layers) - 6} more)" if len(row.layers) > 6 else ""
            listed = ", ".join(row.layers[:6]) + more
            rows.append([row.rule, row.weight, str(row.tensors), str(row.decided), listed])
        return columns(rows)


@dataclass(frozen=True)
class _Reader:
    """How weights are read: for how many layers and models, and in which convention."""

    layers: int
    inputs: int
    scales: bool
    first: bool

    def rules(self, table: Layers, weights: Weights) -> list[tuple[str, Any]]:
        if weights is None:
            each = 1.0 if self.scales else 1.0 / self.inputs
            return [(_ALL, (each,) * self.inputs)]
        if isinstance(weights, Mapping):
            if not weights:
                raise InputError("weights: at least one rule is expected, found none")
            return list(cast(Mapping[str, Any], weights).items())
        listed = _listed(weights)
        if listed is None:
            return [(_ALL, weights)]
        plain = all(isinstance(each, int | float) for each in listed)
        if self._for_models(listed, plain):
            return [(_ALL, tuple(listed))]
        if len(listed) != self.layers:
            last = (
                ""
                if self.inputs > 2 or self.scales
                else ("; the share of the second model alone is one number")
            )
            raise InputError(
                f"weights: one for each of {self.layers} layers is expected, found"
                f" {len(listed)}{last}; see layers(model) for their order"
            )
        return [(f"#{layer.index}", one) for layer, one in zip(table, listed, strict=True)]

    def _for_models(self, listed: Sequence[Any], plain: bool) -> bool:
        """Whether a list is one number a model; one a layer where two models share."""
        several = self.scales or self.inputs > 2
        if not (several and plain and len(listed) == self.inputs):
            return False
        # a guess would be wrong half of the time and never noticed
        if self.scales and self.inputs == self.layers > 1:
            raise InputError(
                f"weights: {len(listed)} numbers may be one a model or one a layer; write"
                " {'**': (...)} for models, {'#0': ..., '#1': ...} for layers"
            )
        return True

    def spread(
        self, rule: str, weight: Any, matches: Sequence[Match]
    ) -> list[tuple[Match, tuple[Coefficient, ...]]]:
        """A rule's weight for each of its tensors."""
        if isinstance(weight, WeightSchedule):
            places = sorted({match.place for match in matches})
            # by the order of the blocks that are there: numbers may have gaps
            span = max(len(places) - 1, 1)
            at = {place: weight.at(order / span) for order, place in enumerate(places)}
            _refuse_infinite(rule, weight, all(isfinite(one) for one in at.values()))
            return [(match, self.pair(rule, at[match.place])) for match in matches]
        listed = weight if isinstance(weight, tuple | list) else None
        if listed is not None:
            shares = self.shares(rule, listed)
            return [
                (match, tuple(_fitted(rule, one, match.entry) for one in shares))
                for match in matches
            ]
        return [(match, self.pair(rule, _fitted(rule, weight, match.entry))) for match in matches]

    def pair(self, rule: str, weight: Coefficient) -> tuple[Coefficient, ...]:
        """One number as coefficients of the inputs."""
        if self.scales:
            return (weight,) * self.inputs
        if self.inputs != 2:
            raise InputError(
                f"weights: rule {rule!r} gives one number for {self.inputs} models; expected a"
                f" tuple of {self.inputs} shares"
            )
        return (weight, 1 - weight) if self.first else (1 - weight, weight)

    def shares(self, rule: str, listed: Sequence[Coefficient]) -> tuple[Coefficient, ...]:
        """One number a model as coefficients."""
        if len(listed) != self.inputs:
            raise InputError(
                f"weights: rule {rule!r} expects one share for each of {self.inputs} models,"
                f" found {len(listed)}"
            )
        # tensors are not looked at: a search moves them off the simplex and back
        plain = [each for each in listed if isinstance(each, int | float)]
        if not self.scales and len(plain) == len(listed) and abs(sum(plain) - 1) > _SUM:
            raise InputError(
                f"weights: rule {rule!r} expects shares that sum to 1, found {sum(plain):g};"
                " divide them by it"
            )
        return tuple(listed)


def _listed(weights: Any) -> Sequence[Any] | None:
    """A list's or one-dimensional tensor's items; a tensor's keep their graph."""
    if isinstance(weights, str | bytes):
        raise InputError(f"weights: expected numbers, found the text {weights!r}")
    if getattr(weights, "ndim", 0) >= 1:
        return [weights[place] for place in range(len(weights))]
    return cast(Sequence[Any], weights) if isinstance(weights, Sequence) else None


def _fitted(rule: str, weight: Any, entry: TensorEntry) -> Coefficient:
    """A weight as it meets a tensor: rows first where it has one number a row."""
    shape = tuple(getattr(weight, "shape", ()))
    if not shape:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number and not hasattr(weight, "ndim"):
            raise InputError(f"weights: rule {rule!r} expects a number, found {weight!r}")
        # a tensor without torch, and without leaving its graph: what is not finite does not cancel
        _refuse_infinite(rule, weight, bool(weight - weight == 0))
        return weight
    _refuse_infinite(rule, "others in its tensor", bool((weight - weight == 0).all()))
    sizes = entry.shape
    # before broadcasting, by which one number a row of a square matrix would be one a column
    if len(shape) == 1 and sizes[:1] == shape:
        # one number a row of the weight and an entry of the bias: filters share theirs
        return weight.reshape(shape + (1,) * (len(sizes) - 1))
    fits = len(shape) <= len(sizes) and all(
        size in (1, wanted) for size, wanted in zip(reversed(shape), reversed(sizes), strict=False)
    )
    if not fits:
        raise InputError(
            f"weights: rule {rule!r} has a weight of shape {shape}, which does not broadcast to"
            f" {entry.name!r} of shape {sizes}"
        )
    return weight


def _refuse_infinite(rule: str, found: Any, finite: bool) -> None:
    if not finite:
        raise InputError(f"weights: rule {rule!r} expects a finite number, found {found}")


def _policies(table: Layers, buffers: Mapping[str, str]) -> dict[str, Policy]:
    """What becomes of each tensor; the usual where no rule says otherwise."""
    words = {each.name.lower(): each for each in Policy}
    said = dict[str, Policy]()
    for selector, word in buffers.items():
        chosen = words[one_of(f"buffers {selector!r}", word, words)]
        for match in choose(selector, table):
            if chosen in (Policy.MERGE, Policy.AVERAGE) and "float" not in match.entry.dtype:
                raise InputError(
                    f"buffers {selector!r}: {match.entry.name} is {match.entry.dtype}, and only"
                    " floating tensors are averaged; expected max, equal, first or zero"
                )
            said[match.entry.name] = chosen
    return {name: said.get(name) or policy(entry) for name, entry in table.entries.items()}


def _refuse_uncovered(table: Layers, names: set[str]) -> None:
    left = [layer.shown for layer in table if names & set(layer.tensors)]
    if left:
        more = f" and {len(left) - 4} more" if len(left) > 4 else ""
        raise InputError(
            f"weights: no rule is about {len(left)} of {len(table)} layers"
            f" ({', '.join(left[:4])}{more}); put {_ALL!r} first as the rule for all others"
        )


def _covered(rule: str, weight: Any, matches: Sequence[Match], last: Mapping[str, str]) -> Covered:
    layers = dict.fromkeys(match.layer.shown for match in matches)
    decided = sum(last[match.entry.name] == rule for match in matches)
    return Covered(rule, _shown(weight), tuple(layers), len(matches), decided)


def _shown(weight: Any) -> str:
    if isinstance(weight, tuple | list):
        return ", ".join(_shown(one) for one in cast(Sequence[Any], weight))
    if isinstance(weight, WeightSchedule):
        return str(weight)
    if shape := tuple(getattr(weight, "shape", ())):
        return f"tensor {shape}"
    return f"{weight.item() if hasattr(weight, 'item') else weight:g}"
