"""Small models with every kind of layer, and curvature by one backward pass an example."""

import torch
from torch import nn
from torch.nn import functional

from counterpoint.nn import NAU, NMU, Maxout

ROWS = 5


class Tied(nn.Module):
    """An embedding whose table is also the head."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4)
        self.head.weight = self.table.weight

    def forward(self, ids):
        return self.head(self.table(ids).mean(1).tanh())


class Twice(nn.Module):
    """One linear layer called twice."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 4)

    def forward(self, x):
        return self.outer(self.inner(self.inner(x).tanh()).tanh())


class Bare(nn.Module):
    """Parameters without a module: a functional linear map, a scale, an offset."""

    def __init__(self):
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))
        self.offset = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return functional.linear(x * self.scale, self.weight) + self.offset


class Derived(nn.Module):
    """A parameter that is used only through another: not to be read."""

    def __init__(self):
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(3, 3)), nn.Linear(3, 4)

    def forward(self, x):
        return self.head((x @ (self.weight + self.weight.T)).tanh())


class Pooled(nn.Module):
    """A body on sequences, averaged, and a head."""

    def __init__(self, body, width=3):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 4)

    def forward(self, x):
        out = self.body(x)
        out = out[0] if isinstance(out, tuple) else out
        return self.head(out.tanh().mean(1))


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, *, batch_first=True, **options):
        super().__init__()
        self.first = batch_first
        self.inner = nn.MultiheadAttention(4, 2, batch_first=batch_first, **options)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = x if self.first else x.transpose(0, 1)
        out, _ = self.inner(x, x, x, need_weights=False)
        return self.head(out.mean(1 if self.first else 0))


class SequenceFirst(nn.Module):
    """Linear and normalisation on ``positions x examples x features``."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.head = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.norm(self.inner(x.transpose(0, 1)).tanh()).mean(0))


def images(channels=2, size=6):
    return torch.randn(ROWS, channels, size, size)


def convolution(*layers):
    return nn.Sequential(
        *layers, nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(3)
    )


def batch_norm():
    layer = nn.BatchNorm2d(3)
    layer.running_mean = torch.randn(3)
    layer.running_var = torch.rand(3) + 0.5
    return layer


def vectors():
    return torch.randn(ROWS, 3)


def sequences(width=3):
    return torch.randn(ROWS, 4, width)


def tokens():
    return torch.randint(0, 4, (ROWS, 6))


class Adapters(nn.Module):
    """Two small factors by hand beside a matrix that is known, in all the ways to transpose."""

    def __init__(self, inputs=3, rank=2, outputs=4):
        super().__init__()
        self.register_buffer("base", torch.randn(outputs, inputs))
        self.down, self.up = (
            nn.Parameter(torch.randn(size)) for size in ((rank, inputs), (outputs, rank))
        )
        self.again = nn.Parameter(torch.randn(outputs, outputs))

    def forward(self, x):
        z = x @ self.base.T + torch.matmul(x @ self.down.T, self.up.t())
        return (z @ self.again.transpose(0, 1)).tanh() @ self.again.mT


READ = {
    "linear": (lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)), vectors),
    "no bias": (
        lambda: nn.Sequential(nn.Linear(3, 5, bias=False), nn.Tanh(), nn.Linear(5, 4)),
        vectors,
    ),
    "one linear, twice": (Twice, vectors),
    "bare parameters": (Bare, vectors),
    "in-place relu": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.ReLU(inplace=True), nn.Linear(6, 4)),
        vectors,
    ),
    "linear on a sequence": (lambda: Pooled(nn.Linear(3, 3)), sequences),
    "layer norm on a sequence": (lambda: Pooled(nn.LayerNorm(3)), sequences),
    "rms norm": (lambda: Pooled(nn.RMSNorm(3)), sequences),
    "tied embedding and head": (Tied, tokens),
    "embedding with padding": (lambda: Pooled(nn.Embedding(4, 3, padding_idx=1)), tokens),
    "attention": (Attention, lambda: sequences(4)),
    "attention, positions first": (lambda: Attention(batch_first=False), lambda: sequences(4)),
    "positions first": (SequenceFirst, sequences),
    "encoder layer": (
        lambda: Pooled(nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), 4),
        lambda: sequences(4),
    ),
    "convolution": (lambda: convolution(nn.Conv2d(2, 3, 3, padding=1)), images),
    "depthwise": (lambda: convolution(nn.Conv2d(2, 4, 3, groups=2)), images),
    "dilated and strided": (
        lambda: convolution(nn.Conv2d(2, 3, (3, 2), stride=(2, 1), dilation=(1, 2), padding=1)),
        images,
    ),
    "same padding": (lambda: convolution(nn.Conv2d(2, 3, 4, padding="same")), images),
    "reflected": (
        lambda: convolution(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")),
        images,
    ),
    "circular": (
        lambda: convolution(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")),
        images,
    ),
    "one dimension": (
        lambda: nn.Sequential(nn.Conv1d(4, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, 4)),
        sequences,
    ),
    "three dimensions": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.Flatten(), nn.Linear(16, 4)),
        lambda: torch.randn(ROWS, 1, 3, 3, 3),
    ),
    "group norm": (lambda: convolution(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)), images),
    "batch norm": (lambda: convolution(nn.Conv2d(2, 3, 3), batch_norm()), images),
    "instance norm": (
        lambda: convolution(nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3, affine=True)),
        images,
    ),
    "transposed": (lambda: convolution(nn.ConvTranspose2d(2, 3, 3)), images),
    "embedding bag": (
        lambda: nn.Sequential(nn.EmbeddingBag(4, 3, mode="sum"), nn.Tanh(), nn.Linear(3, 4)),
        tokens,
    ),
    "maxout": (lambda: nn.Sequential(Maxout(3, 4), nn.Linear(4, 4)), vectors),
    "prelu": (lambda: nn.Sequential(nn.Linear(3, 3), nn.PReLU(3), nn.Linear(3, 4)), vectors),
    "adapters by hand": (Adapters, vectors),
    "adapters of sequences": (lambda: nn.Sequential(Adapters(), nn.Flatten()), sequences),
    "adapters of one number": (
        lambda: nn.Sequential(nn.Linear(3, 1), Adapters(1, 1, 1), nn.Linear(1, 4)),
        vectors,
    ),
}
"""Read by kernels, or an operation at a time."""


class Last(nn.Module):
    """What a recurrent layer ends with."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


