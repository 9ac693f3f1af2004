"""Where the weights are, in a few numbers."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from counterpoint.balance._ranks import shard
from counterpoint.errors import InputError


class Positions:
    r"""A fixed random sketch of a model's weights, cheap enough for every step.

    .. math:: p_b = \sum_{i : b(i) = b} \varepsilon_i \sqrt{N_i / n_i} \, \theta_i,
        \qquad E |p(\theta) - p(\theta')|^2 = |\theta - \theta'|^2

    over coordinates i drawn once, ``n_i`` of the ``N_i`` of their tensor, with random signs
    :math:`\varepsilon` and random bins b. All coordinates are taken where there are no more than
    `sampled`; a model of at most `size` weights is its own sketch, with zeros behind it. Tensors
    that are frozen, or not floating point, are left out. Of a sharded tensor a rank sees its own
    shard: sum over the ranks before use.

    Args:
        model: whose weights; its parameters are looked up once.
        generator: on the CPU; one number is drawn from it, which is also all that is saved.
        size: how many numbers.
        sampled: how many weights at most, and at least one of each tensor.

    Raises:
        InputError: `size` or `sampled` is not positive, or nothing of the model can be trained.

    Source: count sketch: Charikar, Chen and Farach-Colton, Finding Frequent Items in Data Streams,
    ICALP 2002.

    >>> model = nn.Linear(2, 1)
    >>> before = (positions := Positions(model, torch.Generator().manual_seed(0)))()
    >>> _ = nn.init.constant_(model.weight, 0.0), nn.init.constant_(model.bias, 5.0)
    >>> positions()[:4].tolist()
    [0.0, 0.0, 5.0, 0.0]
    """

    def __init__(
        self,
        model: nn.Module,
        generator: torch.Generator,
        size: int = 64,
        sampled: int = 16384,
    ) -> None:
        if size < 1 or sampled < 1:
            raise InputError(
                f"positions: size and sampled must be positive, found {size} and {sampled}"
            )
        self.size = size
        self.sampled = sampled
        self._weights = [
            weight
            for weight in model.parameters()
            if weight.requires_grad and weight.is_floating_point()
        ]
        if not any(shard(weight).numel() for weight in self._weights):
            raise InputError("positions: the model has no weight that requires a gradient")
        self._draw(int(torch.randint(2**62, (), generator=generator)))

    def __call__(self) -> Float[Tensor, " size"]:
        """The sketch now, on the first weight's device, not waited for; float64 where it can be.

        Raises:
            RuntimeError: from torch, if a weight has shrunk since the sketch was made.
        """
        with torch.no_grad():
            # Three times as fast as take; only a weight that is not contiguous is copied.
            parts = [
                shard(weight).view(-1).index_select(0, index)
                if weight.is_contiguous()
                else shard(weight).take(index)
                for weight, index in zip(self._weights, self._indices, strict=True)
            ]
            if self._spread:
                parts = [part.to(self._signs.device, non_blocking=True) for part in parts]
            values = torch.cat(parts).to(self._signs.dtype)
            values = torch.cat([values, self._padding]) if len(self._padding) else values
            return (values * self._signs).view(-1, self.size).sum(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The one number that was drawn."""
        return {"seed": torch.tensor(self._seed)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the same coordinates, bins and signs as the sketch that was saved.

        Raises:
            InputError: there is no seed in `state`.
        """
        if "seed" not in state:
            raise InputError(f"positions: the state must have 'seed', found {sorted(state)}")
        self._draw(int(state["seed"]))

    def _draw(self, seed: int) -> None:
        """Coordinates in random order, so that taking them by turns into bins is random too."""
        self._seed = seed
        generator = torch.Generator().manual_seed(seed)
        counts = [shard(weight).numel() for weight in self._weights]
        total, device = sum(counts), shard(self._weights[0]).device
        precise = torch.float32 if device.type == "mps" else torch.float64
        if total <= self.size:
            indices = [torch.arange(count) for count in counts]
            signs = [torch.ones(count) for count in counts]
        else:
            taken = [_share(count, total, self.sampled) for count in counts]
            indices = [
                _choose(count, most, generator) for count, most in zip(counts, taken, strict=True)
            ]
            signs = [
                (2.0 * torch.randint(2, (most,), generator=generator) - 1.0)
                * (count / max(most, 1)) ** 0.5
                for count, most in zip(counts, taken, strict=True)
            ]
        missing = -sum(len(index) for index in indices) % self.size
        self._indices = _placed(indices, self._weights)
        self._spread = len({index.device for index in self._indices}) > 1
        self._padding = torch.zeros(missing, device=device, dtype=precise)
        self._signs = torch.cat([*signs, torch.zeros(missing)]).to(device, precise)


def _placed(indices: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return [index.to(shard(weight).device) for index, weight in zip(indices, weights, strict=True)]


def _share(count: int, total: int, sampled: int) -> int:
    if total <= sampled:
        return count
    return min(count, max(1, round(sampled * count / total)))


def _choose(count: int, most: int, generator: torch.Generator) -> Int64[Tensor, " chosen"]:
    """So many coordinates; of a large tensor with repetition, since its permutation is costly."""
    if most > 0 and count > 16 * most:
        return torch.randint(count, (most,), generator=generator)
    return torch.randperm(count, generator=generator)[:most]
