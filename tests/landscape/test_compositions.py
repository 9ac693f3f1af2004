"""Compositions against their definitions, and descent."""

import pytest
import torch

from counterpoint.balance.rules import RULES
from counterpoint.errors import InputError
from counterpoint.landscape import (
    COMPOSITIONS,
    Aligned,
    Alternation,
    Composition,
    Evaluation,
    Ruled,
    SoftMaximum,
    composition,
    descend,
)
from counterpoint.landscape.noise import Perlin

WITH_A_VALUE = ["mean", "total", "product", "soft-maximum", "largest-value", "largest-gradient"]


@pytest.fixture(scope="module")
def hills() -> Aligned:
    return Aligned(Perlin(3, 2, cells=3, seed=2))


def starts(hills: Aligned, count: int = 20) -> torch.Tensor:
    return hills.uniform(count, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", WITH_A_VALUE)
def test_a_composite_goes_along_the_slope_of_its_value(hills: Aligned, name: str) -> None:
    points = starts(hills)
    h = 1e-6
    made = composition(name)
    slope = torch.stack(
        [
            (made.value(hills(points + h * e)) - made.value(hills(points - h * e))) / (2 * h)
            for e in torch.eye(2, dtype=torch.float64)
        ],
        1,
    )
    torch.testing.assert_close(made.direction(hills(points)), slope, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_composes(hills: Aligned, name: str) -> None:
    here = hills(starts(hills, 4))
    weights = composition(name).weights(here)
    assert weights.shape == (4, 3)
    assert weights.isfinite().all()


def test_the_rule_sum_is_the_mean(hills: Aligned) -> None:
    here = hills(starts(hills))
    torch.testing.assert_close(
        composition("sum").direction(here), composition("mean").direction(here)
    )
    torch.testing.assert_close(
        composition("total").direction(here), 3 * composition("mean").direction(here)
    )


def test_mgda_is_the_shortest_vector_of_the_hull(hills: Aligned) -> None:
    here = hills(starts(hills, 6))
    found = composition("mgda").direction(here).norm(dim=1)
    share = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    share = share / share.sum(1, keepdim=True)
    hull = torch.einsum("sk,nkd->nsd", share, here.gradients).norm(dim=2).amin(1)
    assert (found <= hull + 1e-9).all()


@pytest.mark.parametrize("pick", ["uniform", "magnitude"])
def test_alternation_draws_as_the_rule_does(pick: str) -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    here = Evaluation(
        torch.ones(6000, 3, dtype=torch.float64), gradients.expand(6000, 3, 2).clone()
    )
    chances = Alternation(pick).weights(here).mean(0) / 3
    wanted = torch.ones(3) / 3 if pick == "uniform" else torch.tensor([1.0, 2.0, 3.0]) / 6
    torch.testing.assert_close(chances, wanted.double(), atol=0.03, rtol=0)


def test_alternation_where_all_rest_stays() -> None:
    here = Evaluation(torch.zeros(2, 3), torch.zeros(2, 3, 2))
    assert (Alternation("magnitude").direction(here) == 0).all()


def test_soft_maximum_lies_between_mean_and_maximum(hills: Aligned) -> None:
    here = hills(starts(hills))
    soft = SoftMaximum(0.05).value(here)
    assert (soft >= here.values.mean(1)).all()
    assert (soft <= here.values.amax(1)).all()


def test_a_descent_is_one_of_torch_s_optimiser(hills: Aligned) -> None:
    points = starts(hills, 3)
    went = descend(hills, points, "mean", steps=30, step=0.05, momentum=0.9, record=True)
    own = torch.nn.Parameter(points[1:2].clone())
    sgd = torch.optim.SGD([own], lr=0.05, momentum=0.9)
    for _ in range(30):
        own.grad = hills(own.detach()).gradients.mean(1)
        sgd.step()
    assert went.path is not None
    torch.testing.assert_close(went.path[-1, 1], own.detach()[0])
    assert went.path.shape == (31, 3, 2)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
def test_every_optimiser_goes_down(hills: Aligned, optimiser: str) -> None:
    points = starts(hills)
    ends = descend(hills, points, steps=200, step=0.02, optimiser=optimiser).ends
    assert hills(ends).values.mean() < hills(points).values.mean()
    assert (ends >= 0).all()
    assert (ends < 3).all()


def test_switching_reaches_the_shared_minimum_where_the_mean_does_not() -> None:
    hills = Aligned(Perlin(16, 2, cells=6, seed=0))
    points = hills.uniform(100, torch.Generator().manual_seed(0))
    reached: dict[str, float] = {}
    for name in ("mean", "alternation"):
        ends = descend(hills, points, name, steps=640, step=0.6, settle=160).ends
        reached[name] = float((hills.distance(ends, hills.minimum) < 0.15).double().mean())
    assert reached["mean"] < 0.25
    assert reached["alternation"] > 0.9


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda hills: composition("larges-value"), "did you mean 'largest-value'"),
        (lambda hills: composition("pcgrap"), "did you mean 'pcgrad'"),
        (lambda hills: Alternation("magnitud"), "did you mean 'magnitude'"),
        (lambda hills: SoftMaximum(0.0), "mu must be positive"),
        (lambda hills: descend(hills, starts(hills), step=0.0), "step must be positive"),
        (lambda hills: descend(hills, starts(hills), optimiser="adm"), "did you mean 'adam'"),
    ],
)
def test_what_cannot_be_composed_is_refused(hills: Aligned, make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make(hills)  # type: ignore[operator]


def test_compositions_are_what_they_say() -> None:
    assert all(isinstance(composition(name), Composition) for name in COMPOSITIONS)
    assert isinstance(composition(RULES["impartial"]()), Ruled)
