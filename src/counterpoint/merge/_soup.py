"""The mean of those models that help, found one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Generic, TypeVar

from counterpoint.errors import InputError
from counterpoint.merge._merge import merge
from counterpoint.merge._state import Model

_Model = TypeVar("_Model", bound=Model)


@dataclass(frozen=True)
class Soup(Generic[_Model]):
    """What `greedy_soup` found.

    Attributes:
        model: the mean of the models that were kept.
        kept: their places in the list, in the order in which they were tried.
        scores: of each model alone.
        score: of the mean.
    """

    model: _Model
    kept: tuple[int, ...]
    scores: tuple[float, ...]
    score: float


def greedy_soup(models: Sequence[_Model], score: Callable[[_Model], float]) -> Soup[_Model]:
    """Add models from the best on, and keep each that does not lower the score.

    Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time", recipe 1.

    Args:
        models: of one architecture; at least one.
        score: greater is better; on rows that are neither trained nor reported on.

    Raises:
        InputError: there is no model, or a score is NaN.

    >>> import torch
    >>> models = [{"w": torch.tensor([value])} for value in (0.0, 4.0, 9.0)]
    >>> soup = greedy_soup(models, lambda model: -abs(float(model["w"]) - 2))
    >>> soup.model["w"], soup.kept
    (tensor([2.]), (0, 1))
    """
    if not models:
        raise InputError("soup: at least one model is expected, found none")
    scores = [float(score(model)) for model in models]
    if any(isnan(one) for one in scores):
        # it compares with nothing: the order would be that of the list
        raise InputError(f"soup: the score of model {1 + [*map(isnan, scores)].index(True)} is NaN")
    order = sorted(range(len(models)), key=lambda place: -scores[place])
    kept, best, mean = [order[0]], scores[order[0]], models[order[0]]
    for place in order[1:]:
        tried = merge([models[one] for one in (*kept, place)])
        found = float(score(tried))
        # at least as good, as in the paper: a model that changes nothing makes the mean steadier
        if found >= best:
            kept, best, mean = [*kept, place], found, tried
    return Soup(mean, tuple(kept), tuple(scores), best)
