"""Rows within a hard bound: which are kept, and what they cost."""

import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from continual.tasks import LIKELIHOOD, batches, moved, net, task
from counterpoint.balance import Balancer
from counterpoint.balance.rules import Protect
from counterpoint.continual import DER, Functional, Replay
from counterpoint.continual.rows._store import Store
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Categorical

close = torch.testing.assert_close


def numbered(start, count, classes=2):
    x = torch.arange(start, start + count, dtype=torch.float64)[:, None]
    return x.expand(-1, 2), torch.arange(count) % classes


@pytest.mark.parametrize(("capacity", "balanced"), [(6, False), (6, True)])
def test_every_row_of_a_class_is_kept_with_the_same_probability(capacity, balanced):
    counts, runs, draw = torch.zeros(24), 300, torch.Generator().manual_seed(0)
    # a third of the rows are of one class
    parts = list(zip(*(part.split(9) for part in numbered(0, 24, classes=3)), strict=True))
    for _ in range(runs):
        store = Store(capacity, balanced)
        for x, y in parts:
            keys = torch.rand(len(x), generator=draw).double()
            store = store.offered({"x": x}, keys, torch.stack([0 * y, (y == 0).long()], 1))
        counts[store.columns["x"][:, 0].long()] += 1
    assert counts.sum() == capacity * runs
    first = torch.arange(24) % 3 == 0
    groups = [first, ~first] if balanced else [first | True]
    for group in groups:
        assert chisquare(counts[group].numpy()).pvalue > 1e-3
    share = counts[first].sum() / counts.sum()
    assert abs(share - (1 / 2 if balanced else 1 / 3)) < 0.03


def test_balanced_it_keeps_as_many_of_each_class_of_each_task():
    memory = Replay(capacity=12, balanced=True)
    x, y = numbered(0, 50)
    y[5:] = 1  # three rows of class 0
    memory.consolidate(net(), LIKELIHOOD, batches((x, y)))
    assert [int((memory.rows(99).batch.target == c).sum()) for c in (0, 1)] == [3, 9]
    memory.consolidate(net(), LIKELIHOOD, batches(numbered(50, 40)))
    held = memory.rows(99)
    sizes = [
        int(((held.tasks == t) & (held.batch.target == c)).sum()) for t in (0, 1) for c in (0, 1)
    ]
    assert sizes == [3, 3, 3, 3]


@pytest.mark.parametrize("capacity", [1, 7, 30, 31])
def test_the_bound_is_hard(capacity):
    memory = Replay(capacity=capacity)
    for number in range(3):
        memory.consolidate(net(), LIKELIHOOD, batches(task(number, rows=10)))
        assert memory.size == min(capacity, 10 * (number + 1))
    state = memory.state_dict()
    small = Replay(capacity=capacity)
    small.load_state_dict(state)
    assert small.size == memory.size


def test_replay_of_all_rows_is_training_on_all_of_them():
    memory, model = Replay(capacity=99, batch=99), net()
    parts = [task(number) for number in range(2)]
    for part in parts:
        memory.consolidate(model, LIKELIHOOD, batches(part))
    moved(model)
    x, y = (torch.cat(each) for each in zip(*parts, strict=True))
    close(memory.penalty(model, rows=20), LIKELIHOOD.nll_each(model(x), y).sum() / 20)


def test_each_row_is_judged_by_the_likelihood_of_its_task():
    class Only(Categorical):
        def __init__(self, *outputs):
            super().__init__()
            self.outputs = list(outputs)

        def nll_each(self, output, target):
            return super().nll_each(output[:, self.outputs], target)

    memory, model = Replay(capacity=99, batch=99), net(outputs=4)
    parts, likelihoods = [task(n, classes=2) for n in range(2)], [Only(0, 1), Only(2, 3)]
    for part, likelihood in zip(parts, likelihoods, strict=True):
        memory.consolidate(model, likelihood, batches(part))
    wanted = [
        likelihood.nll_each(model(x), y).sum()
        for (x, y), likelihood in zip(parts, likelihoods, strict=True)
    ]
    close(memory.penalty(model, rows=1), sum(wanted))


def test_rows_are_drawn_anew_and_reproducibly():
    memory, model = Replay(capacity=30, batch=5), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    first, second = memory.rows(), memory.rows()
    assert first.batch.rows == 5
    assert not torch.equal(first.batch.inputs[0], second.batch.inputs[0])
    again = [memory.rows(4, torch.Generator().manual_seed(1)).batch.target for _ in range(2)]
    assert torch.equal(*again)


