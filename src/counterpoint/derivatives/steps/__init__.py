"""How far a difference goes: the same everywhere, by the rule of best practice, or drawn."""

from counterpoint.derivatives.steps.drawn import Drawn
from counterpoint.derivatives.steps.fixed import Fixed
from counterpoint.derivatives.steps.relative import Relative
from counterpoint.derivatives.steps.step import Step, best

__all__ = ["Drawn", "Fixed", "Relative", "Step", "best"]
