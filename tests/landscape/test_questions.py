"""The questions on fields whose answers are known."""

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.landscape import Evaluation, Landscape
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions import (
    EQUIVALENT,
    ON_FRONTS,
    Curve,
    Walk,
    alarm_rates,
    common_minima,
    equivalent_losses,
    foretold,
    front_reached,
    harmony,
    reached,
    smoothness,
    unequal_densities,
)
from counterpoint.landscape.questions._fronts import volume
from counterpoint.landscape.questions._grid import local_minima, near
from counterpoint.report.figures import sheet


class Bowls(Landscape):
    """cos along both axes of a torus of 4: minima in the middle of each cell, the same for all."""

    def __init__(self, layers: int) -> None:
        self.layers, self.dimension, self.low, self.high, self.periodic = layers, 2, 0.0, 4.0, True

    def evaluate(self, points):
        turn = 2 * torch.pi
        return (turn * points).cos().sum(2), -turn * (turn * points).sin()


def test_a_curve_has_the_standard_error_of_its_mean() -> None:
    curve = Curve.of("c", [1, 2], [[1.0, 5.0], [3.0, 5.0]])
    assert list(curve.mean) == [2.0, 5.0]
    assert list(curve.error) == [1.0, 0.0]


def test_minima_of_a_known_field_are_found() -> None:
    axis = torch.arange(64, dtype=torch.float64) / 16
    points = torch.cartesian_prod(axis, axis)
    field = Bowls(1)(points).values.T.reshape(1, 64, 64)
    places = local_minima(field)
    assert int(places.sum()) == 16
    assert bool(places[0, 8, 8])
    disc = near(places, 2)
    assert int(disc.sum()) == 16 * 13  # a disc of radius 2 on a grid has 13 points


def test_layers_that_are_one_have_all_their_minima_in_common() -> None:
    answer = common_minima((1, 2, 3), make=lambda n, seed: Bowls(n), radius=0.15, seeds=range(2))
    assert answer.numbers["p"] == pytest.approx(1.0)
    assert answer.numbers["minima_of_a_layer"] == pytest.approx(1.0)


@pytest.mark.slow
def test_independent_layers_follow_the_law_of_the_product() -> None:
    answer = common_minima((1, 2, 3), seeds=range(60))
    one = answer.curves[0].mean[0]
    assert answer.numbers["p_low"] < one < answer.numbers["p_high"]
    unequal = unequal_densities((3, 5), seeds=range(60))
    assert abs(unequal.numbers["ratio"] - 1) < 3 * unequal.numbers["error"]


def test_the_mean_of_many_layers_is_smoother_and_the_steepest_is_not() -> None:
    answer = smoothness((1, 16), seeds=range(2))
    assert answer.numbers["mean_ratio"] < 0.6
    assert answer.numbers["largest-gradient_ratio"] > 1.5
    one = smoothness((1,), seeds=range(1), measure="curvature")
    first = {curve.name: curve.mean[0] for curve in one.curves}
    assert len(set(first.values())) == 1  # of one layer all compositions are that layer


def test_who_reaches_the_shared_minimum() -> None:
    answer = reached((8,), starts=40, steps=300, settle=100, seeds=range(1))
    assert answer.numbers["alternation"] > 0.6
    assert answer.numbers["mean"] < 0.4
    assert f"{answer.numbers['mean']:.2f}" in answer.sentence


def test_a_walk_has_the_landscape_s_values_and_gradients() -> None:
    landscape = Perlin(3, 2, seed=1)
    start = torch.tensor([1.3, 2.6], dtype=torch.float64)
    walk = Walk(landscape, start)
    here = landscape(start[None])
    for number, (name, loss) in enumerate(walk().items()):
        assert name == f"layer {number}"
        assert float(loss.detach()) == float(here.values[0, number])
        (slope,) = torch.autograd.grad(loss, walk.point, retain_graph=True)
        torch.testing.assert_close(slope, here.gradients[0, number])


