"""Networks side by side are the networks, each on its own rows."""

import pytest
import torch
from torch import nn

from counterpoint.nn import TableNet, pack, unpack

MEMBERS, ROWS = 3, 7


def networks(trunk):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [
            TableNet([3, 5], [(), (-1.0, 0.0, 1.0)], {"y": 1, "kind": 4}, trunk=trunk, width=16)
            for _ in range(MEMBERS)
        ]


@pytest.fixture(params=["plain", "residual"])
def nets(request):
    made = networks(request.param)
    for net in made:  # scales of one and shifts of zero would hide a slice of another network
        for parameter in net.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(1))
    return made


@pytest.fixture
def rows():
    draw = torch.Generator().manual_seed(2)
    codes = torch.stack(
        [torch.randint(0, levels, (MEMBERS, ROWS), generator=draw) for levels in (3, 5)], -1
    )
    return codes, torch.randn(MEMBERS, ROWS, 2, generator=draw)


def test_outputs_are_those_of_each_network_on_its_rows(nets, rows):
    found = pack(nets)(*rows)
    for place, net in enumerate(nets):
        for name, value in net(rows[0][place], rows[1][place]).items():
            assert torch.allclose(found[name][place], value, atol=1e-5)


def test_gradients_are_those_of_each_network(nets, rows):
    packed = pack(nets)
    sum(value.square().sum() for value in packed(*rows).values()).backward()
    stacked = dict(packed.named_parameters())
    for place, net in enumerate(nets):
        sum(
            value.square().sum() for value in net(rows[0][place], rows[1][place]).values()
        ).backward()
        for name, parameter in net.named_parameters():
            assert torch.allclose(stacked[name].grad[place], parameter.grad, rtol=1e-4, atol=1e-4)


def test_no_network_has_a_gradient_of_anothers_rows(nets, rows):
    packed = pack(nets)
    packed(*rows)["y"][1].sum().backward()
    for name, parameter in packed.named_parameters():
        if parameter.grad is not None:
            assert not parameter.grad[[0, 2]].any(), name


def test_they_are_copies_and_come_back_by_unpack(nets, rows):
    before = [net(rows[0][0], rows[1][0])["y"].detach() for net in nets]
    packed = pack(nets)
    with torch.no_grad():
        for parameter in packed.parameters():
            parameter.copy_(parameter.flip(0))
    assert torch.equal(nets[0](rows[0][0], rows[1][0])["y"], before[0])
    unpack(packed, nets)
    after = [net(rows[0][0], rows[1][0])["y"].detach() for net in nets]
    assert torch.equal(torch.stack(after), torch.stack(before[::-1]))


def test_tables_of_categories_only_and_numbers_only():
    for made in ([TableNet([3], [], {"y": 1})] * 2, [TableNet([], [()], {"y": 1})] * 2):
        codes = torch.zeros(2, 4, len(made[0].embeddings.weights), dtype=torch.int64)
        numbers = torch.ones(2, 4, 1 - codes.shape[-1])
        assert pack(made)(codes, numbers)["y"].shape == (2, 4, 1)


def test_what_has_weights_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="PReLU has a parameter 'weight' of its own"):
        pack([nn.Sequential(nn.Linear(2, 2), nn.PReLU()) for _ in range(2)])
