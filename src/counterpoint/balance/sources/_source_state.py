"""A source at work: what it is asked, and what of it is kept."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from counterpoint.balance._ranks import Ranks
from counterpoint.balance._rule import NEEDS, Rule
from counterpoint.balance.sources._auto import choose, make_source
from counterpoint.balance.sources._hook import spelt
from counterpoint.balance.sources._sketch import movable
from counterpoint.balance.sources._source import GramSource, Measured, StepContext, Unfit
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.parameters import Pattern


class SourceState:
    """The source that was asked for or, for "auto", the one that fits the goals, at work.

    What a source may have beside `GramSource.measure` is asked of it here and nowhere else.

    Attributes:
        at: the weights that count.
        choice: what "auto" chose, and why; None before the first step, or where somebody chose.

    Args:
        gram: "auto", the name of a source, or a source.
        rule: what it is for.
        at: the weights that count.
        seed: of what it draws.

    Raises:
        InputError: it is no source, measures less than the rule needs, or has no use for `at`.
    """

    def __init__(self, gram: str | GramSource, rule: Rule, at: Pattern | None, seed: int) -> None:
        self.at, self.choice, self._rule = at, None, rule
        self.choice: tuple[str, str] | None
        self._automatic = gram == "auto"
        self._source: GramSource | None = None
        if not self._automatic:
            self._source = _source_of(gram, at, seed)
            _refuse_blind(self._source, gram, rule)

    @property
    def name(self) -> str:
        """What decides where it measures: what "auto" chooses may change with the goals."""
        return "auto" if self._automatic else self.text

    @property
    def text(self) -> str:
        """Where it measures, and why there; "" before "auto" has seen a step."""
        if self._source is None:
            return ""
        return getattr(self._source, "text", type(self._source).__name__)

    @property
    def looks(self) -> bool:
        """Whether it evaluates the goals itself, before a step's own forward pass."""
        return callable(getattr(self._source, "look", None))

    def look(self, goals: Goals, model: nn.Module, batch: Batch, ranks: Ranks) -> object:
        """What a source that looks has seen, for its `measure`."""
        look = getattr(self._source, "look", None)
        return None if look is None else look(goals, model, batch, movable(model, self.at), ranks)

    def measure(self, context: StepContext) -> Measured:
        """The Gram matrix of one step."""
        if self._source is not None:
            try:
                return self._source.measure(context)
            except Unfit:
                # the goals of this step are others than those it was chosen for: choose again
                if not self._automatic:
                    raise
        self.choice = choose(self._rule, context)
        self._source = make_source(*self.choice)
        return self._source.measure(context)

    def state(self) -> dict[str, Tensor]:
        """What the source remembers; nothing for most."""
        state = getattr(self._source, "state", None)
        return {} if state is None else dict(state())

    def restore(self, choice: Sequence[str] | None, state: Mapping[str, Tensor]) -> None:
        """Go on with what another run chose (none: choose at the next step) and remembered."""
        if self._automatic:
            self.choice = self._source = None
            if choice is not None:
                gram, why = choice
                self.choice, self._source = (gram, why), make_source(gram, why)
        restore = getattr(self._source, "restore", None)
        if restore is not None and state:
            restore(state)


def _source_of(gram: str | GramSource, at: Pattern | None, seed: int) -> GramSource:
    """The source itself, or the one of a name."""
    if isinstance(gram, str):
        return make_source(gram, at=at, seed=seed)
    # by what it does: a source of somebody else need not know the protocol
    if not callable(getattr(gram, "measure", None)):
        raise InputError(f"gram: expected a source or the name of one, found {gram!r}")
    if at is not None and not callable(getattr(gram, "look", None)):
        raise InputError(
            f"at: {spelt(at)} would not be looked at: {type(gram).__name__} decides itself where it"
            " measures; leave at= out, or name the source: gram='parameters'"
        )
    return gram


def _refuse_blind(source: GramSource, gram: object, rule: Rule) -> None:
    """Refuse a source that shows less than the rule reads: its weights would not be numbers."""
    gives = getattr(source, "gives", NEEDS[-1])
    if NEEDS.index(gives) >= NEEDS.index(rule.needs):
        return
    spelling = repr(gram) if isinstance(gram, str) else type(source).__name__
    raise InputError(
        f"gram={spelling}: shows {gives} alone, and the rule {rule!r} needs"
        f" {'the norms of the gradients' if rule.needs == 'norms' else 'their Gram matrix'}; use"
        " gram='auto', or a rule that looks at losses only, such as 'uncertainty' or 'dwa'"
    )
