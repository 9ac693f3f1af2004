"""Outputs of several positions a row: tokens with the classes last, pixels with them first."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Heads, SubsetCategorical
from counterpoint.seeding import generator

close = torch.testing.assert_close
WEIGHT = [0.5, 2.0, 0.0, 1.0]
SHAPES = {
    "tokens": ((5, 3, 4), None, 2),
    "images": ((5, 4, 2, 3), None, 1),
    "first": ((5, 4, 3), 1, 1),
}
SHAPES |= {"one token": ((2, 1, 4), None, 2), "last": ((3, 2, 2, 4), -1, 3)}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def layout(request):
    shape, dim, axis = request.param
    output = torch.randn(shape, generator=generator(0, 4), dtype=torch.float64)
    lead = (*shape[:axis], *shape[axis + 1 :])
    target = torch.randint(0, 4, lead, generator=generator(1, 4))
    return output.requires_grad_(), target, dim, axis


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smooth", [0.0, 0.2])
@pytest.mark.parametrize("ignore", [None, -100])
def test_losses_are_those_of_torch_summed_over_positions(layout, weight, smooth, ignore):
    output, target, dim, axis = layout
    if ignore is not None:
        target.view(-1)[::2] = ignore
    told = {"label_smoothing": smooth} | ({} if ignore is None else {"ignore_index": ignore})
    if weight is not None:
        told["weight"] = torch.tensor(weight).double()
    moved = output.movedim(axis, 1)
    wanted = nn.functional.cross_entropy(moved, target, reduction="none", **told)
    likelihood = Categorical(weight=weight, ignore_index=ignore, label_smoothing=smooth, dim=dim)
    found = likelihood.nll_each(output, target)
    close(found, wanted.flatten(1).sum(1))
    close(
        *(torch.autograd.grad(one.sum(), output, retain_graph=True)[0] for one in (found, wanted))
    )
    if smooth == 0.0:
        mean = nn.functional.cross_entropy(moved, target, **told)
        close(likelihood.nll(output, target, mean_weight="batch"), mean)


def test_soft_targets_have_the_shape_of_the_output(layout):
    output, _, dim, axis = layout
    target = output.detach().flip(0).softmax(axis)
    wanted = nn.functional.cross_entropy(
        output.movedim(axis, 1), target.movedim(axis, 1), reduction="none"
    )
    close(Categorical(dim=dim).nll_each(output, target), wanted.flatten(1).sum(1))


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_the_information_is_that_of_each_position_and_none_between_them(layout, inputs):
    output, _, dim, axis = layout
    output = output.detach() if inputs == "logits" else output.detach().softmax(axis)
    likelihood = Categorical(inputs, dim=dim)
    flat = likelihood.root(output).flatten(2)
    information = torch.einsum("kri,krj->rij", flat, flat)
    one = Categorical(inputs)
    for row in range(len(output)):
        wanted = torch.zeros_like(information[row])
        for block in likelihood.blocks(output):
            root = one.root(output[row].flatten()[block][None])[:, 0]
            wanted[block[:, None], block] = root.T @ root
        close(information[row], wanted)


def test_the_distribution_is_of_all_positions_of_a_row(layout):
    output, target, dim, _ = layout
    likelihood = Categorical(dim=dim)
    close(-likelihood.distribution(output).log_prob(target), likelihood.nll_each(output, target))


def test_draws_are_at_the_probabilities_of_their_position(layout):
    output, target, dim, axis = layout
    sure = 50.0 * nn.functional.one_hot(target, 4).double().movedim(-1, axis)
    assert torch.equal(Categorical(dim=dim).draw(sure, generator(0)), target)
    assert Categorical(dim=dim).draw(output, generator(0)).shape == target.shape


def test_a_subset_competes_at_every_position(layout):
    output, target, dim, axis = layout
    some, target = SubsetCategorical((1, 3), dim=dim), 2 * (target // 2) + 1
    two = output.movedim(axis, -1)[..., [1, 3]]
    wanted = nn.functional.cross_entropy(
        two.flatten(0, -2), target.flatten() // 2, reduction="none"
    )
    close(some.nll_each(output, target), wanted.view(target.shape).flatten(1).sum(1))
    mask = some.used(output).movedim(axis - 1, -1)
    assert mask[..., [1, 3]].all()
    assert not mask[..., [0, 2]].any()
    close(some.logits(output).softmax(axis).sum(axis), torch.ones(target.shape).double())
    assert not some.root(output)[:, ~some.used(output).expand(output.shape)].any()
    assert some.draw(output, generator(2)).unique().tolist() == [1, 3] or target.numel() < 3


def test_a_position_of_no_class_weighs_nothing():
    target = torch.tensor([[1, -100], [-100, -100]])
    likelihood = Categorical(ignore_index=-100)
    assert likelihood.weight_of(target).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    weighed = Categorical(weight=[1.0, 3.0], ignore_index=-100)
    assert weighed.weight_of(target).tolist() == [[3.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("shape", "dim", "lead", "said"),
    [
        ((2, 3, 4), None, (2, 4), r"shape \(2, 3\), found \(2, 4\).*axis 1: Categorical\(dim=1\)"),
        ((2, 3, 4), None, (2, 5), r"shape \(2, 3\), found \(2, 5\)$"),
        ((2, 3, 4), 3, (2, 3), "dim=3 is no axis of classes"),
        ((2, 3, 4), 0, (3, 4), "dim=0 is no axis of classes"),
        ((2, 3, 4, 5), None, (2, 3, 4), r"Categorical\(dim=3\)"),
    ],
)
def test_another_shape_is_named(shape, dim, lead, said):
    with pytest.raises(InputError, match=said):
        Categorical(dim=dim).nll_each(torch.zeros(shape), torch.zeros(lead, dtype=torch.int64))


def test_a_row_out_of_range_is_named_by_its_row():
    target = torch.tensor([[0, 1], [1, 7]])
    with pytest.raises(InputError, match="between 0 and 2, found 7 in row 1"):
        Categorical().nll_each(torch.zeros(2, 2, 3), target)


class Returned:
    """What language models return: attributes, one of which is the output."""

    def __init__(self, **values):
        vars(self).update(values)


def test_what_models_return_is_read():
    one, heads = torch.zeros(2, 3), Heads.of(Categorical())
    loss, two = torch.zeros(()), torch.ones(2, 5)
    for found in (
        one,
        (one, two),
        [one],
        (loss, one),
        {"logits": one, "h": two},
        Returned(logits=one),
    ):
        assert heads.outputs(found)[""] is one
    named = Heads.of({"a": Categorical(), "b": Categorical()})
    assert named.outputs(Returned(a=one, b=two))["b"] is two
    for wrong in ((), (loss,), None, {"h": one}):
        with pytest.raises(InputError, match="expected one output tensor"):
            heads.outputs(wrong)
    with pytest.raises(InputError, match="no output for the head 'b'"):
        named.outputs(Returned(a=one))
    with pytest.raises(InputError, match="expected a mapping with the heads a, b"):
        named.outputs(Returned(c=one))
