"""Networks of tables."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.nn import Embeddings, Lookup, PiecewiseLinear, TableNet, embedding_width


def naive(x: float, edges: list[float]) -> list[float]:
    """The paper's equation 1, entry by entry, with the outer bins clipped."""
    return [min(max((x - a) / (b - a), 0.0), 1.0) for a, b in pairwise(edges)]


@given(
    st.lists(st.integers(-50, 50), min_size=3, max_size=9, unique=True).map(sorted),
    st.floats(-100, 100),
)
def test_piecewise_linear_is_the_papers_formula(edges, x):
    edges = [float(edge) for edge in edges]
    found = PiecewiseLinear([edges])(torch.tensor([[x]]))
    assert found[0].tolist() == pytest.approx(naive(x, edges), abs=1e-5)


def test_columns_without_bins_add_nothing():
    encoding = PiecewiseLinear([(), (0.0, 1.0), (0.0, 1.0, 2.0)])
    assert encoding.width == 2
    assert encoding(torch.tensor([[9.0, 9.0, 1.5]])).tolist() == [[1.0, 0.5]]


def test_a_number_can_be_read_back_from_its_bins():
    edges = torch.tensor([-1.0, 0.0, 2.0, 5.0])
    x = torch.linspace(-1, 5, 50)[:, None]
    encoded = PiecewiseLinear([edges.tolist()])(x)
    assert torch.allclose(encoded @ edges.diff() + edges[0], x[:, 0], atol=1e-5)


def test_embedding_width_is_fastais_rule():
    assert [embedding_width(n) for n in (1, 2, 3, 10, 1000, 10**6)] == [2, 2, 3, 6, 77, 600]


def test_a_level_that_no_row_had_gets_the_average_of_the_others():
    embeddings = Embeddings([4])
    table = embeddings.weights[0].detach().clone()
    embeddings.fill_unused([torch.tensor([0, 1, 3, 0])])
    after = embeddings.weights[0].detach()
    assert torch.equal(after[1:3], table[1:3])
    assert torch.allclose(after[0], (table[1] + 3 * table[2]) / 4)
    assert torch.equal(after[0], after[3])


def test_hidden_rows_are_read_without_their_code_while_training_alone():
    embeddings = Embeddings([4, 4], widths=[1, 1], hidden=[0.5, 0.0])
    codes = torch.full((400, 2), 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = embeddings(codes).detach().unbind(1)
    unseen, known = embeddings.weights[0].detach()[[1, 3], 0].tolist()
    assert set(first.tolist()) == {unseen, known}
    assert 150 < int((first == unseen).sum()) < 250
    assert len(set(second.tolist())) == 1
    assert set(embeddings.eval()(codes)[:, 0].tolist()) == {known}
    assert "hidden" not in embeddings.state_dict()


def test_what_hidden_rows_taught_is_said_of_every_level_that_no_row_had():
    embeddings = Embeddings([4], hidden=[0.1])
    table = embeddings.weights[0].detach().clone()
    embeddings.fill_unused([torch.tensor([0, 0, 3, 0])])
    assert torch.equal(embeddings.weights[0].detach(), table[[1, 1, 2, 1]])


@pytest.mark.parametrize("trunk", ["plain", "residual"])
def test_heads_are_linear_in_the_features(trunk):
    net = TableNet([3, 5], [(), (0.0, 1.0, 2.0)], {"a.b": 1, "c": 4}, trunk=trunk, width=16).eval()
    codes, numbers = torch.tensor([[0, 4], [2, 1]]), torch.randn(2, 2)
    out = net(codes, numbers)
    features = net.features(codes, numbers)
    assert features.shape == (2, 16)
    assert torch.equal(out["a.b"], net.heads[0](features))
    assert torch.equal(out["c"], net.heads[1](features))


def test_a_table_may_have_categories_only_or_numbers_only():
    assert TableNet([3], [], {"y": 1})(torch.tensor([[1]]), torch.zeros(1, 0))["y"].shape == (1, 1)
    codes = torch.zeros(1, 0, dtype=torch.int64)
    assert TableNet([], [()], {"y": 1})(codes, torch.zeros(1, 1))["y"].shape == (1, 1)


def test_rows_do_not_see_each_other():
    net = TableNet([], [(), ()], {"y": 1}, trunk="residual").eval()
    codes, numbers = torch.zeros(5, 0, dtype=torch.int64), torch.randn(5, 2)
    whole = net(codes, numbers)["y"]
    each = torch.cat([net(codes[i : i + 1], numbers[i : i + 1])["y"] for i in range(5)])
    assert torch.allclose(whole, each, atol=1e-6)


@pytest.mark.parametrize("arguments", [([], [], {"y": 1}), ([2], [], {})])
def test_a_network_of_nothing_is_refused(arguments):
    with pytest.raises(InputError, match="needs at least one"):
        TableNet(*arguments)


@pytest.mark.parametrize("trunk", ["plain", "residual"])
def test_while_learning_only_what_is_learnt_has_a_gradient_and_it_is_the_same(trunk):
    torch.manual_seed(0)
    net = TableNet([4, 3], [(-1.0, 0.0, 1.0), ()], {"y": 2}, trunk=trunk, width=8).double()
    codes, numbers = torch.tensor([[0, 2], [3, 1], [1, 1]]), torch.randn(3, 2).double()
    found = [_gradients(net, net.train()(codes, numbers)["y"])]
    # the layer as a whole, as it is when it is not learning
    whole = net.trunk(net.encode(codes, numbers))
    found.append(_gradients(net, net.heads[0](whole)))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-12, atol=1e-12)


