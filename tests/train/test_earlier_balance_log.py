"""What a run of an earlier version has recorded of its balancer."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from balance_models import goals_of, make, numbers
from counterpoint.balance import Balancer, Failure
from counterpoint.data import as_batch
from counterpoint.train._balance_log import BalanceRecorder


def test_a_record_of_an_earlier_version_goes_on():
    """Written before states had one home, by a sketch that measures every other step."""

    def recorder():
        balancer = Balancer("gradnorm", gram="sketch", every=2, preference={"a": 2.0})
        return BalanceRecorder(balancer, "gradnorm", 1, [].append)

    def go(recorder, seeds):
        for seed in seeds:
            batch = as_batch({"x": numbers(6, 5, seed=seed)})
            step = recorder.backward(goals_of, model, batch)
            recorder.add(step, list(step.losses))
        return recorder.record()

    model, _ = make("mlp")
    state = load_file(Path(__file__).with_name("earlier_log.safetensors"))
    resumed, whole = recorder(), recorder()
    resumed.restore(state)
    assert [(at, alarm.failure) for at, alarm in resumed.record().alarms] == [(3, Failure.DESERT)]
    go(whole, range(5))
    assert set(whole.state()) == set(state)
    found, expected = go(resumed, range(5, 9)), go(whole, range(5, 9))
    torch.testing.assert_close(found.weights, expected.weights)
    assert found.steps == expected.steps == tuple(range(1, 10))
