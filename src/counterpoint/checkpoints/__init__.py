"""Weight files of any program: listed without trust, read and written in pieces.

In comes a path: a `.safetensors` file, a file of `torch.save`, a folder of shards with an index, a
folder of `torch.distributed.checkpoint`. Out comes a `Checkpoint`: names, types, shapes and the
places of the bytes, all of which was checked against the files, none of which was executed, and
for which torch was not imported. `Reader` reads any range of any tensor from there.
`CheckpointWriter` goes the other way: parts in any order and from any process, and a file or folder
that exists when all are there; killed and begun again, it goes on.

>>> import tempfile, torch
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as parent:
...     file = Path(parent, "net.pt")
...     torch.save({"state_dict": {"module.weight": torch.ones(2, 3)}, "epoch": 4}, file)
...     found = open_checkpoint(file)
>>> found.tensors["weight"].dtype, found.tensors["weight"].shape
('F32', (2, 3))
>>> for note in found.notes:
...     note
"net.pt: read from 'state_dict'"
"net.pt: wrappers' names taken off (module.weight is weight)"
"""

from counterpoint.checkpoints._layout import LAYOUTS, NewTensor, is_file, layout_of, refuse_taken
from counterpoint.checkpoints._names import natural, plain_names, state_path, which_state
from counterpoint.checkpoints._new_safetensors import INDEX
from counterpoint.checkpoints._open import companions, open_checkpoint
from counterpoint.checkpoints._reader import Reader
from counterpoint.checkpoints._tensor import ITEM_SIZES, Box, Checkpoint, StoredTensor
from counterpoint.checkpoints._writer import CheckpointWriter, content_digest

__all__ = [
    "INDEX",
    "ITEM_SIZES",
    "LAYOUTS",
    "Box",
    "Checkpoint",
    "CheckpointWriter",
    "NewTensor",
    "Reader",
    "StoredTensor",
    "companions",
    "content_digest",
    "is_file",
    "layout_of",
    "natural",
    "open_checkpoint",
    "plain_names",
    "refuse_taken",
    "state_path",
    "which_state",
]
