"""The softmax of some outputs is that of a smaller head, and leaves the others alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from continual.tasks import batches, moved, net, task
from counterpoint.continual import LwF
from counterpoint.curvature import fisher
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, SubsetCategorical
from counterpoint.seeding import generator

SOME = st.lists(st.integers(0, 5), min_size=2, max_size=6, unique=True)


def outputs(seed=0, rows=7, classes=6):
    draw = generator(seed, 3)
    return 3 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)


@settings(max_examples=30)
@given(SOME, st.integers(0, 20))
def test_it_is_the_softmax_of_a_smaller_head(some, seed):
    found, whole = SubsetCategorical(some), outputs(seed)
    part = whole[:, some]
    local = torch.randint(0, len(some), (len(whole),), generator=generator(seed))
    target = torch.tensor(some)[local]
    each = found.nll_each(whole, target)
    torch.testing.assert_close(each, Categorical().nll_each(part, local))
    torch.testing.assert_close(-found.distribution(whole).log_prob(target), each)
    root, small = found.root(whole), Categorical().root(part)
    torch.testing.assert_close(root[:, :, some], small)
    assert len(root) == len(some) - 1
    assert root.square().sum() == pytest.approx(float(small.square().sum()))
    soft = torch.nn.functional.one_hot(target, 6).double()
    torch.testing.assert_close(found.nll_each(whole, soft), each)
    drawn = found.draw(whole, generator(seed))
    assert set(drawn.tolist()) <= set(some)
    assert drawn.tolist() == [some[c] for c in Categorical().draw(part, generator(seed)).tolist()]


def test_the_others_get_no_gradient():
    whole = outputs().requires_grad_()
    SubsetCategorical((1, 4)).nll(whole, torch.full((7,), 4)).backward()
    assert (whole.grad[:, [0, 2, 3, 5]] == 0).all()
    assert (whole.grad[:, [1, 4]] != 0).all()


def test_its_fisher_information_is_that_of_the_smaller_model():
    model, found = net(), task(classes=2)
    whole = fisher(model, SubsetCategorical((0, 1)), batches(found))
    small = net()
    with torch.no_grad():
        small[2] = torch.nn.Linear(4, 2).double()
        for name, value in small.named_parameters():
            value.copy_(dict(model.named_parameters())[name][: len(value)])
    wanted = fisher(small, Categorical(), batches(found)).diagonal()
    for name, value in whole.diagonal().items():
        torch.testing.assert_close(value[: len(wanted[name])], wanted[name])
        assert (value[len(wanted[name]) :] == 0).all()


def test_distillation_looks_at_the_outputs_that_competed():
    memory, model, found = LwF(), net(), task(classes=2)
    memory.consolidate(model, SubsetCategorical((0, 1)), batches(found))
    assert float(memory.penalty(model, found, rows=30).detach()) == pytest.approx(0, abs=1e-12)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[2].weight[2] += 1
    assert float(memory.penalty(other, found, rows=30).detach()) == pytest.approx(0, abs=1e-12)
    away = memory.penalty(moved(model), found, rows=30)
    away.backward()
    assert away > 0
    assert torch.isfinite(model[2].weight.grad).all()
    assert (model[2].weight.grad[2] == 0).all()


@pytest.mark.parametrize(
    ("some", "says"),
    [((1,), "two outputs"), ((1, 1), "none twice"), ((-1, 0), "from 0, found -1")],
)
def test_refused(some, says):
    with pytest.raises(InputError, match=says):
        SubsetCategorical(some)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="class number 2 does not compete; those that do: 0, 1"):
        SubsetCategorical((0, 1)).nll(outputs(rows=2), torch.tensor([1, 2]))
    with pytest.raises(InputError, match="output of 6 columns"):
        SubsetCategorical((0, 6)).root(outputs())
    with pytest.raises(InputError, match="class number"):
        SubsetCategorical((0, 1)).nll(outputs(rows=1), torch.tensor([6]))
    assert repr(SubsetCategorical((0, 1))) == "SubsetCategorical(outputs=(0, 1))"
