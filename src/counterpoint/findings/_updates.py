"""What updates taught since the fit: what moved, was learnt and was forgotten."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShiftFindings:
    """How a column's values in an update's rows differ from those of all earlier rows.

    `distance` is the total variation distance between the shares in bins or levels: 0 where they
    are alike, 1 where they have nothing in common. `chance` is the p value of a chi-squared test
    that both come from one distribution, and `moved` says whether it is a shift worth a look: more
    than chance, and not tiny. `before` and `after` are the means of a number in the column's unit,
    or the share of what was the commonest level; `new` are levels that no earlier row had, with
    their rows. `before_text` and `after_text` are the two as the column writes them.
    """

    column: str
    kind: str
    distance: float
    chance: float
    moved: bool
    before: float | None
    after: float | None
    level: str | None = None
    new: dict[str, int] = field(default_factory=dict[str, int])
    # later, so that folders that were written before are read
    before_text: str = ""
    after_text: str = ""


@dataclass(frozen=True)
class UpdatedTarget:
    """One target before and after an update.

    `earlier` maps a measure's name to its values before and after on earlier rows, as `source`
    says: "kept rows", "sufficient statistics" (exact, of the rows learnt from, mean of the
    members) or "Gaussian" (an estimate of the loss added, in nats a row). `new` maps measures
    on the update's own rows, each predicted by a model that had not learnt it, likewise. `classes`
    are those that the update brought, with their rows, and `recognised` the share of these rows
    that were given their class.
    """

    name: str
    kind: str
    source: str
    earlier_rows: int
    # pairs (before, after), not two dicts: neither can lack a measure that the other has
    earlier: dict[str, tuple[float | None, float | None]]
    new_rows: int
    new: dict[str, tuple[float | None, float | None]]
    classes: dict[str, int] = field(default_factory=dict[str, int])
    recognised: float | None = None


@dataclass(frozen=True)
class UpdateFindings:
    """One `counterpoint update`: rows learnt after the fit, what moved, was forgotten and learnt.

    `forget` is the share of what earlier rows say that was forgotten on purpose, `deep` whether
    the trunk was trained, too.
    """

    name: str
    created: str
    rows: int
    earlier_rows: int
    forget: float
    deep: bool
    seconds: float
    shifts: list[ShiftFindings]
    targets: list[UpdatedTarget]
    notes: list[str] = field(default_factory=list[str])
