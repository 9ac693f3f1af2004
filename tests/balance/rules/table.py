"""The table of rules: what each promises. The tests hold it, and the docs show it.

Each promise is one of: "yes"; "no"; "two" (with two goals); "independent" (where no combination of
the gradients is zero); "drawn" (in distribution: a draw decides which goal is which).
"""

from dataclasses import dataclass

from counterpoint.balance.rules import (
    AlignedMtl,
    Alternate,
    CaGrad,
    Config,
    Constrained,
    DbMtl,
    Dwa,
    FairGrad,
    Famo,
    GeometricMean,
    GradNorm,
    ImtlG,
    ImtlL,
    Magnitude,
    Mgda,
    NashMtl,
    Pamoo,
    PcGrad,
    Protected,
    Relobralo,
    SoftAdapt,
    Stch,
    Sum,
    Uncertainty,
    UpGrad,
)

MARKS = {"yes": "yes", "no": "–", "two": "K = 2", "independent": "if independent", "drawn": "drawn"}


@dataclass(frozen=True)
class Row:
    """A rule and its promises.

    Attributes:
        name: for `rule`.
        rule: the one that is tested.
        harmless: non-conflicting: <d, g_k> >= 0 for all k.
        unitless: goals k measured in units c_k (loss and gradient) give the same direction.
        degree: losses and gradients times c give c^degree d; None if no power does.
        symmetric: permutation equivariant.
        linear: linear under scaling: goals k times c_k (loss and gradient) -> d is linear in c > 0.
        rests: if a positive combination of all the gradients is zero, d = 0.
        note: where the row needs a word.
    """

    name: str
    rule: object
    harmless: str = "no"
    unitless: str = "no"
    degree: float | None = None
    symmetric: str = "yes"
    linear: str = "no"
    rests: str = "no"
    note: str = ""


TABLE = [
    Row("sum", Sum(), degree=1, linear="yes"),
    Row("uncertainty", Uncertainty(), note="at rest, the unit of a loss does not matter"),
    Row("imtl-l", ImtlL(), note="at rest, the unit of a loss does not matter"),
    Row("dwa", Dwa(window=1), degree=1, linear="yes", note="weights do not depend on units"),
    Row("geometric-mean", GeometricMean(), unitless="yes", degree=1, note="for positive losses"),
    Row("stch", Stch()),
    Row("famo", Famo(), unitless="yes", degree=1, note="for positive losses"),
    Row("softadapt", SoftAdapt()),
    Row("relobralo", Relobralo(), degree=1, linear="yes", note="weights do not depend on units"),
    Row("db-mtl", DbMtl(), unitless="yes", degree=0),
    Row(
        "magnitude",
        Magnitude(floor=0.0),
        unitless="yes",
        degree=1,
        note="power -1; invariant while norms are within 1/floor of the largest",
    ),
    Row("gradnorm", GradNorm(), degree=1, note="learns its way to the norms it wants"),
    Row("mgda", Mgda(), harmless="yes", degree=1, rests="yes"),
    Row("pcgrad", PcGrad(), harmless="two", degree=1, symmetric="drawn", linear="yes"),
    Row("upgrad", UpGrad(), harmless="yes", degree=1, linear="yes", rests="yes"),
    Row("cagrad", CaGrad(), degree=1),
    Row("imtl-g", ImtlG(), harmless="independent", unitless="yes", degree=1),
    Row(
        "nash-mtl",
        NashMtl(),
        harmless="independent",
        unitless="yes",
        degree=0,
        note="about 1e-3 long, not 0, where a combination of the gradients is 0",
    ),
    Row("aligned-mtl", AlignedMtl(), degree=1, note="d is never 0 unless J is"),
    Row("fairgrad", FairGrad(), harmless="independent", degree=-1 / 3, note="for alpha 2"),
    Row("config", Config(), harmless="independent", unitless="yes", degree=1, linear="yes"),
    Row(
        "pamoo",
        Pamoo(),
        harmless="independent",
        unitless="yes",
        degree=0,
        note="takes goals to share a minimum",
    ),
    Row("alternate", Alternate(), degree=1, symmetric="drawn", linear="yes"),
    Row(
        "protect",
        Protected((0,)),
        degree=1,
        symmetric="no",
        note="harms no protected goal; treats the others alike",
    ),
    Row(
        "constraint",
        Constrained((0,), (0.3,)),
        symmetric="no",
        note="holds goals at or below a bound in their own unit; treats the others alike",
    ),
]


def page() -> str:
    """The table as the docs show it."""
    head = (
        "| rule | reads | remembers | harms no goal | units do not matter | degree | symmetric "
        "| linear in sizes | rests | note |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_line(row) for row in TABLE)])


def _line(row: Row) -> str:
    marks = [MARKS[mark] for mark in (row.harmless, row.unitless)]
    degree = {None: "–", -1 / 3: "-1/3"}.get(row.degree, row.degree)
    more = [MARKS[mark] for mark in (row.symmetric, row.linear, row.rests)]
    remembers = ", ".join(sorted(row.rule.start(2))) or "–"
    name = f"`{row.name}`"
    cells = [name, row.rule.needs, remembers, *marks, str(degree), *more, row.note]
    return "| " + " | ".join(cells) + " |"
