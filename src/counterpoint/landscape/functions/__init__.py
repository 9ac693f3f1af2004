"""The field's test functions as landscapes, with what is known of them.

>>> found = problem("rastrigin", dimension=2)
>>> here = found.landscape(found.landscape.minimum[None])
>>> float(here.values[0, 0]), found.lowest
(0.0, 0.0)
>>> problem("zdt1", dimension=5).front.shape
torch.Size([201, 2])
"""

from counterpoint.errors import InputError, one_of
from counterpoint.landscape._landscape import checked
from counterpoint.landscape.functions._classic import CLASSIC, classic
from counterpoint.landscape.functions._formula import Formula, Problem
from counterpoint.landscape.functions._several import SEVERAL, several

__all__ = ["CLASSIC", "SEVERAL", "Formula", "Problem", "problem"]


def problem(name: str, dimension: int = 2, goals: int = 3) -> Problem:
    """A test function by its name.

    Args:
        name: one of `CLASSIC` (one goal) or `SEVERAL`, in whatever case.
        dimension: d; Rosenbrock and the functions of several goals need at least 2, Himmelblau
            exactly 2, DTLZ at least `goals`.
        goals: K of a DTLZ function, at least 2; the others have theirs.

    Raises:
        InputError: no such function, or it is not defined in this dimension.
    """
    name = one_of("test function", name, [*CLASSIC, *SEVERAL])
    checked(name, 1, dimension)
    least = 2 if name in ("rosenbrock", "himmelblau", *SEVERAL) else 1
    if name.startswith("dtlz"):
        if goals < 2:
            raise InputError(f"{name}: goals must be at least 2, found {goals}")
        least = goals
    if dimension < least or (name == "himmelblau" and dimension != 2):
        exactly = "exactly" if name == "himmelblau" else "at least"
        raise InputError(f"{name}: is defined in {exactly} {least} dimensions, found {dimension}")
    return classic(name, dimension) if name in CLASSIC else several(name, dimension, goals)
