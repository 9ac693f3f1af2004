"""The network: blocks to latent numbers and back, and what is expected of each number."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 2.0**-20
"""What any number's probability counts as at least, so that none costs without bound."""
DEAD = 0.4
"""What is added before numbers are cut to whole ones: less than a half, so zero is wider."""


@dataclass(frozen=True)
class Shape:
    """Of the images, and of the network.

    Attributes:
        colours: of an image.
        side: of an image, a multiple of `block`.
        block: side of what one latent vector stands for.
        kept: numbers of a latent vector.
        seen: of how many of them in the blocks before the next block is guessed.
        hidden: width of the guessing layers.
    """

    colours: int
    side: int
    block: int
    kept: int
    seen: int
    hidden: int

    @property
    def grid(self) -> int:
        """Blocks along a side."""
        return self.side // self.block

    @property
    def lap(self) -> int:
        """How far a window reaches into the blocks around."""
        return self.block // 2

    @property
    def window(self) -> int:
        """Numbers of a block and of what is around it."""
        return self.colours * (self.block + 2 * self.lap) ** 2

    @property
    def groups(self) -> list[int]:
        """Where each group of a vector's numbers begins; a group is guessed from those before."""
        edges = [0, 1] + [round(3 * 2**k) for k in range(12)]
        return [edge for edge in edges if edge < self.kept] + [self.kept]


class Codec(nn.Module):
    """Blocks go through a linear map and come back; both overlap their neighbours.

    The latent is ``z = A (x - mean)``, which starts as the principal components of blocks, each of
    variance 1; rounded is ``z * gain``.

    Args:
        images: to take the components from, (rows, colours, side, side), between 0 and 1.
        shape: of the network.
        step: the first size of a rounding step, on the scale of the images: fine, so that training
            begins with more bytes than any budget here allows.
    """

    def __init__(self, images: Tensor, shape: Shape, step: float = 0.08) -> None:
        super().__init__()
        self.shape = shape
        mean, spread, axes = components(images, shape)
        self.register_buffer("mean", mean)
        self.analysis = nn.Linear(shape.window, shape.kept)
        self.synthesis = nn.Linear(shape.kept, shape.window)
        self.log_gain = nn.Parameter((spread / step).log())
        self.expects = Expectation(shape)
        self.polish = Polish(shape.colours)
        # the components in the middle of a window that laps over the blocks around, 0 there
        wide = F.pad(axes, (shape.lap,) * 4).flatten(1)
        with torch.no_grad():
            self.analysis.weight.copy_(wide / spread[:, None])
            self.synthesis.weight.copy_((wide * spread[:, None]).T)
            self.analysis.bias.zero_()
            self.synthesis.bias.zero_()

    def latent(self, images: Tensor) -> Tensor:
        """z, (rows, grid, grid, kept)."""
        shape = self.shape
        windows = F.unfold(
            images - self._tiled(),
            shape.block + 2 * shape.lap,
            padding=shape.lap,
            stride=shape.block,
        )
        return self.analysis(windows.transpose(1, 2)).unflatten(1, (shape.grid, shape.grid))

    def images(self, z: Tensor) -> Tensor:
        """What a latent stands for, (rows, colours, side, side)."""
        shape = self.shape
        windows = self.synthesis(z.flatten(1, 2)).transpose(1, 2)
        rough = self._tiled() + F.fold(
            windows,
            shape.side,
            shape.block + 2 * shape.lap,
            padding=shape.lap,
            stride=shape.block,
        )
        return rough + self.polish(rough)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latent, images as they come back, and bits of each, (rows,)."""
        z = self.latent(images)
        gain = self.log_gain.exp()
        # what is decoded is rounded, and passes gradients as if it were not; what is charged is
        # blurred by as much, for it has a slope (Balle et al. 2017; both: Minnen and Singh 2020)
        scaled = z * gain
        rounded = scaled + (whole(scaled) - scaled).detach()
        blurred = scaled + torch.rand_like(scaled) - 0.5
        known = rounded / gain
        middle, log_width = self.expects(known)
        bits = surprise(blurred, middle * gain, log_width + self.log_gain).flatten(1).sum(1)
        return z, self.images(known), bits

    def _tiled(self) -> Tensor:
        return self.mean.repeat(1, self.shape.grid, self.shape.grid)


def components(images: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviations and axes of blocks, the widest first, in the shape of blocks."""
    block, rows = shape.block, len(images)
    parts = images.reshape(rows, shape.colours, shape.grid, block, shape.grid, block)
    flat = parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, shape.colours * block**2).double()
    values, axes = torch.linalg.eigh(torch.cov(flat.T))
    spread = values.flip(0)[: shape.kept].clamp_min(1e-10).sqrt()
    size = (shape.colours, block, block)
    widest = axes.flip(1)[:, : shape.kept].T.float().unflatten(1, size)
    return flat.mean(0).float().reshape(size), spread.float(), widest


