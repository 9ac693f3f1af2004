import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from counterpoint.train import Training
from counterpoint.train._schedule import schedule


def _torch_rates(total, make, momentum=0.9):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=0.7, momentum=momentum)
    scheduler = make(optimiser)
    rates = []
    for _ in range(total):
        rates.append((optimiser.param_groups[0]["lr"], optimiser.param_groups[0]["momentum"]))
        optimiser.step()
        scheduler.step() if len(rates) < total else None
    return rates


@given(st.integers(2, 60), st.sampled_from([None, 0.1, 0.25, 0.5]))
def test_one_cycle_is_torchs(total, warmup):
    assume((0.3 if warmup is None else warmup) * total != 1)  # torch divides by zero there
    oracle = _torch_rates(
        total,
        lambda optimiser: torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=0.7, total_steps=total, pct_start=0.3 if warmup is None else warmup
        ),
    )
    phase = schedule(Training(warmup=warmup), total)
    for step, (rate, momentum) in enumerate(oracle):
        assert 0.7 * phase(step).share == pytest.approx(rate, rel=1e-9, abs=1e-15)
        assert phase(step).momentum == pytest.approx(momentum, rel=1e-9)


@given(st.integers(1, 60))
def test_cosine_is_torchs(total):
    oracle = _torch_rates(
        total,
        lambda optimiser: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=total),
    )
    phase = schedule(Training(schedule="cosine", momentum=0.9), total)
    for step, (rate, _) in enumerate(oracle):
        assert 0.7 * phase(step).share == pytest.approx(rate, rel=1e-9, abs=1e-12)
        assert phase(step).momentum == 0.9


def test_constant_rises_in_a_line_and_stays():
    phase = schedule(Training(schedule="constant", warmup=0.4), 10)
    assert [phase(step).share for step in range(10)] == [0.25, 0.5, 0.75] + [1.0] * 7


def test_cosine_falls_after_its_warm_up():
    phase = schedule(Training(schedule="cosine", warmup=0.5), 8)
    shares = [phase(step).share for step in range(8)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[5:] == sorted(shares[5:], reverse=True)


def test_one_cycle_leaves_no_momentum_at_none_and_a_single_step_at_the_peak():
    assert schedule(Training(momentum=0.0), 10)(3).momentum == 0.0
    assert schedule(Training(), 1)(0).share == 1.0
