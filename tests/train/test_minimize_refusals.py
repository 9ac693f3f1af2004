"""What `train.minimize` refuses: noise first of all."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.train import MinimizeEnding, minimize


def bowl(model, batch):
    return {"bowl": model.weight.square().sum()}


def drawn(hold):
    """A goal with draws of its own, the same for so many evaluations."""
    generator, calls, draw = torch.Generator().manual_seed(0), [0], [0.0]

    def goals(model, batch):
        if calls[0] % hold == 0:
            draw[0] = torch.rand((), generator=generator).item()
        calls[0] += 1
        # the value is the same for every draw where the weight is 1, the gradient is not
        noise = draw[0] * (model.weight.sum() - 1)
        return {"bowl": model.weight.square().sum(), "noisy": noise}

    return goals


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_a_noisy_goal_is_named_before_anything_moves(weight):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    with pytest.raises(InputError, match="goal 'noisy': noisy: .* hold random draws"):
        minimize(drawn(1), model, progress=False)
    assert model.weight.item() == weight


def test_dropout_is_noise_and_evaluation_mode_is_not(net, goals, table):
    model = net()
    with pytest.raises(InputError, match=r"goal 'square': noisy: .*model\.eval\(\)"):
        minimize(goals, model, table, progress=False)
    assert minimize(goals, model.eval(), table, progress=False, iterations=3).iterations == 3


def test_adam_bears_noise_and_ends_at_its_last_step(net, goals, table):
    results = []
    for _ in range(2):
        model = net()
        found = minimize(goals, model, table, method="adam", progress=False, iterations=50)
        assert found.score == found.history[-1].score
        assert found.status is MinimizeEnding.EXHAUSTED
        results.append((found.score, model[0].weight.tolist()))
    assert results[0] == results[1]  # the draws begin at one seed


def test_draws_that_were_not_held_long_enough_are_found_out():
    model = nn.Linear(1, 1, bias=False)
    found = minimize(drawn(4), model, progress=False, tolerance=1e-12, iterations=20)
    assert found.status is MinimizeEnding.NOISY
    assert "hold" in found.status.sentence


def refusal(pattern, goals=bowl, model=None, batch=None, **options):
    with pytest.raises(InputError, match=pattern):
        minimize(goals, model or nn.Linear(3, 1), batch, progress=False, **options)


def test_bad_settings_are_refused():
    refusal("found 'lbfgs'; did you mean 'l-bfgs'", method="lbfgs")
    refusal("iterations: must be at least 1, found 0", iterations=0)
    refusal("tolerance: must be finite and not negative, found -1", tolerance=-1.0)
    refusal("rate: must be finite and above 0, found nan", rate=float("nan"))
    refusal("weights: no goal 'bow'; did you mean 'bowl'", weights={"bow": 1.0})
    refusal("weights: 'bowl' must be finite, found inf", weights={"bowl": float("inf")})
    refusal(
        "4,001 weights are above the limit of 4,000.*trust-krylov",
        model=nn.Linear(4000, 1),
        method="newton",
    )


def test_weights_that_cannot_be_minimised_over_are_refused():
    frozen = nn.Linear(3, 1).requires_grad_(False)
    refusal("no parameter of the model requires a gradient", model=frozen)
    refusal("parameter 'weight': is frozen", model=frozen, parameters="weight")
    wave = nn.Linear(3, 1, dtype=torch.complex64)
    refusal("parameter 'weight': must be dense and real, found torch.complex64", model=wave)
    thin = nn.Module()
    thin.weight = nn.Parameter(torch.eye(3).to_sparse())
    refusal("parameter 'weight': must be dense and real", model=thin)
    refusal("none of bowl depends on the parameters chosen", parameters="bias")


def test_goals_that_cannot_be_minimised_are_refused():
    x = torch.ones(2, 3)
    refusal("in float64 while it is minimised.*batch=", lambda m, b: {"a": m(x).sum()})
    refusal("goal 'a': expected a scalar", lambda m, b: {"a": m.weight})
    names = iter(["a", "a", "b"])
    refusal(
        r"goals: expected \('a',\) at every evaluation",
        lambda m, b: {next(names): m.weight.square().sum()},
    )
