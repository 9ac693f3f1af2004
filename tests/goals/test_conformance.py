"""What every likelihood keeps, whatever it is: one row in conftest's `CASES` inherits all this."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.goals import Categorical, check_goals

weights = st.lists(st.floats(0.0, 100.0), min_size=2, max_size=12).filter(lambda w: sum(w) > 0.1)


def test_row_loss_is_the_distributions_log_probability(case):
    output, target = case.batch(7)
    likelihood = case.make()
    if isinstance(likelihood, Categorical) and target.is_floating_point():
        classes = torch.arange(output.shape[1]).unsqueeze(1).expand(-1, output.shape[0])
        logs = likelihood.distribution(output).log_prob(classes)
        expected = -(target.T * logs).sum(0)
    else:
        expected = -likelihood.distribution(output).log_prob(target)
    torch.testing.assert_close(likelihood.nll_each(output, target), expected, rtol=1e-12, atol=0)


def test_without_weights_the_plain_mean(case):
    output, target = case.batch(7)
    likelihood = case.make()
    loss = likelihood.nll(output, target)
    torch.testing.assert_close(loss, likelihood.nll_each(output, target).mean())


def test_gradient(case):
    output, target = case.batch(4)
    weight = torch.tensor([0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    likelihood = case.make()

    def loss(output, *parameters):
        return likelihood.nll(output, target, weight, mean_weight=1.1)

    inputs = (output.requires_grad_(), *likelihood.parameters())
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_a_goal(case):
    output, target = case.batch(4)
    loss = case.make().nll(output.requires_grad_(), target)
    assert check_goals({case.name: loss})[case.name] is loss


@settings(deadline=None, max_examples=15)
@given(weight=weights, cut=st.integers(1, 11), mean=st.floats(0.01, 10.0))
def test_linear_over_micro_batches(case, weight, cut, mean):
    rows = len(weight)
    cut = min(cut, rows - 1)
    output, target = case.batch(rows, seed=rows)
    weight = torch.tensor(weight, dtype=torch.float64)
    likelihood = case.make()
    parts = [
        likelihood.nll(output[part], target[part], weight[part], mean_weight=mean) * size / rows
        for part, size in ((slice(None, cut), cut), (slice(cut, None), rows - cut))
    ]
    whole = likelihood.nll(output, target, weight, mean_weight=mean)
    torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=8).filter(any))
def test_integer_weights_are_repetition(case, counts):
    output, target = case.batch(len(counts), seed=len(counts))
    weight = torch.tensor(counts)
    likelihood = case.make()
    weighted = likelihood.nll(output, target, weight, mean_weight=sum(counts) / len(counts))
    repeated = likelihood.nll(
        output.repeat_interleave(weight, dim=0), target.repeat_interleave(weight, dim=0)
    )
    torch.testing.assert_close(weighted, repeated, rtol=1e-12, atol=1e-12)
    by_batch = likelihood.nll(output, target, weight, mean_weight="batch")
    torch.testing.assert_close(by_batch, repeated, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(weight=weights, scale=st.floats(1e-6, 1e6))
def test_the_unit_of_the_weights_does_not_matter(case, weight, scale):
    output, target = case.batch(len(weight), seed=1)
    weight = torch.tensor(weight, dtype=torch.float64)
    mean = weight.mean().item()
    likelihood = case.make()
    for before, after in ((mean, scale * mean), ("batch", "batch")):
        torch.testing.assert_close(
            likelihood.nll(output, target, weight, mean_weight=before),
            likelihood.nll(output, target, scale * weight, mean_weight=after),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("mean_weight", [0.5, "batch"])
def test_a_batch_without_weight_is_zero_with_zero_gradient(case, mean_weight):
    output, target = case.batch(3)
    loss = case.make().nll(output.requires_grad_(), target, torch.zeros(3), mean_weight=mean_weight)
    (gradient,) = torch.autograd.grad(loss, output)
    assert loss.item() == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_give_float32_losses(case, dtype):
    output, target = case.batch(5)
    output = output.to(dtype)
    target = target.float() if target.is_floating_point() else target
    likelihood = case.make().float()
    expected = likelihood.nll(output.float(), target)
    torch.testing.assert_close(likelihood.nll(output, target), expected)


def test_state_makes_the_trip(case):
    output, target = case.batch(5)
    likelihood = case.make()
    fresh = copy.deepcopy(likelihood)
    for value in fresh.state_dict().values():
        value.zero_()
    fresh.load_state_dict(likelihood.state_dict())
    assert torch.equal(fresh.nll(output, target), likelihood.nll(output, target))


def test_outputs_that_are_not_finite_pass_through(case):
    output, target = case.batch(3)
    output[0] = float("nan")
    assert case.make().nll(output, target).isnan()


@pytest.mark.parametrize("mean_weight", [1.0, "batch"])
def test_values_on_an_accelerator_are_not_read(case, mean_weight):
    # the meta device has no values: whatever looked at one would fail here
    output, target = (tensor.to("meta") for tensor in case.batch(3))
    likelihood = case.make().to("meta")
    weight = torch.ones(3, device="meta")
    loss = likelihood.nll(output, target, weight, mean_weight=mean_weight)
    assert loss.device.type == "meta"
    assert loss.shape == ()


def test_vmap_without_validation(case):
    output, target = case.batch(6)
    likelihood = case.make()
    likelihood.validate = False

    def one(output, target):
        return likelihood.nll_each(output.unsqueeze(0), target.unsqueeze(0)).squeeze(0)

    each = torch.func.vmap(one)(output, target)
    torch.testing.assert_close(each, likelihood.nll_each(output, target))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -2.0, 1.0], "weight must be finite and at least 0, found -2 in row 1"),
        ([1.0, 1.0, float("nan")], "weight must be finite and at least 0, found nan in row 2"),
        ([float("inf"), 1.0, 1.0], "weight must be finite and at least 0, found inf in row 0"),
        ([1.0, 1.0], "weight must have one value a row, shape (3,), found shape (2,)"),
        ([[1.0], [1.0], [1.0]], "weight must have one value a row, shape (3,), found shape (3, 1)"),
        ([True, False, True], "weight must be a real number, found torch.bool"),
    ],
)
def test_weights_that_cannot_be_used(case, weight, message):
    output, target = case.batch(3)
    with pytest.raises(InputError) as caught:
        case.make().nll(output, target, torch.tensor(weight))
    assert str(caught.value) == message


@pytest.mark.parametrize("mean_weight", [0.0, -1.0, float("nan"), float("inf")])
def test_mean_weights_that_cannot_be_used(case, mean_weight):
    output, target = case.batch(3)
    with pytest.raises(InputError, match="mean_weight must be a positive number or 'batch'"):
        case.make().nll(output, target, torch.ones(3), mean_weight=mean_weight)


def test_outputs_must_be_floating_point_with_rows(case):
    output, target = case.batch(3)
    with pytest.raises(InputError, match=r"floating point, found torch\.int64"):
        case.make().nll(output.long(), target)
    with pytest.raises(InputError, match="output must have at least one row"):
        case.make().nll(output[:0], target[:0])
