"""Models of tokens and of pixels for the tests, and curvature by one gradient a position."""

import torch
from torch import nn

from counterpoint.parameters import named
from counterpoint.seeding import generator

VOCABULARY, LENGTH = 5, 4


class CausalBlock(nn.Module):
    """A transformer of one block that sees the past alone; the output is the embedding, tied."""

    def __init__(self, rank=0):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 4)
        self.block = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.head = nn.Linear(4, VOCABULARY)
        self.head.weight = self.embed.weight
        if rank:
            self.requires_grad_(False)
            # an adapter by hand: the block's own map plus a product of two narrow ones
            self.down, self.up = (nn.Parameter(torch.randn(4, rank)) for _ in range(2))
        self.rank = rank

    def forward(self, input_ids):
        mask = nn.Transformer.generate_square_subsequent_mask(input_ids.shape[1]).to(self.head.bias)
        z = self.block(self.embed(input_ids), src_mask=mask, is_causal=True)
        if self.rank:
            z = z + z @ self.down @ self.up.T
        return self.head(z)


class Returning(nn.Module):
    """The same, returning what libraries of language models do."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return {"loss": None, "logits": self.model(input_ids)}


def seeded_model(make):
    """A model in float64 and evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double().eval()


def images():
    """A net that says of every pixel what it is."""
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 4, 1))


def tokens(rows=6, ignored=True):
    """Token numbers and the numbers that follow, some of which say nothing."""
    ids = torch.randint(0, VOCABULARY, (rows, LENGTH + 1), generator=generator(1))
    following = ids[:, 1:].clone()
    if ignored:
        following[1, 2:], following[-1] = -100, -100
    return ids[:, :-1], following


def pixels(rows=4):
    """Images of two channels and a class a pixel."""
    x = torch.randn(rows, 2, 3, 3, generator=generator(2), dtype=torch.float64)
    return x, torch.randint(0, 4, (rows, 3, 3), generator=generator(3))


def by_position(model, x, y, axis):
    """``Σ p_c g g'`` over rows, positions that count and classes, by plain differentiation."""
    weights = [value for value in named(model).values() if value.requires_grad]
    size = sum(value.numel() for value in weights)
    total = torch.zeros(size, size, dtype=torch.float64)
    for row in range(len(x)):
        logs = model(x[row : row + 1]).movedim(axis, -1).flatten(0, -2).log_softmax(-1)
        for at, kept in enumerate((y[row] != -100).flatten().tolist()):
            for log in logs[at] if kept else ():
                found = torch.autograd.grad(log, weights, retain_graph=True)
                flat = torch.cat([one.flatten() for one in found])
                total += log.exp().detach() * flat[:, None] * flat
    return total
