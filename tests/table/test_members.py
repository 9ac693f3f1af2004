"""Members trained in one pass: each on its own rows, as alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.data import Batch
from counterpoint.nn import pack
from counterpoint.recipe import Posterior, Recipe
from counterpoint.seeding import derive, seeded
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._losses import make_goals, make_source
from counterpoint.table.fit._member_rows import MemberRows, goal_name, make_member_goals
from counterpoint.table.fit._members import packable, train_members, train_together
from counterpoint.table.model._network import build_network
from counterpoint.train import evaluate, fit
from tables import mixed, prepare_frame, quick

MEMBERS = 3


def told(**data):
    recipe = quick(target=("price", "kind"), split="none", **data)
    network = replace(recipe.network, members=MEMBERS, dropout=0.0)
    training = replace(recipe.training, epochs=4, patience=0)
    return replace(recipe, network=network, training=training)


@pytest.fixture(params=["", "weight"])
def recipe(request):
    return told(weight=request.param)


@pytest.fixture
def prepared(recipe):
    frame = mixed(203)
    frame.loc[::9, "price"] = np.nan
    return prepare_frame(frame, recipe)


def parts(prepared):
    return [torch.from_numpy(prepared.rows.fitted(member)) for member in range(MEMBERS)]


def networks(prepared, recipe):
    made = list[torch.nn.Module]()
    for place in range(MEMBERS):
        with seeded(derive(recipe.training.seed, 1, place)):
            made.append(build_network(prepared.schema, recipe))
    return made


def shown(batch):
    """Which rows a batch holds, by numbers that tell them apart."""
    return batch["numbers"][:, 1].view(MEMBERS, -1)


def test_a_pass_shows_each_member_its_own_rows_once(prepared):
    rows = parts(prepared)
    rows[1] = rows[1][:50]  # as of unequal groups
    source = MemberRows(prepared, rows)
    batches = list(source.batches(32, seed=5))
    assert len(batches) == source.steps(32) == 6
    assert len({batch.rows for batch in batches}) == 1
    for member in range(MEMBERS):
        shares = [batch["share.1"].view(MEMBERS, -1)[member] for batch in batches]
        used = [shown(b)[member][share > 0] for b, share in zip(batches, shares, strict=True)]
        own = prepared.inputs["numbers"][rows[member], 1]
        assert torch.equal(torch.cat(used).sort().values, own.sort().values)


def test_orders_are_a_matter_of_the_seed_and_differ_between_members(prepared):
    source = MemberRows(prepared, [torch.arange(64)] * MEMBERS)
    first, again, other = (
        torch.cat([shown(b) for b in source.batches(16, seed=seed)], 1) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    late = next(source.batches(16, seed=1, start=3))
    assert torch.equal(shown(late), first[:, 48:])


def test_goals_over_a_pass_are_those_of_each_member(prepared, recipe):
    nets = networks(prepared, recipe)
    held = [torch.from_numpy(part) for part in prepared.rows.held]
    goals = make_member_goals(prepared, MEMBERS)
    found = evaluate(pack(nets), goals, MemberRows(prepared, held), 16)
    for member, (net, rows) in enumerate(zip(nets, held, strict=True)):
        own = evaluate(net, make_goals(prepared.targets, rows), make_source(prepared, rows))
        for target in ("price", "kind"):
            assert found[goal_name(member, target)] == pytest.approx(own[target], rel=1e-4)


class AsOne(torch.nn.Module):
    """A network as a pack of one."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, codes, numbers):
        return {name: value[None] for name, value in self.network(codes[0], numbers[0]).items()}


class OwnPart:
    """A member's part of the batches of all, so that it is trained alone on the same rows."""

    def __init__(self, every, member):
        self.every, self.member = every, member

    def steps(self, size):
        return self.every.steps(size)

    def batches(self, size, *, seed=None, start=0):
        for batch in self.every.batches(size, seed=seed, start=start):
            each = batch.rows // MEMBERS
            own = slice(self.member * each, (self.member + 1) * each)
            yield Batch((), {name: v[own] for name, v in batch.named.items()}, None, None, each)


def test_together_each_is_what_it_is_alone_on_the_same_batches(prepared, recipe):
    settings = recipe.resolved(len(prepared.rows.fitted(0)))
    trained = train_together(prepared, settings, Context())
    source = MemberRows(prepared, parts(prepared))
    held = MemberRows(prepared, [torch.from_numpy(part) for part in prepared.rows.held])
    for member, net in enumerate(networks(prepared, settings)):
        course = fit(
            AsOne(net),
            make_member_goals(prepared, 1),
            OwnPart(source, member),
            replace(settings.training, seed=derive(settings.training.seed, 2)),
            validation=OwnPart(held, member),
            progress=False,
        )
        network, own = trained[member]
        assert own.best_epoch == course.best_epoch
        assert [r["validation"]["score"] for r in own.history] == pytest.approx(
            [r["validation"]["score"] for r in course.history], rel=1e-3
        )
        for one, two in zip(network.parameters(), net.parameters(), strict=True):
            assert torch.allclose(one, two, rtol=1e-3, atol=1e-4)


def test_a_member_learns_nothing_of_the_rows_that_it_leaves_out(prepared, recipe):
    settings = replace(recipe, training=replace(recipe.training, epochs=1))
    settings = settings.resolved(len(prepared.rows.fitted(0)))
    price = prepared.targets[0]
    values = price.values.clone()
    values[torch.from_numpy(prepared.rows.held[0])] += 100.0
    poisoned = replace(prepared, targets=(replace(price, values=values), *prepared.targets[1:]))
    pair = [train_together(one, settings, Context()) for one in (prepared, poisoned)]
    same = [
        all(map(torch.equal, first.parameters(), second.parameters()))
        for (first, _), (second, _) in zip(*pair, strict=True)
    ]
    assert same == [True, False, False]


def test_what_looks_at_all_weights_is_trained_one_by_one(prepared):
    recipe = told()
    assert packable(recipe, 2)
    assert not packable(replace(recipe, network=replace(recipe.network, members=1)), 2)
    assert not packable(replace(recipe, posterior=Posterior(uncertainty="luna")), 2)
    balanced = replace(recipe, training=replace(recipe.training, balance="impartial"))
    assert not packable(balanced, 2)
    assert packable(balanced, 1)
    assert packable(replace(recipe, training=replace(recipe.training, clip=1.0)), 2)
    one_by_one = train_members(prepared, balanced.resolved(130), Context())
    assert len(one_by_one) == MEMBERS


def test_its_log_names_networks_and_targets(prepared, tmp_path):
    recipe: Recipe = told()
    train_together(prepared, recipe.resolved(130), Context(folder=tmp_path))
    text = (tmp_path / "members" / "log.jsonl").read_text()
    assert '"network 2: price"' in text
