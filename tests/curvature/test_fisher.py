"""Laws of sums, kinds of labels, row weights, heads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from counterpoint.curvature import fisher, ggn, hessian, product
from counterpoint.data import Batch
from counterpoint.gaussian import Block, Diagonal, Kronecker, pool
from counterpoint.goals import Bernoulli, Categorical, Normal, Poisson
from curvature_models import build, jacobians, softmax_ggn


def equal(left, right, tolerance=1e-12):
    scale = max(float(right.abs().max()), 1e-300)
    assert float((left - right).abs().max()) <= tolerance * scale


def net(inputs=3, outputs=4, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs)).double().eval()


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    "structure", ["diagonal", "kronecker", "kronecker-reduce", "block", "dense"]
)
@settings(max_examples=12)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 10))
def test_batch_size_and_order_do_not_matter(structure, sizes, seed):
    model, x = net(seed=seed), draw(sum(sizes), 3, seed=seed)
    whole = fisher(model, Categorical(), [(x,)], structure=structure)
    parts = [(part,) for part in x.split(sizes)][::-1]
    equal(fisher(model, Categorical(), parts, structure=structure).dense(), whole.dense())


@pytest.mark.parametrize("structure", ["diagonal", "block", "dense"])
def test_halves_add_to_the_whole_and_twice_is_double(structure):
    model, x = net(), draw(8, 3)

    def of(*parts):
        return fisher(model, Categorical(), [(part,) for part in parts], structure=structure)

    equal((of(x[:3]) + of(x[3:])).dense(), of(x).dense())
    equal(of(x, x).dense(), 2 * of(x).dense())


@pytest.mark.parametrize("structure", ["kronecker", "diagonal"])
def test_halves_pool_to_the_whole(structure):
    model, x = net(), draw(8, 3)
    left, right, whole = (
        fisher(model, Categorical(), [(part,)], structure=structure) for part in (x[:3], x[3:], x)
    )
    equal(pool(left, right).dense(), whole.dense())


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "kronecker-reduce", "dense"])
@pytest.mark.parametrize("labels", ["exact", "empirical", "jac"])
def test_a_row_of_weight_two_is_the_row_twice(structure, labels):
    model, x, y = net(), draw(4, 3), torch.tensor([0, 1, 2, 3])
    weight = torch.tensor([2.0, 1.0, 0.0, 1.0]).double()
    rows = [0, 0, 1, 3]
    data = [{"x": x, "y": y, "weight": weight}]
    weighted = fisher(model, Categorical(), data, structure=structure, labels=labels)
    repeated = fisher(
        model, Categorical(), [(x[rows], y[rows])], structure=structure, labels=labels
    )
    equal(weighted.dense(), repeated.dense())


def test_sampled_labels_are_exact_on_average_and_leave_the_global_generator_alone():
    model, x = net(), draw(1, 3)
    before = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    many = fisher(
        model, Categorical(), [(x.expand(20000, 3),)], labels="sampled", generator=generator
    )
    exact = fisher(model, Categorical(), [(x,)])
    ratio = many.dense().diagonal() / 20000 / exact.dense().diagonal()
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("likelihood", "outputs", "middle"),
    [
        (Normal(noise=torch.tensor([0.5, 2.0])), 2, lambda f: torch.tensor([2.0, 0.5]).diag()),
        (Bernoulli(), 2, lambda f: (f.sigmoid() * (1 - f.sigmoid())).diag()),
        (Poisson(), 2, lambda f: f.exp().diag()),
    ],
)
def test_every_likelihood_has_its_middle_matrix(likelihood, outputs, middle):
    model, x = net(outputs=outputs), draw(5, 3)
    found = fisher(model, likelihood, [(x,)], structure="dense").dense()
    expected = sum(
        j.T @ middle(f.detach()).double() @ j
        for j, f in zip(jacobians(model, x), model(x), strict=True)
    )
    equal(found, expected, 1e-7)  # the noise is kept in float32


def test_empirical_fisher_of_a_regression_is_not_doubled():
    model, x, y = net(outputs=1), draw(6, 3), draw(6, 1, seed=2)
    found = fisher(model, Normal(), [(x, y)], labels="empirical", structure="dense").dense()
    residual = (model(x) - y).detach().flatten()
    expected = sum(r**2 * j.T @ j for r, j in zip(residual, jacobians(model, x), strict=True))
    equal(found, expected)


def test_empirical_diagonal_of_the_last_layer_is_not_zero():
    model, x, y = net(), draw(6, 3), torch.tensor([0, 1, 2, 3, 0, 1])
    last = fisher(model, Categorical(), [(x, y)], labels="empirical", parameters="2.*")
    assert list(last.shapes) == ["2.weight", "2.bias"]
    full = fisher(model, Categorical(), [(x, y)], labels="empirical")
    equal(last.dense(), full.restrict(["2.weight", "2.bias"]).dense())
    assert float(last.dense().diagonal().min()) > 0


def test_one_weighted_gram_matrix_a_pair_of_outputs_equals_the_loop():
    model, x = net(), draw(6, 3)
    weight = torch.rand(6, generator=torch.Generator().manual_seed(3)).double()
    last = fisher(
        model, Categorical(), [Batch.of(x, weight=weight)], structure="dense", parameters="2.*"
    )
    total = sum(p.numel() for p in model[0].parameters())
    equal(last.dense(), softmax_ggn(model, x, weight)[total:, total:])


def test_the_hessian_of_a_relu_net_has_the_diagonal_of_the_ggn():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4)).double()
    x, y = draw(7, 3), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    diagonal = hessian(model, Categorical(), [(x, y)], structure="diagonal").dense()
    equal(diagonal, ggn(model, Categorical(), [(x[:4],), (x[4:],)]).dense())


def test_the_hessian_is_that_of_differences_of_gradients():
    model, x, y = net(), draw(4, 3), torch.tensor([0, 1, 2, 3])
    weights = dict(model.named_parameters())
    found = hessian(model, Categorical(), [(x, y)]).dense()

    def loss(*values):
        named = dict(zip(weights, values, strict=True))
        output = torch.func.functional_call(model, named, (x,))
        return nn.functional.cross_entropy(output, y, reduction="sum")

    blocks = torch.autograd.functional.hessian(loss, tuple(weights.values()))
    sizes = [value.numel() for value in weights.values()]
    rows = [
        torch.cat([part.reshape(size, -1) for part in row], 1)
        for size, row in zip(sizes, blocks, strict=True)
    ]
    equal(found, torch.cat(rows))


@pytest.mark.parametrize("kind", ["hessian", "ggn", "jac"])
@pytest.mark.parametrize("name", ["linear", "attention", "convolution"])
def test_products_are_those_of_the_matrix(kind, name):
    model, x = build(name)
    y = torch.arange(len(x)) % 3
    shapes = {n: value.shape for n, value in model.named_parameters()}
    vector = {n: draw(*shape, seed=len(n)) for n, shape in shapes.items()}
    found = product(model, Categorical(), [(x[:2], y[:2]), (x[2:], y[2:])], vector, kind=kind)
    if kind == "hessian":
        matrix = hessian(model, Categorical(), [(x, y)]).dense()
    else:
        labels = "exact" if kind == "ggn" else "jac"
        matrix = fisher(model, Categorical(), [(x,)], structure="dense", labels=labels).dense()
    flat = torch.cat([value.flatten() for value in vector.values()])
    equal(torch.cat([value.flatten() for value in found.values()]), matrix @ flat, 1e-11)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.price, self.kind = nn.Linear(3, 5), nn.Linear(5, 1), nn.Linear(5, 3)

    def forward(self, x):
        hidden = self.trunk(x).tanh()
        return {"price": self.price(hidden).squeeze(1), "kind": self.kind(hidden)}


def test_several_heads_add():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TwoHeads().double()
    x = draw(5, 3)
    heads = {"price": Normal(noise=0.25), "kind": Categorical()}
    batch = {"x": x, "price": draw(5), "kind": torch.tensor([0, 1, 2, 0, 1])}
    both = fisher(model, heads, [batch], structure="dense").dense()

    class Only(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.model, self.name = model, name

        def forward(self, x):
            return self.model(x)[self.name]

    each = [
        fisher(Only(name), likelihood, [(x,)], structure="dense").dense()
        for name, likelihood in heads.items()
    ]
    equal(both, each[0] + each[1])
    kronecker = fisher(model, heads, [batch], structure="kronecker")
    assert {type(part) for part in kronecker.parts} == {Kronecker}


@settings(max_examples=6)
@given(padding=st.integers(0, 5))
def test_padding_does_not_change_the_factors(padding):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(3, 4), nn.Linear(4, 4)

        def forward(self, x, mask):
            hidden = self.inner(x).tanh() * mask[..., None]
            return self.head(hidden.sum(1) / mask.sum(1, keepdim=True))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Masked().double()
    x, mask = draw(3, 4, 3), torch.ones(3, 4).double()
    mask[0, 2:] = 0
    padded = nn.functional.pad(x, (0, 0, 0, padding), value=7.0)
    wide = nn.functional.pad(mask, (0, padding))

    def of(x, mask, structure):
        data = [Batch.of(x, named={"mask": mask})]
        return fisher(model, Categorical(), data, structure=structure).dense()

    for structure in ("kronecker", "kronecker-reduce", "diagonal"):
        equal(of(padded, wide, structure), of(x, mask, structure))


def test_kronecker_is_exact_for_one_example_and_takes_what_is_no_linear_map_by_its_diagonal():
    model, x = net(), draw(1, 3)
    found = fisher(model, Categorical(), [(x,)], structure="kronecker")
    blocks = fisher(model, Categorical(), [(x,)], structure="block")
    equal(found.dense(), blocks.dense())
    model, x = build("encoder layer")
    parts = fisher(model, Categorical(), [(x,)], structure="kronecker").parts
    assert [type(part) for part in parts].count(Diagonal) == 1
    assert [type(part) for part in parts].count(Kronecker) == 5


def test_structures_by_name():
    model, x = net(), draw(4, 3)
    found = fisher(model, Categorical(), [(x,)], structure={"2.*": "dense", "*": "diagonal"})
    assert isinstance(found, Block)
    equal(
        found.restrict(["2.weight", "2.bias"]).dense(),
        fisher(model, Categorical(), [(x,)], structure="dense", parameters="2.*").dense(),
    )


def test_a_loader_in_float32_and_large_batches_in_parts():
    model, x = net(), draw(3000, 3)
    loader = DataLoader(TensorDataset(x.float()), batch_size=3000, shuffle=True)
    before = torch.random.get_rng_state()
    found = fisher(model.float(), Categorical(), loader)
    assert torch.equal(before, torch.random.get_rng_state())
    exact = fisher(model.double(), Categorical(), [(x,)])
    equal(found.dense().double(), exact.dense(), 1e-5)
