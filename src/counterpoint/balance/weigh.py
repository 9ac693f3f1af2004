"""A rule at work: what it gets to see, what it remembers, how its weights come back."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from counterpoint.balance.checks import BalanceWarning, preferences
from counterpoint.balance.gram import Gram
from counterpoint.balance.memory import Memory, read_names, write_names
from counterpoint.balance.rule import Given, Rule
from counterpoint.errors import nearest
from counterpoint.seeding import generator

__all__ = ["Weigher"]

_CPU = torch.device("cpu")


class Weigher:
    """Asks a rule for the weights of one step after the other.

    Attributes:
        rule: the rule.
        wanted: how much a goal is wanted, by name.

    Args:
        rule: the rule.
        preference: how much a goal is wanted, by name; 1 where nothing is said.
        seed: of what the rule draws.
    """

    def __init__(self, rule: Rule, preference: Mapping[str, float], seed: int) -> None:
        self.rule = rule
        self.wanted = dict(preference)
        self._generator = generator(seed, 5)
        self._memory = Memory(rule.start)
        self._known: dict[str, None] = {}
        self._shares: tuple[Sequence[str], Tensor] | None = None

    def weigh(self, names: Sequence[str], losses: Tensor, gram: Gram) -> Tensor:
        """Weights of one step, float64 (K,), on the losses' device.

        One goal alone has weight 1. A goal whose gradient is exactly zero has its preference.
        Where something is not finite all weights are NaN, and nothing is remembered of the step.

        Args:
            names: the goals.
            losses: float64 (K,).
            gram: of their gradients.
        """
        wanted = self.preference(names).to(losses.device)
        if len(names) == 1:
            return torch.ones_like(losses)
        given = self._given(losses, gram, wanted)
        if self.rule.waits:
            return self._decided(names, given).to(losses.device)
        return self._asked(names, given, losses.device)

    def preference(self, names: Sequence[str]) -> Tensor:
        """How much each goal is wanted, (K,), of mean 1."""
        if self._shares is None or self._shares[0] != names:
            self._meet(names)
            self._shares = names, preferences(self.wanted, names)
        return self._shares[1]

    def _meet(self, names: Sequence[str]) -> None:
        first = not self._known
        self._known |= dict.fromkeys(names)
        for name in self.wanted:
            if first and name not in names:
                warnings.warn(
                    f"preference: no goal of the first step is called {name!r}"
                    f"{nearest(name, names)}",
                    BalanceWarning,
                    stacklevel=7,
                )

    def state(self) -> dict[str, Tensor]:
        """What the rule remembers, and the generator."""
        known = write_names(list(self._known))
        generator = self._generator.get_state()
        return {"generator": generator, "known": known, **self._memory.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        rest = dict(state)
        self._generator.set_state(rest.pop("generator"))
        self._known = dict.fromkeys(read_names(rest.pop("known")))
        self._memory.restore(rest)

    def _given(self, losses: Tensor, gram: Gram, wanted: Tensor) -> Given:
        norms, cosines = gram.norms, gram.cosines
        if self.rule.needs == "losses":
            norms = torch.ones_like(losses)
        if self.rule.needs != "gram":
            cosines = torch.eye(len(losses), dtype=torch.float64, device=losses.device)
        return Given(losses, norms, cosines, wanted, self._generator)

    def _asked(self, names: Sequence[str], given: Given, device: torch.device) -> Tensor:
        rule = self._bound(names)
        weights, state = rule.weights(given, self._memory.recall(names, device))
        if state:
            self._memory.keep(names, state, torch.isfinite(weights).all())
        return weights

    def _decided(self, names: Sequence[str], given: Given) -> Tensor:
        """For a rule that decides on the CPU: goals that pull, if everything is finite."""
        table = torch.cat([given.cosines, given.losses[None], given.norms[None]]).to(_CPU)
        losses, norms, wanted = table[-2], table[-1], given.preference.to(_CPU)
        if not bool(torch.isfinite(table).all()):
            return torch.full_like(losses, float("nan"))
        awake = norms.nonzero()[:, 0]
        # a sum over the goals that pull is no smaller because another one rests
        whole = len(names) / max(len(awake), 1) if getattr(self.rule, "sums", False) else 1.0
        if len(awake) < 2:
            return wanted.index_fill(0, awake, whole)
        places: list[int] = awake.tolist()
        some = [names[place] for place in places]
        part = Given(
            losses[awake],
            norms[awake],
            table[:-2][awake][:, awake],
            wanted[awake] / wanted[awake].mean(),
            self._generator,
        )
        return wanted.index_copy(0, awake, whole * self._asked(some, part, _CPU))

    def _bound(self, names: Sequence[str]) -> Rule:
        """The rule; one that speaks of goals by name, for the goals that it is to see."""
        bind = getattr(self.rule, "bind", None)
        if bind is None:
            return self.rule
        return bind(tuple(names), absent=tuple(name for name in self._known if name not in names))