def _gradients(net, output):
    names, weights = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(output.square().sum(), weights), strict=True))


def test_networks_learn_in_mixed_precision():
    net = TableNet([4], [(-1.0, 0.0, 1.0)], {"y": 1}, width=8).train()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(torch.tensor([[0], [3]]), torch.randn(2, 1))["y"]
    out.float().square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters())


def test_while_learning_inputs_that_ask_for_a_gradient_have_one():
    net = TableNet([4], [(-1.0, 0.0, 1.0)], {"y": 1}, width=8).train()
    numbers = torch.randn(3, 1, requires_grad=True)
    net(torch.tensor([[0], [3], [1]]), numbers)["y"].sum().backward()
    assert numbers.grad.abs().sum() > 0


@pytest.mark.parametrize("trunk", ["plain", "residual"])
def test_the_first_layer_is_the_sum_of_its_columns(trunk):
    torch.manual_seed(0)
    edges = [(-1.0, 0.0, 1.0), (), (0.0, 0.5, 2.0)]
    net = TableNet([4, 3], edges, {"y": 2}, trunk=trunk, width=8).eval()
    codes, numbers = torch.tensor([[0, 2], [3, 1], [1, 1]]), torch.randn(3, 3)
    bias = dict(net.trunk.named_parameters())
    bias = bias["first.bias" if trunk == "residual" else "0.bias"]
    columns = [((0,), (1,)), ((1,), ()), ((), (0,)), ((), (2,))]
    parts = [net.entered_by(codes, numbers, *column) for column in columns]
    torch.testing.assert_close(sum(parts) + bias, net.enter(codes, numbers))


@pytest.mark.parametrize("trunk", ["plain", "residual"])
@pytest.mark.parametrize("edges", [[(-1.0, 0.0, 1.0), (), (0.0, 0.5, 2.0, 9.0)], []])
@pytest.mark.parametrize("levels", [[4, 3], []])
def test_looked_up_features_are_the_features(trunk, edges, levels):
    if not edges and not levels:
        return
    torch.manual_seed(0)
    nets = [TableNet(levels, edges, {"y": 1}, trunk=trunk, width=8).eval() for _ in range(2)]
    codes = torch.stack([torch.randint(0, n, (50,)) for n in levels] or [torch.zeros(50)], 1)
    codes = codes[:, : len(levels)].long()
    # on edges, below the first and above the last
    numbers = torch.cat([torch.randn(40, 3) * 2, torch.tensor([[-9.0, 0.0, 0.5]] * 10)])
    numbers = numbers[:, : len(edges)]
    for net, found in zip(nets, Lookup(nets).features(codes, numbers), strict=True):
        torch.testing.assert_close(found, net.features(codes, numbers).detach())
