"""Targets that are left out, weighed or smoothed, and rows of weight 0."""

import itertools

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.goals import Bernoulli, Categorical, Normal, Poisson, SubsetCategorical
from counterpoint.seeding import generator

close = torch.testing.assert_close
WEIGHT = [0.5, 2.0, 0.0, 1.0]


def outputs(rows=9, classes=4):
    draw = generator(0, 4)
    return (2 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)).requires_grad_()


def classes(rows=9):
    return torch.randint(0, 4, (rows,), generator=generator(1, 4))


OPTIONS = [
    {"weight": weight, "label_smoothing": smooth, "ignore_index": ignore}
    for weight, smooth, ignore in itertools.product((None, WEIGHT), (0.0, 0.1), (None, -100, 1))
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_row_losses_are_those_of_torch(options, inputs):
    output, target = outputs(), classes()
    if options["ignore_index"] == -100:
        target[torch.tensor([0, 5])] = -100
    told = {name: value for name, value in options.items() if value is not None}
    if "weight" in told:
        told["weight"] = torch.tensor(told["weight"]).double()
    wanted = nn.functional.cross_entropy(output, target, reduction="none", **told)
    given = output if inputs == "logits" else output.softmax(1)
    likelihood = Categorical(inputs, **options)
    found = likelihood.nll_each(given, target)
    close(found, wanted)
    (one,) = torch.autograd.grad(found.sum(), output, retain_graph=True)
    (two,) = torch.autograd.grad(wanted.sum(), output)
    close(one, two)
    if options["label_smoothing"] == 0.0:
        # the mean over what the batch's own rows count, as torch takes it
        mean = nn.functional.cross_entropy(output, target, **told)
        close(likelihood.nll(given, target, mean_weight="batch"), mean)


@pytest.mark.parametrize("options", OPTIONS[::3], ids=str)
def test_soft_targets_are_those_of_torch(options):
    output, target = outputs(), outputs().detach().roll(1, 0).softmax(1)
    told = {"label_smoothing": options["label_smoothing"]}
    if options["weight"] is not None:
        told["weight"] = torch.tensor(WEIGHT).double()
    wanted = nn.functional.cross_entropy(output, target, reduction="none", **told)
    close(Categorical(**options).nll_each(output, target), wanted)


def test_what_a_target_counts_is_the_factor_of_its_curvature():
    """The Hessian of a row's loss is its count times the information of its output."""
    output = outputs(rows=4).detach()
    likelihood = Categorical(weight=WEIGHT, label_smoothing=0.2, ignore_index=-100)
    target = torch.tensor([0, -100, 2, 3])
    roots = likelihood.root(output)
    for row, count in enumerate(likelihood.weight_of(target).double()):
        found = torch.autograd.functional.hessian(
            lambda one, row=row: likelihood.nll_each(one[None], target[row : row + 1]).sum(),
            output[row],
        )
        close(found, count * roots[:, row].T @ roots[:, row], atol=1e-7, rtol=1e-6)


def test_some_of_the_outputs_compete_with_their_own_weights():
    output, some = outputs(), [1, 3]
    target = torch.tensor([1, 3, -100, 1, 1, 3, 3, -100, 1])
    likelihood = SubsetCategorical(some, weight=WEIGHT, ignore_index=-100, label_smoothing=0.1)
    local = torch.where(target == -100, -100, (target == 3).long())
    smaller = Categorical(weight=[2.0, 1.0], ignore_index=-100, label_smoothing=0.1)
    close(likelihood.nll_each(output, target), smaller.nll_each(output[:, some], local))
    close(likelihood.weight_of(target), smaller.weight_of(local))
    assert likelihood.plain.nll_each(output[:1], target[:1]).shape == (1,)


ROWS = {
    "categorical": (Categorical(), torch.ones(3, 4), torch.tensor([1, -100, 2])),
    "bernoulli": (Bernoulli(), torch.ones(3), torch.tensor([1.0, -100.0, 0.0])),
    "poisson": (Poisson(), torch.ones(3, 1), torch.tensor([[1.0], [-2.0], [0.0]])),
    "normal": (Normal(), torch.ones(3, 2), torch.full((3, 2), float("nan"))),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("mean_weight", [2.0, "batch"])
def test_rows_of_weight_zero_are_not_looked_at(name, mean_weight):
    likelihood, output, target = ROWS[name]
    target, output = target.clone(), output.clone()
    target[0], target[2] = 1, 0
    output[1] = float("nan")
    output.requires_grad_()
    weight = torch.tensor([1.0, 0.0, 3.0])
    found = likelihood.nll(output, target, weight, mean_weight=mean_weight)
    kept = torch.tensor([0, 2])
    alone = likelihood.nll(output[kept], target[kept], weight[kept], mean_weight=mean_weight)
    close(found, alone if mean_weight == "batch" else alone * 2 / 3)
    (gradient,) = torch.autograd.grad(found, output)
    assert torch.isfinite(gradient).all()
    assert not gradient[1].any()
    nothing = likelihood.nll(output, target, torch.zeros(3), mean_weight=mean_weight)
    assert nothing.item() == 0.0
    assert nothing.requires_grad


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("likelihood", [Normal(), Bernoulli(), Poisson()])
def test_a_missing_last_axis_is_put_in_of_one_row_too(rows, likelihood):
    wide, narrow = torch.zeros(rows, 1), torch.ones(rows)
    close(likelihood.nll(wide, narrow), likelihood.nll(wide, narrow[:, None]))
    close(likelihood.nll(wide[:, 0], narrow[:, None]), likelihood.nll(wide, narrow[:, None]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.5}, "label_smoothing must be from 0 to 1, found 1.5"),
        ({"weight": [1.0, -1.0]}, "weight must be one number a class, finite and at least 0"),
        ({"weight": [1.0, float("nan")]}, "weight must be one number a class"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        Categorical(**options)


def test_what_does_not_fit_is_named():
    target = classes()
    target[5] = -100
    with pytest.raises(InputError, match="found -100 in row 5; rows that say nothing: Categorical"):
        Categorical().nll_each(outputs(), target)
    target[3] = -1
    with pytest.raises(InputError, match="found -1 in row 3"):
        Categorical(ignore_index=-100).nll_each(outputs(), target)
    with pytest.raises(InputError, match="weight has 2 classes, the output 4"):
        Categorical(weight=[1.0, 1.0]).nll_each(outputs(), classes() % 2)
    with pytest.raises(InputError, match="weight must be of all classes, 4 or more, found 2"):
        SubsetCategorical((1, 3), weight=[1.0, 1.0])
    assert repr(Categorical(ignore_index=-1)) == "Categorical(inputs='logits', ignore_index=-1)"
