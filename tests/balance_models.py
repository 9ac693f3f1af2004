"""Models with several goals, and the plain loop that says what is right."""

import torch
from torch import nn


class Spy:
    """A rule that gives chosen weights and remembers what it was given."""

    needs = "gram"
    waits = True

    def __init__(self, *weights):
        self.told = torch.tensor(weights, dtype=torch.float64) if weights else None
        self.seen = []

    def start(self, goals):
        return {}

    def weights(self, given, state):
        self.seen.append(given)
        if self.told is None:
            return torch.arange(1.0, len(given.losses) + 1.0, dtype=torch.float64), {}
        return self.told[: len(given.losses)], {}


class Heads(nn.Module):
    """A trunk and K heads; goals called a, b, c, ..."""

    def __init__(self, trunk, width, goals=3):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({"abcdefgh"[k]: nn.Linear(width, 2) for k in range(goals)})

    def forward(self, x):
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


class Reused(nn.Module):
    """One layer used twice, and its weight a third time, transposed."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x):
        x = torch.tanh(self.layer(x))
        return torch.tanh(self.layer(x)) @ self.layer.weight


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 6, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0][:, -1]


class Pooled(nn.Module):
    """Sparse gradients."""

    def __init__(self, sparse=True):
        super().__init__()
        self.table = nn.Embedding(11, 6, sparse=sparse)

    def forward(self, x):
        return torch.tanh(self.table(x).mean(1))


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens():
    return torch.randint(0, 11, (9, 4), generator=torch.Generator().manual_seed(0))


TRUNKS = {
    "mlp": lambda: (nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.Tanh()), 6),
    "bare": lambda: (nn.Sequential(nn.Linear(5, 6, bias=False), nn.GELU()), 6),
    "wide": lambda: (nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 30)), 30),
    "normed": lambda: (nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.SiLU()), 6),
    "reused": lambda: (Reused(), 5),
    "cnn": lambda: (
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 6), nn.ReLU()),
        6,
    ),
    "sequence": lambda: (nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6)), 6),
    "gru": lambda: (Recurrent(), 6),
    "sparse": lambda: (Pooled(), 6),
}
SHAPES = {"cnn": (9, 1, 6, 6), "sequence": (9, 4, 5), "gru": (9, 4, 3)}


def make(kind, goals=3, seed=0):
    """A model in float64 and its input; weights from the seed, the global stream untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk, width = TRUNKS[kind]()
        model = Heads(trunk, width, goals).double()
    x = tokens() if kind == "sparse" else numbers(*SHAPES.get(kind, (9, 5)))
    return model, x


def goals_of(model, batch):
    """Mean squares against 0, 1, 2, ... with scales far apart."""
    found = model(batch["x"])
    return {
        name: 10.0 ** (-k) * (output - k).square().mean()
        for k, (name, output) in enumerate(found.items())
    }


def jacobian(losses, weights):
    """The goals' gradients as rows: one plain backward pass a goal."""
    rows = []
    for loss in losses.values():
        parts = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        dense = [
            torch.zeros_like(w) if p is None else p.to_dense() if p.is_sparse else p
            for p, w in zip(parts, weights, strict=True)
        ]
        rows.append(torch.cat([part.flatten() for part in dense]))
    return torch.stack(rows)


def gradient(weights):
    """What is in `.grad`, as one row."""
    return torch.cat(
        [(torch.zeros_like(w) if w.grad is None else w.grad.to_dense()).flatten() for w in weights]
    )


def expected(losses, model):
    """The gradient with weights 1, 2, 3, ..."""
    weights = [*model.parameters()]
    rows = jacobian(losses, weights)
    return torch.arange(1.0, len(rows) + 1.0, dtype=torch.float64).to(rows) @ rows / len(rows)


def close(found, wanted, tolerance=1e-12):
    """Equal up to a part of the largest number."""
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()
