"""Ratings of items by users: a Gaussian over what is known of each of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from counterpoint.errors import InputError, nearest, one_of
from counterpoint.estimators._checks import (
    Floats,
    number,
    refuse_flat,
    seed_of,
    whole,
)
from counterpoint.estimators._factors import Factorisation, Ratings, Tastes, with_rows
from counterpoint.estimators._ids import Ids, Names, pairs_of, rated, text_of
from counterpoint.estimators._looks import components, effects, likeness
from counterpoint.estimators._recommender_folder import Kept, read_kept, write_kept
from counterpoint.estimators._sweeps import Tell, fitted
from counterpoint.plain import StrPath
from counterpoint.posterior import Predictive
from counterpoint.seeding import threads


class Recommender(RegressorMixin, BaseEstimator):
    r"""Ratings of items by users, with intervals, and what to recommend.

    A rating is :math:`c + a_u + b_i + p_u' q_i + \epsilon`. What is known of each user,
    :math:`(a_u, p_u)`, and of each item, :math:`(b_i, q_i)`, is a Gaussian of its own, in closed
    form given the other side; the two sides take turns. Priors, a full covariance a side, and the
    noise are those of greatest evidence, and the number of turns is chosen on ratings left out. One
    who was never seen has the prior, so that what is known of the other speaks alone.

    Source: Lim & Teh, "Variational Bayesian Approach to Movie Rating Prediction" (2007).

    Args:
        factors: entries of :math:`p` and :math:`q`; 0: effects of users and items alone.
        sweeps: turns of both sides; None: as many as predict best a tenth of the ratings that is
            left out, after which all are learnt from.
        random_state: seed, `numpy.random.RandomState`, or None for a fresh one.

    Attributes:
        factors_: what is known of all users and items, in the unit of the ratings' deviation.
        users_, items_: their names, as texts, in the order in which they came.
        range_: least and greatest rating; predictions stay within.
        history_: log density of the ratings that were left out, sweep by sweep; empty where
            `sweeps` is given, there are no factors, or ratings are few.
        sweeps_: how many there were.

    >>> pairs = pd.DataFrame({"who": list("aabbccdd"), "what": list("xyxyxyxx")})
    >>> model = Recommender(factors=0, sweeps=5).fit(pairs, [5, 1, 4, 2, 5, 1, 4, 5])
    >>> model.recommend("d", 1)["what"].tolist()  # x is seen, and y is left
    ['y']
    >>> asked = pd.DataFrame({"who": ["a", "nobody"], "what": ["x", "y"]})
    >>> mean, std = model.predict(asked, return_std=True)
    >>> bool(mean[0] > mean[1]), bool(std[0] < std[1])
    (True, True)
    """

    def __init__(
        self,
        *,
        factors: int = 20,
        sweeps: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.factors = factors
        self.sweeps = sweeps
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, tell: Tell | None = None) -> "Recommender":
        """Learn from ratings.

        Args:
            X: frame or array (ratings, 2): who, and what; a pair that comes twice counts twice.
            y: (ratings,), finite numbers.
            tell: called with a sentence after each sweep.

        Raises:
            InputError: other than two columns, a row without a name, fewer than two users or
                items, or ratings that are all the same.
        """
        width = 1 + whole("factors", self.factors, 0)
        sweeps = None if self.sweeps is None else whole("sweeps", self.sweeps, 1)
        user, item = pairs_of(self, X, reset=True)
        value, names = rated(user, item, y), self._named()
        refuse_flat(value[:, None], np.ones(len(value)))
        self._users, self._items = Ids([]).with_more(user), Ids([]).with_more(item)
        for ids, what in ((self._users, names[0]), (self._items, names[1])):
            if len(ids) < 2:
                raise InputError(
                    f"X: all ratings are of one {what}, {ids.names[0]!r}: at least two are needed"
                    " to tell what is theirs"
                )
        self._given = self._coded(user, item, value)
        self._scale = (float(value.mean()), float(value.std()))
        self.range_ = (float(value.min()), float(value.max()))
        with threads(1):
            self.factors_, self.history_, self.sweeps_ = fitted(
                self._standard, width, sweeps, seed_of(self.random_state), tell
            )
        return self

    def partial_fit(self, X: Any, y: ArrayLike) -> "Recommender":
        """Learn more ratings, in closed form and without another fit; at first, fit.

        The rows of the items that are rated become what all their ratings say given the users, then
        those of the users who rate what all theirs say given the items: exactly, not nearly. New
        users and items are added; priors and noise stay.

        Args:
            X: (ratings, 2), as in `fit`.
            y: (ratings,), finite numbers.

        Raises:
            InputError: ratings that cannot be used.
        """
        if not hasattr(self, "factors_"):
            return self.fit(X, y)
        user, item = pairs_of(self, X, reset=False)
        value = rated(user, item, y)
        self._users, self._items = self._users.with_more(user), self._items.with_more(item)
        more = self._coded(user, item, value)
        self._given = replace(
            more,
            user=np.concatenate([self._given.user, more.user]),
            item=np.concatenate([self._given.item, more.item]),
            value=np.concatenate([self._given.value, more.value]),
        )
        self.range_ = (min(self.range_[0], value.min()), max(self.range_[1], value.max()))
        known = self.factors_
        with threads(1):
            users = known.users.widened(len(self._users))
            items = known.items.widened(len(self._items))
            items = with_rows(self._standard.turned, items, users, known.noise, more.item)
            users = with_rows(self._standard, users, items, known.noise, more.user)
        self.factors_ = Factorisation(users, items, known.noise)
        return self

    def predictive(self, X: Any) -> Predictive:
        """The predictive distribution of each pair, noise and knowledge apart.

        Args:
            X: (pairs, 2), as in `fit`; who or what was never seen may stand there too.

        Returns:
            Shapes (pairs, 1), in the unit of the ratings.
        """
        check_is_fitted(self)
        user, item = pairs_of(self, X, reset=False)
        return self._predictive(self._users.codes(user), self._items.codes(item))

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected ratings, within the range of those of fit, and on request their deviations.

        Args:
            X: (pairs, 2), as in `fit`; who or what was never seen may stand there too.
            return_std: also return the standard deviation, noise and knowledge together.

        Returns:
            (pairs,); a pair of them with `return_std`.
        """
        predictive = self.predictive(X)
        mean = predictive.mean[:, 0].numpy().clip(*self.range_)
        return (mean, predictive.std[:, 0].numpy()) if return_std else mean

    def recommend(
        self, user: object, n: int = 10, *, level: float = 0.9, seen: bool = False
    ) -> pd.DataFrame:
        """The items that a user would rate highest, those of greatest expected rating first.

        Args:
            user: who; one who was never seen gets what is liked by all.
            n: how many at most.
            level: of the interval of the rating, ``low`` to ``high``.
            seen: whether also items that were rated already.

        Returns:
            One row an item: its name, ``mean``, ``low``, ``high``, its number of ``ratings``; none
            where everything is seen.
        """
        check_is_fitted(self)
        place = int(self._users.codes([user])[0])
        items = np.arange(len(self._items))
        if not seen:
            items = np.setdiff1d(items, self._given.item[self._given.user == place])
        found = self._predictive(np.full(len(items), place), items)
        low, high = (edge[:, 0].numpy().clip(*self.range_) for edge in found.interval(level))
        table = pd.DataFrame(
            {
                self._names[1]: np.array(self._items.names, object)[items],
                "mean": found.mean[:, 0].numpy().clip(*self.range_),
                "low": low,
                "high": high,
                "ratings": self._counts("items")[items],
            }
        )
        # by the unclipped mean: of two at the edge one is beyond by more
        order = np.argsort(-found.mean[:, 0].numpy(), kind="stable")[: whole("n", n, 1)]
        return table.iloc[order].reset_index(drop=True)

    def effects(self, of: str = "items", *, level: float = 0.9) -> pd.DataFrame:
        """How far each item lies above the average one, to the average user; or users, to items.

        Args:
            of: "items" or "users".
            level: of the interval of the effect, ``low`` to ``high``.

        Returns:
            One row an item, the highest first: name, ``effect``, ``low``, ``high``, ``ratings``.
        """
        number("level", level, "a share between 0 and 1", lambda share: 0 < share < 1)
        own, other, ids, name = self._side(of)
        effect, deviation = (self._scale[1] * part for part in effects(own, other))
        reach = deviation * float(torch.special.ndtri(torch.tensor((1 + level) / 2)))
        table = pd.DataFrame(
            {
                name: ids.names,
                "effect": effect,
                "low": effect - reach,
                "high": effect + reach,
                "ratings": self._counts(of),
            }
        )
        return table.sort_values("effect", ascending=False, kind="stable", ignore_index=True)

    def map(self, of: str = "items") -> pd.DataFrame:
        """Where each item (or user) lies along the two directions of taste that matter most.

        Args:
            of: "items" or "users".

        Returns:
            One row an item: its name, ``first`` and ``second`` (steps that move ratings by one, as
            standard deviation over the users), and its number of ``ratings``; the shares of the
            variance in ``attrs["explained"]``. The largest entry of each is positive.
        """
        own, other, ids, name = self._side(of, tastes=True)
        found, shares = components(own, other)
        first, second = self._scale[1] * found.T
        table = pd.DataFrame(
            {name: ids.names, "first": first, "second": second, "ratings": self._counts(of)}
        )
        table.attrs["explained"] = shares.tolist()
        return table

    def nearest(self, name: object, n: int = 10, *, of: str = "items") -> pd.DataFrame:
        """The items (or users) most like one: liked by the same.

        Args:
            name: of the item.
            n: how many at most.
            of: "items" or "users".

        Returns:
            One row an item, the most alike first: name, ``likeness`` from -1 to 1, ``ratings``.

        Raises:
            InputError: there is none of that name.
        """
        own, other, ids, column = self._side(of, tastes=True)
        place = int(ids.codes([name])[0])
        if place < 0:
            raise InputError(
                f"{column} {text_of(name)!r}: unknown{nearest(text_of(name), ids.names)}"
            )
        alike = likeness(own, other, place)
        order = np.argsort(-alike, kind="stable")
        order = order[order != place][: whole("n", n, 1)]
        return pd.DataFrame(
            {
                column: np.array(ids.names, object)[order],
                "likeness": alike[order],
                "ratings": self._counts(of)[order],
            }
        )

    @property
    def users_(self) -> list[str]:
        """The users' names."""
        return list(self._users.names)

    @property
    def items_(self) -> list[str]:
        """The items' names."""
        return list(self._items.names)

    @property
    def noise_(self) -> float:
        """Standard deviation of the noise, in the unit of the ratings."""
        return self.factors_.noise**0.5 * self._scale[1]

    def known(self, X: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each pair's user, and its item, was seen: (pairs,) each."""
        check_is_fitted(self)
        user, item = pairs_of(self, X, reset=False)
        return self._users.codes(user) >= 0, self._items.codes(item) >= 0

    def save(
        self,
        path: StrPath,
        *,
        overwrite: bool = False,
        documents: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a folder, whole or not at all; ratings are in it, as updates need them.

        Args:
            path: the folder.
            overwrite: replace a model that is there.
            documents: name -> JSON value, to keep beside it.

        Raises:
            InputError: the folder exists, or the disk refused.
        """
        check_is_fitted(self)
        kept = Kept(
            settings=self.get_params(),
            names=self._names,
            named=hasattr(self, "feature_names_in_"),
            users=self._users.names,
            items=self._items.names,
            ratings=self._given,
            scale=self._scale,
            range=self.range_,
            factors=self.factors_,
            history=list(self.history_),
            sweeps=self.sweeps_,
        )
        write_kept(path, kept, overwrite=overwrite, documents=documents or {})

    @classmethod
    def load(cls, path: StrPath) -> "Recommender":
        """Read a folder; every byte is verified first.

        Raises:
            InputError: it is missing, damaged, of another kind or version.
        """
        kept = read_kept(path)
        model = cls(**kept.settings)
        model._users, model._items = Ids(kept.users), Ids(kept.items)
        model._names, model._given, model._scale = kept.names, kept.ratings, kept.scale
        model.range_, model.factors_ = kept.range, kept.factors
        model.history_, model.sweeps_ = kept.history, kept.sweeps
        found: Any = model  # scikit-learn sets these in fit, undeclared
        found.n_features_in_ = 2
        if kept.named:
            found.feature_names_in_ = np.array(kept.names, object)
        return model

    @property
    def _standard(self) -> Ratings:
        """The ratings with mean 0 and variance 1."""
        return replace(self._given, value=(self._given.value - self._scale[0]) / self._scale[1])

    def _predictive(self, user: NDArray[np.intp], item: NDArray[np.intp]) -> Predictive:
        with threads(1):
            mean, variance = self.factors_.predict(user, item)
        shift, scale = self._scale
        mean, knowledge = (torch.from_numpy(part)[:, None] for part in (mean, variance))
        noise = torch.full_like(mean, self.factors_.noise)
        return Predictive(shift + scale * mean, scale**2 * noise, scale**2 * knowledge)

    def _coded(self, user: Names, item: Names, value: Floats) -> Ratings:
        codes = (self._users.codes(user), self._items.codes(item))
        return Ratings(*codes, value, len(self._users), len(self._items))

    def _counts(self, of: str) -> NDArray[np.intp]:
        code = self._given.item if of == "items" else self._given.user
        return np.bincount(code, minlength=len(self._items if of == "items" else self._users))

    def _side(self, of: str, *, tastes: bool = False) -> tuple[Tastes, Tastes, Ids, str]:
        """The side that is meant, the other one, its names, and what they are names of."""
        check_is_fitted(self)
        if tastes and self.factors_.users.mean.shape[1] == 1:
            raise InputError("factors=0: effects are known, and no tastes; fit with factors=2")
        found = self.factors_
        if one_of("of", of, ("items", "users")) == "items":
            return found.items, found.users, self._items, self._names[1]
        return found.users, found.items, self._users, self._names[0]

    def _named(self) -> tuple[str, str]:
        """What users and items are called: as the columns, where they have names."""
        given = tuple(map(str, getattr(self, "feature_names_in_", ("user", "item"))))
        self._names = (given[0], given[1])
        return self._names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
