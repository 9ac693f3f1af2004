"""Units change places and functions do not; a shuffled copy is found to be the same network."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from counterpoint.errors import InputError
from counterpoint.merge.alignment import align
from counterpoint.seeding import seeded

close = torch.testing.assert_close


class Residual(nn.Module):
    """Convolutions with batch norms, a residual sum, depthwise filters, a flattened head."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.bn2 = nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.back, self.pool = nn.Conv2d(16, 6, 1), nn.MaxPool2d(2)
        self.hidden, self.head = nn.Linear(6 * 16, 10), nn.Linear(10, 3)

    def forward(self, x):
        x = functional.relu(self.bn(self.stem(x)))
        x = x + self.back(functional.gelu(self.depth(self.bn2(self.inner(x)))))
        return self.head(self.hidden(torch.flatten(self.pool(x), 1)).tanh())


class Attention(nn.Module):
    """Tokens and places, pre-norm attention and feed-forward layers, a tied head."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(7, 8), nn.Parameter(torch.randn(5, 8))
        self.norm, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.token.weight

    def forward(self, ids):
        x = self.token(ids) + self.place
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.down(functional.gelu(self.up(self.norm2(x))))
        return self.head(x[:, 0])


class Odd(nn.Module):
    """A group convolution, halves of units, and a weight that is read by hand."""

    def __init__(self):
        super().__init__()
        self.first, self.grouped = nn.Conv1d(2, 4, 1), nn.Conv1d(4, 4, 1, groups=2)
        self.inner, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
        self.scale = nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        x = self.grouped(self.first(x)).mean(2)
        return self.last(self.inner(x).relu()) @ self.scale.T


def mlp():
    return nn.Sequential(
        nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)
    )


CASES = {
    "mlp": (mlp, torch.randn(6, 4)),
    "residual": (Residual, torch.randn(4, 1, 8, 8)),
    "attention": (Attention, torch.randint(0, 7, (4, 5))),
    "odd": (Odd, torch.randn(3, 2, 5)),
}
every = pytest.mark.parametrize("case", CASES)


def made(case, seed):
    build, x = CASES[case]
    with seeded(seed):
        net = build()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.running_var, module.bias):
                    tensor.data.uniform_(0.5, 1.5)
    return net.double().eval(), x.double() if x.is_floating_point() else x


@every
def test_what_a_model_computes_stays(case):
    (one, x), (two, _) = made(case, 0), made(case, 1)
    before = copy.deepcopy(two.state_dict())
    found = align([one, two], x)
    close(found.models[1](x), two(x), rtol=1e-9, atol=1e-9)
    close(two.state_dict(), before, rtol=0, atol=0)
    assert found.models[0] is one
    assert found.distances[0][1] <= found.distances[0][0]


@pytest.mark.parametrize("case", ["mlp", "residual", "attention"])
def test_a_shuffled_copy_is_found_to_be_the_same_network(case):
    (one, x), (two, _) = made(case, 0), made(case, 1)
    # one's units in the order of another network: a shuffle that no formula of ours made
    shuffled = align([two, one], x).models[1]
    assert not all(map(torch.equal, one.parameters(), shuffled.parameters()))
    back = align([one, shuffled], x)
    close(back.models[1].state_dict(), one.state_dict(), rtol=0, atol=0)
    assert back.distances[0][1] == 0


def test_every_hidden_unit_of_the_usual_networks_is_free():
    for case, free in (
        ("mlp", {"0", "2"}),
        ("residual", {"stem", "inner", "hidden"}),
        ("attention", {"token", "attention heads", "up"}),
    ):
        net, x = made(case, 0)
        found = align([net, copy.deepcopy(net)], x)
        assert {each.layer for each in found.units if not each.fixed} == free
        assert not found.untraced
        # the words of a tied head are what the embedding's rows are
        assert set(found.fixed) == ({"head"} if case == "attention" else set())


def test_what_is_not_read_is_named_and_stays():
    net, x = made("odd", 0)
    found = align([net, made("odd", 1)[0]], x)
    assert found.fixed["first"] == "it reaches grouped (Conv1d), which is not read"
    assert "matmul" in found.fixed["last"]
    assert "inner" not in found.fixed
    assert found.untraced == ("grouped.bias", "grouped.weight")


def test_the_tied_head_and_the_first_model_are_as_they_were():
    (one, x), (two, _) = made("attention", 0), made("attention", 1)
    found = align([one, two, made("attention", 2)[0]], x)
    assert len(found.models) == 3
    for model in found.models:
        assert model.head.weight is model.token.weight


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else x


def test_refused_in_one_line():
    x = torch.zeros(1, 2)
    with pytest.raises(InputError, match="Branching cannot be traced: symbolically traced"):
        align([Branching(), Branching()], x)
    with pytest.raises(InputError, match="at least two models"):
        align([Branching()], x)
    with pytest.raises(InputError, match=re.escape("it has of other shape weight (2, 3)")):
        align([nn.Linear(2, 2), nn.Linear(3, 2)], x)


class Between(nn.Module):
    """Something between two layers that treats units by their place."""

    def __init__(self, between, width=6):
        super().__init__()
        self.own = nn.Parameter(torch.rand(6) + 1)
        self.first, self.last, self.between = nn.Linear(4, 6), nn.Linear(width, 2), between

    def forward(self, x):
        return self.last(self.between(self.first(x).sigmoid(), self.own))


@pytest.mark.parametrize(
    ("between", "width"),
    [
        (lambda h, own: h.chunk(2, -1)[0] * h.chunk(2, -1)[1], 3),
        (lambda h, own: h.split([2, 4], -1)[1], 4),
        (lambda h, own: h.unbind(-1)[0][:, None] + h, 6),
        (lambda h, own: h.sort(-1).values, 6),
        (lambda h, own: h.topk(2, -1).indices.float(), 2),
        (lambda h, own: h**own, 6),
        (lambda h, own: torch.clamp(h, max=own / 3), 6),
        (lambda h, own: functional.max_pool1d(h, 2), 3),
    ],
)
def test_what_treats_units_by_their_place_keeps_what_is_computed(between, width):
    with seeded(0):
        models, x = [Between(between, width) for _ in range(2)], torch.randn(5, 4)
    found = align(models, x)
    close(found.models[1](x), models[1](x))
