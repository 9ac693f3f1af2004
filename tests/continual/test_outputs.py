"""What a task's likelihood does not look at is not remembered for it."""

import pytest
import torch
from torch import nn

from continual.tasks import LIKELIHOOD, batches, moved, net, task
from counterpoint import goals
from counterpoint.continual import EWC, MAS, Functional
from counterpoint.curvature import fisher
from counterpoint.goals import Bernoulli, Categorical


class First(Categorical):
    """The first two of three classes; the third does not compete."""

    def nll_each(self, output, target):
        return super().nll_each(output[:, :2], target)

    def root(self, output):
        return torch.nn.functional.pad(super().root(output[:, :2]), (0, 1))


def test_which_outputs_are_looked_at():
    output = torch.randn(5, 3)
    assert First().used(output).tolist() == [True, True, False]
    for all_of_them in (Categorical(), Categorical("probabilities"), Bernoulli(), goals.Normal()):
        assert all_of_them.used(output).all()
    assert goals.Normal().used(output[:, 0])


@pytest.mark.parametrize("make", [lambda: EWC(labels="jac"), EWC, MAS, Functional])
def test_outputs_that_do_not_compete_are_free(make):
    memory, model, found = make(), net(), task(classes=2)
    memory.consolidate(model, First(), batches(found))
    with torch.no_grad():
        model[2].weight[2] += 1
        model[2].bias[2] += 1
    assert memory.penalty(model, rows=1) == 0
    moved(model)
    assert memory.penalty(model, rows=1) > 0


def test_the_jacobian_of_the_others_is_that_of_a_smaller_model():
    memory, model, found = EWC(labels="jac"), net(), task(classes=2)
    memory.consolidate(model, First(), batches(found))
    small = net()
    with torch.no_grad():
        small[2] = nn.Linear(4, 2).double()
        for name, value in small.named_parameters():
            value.copy_(dict(model.named_parameters())[name][: len(value)])
    wanted = fisher(small, LIKELIHOOD, batches(found), labels="jac").diagonal()
    precision = memory.gaussian.precision.diagonal()
    for name, value in wanted.items():
        torch.testing.assert_close(precision[name][: len(value)], value)


def test_a_model_in_training_mode_is_read_in_evaluation_mode_and_left_as_it_was():
    memory = EWC()
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    model.double().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert "1.weight" in memory.gaussian.mean


@pytest.mark.parametrize("labels", ["exact", "jac"])
def test_a_number_that_never_changes_is_a_task(labels):
    memory, line = EWC(labels=labels), nn.Linear(2, 1).double()
    model = nn.Sequential(line, nn.Flatten(0))
    memory.consolidate(model, goals.Normal(), [(task()[0], torch.ones(30).double())])
    assert memory.tasks == 1
