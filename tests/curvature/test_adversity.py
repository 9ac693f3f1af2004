"""Models and batches that once gave wrong numbers without a word."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset

from counterpoint.curvature import fisher
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Normal
from counterpoint.posterior import laplace
from curvature_models import jacobians, softmax_ggn


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return factory().double().eval()


def equal(left, right, tolerance=1e-10):
    assert float((left - right).abs().max()) <= tolerance * float(right.abs().max())


def quiet(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


class Square(torch.autograd.Function):
    """A weight that no operation is seen to use."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight.square()

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad * weight.square(), (2 * grad * x * weight).sum(0)


class Unseen(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(3)), nn.Linear(3, 4)

    def forward(self, x):
        return self.head(Square.apply(x, self.weight).tanh())


class Stored(nn.Module):
    """A weight reached by a reference that is not the module's own."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 4)
        self.kept = [self.inner.weight]

    def forward(self, x):
        return self.head(functional.linear(x, self.kept[0].T).tanh())


class Layouts(nn.Module):
    """One layer on examples first and on positions first."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 4)

    def forward(self, x):
        hidden = self.inner(x).tanh()
        hidden = self.inner(hidden.transpose(0, 1).cumsum(0)).tanh()
        return self.head(hidden[-1] + hidden[0])


class Switch(nn.Module):
    """An argument of the operation on `t` that is as long as one of the batches."""

    def __init__(self):
        super().__init__()
        self.t, self.head = nn.Parameter(torch.randn(5, 3)), nn.Linear(15, 4)
        self.register_buffer("keep", torch.tensor([True, False, True, False, True]))

    def forward(self, x):
        return self.head(torch.where(self.keep[:, None], x, self.t).flatten(1).tanh())


