"""Laplace over all weights of a table's networks."""

import numpy as np
import pytest
import torch

from counterpoint.goals import Normal
from counterpoint.nn import TableNet
from counterpoint.posterior import TuningEnding, laplace
from counterpoint.table.model._observed import ObservedTargets, batches
from counterpoint.table.uncertainty._laplace import LAPLACE, _Table
from tables import mixed, prepare_frame, quick


def made(target=("price",), frame=None):
    """Two untrained networks of a table, and the table."""
    frame = mixed() if frame is None else frame
    recipe = quick(target=target, split="none")
    prepared = prepare_frame(frame, recipe)
    heads = {t.name: t.outputs for t in prepared.targets}
    torch.manual_seed(0)
    nets = [TableNet(prepared.schema.cardinalities, prepared.schema.edges, heads, width=8)]
    return [net.eval() for net in nets], prepared


def test_one_target_is_the_plain_laplace_of_the_network():
    networks, prepared = made()
    table = _Table.of(networks, prepared)
    every = table.weight > 0
    found = table.fit(0, every, [0.3])

    class Price(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = networks[0]

        def forward(self, categories, numbers):
            return self.network(categories, numbers)["price"]

    inputs, y = table.inputs, table.rows[0].values
    batches = [{**inputs, "target": y}]
    plain = laplace(Price(), Normal(0.3), batches, prior=1.0).tuned(noise=False)
    assert found.status is TuningEnding.TUNED
    belief = LAPLACE.fit(networks, prepared)[0]
    assert set(belief.noise) == {"price"}
    known = torch.ones(len(y), 1)
    one = found.predict({**inputs, "known": known})["0"]
    two = plain.predict(inputs)
    assert torch.allclose(one.knowledge, two.knowledge, rtol=1e-4)


def test_rows_without_a_value_say_nothing_through_that_target():
    frame = mixed()
    frame.loc[::3, "kind"] = None
    networks, prepared = made(("price", "kind"), frame)
    table = _Table.of(networks, prepared)
    found = table.fit(0, table.weight > 0, [0.3, None]).curvature
    rows = table.rows[1].used
    inputs = {name: value[rows] for name, value in table.inputs.items()}

    class Kind(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = networks[0]

        def forward(self, categories, numbers):
            return self.network(categories, numbers)["kind"]

    from counterpoint.curvature import fisher
    from counterpoint.goals import Categorical

    alone = fisher(Kind(), Categorical(), [inputs], structure="kronecker", parameters="*heads.1*")
    # the left factor is the Fisher information of the logits, summed over rows that have a value
    name = "network.heads.1.weight"
    ours = found.restrict([name, "network.heads.1.bias"])
    assert torch.allclose(_left(ours), _left(alone), rtol=1e-4)


def _left(precision):
    return next(value for name, value in precision.tensors().items() if name.endswith("left"))


def test_tempering_multiplies_the_covariance():
    networks, prepared = made()
    table = _Table.of(networks, prepared)
    one = table.fit(0, table.weight > 0, [0.3])
    (batch,) = batches(prepared, torch.from_numpy(prepared.rows.train[:7]))
    ratio = one.tempered(0.25).predict(batch)["0"].knowledge / one.predict(batch)["0"].knowledge
    assert torch.allclose(ratio, torch.full_like(ratio, 0.25), rtol=1e-4)


def test_a_masked_output_is_zero():
    networks, prepared = made(("price", "kind"))
    inputs = {name: value[:2] for name, value in prepared.inputs.items()}
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = ObservedTargets(networks[0])(inputs["categories"], inputs["numbers"], known)
    assert found["0"][1].abs().max() == 0
    assert found["1"][0].abs().max() == 0
    assert found["1"][1].abs().max() > 0


@pytest.mark.slow
def test_less_is_known_in_a_gap():
    from counterpoint.table import TableRegressor

    draw = np.random.default_rng(0)
    x = np.concatenate([draw.uniform(-4, -2, 50), draw.uniform(2, 4, 50)])
    model = TableRegressor(uncertainty="laplace", random_state=0)
    model.fit(x[:, None], x**3 + 3 * draw.normal(size=100))
    gap, data = (model.predict(part[:, None], return_std=True)[1] for part in (x * 0.3, x))
    assert gap.mean() > 1.1 * data.mean()
