"""Heads that are kept apart while a table's trunk is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.data import as_batch
from counterpoint.derivatives import gradients
from counterpoint.goals import diversity
from counterpoint.recipe import Recipe
from counterpoint.table import Context, fit_table
from counterpoint.table.fit import _luna as room
from counterpoint.table.fit._losses import make_goals, make_source
from counterpoint.table.fit._luna import drop_heads, make_luna_goals
from counterpoint.table.model._network import build_network, compute_outputs
from tables import mixed, prepare_frame, quick

HEADS = 5


def told(weight: float = 1.0, **data) -> Recipe:
    recipe = quick(**data)
    return replace(
        recipe,
        posterior=replace(recipe.posterior, uncertainty="luna", heads=HEADS, diversity=weight),
    )


def scene(**data):
    """A network with all its heads, the table, and one batch."""
    recipe = told(**data)
    prepared = prepare_frame(mixed(), recipe)
    fitted = torch.from_numpy(prepared.rows.fitted(0))
    torch.manual_seed(0)
    network = build_network(prepared.schema, recipe, HEADS)
    return network, prepared, fitted, next(make_source(prepared, fitted).batches(64))


def test_the_fit_is_the_mean_over_heads():
    network, prepared, fitted, batch = scene(target=("price", "kind"))
    network.eval()
    batch = as_batch({**batch.named, "weight.0": torch.rand(64), "weight.1": torch.rand(64)})
    found = make_luna_goals(prepared.targets, fitted, HEADS, 0.0)(network, batch)
    assert list(found) == ["price", "kind"]
    outputs = network(batch["categories"], batch["numbers"])
    plain = make_goals(prepared.targets, fitted)
    each = []
    for head in range(HEADS):
        part = {
            target.name: outputs[target.name].view(-1, HEADS, target.outputs)[:, head]
            for target in prepared.targets
        }
        each.append(plain(_Fixed(part), batch))
    for name, value in found.items():
        mean = torch.stack([one[name] for one in each]).mean()
        assert value.item() == pytest.approx(mean.item(), rel=1e-5)


class _Fixed(torch.nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, categories, numbers):
        return self.outputs


def test_slopes_along_directions_give_the_gram_matrix_of_gradients():
    """Many rows of one point: the squared cosines of slopes are those of the gradients there."""
    network, prepared, fitted, batch = scene()
    network.eval()
    many = batch.select(lambda value: value[:1].expand(60_000, *value.shape[1:]), 60_000)
    with torch.no_grad():
        found = make_luna_goals(prepared.targets, fitted, HEADS, 1.0)(network, many)["diverse"]

    def outputs(numbers):
        embedded = network.embeddings(batch["categories"][:1]).expand(len(numbers), -1)
        features = network.trunk(torch.cat([embedded, numbers, network.bins(numbers)], dim=1))
        return network.heads[0](features)

    # rows of one level: their embeddings have no spread, so only the numbers move
    exact = diversity(gradients(outputs, batch["numbers"][:1]).detach())
    assert float(found) == pytest.approx(float(exact), abs=0.02)


def test_lambda_is_relative_to_means_over_targets():
    """The plain mean of all goals is mean fit + lambda mean cosine, up to a constant."""
    network, prepared, fitted, batch = scene(target=("price", "kind"))
    network.eval()

    def goals(weight):
        torch.manual_seed(1)
        return make_luna_goals(prepared.targets, fitted, HEADS, weight)(network, batch)

    torch.manual_seed(1)
    _, slopes = room._passed(network, batch, sloped=True)
    price, kind = (s.view(64, HEADS, -1) for s in slopes)
    alike = (diversity(price) + diversity(kind - kind.mean(-1, keepdim=True))).item() / 2
    found, lam = goals(0.7), 0.7
    fit = (found["price"] + found["kind"]).item() / 2
    score = torch.stack(list(found.values())).mean().item()  # the plain rule
    assert 0 < alike < 1
    assert score * 3 / 2 == pytest.approx(fit + lam * alike, rel=1e-5)
    assert goals(2.1)["diverse"].item() == pytest.approx(3 * found["diverse"].item(), rel=1e-5)


def test_a_shift_of_all_logits_of_a_head_is_no_diversity():
    """It moves no probability, so heads that differ in it alone are as alike as before."""
    network, prepared, fitted, batch = scene(target=("kind",))
    network.eval()
    goals = make_luna_goals(prepared.targets, fitted, HEADS, 1.0)
    with torch.no_grad():
        weight = network.heads[0].weight
        classes = len(weight) // HEADS
        weight.copy_(weight[:classes].repeat(HEADS, 1))  # all heads the same
        alike = goals(network, batch)["diverse"].item()
        shifts = torch.randn(HEADS, 1, weight.shape[1]).expand(-1, classes, -1)
        weight.add_(shifts.reshape(weight.shape))
    assert alike == pytest.approx(1.0, abs=1e-5)
    assert goals(network, batch)["diverse"].item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.slow
def test_training_lowers_the_cosines():
    last = {
        weight: fit_table(mixed(150), told(weight)).findings.history[-1] for weight in (1e-6, 1.0)
    }
    alike = {weight: row.validation["diverse"] / weight for weight, row in last.items()}
    assert alike[1.0] < 0.6 * alike[1e-6]


def test_a_target_called_diverse_keeps_its_name():
    frame = mixed(60).rename(columns={"price": "diverse"})
    recipe = told(target=("diverse",))
    recipe = replace(recipe, training=replace(recipe.training, epochs=1))
    found = fit_table(frame, recipe).findings.history[0]
    assert {"diverse", "diverse'", "score"} == set(found.train)


def test_dropped_heads_leave_their_mean():
    network, prepared, _, _ = scene(target=("price", "kind"))
    recipe = told(target=("price", "kind"))
    own = drop_heads(network, build_network(prepared.schema, recipe), HEADS)
    every, mean = (compute_outputs(net, prepared.inputs) for net in (network, own))
    for target in prepared.targets:
        heads = every[target.name].view(-1, HEADS, target.outputs)
        assert torch.allclose(mean[target.name], heads.mean(1), atol=1e-5)


def test_luna_is_smooth_and_the_others_are_not():
    schema = prepare_frame(mixed(), told()).schema
    kinds = [type(m) for m in build_network(schema, told()).trunk]
    assert torch.nn.SiLU in kinds
    assert torch.nn.ReLU not in kinds
    assert torch.nn.ReLU in [type(m) for m in build_network(schema, quick()).trunk]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    recipe = replace(told(), network=replace(quick().network, dropout=0.3))
    recipe = replace(recipe, training=replace(recipe.training, epochs=4))
    frame = mixed(120)
    whole = fit_table(frame, recipe, evaluate=False).predict(frame)["price"]
    calls = iter(range(1_000_000))

    def dies(*given, **named):
        if next(calls) == 9:  # in the third epoch: three steps and a validation each
            raise KeyboardInterrupt
        return diversity(*given, **named)

    monkeypatch.setattr(room, "diversity", dies)
    with pytest.raises(KeyboardInterrupt):
        fit_table(frame, recipe, Context(folder=tmp_path), evaluate=False)
    monkeypatch.undo()
    again = fit_table(frame, recipe, Context(folder=tmp_path), evaluate=False)
    assert np.array_equal(again.predict(frame)["price"].std, whole.std)


@pytest.mark.parametrize("rule", ["impartial", pytest.param("upgrad", marks=pytest.mark.slow)])
def test_diversity_is_one_more_goal_of_a_balancer(rule):
    recipe = told(target=("price", "kind"))
    recipe = replace(recipe, training=replace(recipe.training, balance=rule, epochs=1))
    found = fit_table(mixed(80), recipe).findings.balance
    assert found.goals == ["price", "kind", "diverse"]
    assert all(np.isfinite(found.weights["diverse"]))
    assert all(value > 0 for value in found.control["diverse"])
