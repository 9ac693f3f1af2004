"""Read any range of any tensor of a checkpoint, into memory that the caller has."""

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from counterpoint.checkpoints._tensor import ITEM_SIZES, Box, StoredTensor
from counterpoint.errors import InputError

if TYPE_CHECKING:
    # for tensors that do not lie in one piece; a listing needs it not, and it takes a moment
    import numpy as np


class Reader:
    """Open files of checkpoints; use it as a context, one a thread.

    A tensor that lies row after row in its file is read from there in any pieces. One that does
    not (transposed when it was saved, or cut along its columns) is put together as a whole first,
    and kept until another of them is asked for.

    >>> import tempfile
    >>> from counterpoint.checkpoints import open_checkpoint
    >>> from safetensors.numpy import save_file
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     file = f"{parent}/w.safetensors"
    ...     save_file({"w": np.arange(4, dtype=np.uint8)}, file)
    ...     two = bytearray(2)
    ...     with Reader() as reader:
    ...         reader.read(open_checkpoint(file).tensors["w"], 1, memoryview(two))
    >>> list(two)
    [1, 2]
    """

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}
        self._gathered: tuple[StoredTensor, memoryview] | None = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def read(self, tensor: StoredTensor, first: int, into: memoryview) -> None:
        """Read as many bytes of a tensor as `into` has, from byte `first` of its contents.

        Raises:
            InputError: the file has become shorter since it was listed.
        """
        if tensor.runs is None:
            into[:] = self._whole(tensor)[first : first + len(into)]
            return
        at, end = 0, first + len(into)
        for file, offset, size in tensor.runs:
            low, high = max(first, at), min(end, at + size)
            if low < high:
                self._fill(file, offset + low - at, into[low - first : high - first])
            at += size

    def _whole(self, tensor: StoredTensor) -> memoryview:
        if self._gathered is None or self._gathered[0] is not tensor:
            self._gathered = (tensor, self._gather(tensor))
        return self._gathered[1]

    def _gather(self, tensor: StoredTensor) -> memoryview:
        import numpy as np

        # of the right width is enough: numbers are moved, not read, and numpy knows no bfloat16
        kind = np.dtype(f"u{ITEM_SIZES[tensor.dtype]}")
        values = np.empty(tensor.shape, kind)
        for box in tensor.boxes:
            ends = zip(box.start, box.sizes, strict=True)
            place = tuple(slice(first, first + size) for first, size in ends)
            values[place] = self._part(box, kind)
        return values.reshape(-1).view(np.uint8).data

    def _part(self, box: Box, kind: "np.dtype[np.unsignedinteger]") -> "np.ndarray":
        import numpy as np

        content = np.empty(box.span, kind)
        self._fill(box.file, box.offset, content.view(np.uint8).data)
        # within `content`: the span was taken from these very sizes and strides
        steps = tuple(stride * kind.itemsize for stride in box.strides)
        return np.lib.stride_tricks.as_strided(content, box.sizes, steps, writeable=False)

    def _fill(self, file: Path, offset: int, into: memoryview) -> None:
        if file not in self._handles:
            self._handles[file] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        done = 0
        # one call reads at most 2 GiB
        while done < len(into):
            count = os.preadv(self._handles[file], [into[done:]], offset + done)
            if count == 0:
                raise InputError(f"{file}: became shorter while it was read")
            done += count
