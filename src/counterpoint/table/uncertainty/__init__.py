"""Where a prediction's knowledge comes from: one file a kind, all with the same few answers.

In come trained networks and the prepared table; out comes for each network a `MemberPosterior`,
which predicts every target with noise and knowledge apart, and says what must be kept on disk to do
so again. `UNCERTAINTIES` names them: "last-layer" and "luna" put an exact Gaussian on each head's
weights (luna's trunk was trained otherwise, see `counterpoint.table.fit._luna`), "laplace" a
Gaussian on all weights, and an "ensemble" has nothing but what its members disagree about.

All are as sure of themselves as rows outside the training allow. A trunk that was fitted to a row
leaves it a smaller residual than to a new one, so each member predicts the rows it left out, and
one number a target is chosen under which these predictions are likeliest: the noise variance of a
number, a factor on the prior precision of a category. How the noise of a number differs from row to
row, and how heavy its tails are, is learnt from the same rows (`RowNoise`).

>>> sorted(UNCERTAINTIES)
['ensemble', 'laplace', 'last-layer', 'luna']
"""

from counterpoint.table.uncertainty._ensemble import ENSEMBLE
from counterpoint.table.uncertainty._laplace import LAPLACE
from counterpoint.table.uncertainty._last_layer import LAST_LAYER, LastLayers
from counterpoint.table.uncertainty._member_posterior import (
    FeaturePosterior,
    MemberPosterior,
    PosteriorFiles,
    UncertaintyKind,
)

__all__ = [
    "UNCERTAINTIES",
    "FeaturePosterior",
    "LastLayers",
    "MemberPosterior",
    "PosteriorFiles",
    "UncertaintyKind",
]

UNCERTAINTIES: dict[str, UncertaintyKind] = {
    "last-layer": LAST_LAYER,
    "luna": LAST_LAYER,
    "laplace": LAPLACE,
    "ensemble": ENSEMBLE,
}
"""Name -> how it is fitted and read back."""
