"""Rules of balancing: from losses, norms and angles of K gradients to K weights.

In go the `RuleInputs` of a step, and what the rule remembers; out come weights w, so that the step
is along ``(1/K) sum_k w_k g_k``, and what to remember. Rules differ in what they need:

- losses alone: `Sum`, `Uncertainty`, `ImtlL`, `Dwa`, `GeometricMean`, `Stch`, `Famo`,
  `SoftAdapt`, `Relobralo`, `Alternate`, which takes one goal a step, and `Constraint`, for goals
  that need only be low enough;
- norms of the gradients: `Magnitude` (impartial by default), `GradNorm`, `DbMtl`;
- the angles between them: `Mgda`, `PcGrad`, `UpGrad`, `CaGrad`, `ImtlG`, `NashMtl`,
  `AlignedMtl`, `FairGrad`, `Config`, `Pamoo`, `Protect`.

What each promises is in the table of the page "Balancing rules". All take a preference for each
goal. None sees a gradient, none is changed by a step, none raises for what numbers it is given.

Two gradients, (3, 0) and (-1, 1), conflict. Without its part along the other each is harmless:
(3/2, 3/2) and (0, 1), and the mean of those is the step of UPGrad.

>>> import torch
>>> from counterpoint.balance._gram import Gram
>>> from counterpoint.balance._rule import RuleInputs
>>> rows = torch.tensor([[3.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
>>> gram, ones = Gram.of(rows), torch.ones(2, dtype=torch.float64)
>>> inputs = RuleInputs(ones, gram.norms, gram.cosines, ones, torch.Generator())
>>> weights, _ = rule("upgrad").weights(inputs, {})
>>> weights @ rows / 2
tensor([0.7500, 1.2500], dtype=torch.float64)
"""

from collections.abc import Callable

from counterpoint.balance._rule import Rule
from counterpoint.balance.rules._aligned_mtl import AlignedMtl
from counterpoint.balance.rules._alternate import Alternate
from counterpoint.balance.rules._cagrad import CaGrad
from counterpoint.balance.rules._config import Config
from counterpoint.balance.rules._constraint import Constrained, Constraint
from counterpoint.balance.rules._db_mtl import DbMtl
from counterpoint.balance.rules._dwa import Dwa
from counterpoint.balance.rules._fairgrad import FairGrad
from counterpoint.balance.rules._famo import Famo
from counterpoint.balance.rules._geometric_mean import GeometricMean
from counterpoint.balance.rules._gradnorm import GradNorm
from counterpoint.balance.rules._imtl_g import ImtlG
from counterpoint.balance.rules._imtl_l import ImtlL
from counterpoint.balance.rules._magnitude import Magnitude
from counterpoint.balance.rules._mgda import Mgda
from counterpoint.balance.rules._nash_mtl import NashMtl
from counterpoint.balance.rules._pamoo import Pamoo
from counterpoint.balance.rules._pcgrad import PcGrad
from counterpoint.balance.rules._protect import Protect, Protected
from counterpoint.balance.rules._relobralo import Relobralo
from counterpoint.balance.rules._softadapt import SoftAdapt
from counterpoint.balance.rules._stch import Stch
from counterpoint.balance.rules._sum import Sum
from counterpoint.balance.rules._uncertainty import Uncertainty
from counterpoint.balance.rules._upgrad import UpGrad
from counterpoint.errors import InputError, one_of

__all__ = [
    "RULES",
    "AlignedMtl",
    "Alternate",
    "CaGrad",
    "Config",
    "Constrained",
    "Constraint",
    "DbMtl",
    "Dwa",
    "FairGrad",
    "Famo",
    "GeometricMean",
    "GradNorm",
    "ImtlG",
    "ImtlL",
    "Magnitude",
    "Mgda",
    "NashMtl",
    "Pamoo",
    "PcGrad",
    "Protect",
    "Protected",
    "Relobralo",
    "SoftAdapt",
    "Stch",
    "Sum",
    "Uncertainty",
    "UpGrad",
    "rule",
]

RULES: dict[str, Callable[[], Rule]] = {
    "sum": Sum,
    "uncertainty": Uncertainty,
    "imtl-l": ImtlL,
    "dwa": Dwa,
    "geometric-mean": GeometricMean,
    "stch": Stch,
    "famo": Famo,
    "softadapt": SoftAdapt,
    "relobralo": Relobralo,
    "db-mtl": DbMtl,
    "magnitude": Magnitude,
    "impartial": Magnitude,
    "gradnorm": GradNorm,
    "mgda": Mgda,
    "pcgrad": PcGrad,
    "upgrad": UpGrad,
    "cagrad": CaGrad,
    "imtl-g": ImtlG,
    "nash-mtl": NashMtl,
    "aligned-mtl": AlignedMtl,
    "fairgrad": FairGrad,
    "config": Config,
    "pamoo": Pamoo,
    "alternate": Alternate,
}
"""Names that stand for a rule with its defaults."""

_TOLD = {
    "protect": "Protect(('memory',)), with their names",
    "constraint": "Constraint('bytes', at_most=300.0), with its name and bound",
}


def rule(chosen: str | Rule) -> Rule:
    """The rule of a name, in whatever case, with its defaults; a rule itself passes through.

    Raises:
        InputError: no rule has this name, or it cannot be made from its name alone.

    >>> rule("impartial")
    Magnitude(power=-1.0, relative=False, decay=0.9, floor=1e-08)
    """
    if isinstance(chosen, Rule):
        return chosen
    if not isinstance(chosen, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"rule: expected a name such as 'impartial', or a rule, found {chosen!r}")
    if chosen.lower() in _TOLD:
        raise InputError(
            f"rule {chosen.lower()!r}: must be told which goals; write {_TOLD[chosen.lower()]}"
        )
    return RULES[one_of("rule", chosen, RULES)]()
