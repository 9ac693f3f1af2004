"""Bad input: one sentence that names the thing."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from counterpoint.curvature import fisher, ggn, hessian, product
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Normal


def net(*more):
    return nn.Sequential(nn.Linear(3, 4), *more, nn.Linear(4, 2))


def rows(count=4):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(0))


class Claims:
    """Batches that claim to be more than they are."""

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([(rows(),)])


class Augmented(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, row):
        return torch.randn(3)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x):
        return self.inner(nn.functional.dropout(x, 0.5, training=True))


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x):
        return self.inner(x - x.mean(0))


class Wordy(nn.Module):
    """A loss and a word are no output."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x):
        return self.inner(x).sum(), "done"


class InPlace(nn.Module):
    """Changes what a layer was given: such a model cannot be trained, either."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        x = x.clone()
        hidden = self.inner(x)
        x.add_(hidden.detach())
        return hidden


def frozen():
    model = net()
    model[0].weight.requires_grad_(False)
    return model


REFUSED = {
    "dropout": (net(nn.Dropout(0.5)), {}, r"module '1' \(Dropout\): drops units.*eval\(\)"),
    "batch norm": (net(nn.BatchNorm1d(4)), {}, r"module '1' \(BatchNorm1d\): .*eval\(\)"),
    "batch norm without statistics": (
        net(nn.BatchNorm1d(4, track_running_stats=False)).eval(),
        {},
        "keeps no running statistics",
    ),
    "functional dropout": (Noisy(), {}, "other outputs in a second pass"),
    "mixed examples": (Centred(), {}, "other outputs alone than together"),
    "unknown structure": (net(), {"structure": "diagonl"}, "found 'diagonl'.*'diagonal'"),
    "unknown labels": (net(), {"labels": "samples"}, "found 'samples'.*'sampled'"),
    "no generator": (net(), {"labels": "sampled"}, "needs generator="),
    "no labels": (net(), {"labels": "empirical"}, "no target for the labels"),
    "unknown parameter": (net(), {"parameters": "0.wieght"}, r"'0.wieght' matches no.*0\.weight"),
    "frozen": (frozen(), {"parameters": "*"}, r"parameter '0.weight': is frozen"),
    "no glob matches": (net(), {"structure": {"0.*": "dense"}}, "no glob matches.*'1.weight'"),
    "not finite": (
        net(),
        {"data": [(rows(),), (rows() * torch.inf,)]},
        "batch 1: .*not finite in row 0",
    ),
    "empty": (net(), {"data": []}, "at least one batch, found none"),
    "a name": (net(), {"data": "rows"}, "expected rows .* or batches .* found a str"),
    "a third part": (net(), {"data": [(rows(),) * 3]}, "third part is not taken for row weights"),
    "fewer than claimed": (net(), {"data": Claims()}, "claims 3 batches.*yielded 1"),
    "other lengths": (net(), {"data": [(rows(), torch.zeros(3))]}, r"must have 4 rows.*\(3,\)"),
    "strange batch": (net(), {"data": [7]}, "found a int; pass unpack="),
    "augmented": (net(), {"data": DataLoader(Augmented())}, "row 0 .* differs between two reads"),
    "negative weight": (net(), {"data": [{"x": rows(), "weight": -torch.ones(4)}]}, "at least 0"),
    "misfit": (net(), {"data": [(rows(), torch.full((4,), 5))]}, "likelihood does not fit.*class"),
    "no output": (Wordy(), {}, "expected one output tensor, found a tuple"),
    "one row for all": (
        nn.Sequential(nn.Linear(3, 2), nn.Flatten(0)),
        {},
        "one row of output for each of",
    ),
    "changed in place": (InPlace(), {}, "operation on 'inner.weight' .*changed in place later"),
    "heads": (net(), {"likelihood": {"a": Normal()}}, "expected a mapping with the heads a"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    model, options, message = REFUSED[case]
    options = {"likelihood": Categorical(), "data": [(rows(),)], **options}
    with pytest.raises(InputError, match=message) as caught:
        fisher(model, options.pop("likelihood"), options.pop("data"), **options)
    assert "\n" not in str(caught.value)


class Cancelling(nn.Module):
    """A head whose output is the rest of two sums a million times as large."""

    def __init__(self, mixed=0.0):
        super().__init__()
        self.inner, self.mixed = nn.Linear(512, 1, bias=False), mixed
        half = torch.randn(1, 256, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            self.inner.weight.copy_(torch.cat([half, -half], 1))

    def forward(self, x):
        x = torch.cat([1000 * x, 1000 * x + 1e-3], 1)
        return self.inner(x) + self.mixed * x.mean()


def test_rounding_of_a_layer_is_no_mixing_of_examples():
    """Batched and single products round otherwise; what is left of large sums shows it."""
    data = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    model = Cancelling()
    with torch.no_grad():
        together, alone = model(data), torch.cat([model(row[None]) for row in data])
    assert float((together - alone).abs().max()) > 1e-4 * float(together.abs().max())
    fisher(model, Normal(), [(data,)], structure="diagonal")
    with pytest.raises(InputError, match="alone than together"):
        fisher(Cancelling(0.1), Normal(), [(data,)], structure="diagonal")


def test_refusing_leaves_statistics_alone():
    model = net(nn.BatchNorm1d(4))
    with pytest.raises(InputError):
        fisher(model, Categorical(), [(rows(),)])
    assert torch.equal(model[1].running_mean, torch.zeros(4))
    assert int(model[1].num_batches_tracked) == 0


def test_large_dense_blocks_are_refused():
    wide = nn.Linear(3, 6000)
    with pytest.raises(InputError, match="dense block of 24,000 weights"):
        fisher(wide, Categorical(), [(rows(),)], structure="dense", check=False)
    with pytest.raises(InputError, match="hessian: 24,000 weights"):
        hessian(wide, Categorical(), [(rows(), torch.zeros(4).long())])


def test_probabilities_have_no_ggn():
    model = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    with pytest.raises(InputError, match="no natural parameter"):
        ggn(model, Categorical(inputs="probabilities"), [(rows(),)])


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, "no value for the parameter 'bias'"),
        (
            {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
            r"'weight' must have shape \(2, 3\)",
        ),
        (
            {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)},
            "no parameter 'x'",
        ),
    ],
)
def test_vectors_must_fit(vector, message):
    with pytest.raises(InputError, match=message):
        product(nn.Linear(3, 2), Categorical(), [(rows(),)], vector)