def test_weights_and_several_inputs_and_heads_are_kept():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(2, 2)

        def forward(self, x, shift):
            return {"a": self.map(x) + shift, "b": self.map(x)}

    heads = {"a": Categorical(), "b": Categorical()}
    batch = Batch.of(
        torch.randn(6, 2),
        named={"shift": torch.randn(6, 1)},
        target={"a": torch.arange(6) % 2, "b": torch.arange(6) // 3},
        weight=torch.linspace(0.5, 1, 6),
    )
    memory, model = Replay(capacity=99), Two()
    memory.consolidate(model, heads, [batch])
    found = memory.rows(99).batch
    assert torch.equal(found.named["shift"], batch.named["shift"])
    assert torch.equal(found.weight, batch.weight)
    each = [
        heads[name].nll_each(value, batch.target[name]) @ batch.weight
        for name, value in batch.call(model).items()
    ]
    # all rows are held, so that the penalty is what training on them would add
    close(memory.penalty(model, rows=1), sum(each))


@pytest.mark.parametrize("make", [Replay, DER, Functional])
def test_what_cannot_be_kept_is_refused(make):
    with pytest.raises(InputError, match="needs at least one, found 0"):
        make(capacity=0)
    with pytest.raises(InputError, match="at least one row is drawn, found 0"):
        make(batch=0)
    memory = make(capacity=5)
    with pytest.raises(InputError, match="no task so far"):
        memory.rows()
    memory.consolidate(net(), LIKELIHOOD, batches(task()))
    wide = nn.Sequential(nn.Linear(3, 3).double())
    with pytest.raises(InputError, match=r"rows of shape \(2,\) as in earlier tasks, found \(3,\)"):
        memory.consolidate(wide, LIKELIHOOD, [(torch.ones(4, 3).double(), torch.arange(4) % 3)])
    assert (memory.tasks, memory.size) == (1, 5)
    other = make(capacity=5)
    other.load_state_dict(memory.state_dict())
    with pytest.raises(InputError, match=r"give them with attach\(likelihood, ...\)"):
        other.penalty(net(), rows=3)


def test_dark_experience_by_hand():
    memory, model, (x, y) = DER(capacity=99, batch=99, alpha=0.3, beta=0.7), net(), task()
    memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    before = model(x).detach()
    moved(model)
    wanted = 0.3 * (model(x) - before).square().mean() + 0.7 * LIKELIHOOD.nll(model(x), y)
    close(memory.penalty(model, rows=1), wanted)
    for wrong in ({"alpha": -1.0}, {"alpha": 0.0, "beta": 0.0}, {"beta": float("nan")}):
        with pytest.raises(InputError, match="alpha, beta: must be at least 0"):
            DER(**wrong)


def test_a_core_set_is_the_curvature_of_ewc_to_second_order():
    from counterpoint.continual import EWC

    for labels in ("exact", "jac"):
        model, found = net(), batches(task())
        core, dense = (
            Functional(capacity=99, batch=99, labels=labels),
            EWC(structure="dense", labels=labels),
        )
        for memory in (core, dense):
            memory.consolidate(model, LIKELIHOOD, found)
        moved(model, by=1e-4)
        close(core.penalty(model, rows=1), dense.penalty(model, rows=1), rtol=1e-2, atol=0)


def test_memorable_rows_are_the_uncertain_ones():
    memory, model, (x, y) = Functional(capacity=10, core="memorable"), net(), task()
    memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    variance = LIKELIHOOD.root(model(x)).square().sum((0, 2))
    wanted = x[variance.topk(10).indices.sort().values]
    assert torch.equal(memory.rows(99).batch.inputs[0], wanted)
    for wrong in ({"labels": "sampled"}, {"core": "first"}):
        with pytest.raises(InputError, match="(labels|core): expected one of"):
            Functional(**wrong)


def test_old_rows_can_be_protected_instead_of_pursued():
    """A-GEM: the step never climbs the old rows' loss, to first order."""
    memory, model = Replay(capacity=30, batch=30), net()
    memory.consolidate(model, LIKELIHOOD, batches(task(0)))
    x, y = task(0)
    old = memory.penalty(model, rows=30)
    (*slopes,) = torch.autograd.grad(old, model.parameters())
    for rule, harms in (("sum", True), (Protect(("old",)), False)):
        model.zero_grad()
        balancer = Balancer(rule, gram="parameters")
        losses = {
            # what contradicts the old rows, and something else
            "fit": LIKELIHOOD.nll(model(x), (y + 1) % 3) - LIKELIHOOD.nll(model(x), y),
            "old": 0.01 * memory.penalty(model, rows=30),
        }
        balancer.backward(losses, model)
        pairs = zip(model.parameters(), slopes, strict=True)
        along = sum(float((weight.grad * slope).sum()) for weight, slope in pairs)
        assert (along < -1e-6) == harms
