"""Data sets that examples and benchmarks use, as plain numpy and pandas values.

Each loader looks for its files in the folder that the environment variable ``COUNTERPOINT_DATA``
names, then in the user's cache (``$XDG_CACHE_HOME/counterpoint``), and otherwise downloads them
from the canonical source. Whatever the place, every byte is checked against a SHA-256 known here
before it is parsed; a partial download is never kept. Nothing is fetched on import, nothing is
unpickled.

In comes a name; out come arrays and data frames, unscaled and in the published order. One set is
made, not fetched: `cubic_gap`, from a seed.

>>> train, test = standard_splits(rows=768)[0]  # the first of the 20 published splits of energy
>>> len(train), len(test), test[:3].tolist()
(691, 77, [648, 166, 595])
"""

from counterpoint.datasets._adult import adult
from counterpoint.datasets._cifar import CIFAR10_CLASSES, cifar10
from counterpoint.datasets._cubic import cubic_gap
from counterpoint.datasets._mnist import MNIST, mnist
from counterpoint.datasets._movielens import movielens
from counterpoint.datasets._uci import UCI, UCI_NAMES, standard_splits, uci

__all__ = [
    "CIFAR10_CLASSES",
    "MNIST",
    "UCI",
    "UCI_NAMES",
    "adult",
    "cifar10",
    "cubic_gap",
    "mnist",
    "movielens",
    "standard_splits",
    "uci",
]