def whole(scaled: Tensor) -> Tensor:
    """Whole numbers; what lies near zero becomes zero."""
    return scaled.sign() * (scaled.abs() + DEAD).floor()


class Polish(nn.Module):
    """Takes the edges of blocks away: a correction that starts at nothing."""

    def __init__(self, colours: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * colours, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 4 * colours, 3, padding=1),
            nn.PixelShuffle(2),
        )
        last = self.layers[-2]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, rough: Tensor) -> Tensor:
        """What to add."""
        return self.layers(rough)


class Expectation(nn.Module):
    """Middle and width of each number, from the blocks before and the groups before.

    "Before" is to the left, above, and above to both sides; a decoder has those when it comes to a
    block. Widths are of a Laplace distribution.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        edges, hidden, seen = shape.groups, shape.hidden, 4 * shape.seen
        self.around = nn.Sequential(
            nn.Linear(2 * seen + 4, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.guess = nn.ModuleList()
        self.middle = nn.ModuleList()
        for start, end in pairwise(edges):
            layers = [nn.Linear(hidden + 2 * start, hidden), nn.SiLU()]
            self.guess.append(nn.Sequential(*layers, nn.Linear(hidden, 2 * (end - start))))
            self.middle.append(nn.Linear(seen + start, end - start, bias=False))
            for layer in (self.guess[-1][-1], self.middle[-1]):
                nn.init.zeros_(layer.weight)
            nn.init.zeros_(self.guess[-1][-1].bias)

    def forward(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Middles and logarithms of widths for a whole latent, as `known`."""
        around = self.surroundings(known)
        found = [self.group(k, around, known) for k in range(len(self.guess))]
        middles, widths = zip(*found, strict=True)
        return torch.cat(middles, -1), torch.cat(widths, -1)

    def surroundings(
        self, known: Tensor, at: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the four blocks before say, of every block or of the one at a row and column."""
        grid, seen = known.shape[1], self.shape.seen
        padded = F.pad(known[..., :seen], (0, 0, 1, 1, 1, 0))
        there = F.pad(known.new_ones(len(known), grid, grid, 1), (0, 0, 1, 1, 1, 0))
        row, left, size = (0, 0, grid) if at is None else (*at, 1)

        def cut(whole: Tensor) -> Tensor:
            parts = [
                whole[:, row + down : row + down + size, left + right : left + right + size]
                for down, right in ((1, 0), (0, 1), (0, 0), (0, 2))
            ]
            return torch.cat(parts, -1)

        near = cut(padded)
        return self.around(torch.cat([*_felt(near), cut(there)], -1)), near

    def group(self, k: int, around: tuple[Tensor, Tensor], known: Tensor) -> tuple[Tensor, Tensor]:
        """Middles and logarithms of widths of one group, from what comes before it in `known`."""
        felt, near = around
        before = known[..., : self.shape.groups[k]]
        middle, width = self.guess[k](torch.cat([felt, *_felt(before)], -1)).chunk(2, -1)
        return middle + self.middle[k](torch.cat([near, before], -1)), width.clamp(-7.0, 4.0)


def _felt(values: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers as a network takes them: large ones not so large, and how large without the sign."""
    size = torch.log1p(values.abs())
    return values.sign() * size, size


def surprise(value: Tensor, middle: Tensor, log_width: Tensor) -> Tensor:
    """Bits of a whole number under a Laplace distribution: of the mass within a half of it."""
    rate = math.sqrt(2) * (-log_width).exp()
    away = (value - middle).abs()
    # by the side that is not near 1, so that small masses keep their digits
    inside = (
        1 - 0.5 * (-(0.5 - away).clamp_min(0) * rate).exp() - 0.5 * (-(0.5 + away) * rate).exp()
    )
    outside = 0.5 * (-(away - 0.5).clamp_min(0) * rate).exp() * (1 - (-rate).exp())
    return -(torch.where(away < 0.5, inside, outside) + SMALLEST).log2()
