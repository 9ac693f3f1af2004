"""Convolutions of one, two and three dimensions: linear maps of patches."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from counterpoint.curvature.reading.calls._call import Arguments, Call, Entry
from counterpoint.gaussian import LayerJacobian

_STEP = 25
"""Examples whose patches are held at a time: so few stay in cache."""


@dataclass(frozen=True)
class Convolution(Call):
    """``torch.nn.functional.conv1d``, ``conv2d`` and ``conv3d``, with groups."""

    axis: int
    names: tuple[str, ...]
    positions: int
    weight: str | None
    bias: str | None
    inputs: Float[Tensor, "rows channels ..."]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def read(cls, arguments: Arguments) -> "Convolution | None":
        """From ``convNd(input, weight, bias, stride, padding, dilation, groups)``."""
        given, weight = arguments.get(0, "input"), arguments.get(1, "weight")
        space = weight.ndim - 2
        inputs = arguments.rows_first(given, (0,))
        if inputs is None or given.ndim != weight.ndim or id(given) in arguments.weights:
            return None
        kernel = tuple(weight.shape[2:])
        dilation = _each(arguments.get(5, "dilation", 1), space)
        return cls(
            axis=0,
            names=arguments.names(),
            positions=arguments.result[0, 0].numel(),
            weight=arguments.weight(1, "weight"),
            bias=arguments.weight(2, "bias"),
            inputs=inputs.detach(),
            kernel=kernel,
            stride=_each(arguments.get(3, "stride", 1), space),
            padding=_padding(arguments.get(4, "padding", 0), kernel, dilation),
            dilation=dilation,
            groups=arguments.get(6, "groups", 1),
        )

    @property
    def map(self) -> tuple[str, ...]:
        """Its weight and, if it has one, its bias."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)

    @property
    def maps(self) -> int:
        """Its groups, when its weight is asked for."""
        return self.groups if self.weight is not None else 0

    @property
    def step(self) -> int | None:
        """A few examples: patches are copies of the input, kernel size times over."""
        return _STEP

    def kept(self) -> tuple[Tensor, ...]:
        """The input."""
        return (self.inputs,)

    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """One outer product a position: the patch there and the delta there."""
        patches = self._patches(self.inputs[rows].to(deltas.dtype))
        shape = (*deltas.shape[:2], self.groups, deltas.shape[2] // self.groups, -1)
        deltas = deltas.reshape(shape).transpose(3, 4)
        return [LayerJacobian(self.weight, self.bias, patches, deltas)]

    def _patches(
        self, inputs: Float[Tensor, "rows channels ..."]
    ) -> Float[Tensor, "rows groups positions inputs"]:
        """Patches in the order of the kernel's entries: channel of the group, then space."""
        if any(before or after for before, after in self.padding):
            # `pad` counts dimensions from the last
            ends = [end for pair in reversed(self.padding) for end in pair]
            inputs = functional.pad(inputs, ends)
        if len(self.kernel) == 3:
            return self._volumes(inputs)
        # a line is an image of height one
        flat = [
            (1,) * (2 - len(self.kernel)) + size
            for size in (self.kernel, self.dilation, self.stride)
        ]
        kernel, dilation, stride = flat
        image = inputs if inputs.ndim == 4 else inputs[:, :, None]
        columns = functional.unfold(image, kernel, dilation, stride=stride)
        return columns.view(len(inputs), self.groups, -1, self.positions).mT

    def _volumes(
        self, inputs: Float[Tensor, "rows channels depth height width"]
    ) -> Float[Tensor, "rows groups positions inputs"]:
        view = inputs
        for place in range(3):
            # a window as wide as the dilated kernel, thinned out below
            reach = (self.kernel[place] - 1) * self.dilation[place] + 1
            view = view.unfold(2 + place, reach, self.stride[place])
        steps = (slice(None, None, step) for step in self.dilation)
        view = view[(*[slice(None)] * 5, *steps)]
        rows, channels = view.shape[:2]
        view = view.reshape(rows, self.groups, channels // self.groups, *view.shape[2:])
        # positions before what a patch holds: channel of the group, then depth, height, width
        order = (0, 1, 3, 4, 5, 2, 6, 7, 8)
        return view.permute(order).reshape(rows, self.groups, self.positions, -1)


def _each(value: Any, space: int) -> tuple[int, ...]:
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * space if len(numbers) == 1 else numbers


def _padding(
    value: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after; ``"same"`` puts an odd one after, as torch does."""
    if value == "valid":
        return tuple((0, 0) for _ in kernel)
    if value == "same":
        totals = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((size, size) for size in _each(value, len(kernel)))