class Merged(nn.Module):
    """Two small factors multiplied before they meet the input: no weight is read."""

    def __init__(self):
        super().__init__()
        self.register_buffer("base", torch.randn(4, 3))
        self.down, self.up = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(4, 2))

    def forward(self, x):
        return x @ (self.base + self.up @ self.down).T


class Curve(nn.Module):
    """Numbers without a dimension, as constants of nature are."""

    def __init__(self):
        super().__init__()
        self.height, self.rate = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.height * torch.exp(-self.rate * x)


class Gated(nn.Module):
    """A layer behind a gate and over a temperature."""

    def __init__(self):
        super().__init__()
        self.gate, self.warmth = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(1.2))
        self.line = nn.Linear(3, 4)

    def forward(self, x):
        return (x.mean(1, keepdim=True) + self.gate * self.line(x)) / self.warmth.exp()


WHOLE = {
    "adapters alone": (Merged, vectors),
    "a curve": (Curve, vectors),
    "sums": (lambda: nn.Sequential(NAU(3, 4), nn.Tanh(), nn.Linear(4, 4)), vectors),
    "products of sums": (lambda: nn.Sequential(NAU(3, 3), NMU(3, 4)), vectors),
    "gated": (Gated, vectors),
    "gru alone": (lambda: Last(nn.GRU(3, 4, batch_first=True)), sequences),
    "weight norm without a bias": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4, bias=False)),
        vectors,
    ),
    "lstm": (lambda: Pooled(nn.LSTM(3, 3, batch_first=True)), sequences),
    "derived": (Derived, vectors),
    "sequences merged into examples": (
        lambda: nn.Sequential(
            nn.Flatten(0, 1),
            nn.Linear(3, 2),
            nn.Tanh(),
            nn.Unflatten(0, (-1, 4)),
            nn.Flatten(),
            nn.Linear(8, 4),
        ),
        sequences,
    ),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh()),
        vectors,
    ),
}
"""Some weights of which go through the whole model."""


def build(name, dtype=torch.float64):
    """A model in evaluation mode, and its inputs."""
    factory, inputs = {**READ, **WHOLE}[name]
    with torch.random.fork_rng():
        torch.manual_seed(sum(map(ord, name)))
        model, x = factory().to(dtype).eval(), inputs()
        x = x.to(dtype) if x.is_floating_point() else x
        model(x)  # lazy layers take shape
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model, x


def jacobians(model, x):
    """``rows x outputs x weights``, by one backward pass for each."""
    weights = list(model.parameters())
    rows = []
    for one in x.split(1):
        output = model(one).flatten()
        each = []
        for value in output:
            found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
            parts = [
                torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)
            ]
            each.append(torch.cat([part.to_dense().flatten() for part in parts]))
        rows.append(torch.stack(each))
    return torch.stack(rows)


def softmax_ggn(model, x, weight=None):
    """``Σ w J'(diag p − pp')J`` in full."""
    total = 0
    for n, jacobian in enumerate(jacobians(model, x)):
        p = model(x[n : n + 1]).softmax(1)[0].detach()
        middle = torch.diag(p) - torch.outer(p, p)
        total = total + (1 if weight is None else weight[n]) * jacobian.T @ middle @ jacobian
    return total


def softmax_empirical(model, x, y):
    """``Σ g g'`` of the observed labels' gradients, in full."""
    total = 0
    for n, jacobian in enumerate(jacobians(model, x)):
        p = model(x[n : n + 1]).softmax(1)[0].detach()
        g = jacobian.T @ (p - functional.one_hot(y[n], len(p)))
        total = total + torch.outer(g, g)
    return total
