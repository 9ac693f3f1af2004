"""Where rows come from, and the one form in which they travel: a `Batch`.

In come tensors, arrays, a `DataLoader`, lists or objects that yield batches, Parquet files; out
come `Batch`es, which everything that looks at data is given: the goals ``goals(model, batch)``, the
balancer, curvature, posteriors and memories. A batch says what the model is called with, what was
observed, and how much each row counts.

- `as_batch` says how batches may be spelt; ``unpack=`` is a function of your own wherever data are
  taken, and returns `Batch.of`. Row weights are named, never guessed from a position. They are
  finite and at least 0: `Tensors` looks once at all of them, wherever they are; a batch that is
  read is looked at on the CPU alone, since elsewhere every step would wait for the device.
- `as_loader` makes a `Loader` of whatever holds the rows: `Tensors` in memory, a `ParquetStream` of
  files that do not fit, `Batched` for what has batches and an order of its own. The order of a
  loader is a pure function of a seed, so that a killed run goes on with the batch that was next.
- `one_pass` goes through the data once, which generators allow too.

What the user's batch calls by a name is found by that name, and no name of the user's can be taken
for one of ours:

>>> import torch
>>> batch = as_batch({"x": torch.tensor([[1.0], [2.0]]), "y": torch.tensor([3.0, 4.0])})
>>> batch.rows, batch["y"].tolist(), batch.target is batch["y"]
(2, [3.0, 4.0], True)
>>> [part["x"].tolist() for part in as_loader(batch).batches(1)]
[[[1.0]], [[2.0]]]
"""

from counterpoint.data._batch import Batch, types_named
from counterpoint.data._batched import Batched
from counterpoint.data._load import DataLike, as_loader, count_rows, known_rows, one_pass
from counterpoint.data._loader import Loader
from counterpoint.data._parquet import ParquetStream
from counterpoint.data._tensors import Tensors
from counterpoint.data._unpack import Unpack, as_batch

__all__ = [
    "Batch",
    "Batched",
    "DataLike",
    "Loader",
    "ParquetStream",
    "Tensors",
    "Unpack",
    "as_batch",
    "as_loader",
    "count_rows",
    "known_rows",
    "one_pass",
    "types_named",
]