def test_goals_at_rest_against_each_other_are_a_standoff() -> None:
    answer = alarm_rates((2,), starts=2, steps=320, seeds=range(1))
    assert answer.numbers.keys() == {"desert", "obnoxious", "oscillation", "standoff", "none"}
    shares = {curve.name: curve.mean[0] for curve in answer.curves}
    assert min(shares.values()) >= 0
    assert max(shares.values()) <= 1


def test_harmony_of_one_goal_with_itself_and_with_its_opposite() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5000, 2, generator=generator, dtype=torch.float64)
    values, slopes = x.square().sum(1), 2 * x
    same = harmony(Evaluation(torch.stack([values, values], 1), torch.stack([slopes, slopes], 1)))
    assert same["common low region"] == pytest.approx(10, rel=0.01)
    assert same["cosine of gradients"] == pytest.approx(1)
    assert same["gap of minima"] == pytest.approx(0, abs=1e-12)
    against = Evaluation(torch.stack([values, -values], 1), torch.stack([slopes, -slopes], 1))
    found = harmony(against)
    assert found["common low region"] == 0
    assert found["cosine of gradients"] == pytest.approx(-1)
    assert found["gap of minima"] > 1


def test_on_a_bent_front_a_mean_runs_to_its_ends_and_equal_pulls_rest_where_they_arrive() -> None:
    """Fonseca and Fleming's front is not convex: no mean of its goals is lowest inside it."""
    some = {name: ON_FRONTS[name] for name in ("mean", "impartial")}
    answer = front_reached(
        "fonseca-fleming", compositions=some, dimension=2, starts=12, seeds=range(1), step=0.1
    )
    found = {curve.name: curve.mean[-1] for curve in answer.curves}
    assert max(answer.numbers.values()) < 0.1
    assert found["impartial"] > 1.2 * found["mean"]
    assert f"{found['impartial']:.0%}" in answer.sentence


def test_the_volume_below_a_front_is_known() -> None:
    """Of the line a + b = 1 in a box of 1.1: what it dominates is 1.21 - 1 / 2, as a share."""
    line = torch.linspace(0, 1, 2001, dtype=torch.float64)
    found = volume(torch.stack([line, 1 - line], 1))
    assert found == pytest.approx(1 - 0.5 / 1.21, abs=0.01)
    assert volume(torch.full((1, 2), 0.55, dtype=torch.float64)) == pytest.approx(0.25, abs=0.01)


def test_what_is_apart_loses_more() -> None:
    answer = foretold((0.0, 1.6), seeds=range(3), starts=30, steps=150)
    assert answer.curves[0].mean[1] > answer.curves[0].mean[0]


@pytest.mark.parametrize("name", sorted(EQUIVALENT))
def test_equivalent_losses_are_lowest_where_the_labels_are_predicted(name: str) -> None:
    labels = torch.tensor([0, 2, 1])
    right = 6.0 * torch.nn.functional.one_hot(labels, 3).float()
    if name == "squares":
        right = right / 6
    wrong = right.roll(1, 1)
    assert EQUIVALENT[name](right, labels) < EQUIVALENT[name](wrong, labels)


def test_a_network_learns_by_several_losses_at_once() -> None:
    answer = equivalent_losses((1, 3), rules={"sum": "sum"}, epochs=4, rows=300, seeds=range(1))
    assert max(answer.curves[0].mean) < 40
    assert sheet([answer.figure()]).startswith("<svg")
    assert answer.to_json()["curves"]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: common_minima(()), "at least one number of layers"),
        (lambda: common_minima((0,)), "at least one number of layers"),
        (lambda: reached(seeds=()), "one seed"),
        (lambda: front_reached("sphere"), "sphere has one goal"),
        (lambda: front_reached(seeds=()), "at least one seed"),
        (lambda: smoothness(measure="variatio", seeds=(0,)), "did you mean 'variation'"),
        (
            lambda: common_minima((1,), make=lambda n, seed: Perlin(n, 3, cells=3), seeds=(0,)),
            "in 2 dimensions, found 3",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(ask: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ask()  # type: ignore[operator]
