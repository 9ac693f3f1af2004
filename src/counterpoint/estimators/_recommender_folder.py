"""A recommender as a folder: factors, ratings and names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.estimators._factors import Factorisation, Ratings, Tastes
from counterpoint.findings import RATINGS_KIND, RATINGS_SCHEMA
from counterpoint.plain import StrPath
from counterpoint.storage import read_folder, write_folder

_UNFIT = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Kept:
    """All that a recommender is, as plain values and arrays."""

    settings: dict[str, Any]
    names: tuple[str, str]
    named: bool
    users: list[str]
    items: list[str]
    ratings: Ratings
    scale: tuple[float, float]
    range: tuple[float, float]
    factors: Factorisation
    history: list[float]
    sweeps: int


def write_kept(path: StrPath, kept: Kept, *, overwrite: bool, documents: Mapping[str, Any]) -> None:
    """Write the folder, whole or not at all."""
    settings = dict(kept.settings)
    # a state of numpy's generator is no setting that a file can hold
    if not isinstance(settings["random_state"], int | None):
        settings["random_state"] = None
    given = kept.ratings
    tensors = {
        "ratings": {
            "user": torch.from_numpy(given.user),
            "item": torch.from_numpy(given.item),
            "value": torch.from_numpy(given.value),
        },
        "users": _packed(kept.factors.users),
        "items": _packed(kept.factors.items),
    }
    own: dict[str, Any] = {
        "users": kept.users,
        "items": kept.items,
        "model": {
            "settings": settings,
            "names": list(kept.names),
            "named": kept.named,
            "scale": list(kept.scale),
            "range": list(kept.range),
            "noise": kept.factors.noise,
            "history": kept.history,
            "sweeps": kept.sweeps,
        },
    }
    write_folder(
        path,
        kind=RATINGS_KIND,
        schema=RATINGS_SCHEMA,
        tensors=tensors,
        documents={**documents, **own},
        overwrite=overwrite,
    )


def read_kept(path: StrPath) -> Kept:
    """Read the folder, verified.

    Raises:
        InputError: it is missing, damaged, of another kind or version, or its parts do not fit.
    """
    folder = read_folder(path, kind=RATINGS_KIND, schema=RATINGS_SCHEMA)
    try:
        model, users, items = (folder.document(name) for name in ("model", "users", "items"))
        found = {name: tensor.numpy() for name, tensor in folder.tensors("ratings").items()}
        ratings = Ratings(
            found["user"].astype(np.intp), found["item"].astype(np.intp), found["value"],
            len(users), len(items),
        )  # fmt: skip
        sides = (_unpacked(folder.tensors(name)) for name in ("users", "items"))
        return Kept(
            settings=model["settings"],
            names=(model["names"][0], model["names"][1]),
            named=model["named"],
            users=users,
            items=items,
            ratings=ratings,
            scale=(model["scale"][0], model["scale"][1]),
            range=(model["range"][0], model["range"][1]),
            factors=Factorisation(*sides, noise=model["noise"]),
            history=model["history"],
            sweeps=model["sweeps"],
        )
    except InputError:
        raise
    except _UNFIT as error:
        raise InputError(f"{path}: its parts do not fit together: {error!s:.200}") from error


def _packed(side: Tastes) -> dict[str, Tensor]:
    """A side with half of each covariance, which is symmetric: a folder half as large."""
    upper = torch.triu_indices(len(side.centre), len(side.centre))
    return {
        "mean": side.mean,
        "covariance": side.covariance[:, upper[0], upper[1]].contiguous(),
        "centre": side.centre,
        "spread": side.spread,
    }


def _unpacked(tensors: Mapping[str, Tensor]) -> Tastes:
    width = len(tensors["centre"])
    upper = torch.triu_indices(width, width)
    half = tensors["covariance"]
    covariance = torch.empty(len(half), width, width, dtype=torch.float64)
    covariance[:, upper[0], upper[1]] = half
    covariance[:, upper[1], upper[0]] = half
    return Tastes(tensors["mean"], covariance, tensors["centre"], tensors["spread"])