class Sorting(nn.Module):
    """Rows in another order inside."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 4)

    def forward(self, x):
        order = x[:, 0].argsort()
        return self.head(self.inner(x)[order].tanh())[order.argsort()]


CASES = {
    "unseen": (Unseen, (9, 3), (9,)),
    "stored reference": (Stored, (9, 3), (9,)),
    "two layouts": (Layouts, (9, 5, 3), (4, 5)),
    "as long as the batch": (Switch, (9, 5, 3), (4, 5)),
    "sorted rows": (Sorting, (9, 3), (9,)),
    "positions first, three of them": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True),
            nn.Flatten(),
            nn.Linear(12, 4),
        ),
        (8, 3, 4),
        (5, 3),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_right_or_a_warning_says_how_they_are_made(case):
    factory, shape, sizes = CASES[case]
    model, x = built(factory), draw(*shape)
    if case == "sorted rows":
        x[:3, 0] = torch.tensor([-3.0, -2.9, -2.8])
    parts = [(part, torch.arange(len(part)) % 3) for part in x.split(sizes)]
    found = quiet(lambda: fisher(model, Categorical(), parts, structure="dense"))
    equal(found.dense(), softmax_ggn(model, x))
    posterior = quiet(lambda: laplace(model, Categorical(), parts, structure="dense", prior=1.0))
    j = jacobians(model, x[:3])
    order = dict(model.named_parameters())
    assert list(posterior.precision.shapes) == list(order)
    covariance = quiet(lambda: posterior.outputs(x[:3]).covariance)
    equal(covariance, j @ posterior.precision.dense().inverse() @ j.mT)


def test_a_layer_used_in_another_way_in_a_later_batch_is_refused_not_dropped():
    class Merging(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 4)

        def forward(self, x):
            flat = self.inner(x.reshape(-1, 3)).tanh()
            return self.head(flat.view(len(x), -1, 3).mean(1))

    batches = [(draw(4, 1, 3),), (draw(4, 2, 3, seed=2),)]
    with pytest.raises(InputError, match=r"'inner.weight' was a linear map of examples"):
        quiet(lambda: fisher(built(Merging), Categorical(), batches, structure="kronecker"))
    model = built(Merging)
    both = quiet(lambda: fisher(model, Categorical(), batches))
    each = [quiet(lambda b=b: fisher(model, Categorical(), [b])).dense() for b in batches]
    equal(both.dense(), each[0] + each[1])


def test_what_all_rows_share_can_be_named():
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 4)

        def forward(self, x, bias):
            return self.inner(x) + bias.sum(0)

    model, x, bias = built(Biased), draw(9, 3), draw(5, 4, seed=2)
    whole = fisher(model, Categorical(), [Batch.of(x, named={"bias": bias})]).dense()
    later = fisher(
        model, Categorical(), [Batch.of(part, named={"bias": bias}) for part in (x[:4], x[4:])]
    )
    equal(later.dense(), whole)
    named = [Batch.of(part, named={"bias": bias}, shared=["bias"]) for part in (x[4:], x[:4])]
    equal(fisher(model, Categorical(), named).dense(), whole)


def line():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))


def test_serving_frozen_in_inference_mode_and_without_gradients():
    model, x = built(line), draw(8, 3)
    data = [(x, torch.arange(8) % 4)]
    with torch.no_grad():
        posterior = laplace(model, Categorical(), data)
    expected = posterior.predict(x).probabilities
    model.requires_grad_(False)
    equal(posterior.predict(x).probabilities, expected)
    with torch.inference_mode():
        equal(posterior.predict(x + 0).probabilities, expected)
    assert not any(value.requires_grad for value in model.parameters())


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense"])
def test_half_precision_models_are_summed_in_float32(structure):
    model, x = built(line), draw(30, 3)
    exact = fisher(model, Categorical(), [(x,)], structure=structure).dense()
    half = fisher(model.bfloat16(), Categorical(), [(x.bfloat16(),)], structure=structure)
    assert half.like.dtype in {torch.float32, torch.float64}
    equal(half.dense().double(), exact, 0.05)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(draw(10, 3))


class Noised(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, row):
        return np.random.default_rng().normal(size=3)


def test_streams_readers_and_augmented_arrays():
    model = built(line)
    found = fisher(model, Categorical(), DataLoader(Stream(), batch_size=4))
    equal(found.dense(), fisher(model, Categorical(), [(draw(10, 3),)]).dense())
    with pytest.raises(InputError, match="differs between two reads"):
        fisher(model, Categorical(), DataLoader(Noised()))
    data = [{"features": draw(8, 3), "class": torch.arange(8) % 4}]
    posterior = laplace(
        model, Categorical(), data, unpack=lambda b: Batch.of(b["features"], target=b.get("class"))
    )
    assert posterior.predict({"features": draw(2, 3)}).probabilities.shape == (2, 4)


def test_the_row_that_is_not_finite_is_named_in_its_batch():
    x = draw(3000, 3)
    bad = x.clone()
    bad[2500] = torch.nan
    with pytest.raises(InputError, match="batch 1: .*not finite in row 2500"):
        fisher(built(line), Categorical(), [(x,), (bad,)])
    with pytest.raises(InputError, match="not finite in the first batch"):
        fisher(built(line), Categorical(), [(x * torch.nan,)])


def test_a_model_that_is_another_one_is_refused_before_it_predicts():
    x = draw(8, 3)

    def changed(change):
        model = built(lambda: nn.Sequential(*line(), nn.BatchNorm1d(4), nn.Dropout(0.5)))
        last = {"parameters": "2.*", "prior": 1.0}
        posterior = laplace(model, Categorical(), [(x, torch.arange(8) % 4)], **last)
        change(model)
        with pytest.raises(InputError) as caught:
            posterior.predict(x)
        return str(caught.value)

    assert "'2.weight' of the model changed" in changed(lambda m: m[2].weight.data.mul_(3))
    assert "'0.weight' of the model changed" in changed(lambda m: m[0].weight.data.mul_(3))
    assert "'3.running_mean' of the model" in changed(lambda m: m[3].running_mean.add_(1))
    assert "call model.eval() first" in changed(lambda m: m.train())


def test_a_dense_posterior_of_a_float32_model_is_that_of_float64():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 1)).eval()
    x, y = draw(20, 3).float(), draw(20, 1, seed=2).float()
    options = {"structure": "dense", "parameters": "2.*", "prior": 0.01}
    single = laplace(model, Normal(noise=1e-4), [(x, y)], **options).predict(x * 3).knowledge
    double = laplace(model.double(), Normal(noise=1e-4), [(x.double(), y.double())], **options)
    equal(single, double.predict(x.double() * 3).knowledge, 2e-3)


def test_degenerate_fits_end_with_a_status():
    model, x = built(lambda: nn.Linear(3, 1)), draw(12, 3)
    exact = [(x, model(x).detach())]
    for structure, each in (("diagonal", "weight"), ("dense", "model")):
        start = laplace(model, Normal(), exact, structure=structure, prior=1.0)
        assert start.tuned(each=each).status.name == "NOISE_FLOORED"
    with pytest.raises(InputError, match="at least one row of positive weight"):
        laplace(model, Normal(), [{"x": x, "y": x[:, :1], "weight": torch.zeros(12)}])
    with pytest.raises(InputError, match="'jac' is no curvature"):
        laplace(model, Normal(), exact, labels="jac")
    observed = laplace(model, Normal(), [(x, x[:, :1])], labels="empirical")
    assert observed.noise_scale == 1.0
