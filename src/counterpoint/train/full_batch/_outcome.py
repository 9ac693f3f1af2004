"""What a full-batch minimisation comes back with."""

from dataclasses import dataclass

from counterpoint.errors import Ending


class MinimizeEnding(Ending):
    """Why a minimisation stopped."""

    CONVERGED = "the gradient is below the tolerance"
    EXHAUSTED = "all iterations were done; the gradient is still above the tolerance"
    NO_DECREASE = (
        "the method finds no step that lowers the score: a kink, as ReLU has, no curvature where it"
        " needs one, or the limit of float64"
    )
    STOPPED = "the callback asked to stop"
    NON_FINITE = "a search stepped to where nothing is finite; the best weights are kept"
    NOISY = (
        "the score of the same weights has changed since they were found: a goal is noisy; hold"
        " its draws, or use the method 'adam'"
    )


class Ended(Exception):
    """No error: how the observer leaves a method's loop, scipy's included, with the reason."""

    def __init__(self, ending: MinimizeEnding) -> None:
        super().__init__(ending.sentence)
        self.ending = ending


@dataclass(frozen=True)
class Evaluations:
    """What was computed on the way; the cost of a minimisation.

    Attributes:
        gradients: the score together with its gradient: one forward and one backward pass.
        products: Hessian times a vector: one backward pass more, and one gradient with a graph for
            every point at which there are any.
        hessians: the whole matrix: one backward pass a weight.
    """

    gradients: int = 0
    products: int = 0
    hessians: int = 0


@dataclass(frozen=True)
class Iterate:
    """One row of the history.

    Attributes:
        iteration: 0 at the start.
        score: the (weighted) mean of the goals there.
        slope: the largest entry of the gradient, without sign.
        evaluations: gradients computed so far.
        seconds: since the start.
    """

    iteration: int
    score: float
    slope: float
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Minimum:
    """What `minimize` found. The weights are in the model: the best of all that were evaluated.

    Attributes:
        method: by name.
        status: why it stopped.
        score: the (weighted) mean of the goals at the model's weights, in float64.
        goals: each goal there, without its factor.
        slope: the largest entry of the gradient there, without sign.
        iterations: of the method; a line search is part of one.
        evaluations: what was computed, the checks before and after included.
        seconds: of it all.
        history: one `Iterate` an iteration, the start first.
    """

    method: str
    status: MinimizeEnding
    score: float
    goals: dict[str, float]
    slope: float
    iterations: int
    evaluations: Evaluations
    seconds: float
    history: tuple[Iterate, ...]
