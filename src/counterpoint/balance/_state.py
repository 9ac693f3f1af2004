"""What a balancer remembers from step to step: of its rule, and of the last measurement."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from counterpoint.balance._checks import BalanceWarning
from counterpoint.balance._gram import Gram
from counterpoint.balance._rule import Rule, RuleInputs
from counterpoint.errors import InputError, nearest, warn
from counterpoint.seeding import generator

_CPU = torch.device("cpu")


class RuleState:
    """A rule at work: what it gets to see, what it remembers, how its weights come back."""

    def __init__(self, rule: Rule, preference: Mapping[str, float], seed: int) -> None:
        self.rule = rule
        self.wanted = dict(preference)
        self._generator = generator(seed, 5)
        self._memory = GoalState(rule.start)
        self._known: dict[str, None] = {}  # every goal ever seen, in order: a set has none
        self._preference: tuple[Sequence[str], Tensor] | None = None

    def weigh(self, names: Sequence[str], losses: Tensor, gram: Gram) -> Tensor:
        """Weights of one step, float64 (K,); all NaN where something is not finite."""
        preference = self.preference(names).to(losses.device)
        if len(names) == 1:
            return torch.ones_like(losses)
        norms, cosines = gram.norms, gram.cosines
        # a rule sees nothing beyond what it says it needs: so it can be trusted not to use it, and
        # the NaN of what was not measured never reaches it
        if self.rule.needs == "losses":
            norms = torch.ones_like(losses)
        if self.rule.needs != "gram":
            cosines = torch.eye(len(losses), dtype=torch.float64, device=losses.device)
        inputs = RuleInputs(losses, norms, cosines, preference, self._generator)
        if self.rule.waits:
            return self._weigh_awake(names, inputs).to(losses.device)
        return self._ask(names, inputs)

    def preference(self, names: Sequence[str]) -> Tensor:
        """How much each goal is wanted, (K,), of mean 1."""
        if self._preference is None or self._preference[0] != names:
            self._meet(names)
            wanted = [self.wanted.get(name, 1.0) for name in names]
            wanted = torch.tensor(wanted, dtype=torch.float64)
            # of mean 1 among the goals of this step: an absent one does not change its length
            self._preference = names, wanted / wanted.mean()
        return self._preference[1]

    def state(self) -> dict[str, Tensor]:
        """What the rule remembers, and the generator."""
        known = _write_names(list(self._known))
        return {"generator": self._generator.get_state(), "known": known, **self._memory.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        rest = dict(state)
        self._generator.set_state(rest.pop("generator"))
        self._known = dict.fromkeys(_read_names(rest.pop("known")))
        self._memory.restore(rest)

    def _meet(self, names: Sequence[str]) -> None:
        first = not self._known
        self._known |= dict.fromkeys(names)
        for name in self.wanted:
            if first and name not in names:
                warn(
                    f"preference: no goal of the first step is called {name!r}"
                    f"{nearest(name, names)}",
                    BalanceWarning,
                )

    def _weigh_awake(self, names: Sequence[str], inputs: RuleInputs) -> Tensor:
        """For a rule that decides on the CPU: goals that pull, if everything is finite."""
        # one tensor, so one transfer: each waits for the device
        table = torch.cat([inputs.cosines, inputs.losses[None], inputs.norms[None]]).to(_CPU)
        losses, norms, wanted = table[-2], table[-1], inputs.preference.to(_CPU)
        if not bool(torch.isfinite(table).all()):
            return torch.full_like(losses, float("nan"))
        awake = norms.nonzero()[:, 0]
        # a sum over the goals that pull is no smaller because another one rests
        whole = len(names) / max(len(awake), 1) if getattr(self.rule, "sums", False) else 1.0
        if len(awake) < 2:
            return wanted.index_fill(0, awake, whole)
        indices: list[int] = awake.tolist()
        part = RuleInputs(
            losses[awake],
            norms[awake],
            table[:-2][awake][:, awake],
            wanted[awake] / wanted[awake].mean(),
            self._generator,
        )
        weights = self._ask([names[index] for index in indices], part)
        return wanted.index_copy(0, awake, whole * weights)

    def _ask(self, names: Sequence[str], inputs: RuleInputs) -> Tensor:
        rule = self._bound(names)
        weights, state = rule.weights(inputs, self._memory.recall(names, inputs.losses.device))
        # another shape would be stretched against the losses, and silently weigh all with all
        if weights.shape != inputs.losses.shape:
            raise InputError(
                f"rule {rule}: must give one weight for each of {len(names)} goals, shape"
                f" ({len(names)},), found {tuple(weights.shape)}"
            )
        if state:
            # a step that overflowed must not poison every average from here on
            self._memory.keep(names, state, torch.isfinite(weights).all())
        return weights

    def _bound(self, names: Sequence[str]) -> Rule:
        """The rule; one that speaks of goals by name, for the goals that it is to see."""
        bind = getattr(self.rule, "bind", None)
        if bind is None:
            return self.rule
        return bind(tuple(names), absent=tuple(name for name in self._known if name not in names))


class GoalState:
    """What is remembered of every goal ever seen; a step sees the part of its own goals."""

    def __init__(self, start: Callable[[int], Mapping[str, Tensor]]) -> None:
        self._start = start  # every axis of what it gives is one of goals, so a part can be taken
        self._names: list[str] = []
        self._values: dict[str, Tensor] = dict(start(0))

    def recall(self, names: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """The part of these goals, in their order; those not seen before start fresh."""
        self._meet(names)
        values = {name: value.to(device) for name, value in self._values.items()}
        if list(names) == self._names:
            return values
        indices = torch.tensor([self._names.index(name) for name in names], device=device)
        return {name: _part(value, indices) for name, value in values.items()}

    def keep(self, names: Sequence[str], new: Mapping[str, Tensor], sound: Tensor) -> None:
        """Remember what a step made of the part; nothing if the step was not `sound`, ()."""
        indices = None
        if list(names) != self._names:
            indices = torch.tensor([self._names.index(name) for name in names])
        for name, value in new.items():
            old = self._values[name].to(value.device)
            whole = value if indices is None else _put(old, indices.to(value.device), value)
            # chosen on the device: to ask there whether the step was sound would be to wait
            self._values[name] = torch.where(sound.to(value.device), whole, old)

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors."""
        return {"names": _write_names(self._names), **self._values}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave; that of another rule or source is refused."""
        names = _read_names(state["names"])
        expected = self._start(len(names))
        found = {name: value for name, value in state.items() if name != "names"}
        if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in found.items()}:
            raise InputError(
                f"balancer: the state remembers {sorted(found) or 'nothing'}, this rule"
                f" {sorted(expected) or 'nothing'}; make it with the same rule"
            )
        self._names, self._values = names, found

    def _meet(self, names: Sequence[str]) -> None:
        more = [name for name in names if name not in self._names]
        if not more:
            return
        old = len(self._names)
        self._names += more
        fresh = dict(self._start(len(self._names)))
        for name, value in fresh.items():
            before = self._values[name].to(value.device)
            if before.ndim == 0:
                fresh[name] = before if old else value
            else:
                fresh[name] = _put(value, torch.arange(old), before)
        self._values = fresh


class LastWeights:
    """Weights, norms and cosines of the last measurement that saw all goals of its step."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()  # empty: the next step measures
        self._weights = torch.zeros(0)
        self._gram = Gram(torch.zeros(0), torch.zeros(0, 0))

    def keep(self, names: tuple[str, ...], weights: Tensor, gram: Gram, *, mend: bool) -> None:
        """Keep a measurement; `mend` puts the weights before (or 1) for ones not finite."""
        # a GradScaler skips the step itself, but later steps would use these weights
        if mend:
            old = self._weights.to(weights.device) if self.names == names else 1.0
            weights = torch.where(torch.isfinite(weights).all(), weights, old)
        self.names, self._weights, self._gram = names, weights, gram

    def forget(self) -> None:
        """A goal took no part, so the next step measures."""
        self.names = ()

    def weights(self, indices: Sequence[int], device: torch.device) -> Tensor:
        """The weights of some goals, 0 elsewhere."""
        weights = self._weights.to(device)
        if len(indices) == len(weights):
            return weights
        some = torch.zeros_like(weights)
        some[list(indices)] = weights[list(indices)]
        return some

    def gram(self, device: torch.device) -> Gram:
        """What was measured."""
        return Gram(self._gram.norms.to(device), self._gram.cosines.to(device))

    def state(self) -> dict[str, Tensor]:
        """The tensors; the names are plain values."""
        norms, cosines = self._gram.norms, self._gram.cosines
        return {"weights": self._weights, "norms": norms, "cosines": cosines}

    def restore(self, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.names, self._weights = tuple(names), state["weights"]
        self._gram = Gram(state["norms"], state["cosines"])


def _write_names(names: Sequence[str]) -> Tensor:
    """Names as bytes, one after the other with a zero between (no goal's name has one)."""
    return torch.tensor(list("\0".join(names).encode()), dtype=torch.uint8)


def _read_names(tensor: Tensor) -> list[str]:
    """What `_write_names` wrote."""
    text = bytes(tensor.tolist()).decode()
    return text.split("\0") if text else []


def _part(value: Tensor, indices: Tensor) -> Tensor:
    for axis in range(value.ndim):
        value = value.index_select(axis, indices)
    return value


def _put(whole: Tensor, indices: Tensor, part: Tensor) -> Tensor:
    if part.ndim == 0:
        return part
    grid = torch.meshgrid(*[indices] * part.ndim, indexing="ij")
    return whole.index_put(grid, part.to(whole))
