"""Merges of weight files: prepared from headers alone, streamed, verified.

`merge_files` is all of it in one call. `prepare` says what would be done without importing torch,
`write_merge` does it in bounded memory and goes on where it was killed, `verify_merge` sees that a
result is what its recipe makes of its inputs, and `series_weights` has the shares that stand for a
decay of the learning rate over the checkpoints of a run.

>>> import tempfile, torch
>>> from safetensors.torch import load_file, save_file
>>> from counterpoint.merge.files import merge_files, verify_merge
>>> with tempfile.TemporaryDirectory() as folder:
...     files = [f"{folder}/{name}.safetensors" for name in "abc"]
...     for file, value in zip(files[:2], (0.0, 4.0)):
...         save_file({"w": torch.tensor([value])}, file)
...     done = merge_files(files[:2], files[2], 0.25)
...     load_file(files[2])["w"], verify_merge(files[2]).holds
(tensor([1.]), True)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterpoint.merge.files._prepared import PreparedMerge, prepare, table_of
from counterpoint.merge.files._recipe import MergeRecipe, recipe_of
from counterpoint.merge.files._series import SCHEDULES, series_of, series_weights

if TYPE_CHECKING:
    from counterpoint.merge.files._compute import load_state
    from counterpoint.merge.files._diff import compared
    from counterpoint.merge.files._stream import FileMerge, merge_files, write_merge
    from counterpoint.merge.files._verify import VerifiedMerge, verify_merge

__all__ = [
    "SCHEDULES",
    "FileMerge",
    "MergeRecipe",
    "PreparedMerge",
    "VerifiedMerge",
    "compared",
    "load_state",
    "merge_files",
    "prepare",
    "recipe_of",
    "series_of",
    "series_weights",
    "table_of",
    "verify_merge",
    "write_merge",
]

_HOMES = {
    "FileMerge": "_stream",
    "VerifiedMerge": "_verify",
    "compared": "_diff",
    "load_state": "_compute",
    "merge_files": "_stream",
    "verify_merge": "_verify",
    "write_merge": "_stream",
}
"""What needs torch, and is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
