"""Gradients, periods and pieces of every landscape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.landscape import Aligned, Joined, Landscape, Scaled, _landscape
from counterpoint.landscape.noise import Octaves, Perlin, Simplex, Waves
from landscape.conformance import CASES, MADE


def points_of(landscape: Landscape, count: int = 40, seed: int = 0) -> torch.Tensor:
    return landscape.uniform(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "layers", "d"), CASES)
def test_gradients_are_those_of_central_differences(name: str, layers: int, d: int) -> None:
    landscape = MADE[name](layers, d)
    points = points_of(landscape)
    h = 2e-6  # rounding and the third derivative both cost less than 1e-9
    exact = landscape(points).gradients
    for axis in range(d):
        shift = h * torch.eye(d, dtype=torch.float64)[axis]
        ahead, behind = landscape(points + shift).values, landscape(points - shift).values
        torch.testing.assert_close(
            (ahead - behind) / (2 * h), exact[:, :, axis], atol=1e-9, rtol=1e-9
        )


@pytest.mark.parametrize(("name", "layers", "d"), CASES)
def test_gradients_are_those_of_autograd(name: str, layers: int, d: int) -> None:
    landscape = MADE[name](layers, d)
    points = points_of(landscape, 5).requires_grad_()
    here = landscape(points)
    for layer in range(layers):
        (slope,) = torch.autograd.grad(here.values[:, layer].sum(), points, retain_graph=True)
        torch.testing.assert_close(slope, here.gradients[:, layer], atol=1e-12, rtol=1e-12)


@given(
    name=st.sampled_from(sorted(MADE)),
    turns=st.lists(st.integers(-3, 3), min_size=2, max_size=2),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=30, deadline=None)
def test_once_round_the_torus_is_the_same_place(name: str, turns: list[int], seed: int) -> None:
    landscape = MADE[name](2, 2)
    points = points_of(landscape, 10, seed)
    away = points + landscape.width * torch.tensor(turns, dtype=torch.float64)
    one, other = landscape(points), landscape(away)
    torch.testing.assert_close(one.values, other.values, atol=1e-11, rtol=0)
    torch.testing.assert_close(one.gradients, other.gradients, atol=1e-10, rtol=0)
    assert landscape.distance(points, away).max() < 1e-12


@pytest.mark.parametrize("name", ["perlin", "simplex", "waves"])
def test_a_layer_is_the_same_however_many_there_are(name: str) -> None:
    points = points_of(MADE[name](1, 2))
    one, many = MADE[name](1, 2)(points), MADE[name](7, 2)(points)
    assert torch.equal(one.values[:, 0], many.values[:, 0])


@pytest.mark.parametrize("name", sorted(MADE))
def test_pieces_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    landscape = MADE[name](3, 2)
    points = points_of(landscape, 33)
    whole = landscape(points)
    monkeypatch.setattr(_landscape, "_PIECE", 1)
    torch.testing.assert_close(landscape(points).values, whole.values, atol=1e-14, rtol=0)
    torch.testing.assert_close(landscape(points).gradients, whole.gradients, atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", sorted(MADE))
def test_no_points_are_no_values(name: str) -> None:
    here = MADE[name](3, 2)(torch.zeros(0, 2, dtype=torch.float64))
    assert here.values.shape == (0, 3)
    assert here.gradients.shape == (0, 3, 2)


def test_corners_of_large_lattices_are_drawn_from_a_table() -> None:
    large = Perlin(1, 9, cells=4)  # 4^9 corners
    points = points_of(large, 3)
    torch.testing.assert_close(
        large(points).values, large(points + large.width).values, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("d", [12, 16])
def test_sixteen_dimensions(d: int) -> None:
    for landscape in (Simplex(2, d, cells=3), Waves(2, d, cells=3)):
        points = points_of(landscape, 5)
        h = 1e-5
        slope = torch.stack(
            [
                (landscape(points + h * e).values - landscape(points - h * e).values) / (2 * h)
                for e in torch.eye(d, dtype=torch.float64)
            ],
            -1,
        )
        torch.testing.assert_close(slope, landscape(points).gradients, atol=1e-8, rtol=0)


def test_perlin_at_the_corners_is_zero_with_the_slope_of_the_corner() -> None:
    noise = Perlin(2, 3, cells=3)
    corners = torch.cartesian_prod(*[torch.arange(3.0, dtype=torch.float64)] * 3)
    here = noise(corners)
    assert here.values.abs().max() < 1e-15
    torch.testing.assert_close(here.gradients.norm(dim=2), torch.ones(27, 2, dtype=torch.float64))


def test_waves_have_variance_one() -> None:
    noise = Waves(300, 2, cells=8, length=0.5)
    values = noise(points_of(noise, 500)).values
    torch.testing.assert_close(values.var(), torch.tensor(1.0).double(), atol=0.05, rtol=0)


@pytest.mark.parametrize(("layers", "d"), [(3, 2), (2, 1), (2, 4)])
@pytest.mark.parametrize("name", ["perlin", "simplex", "waves", "octaves"])
def test_aligned_layers_are_lowest_at_one_point(name: str, layers: int, d: int) -> None:
    aligned = Aligned(MADE[name](layers, d))
    here = aligned(aligned.minimum[None])
    assert here.values.abs().max() == 0.0
    assert here.gradients.abs().max() < 1e-9
    assert aligned(points_of(aligned, 2000)).values.min() >= 0.0


def test_layers_apart_have_their_minima_so_far_away() -> None:
    aligned = Aligned(Perlin(3, 2, cells=4), apart=0.3, seed=1)
    here = aligned(aligned.minimum[None])
    assert here.values.min() > 0
    ring = torch.linspace(0, 2 * torch.pi, 721, dtype=torch.float64)
    circle = aligned.minimum + 0.3 * torch.stack([ring.cos(), ring.sin()], 1)
    assert (aligned(circle).values.amin(0) < 1e-4).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Perlin(1, 0), "dimension must be from 1 to 16, found 0"),
        (lambda: Simplex(1, 17), "dimension must be from 1 to 16, found 17"),
        (lambda: Perlin(0), "layers must be at least 1, found 0"),
        (lambda: Perlin(cells=1), "at least 2 cells along an axis, found 1"),
        (lambda: Waves(length=0.0), "must be positive"),
        (
            lambda: Octaves(lambda cells, seed: Perlin(cells=cells, seed=seed), octaves=0),
            "positive",
        ),
        (Joined, "at least one landscape"),
        (lambda: Joined(Perlin(cells=3), Perlin(cells=4)), "differ in high: 3.0, 4.0"),
        (lambda: Joined(Perlin(1, 2), Perlin(1, 3)), "differ in dimension: 2, 3"),
        (lambda: Scaled(Perlin(2), [1.0]), "expected 2 positive scales"),
        (lambda: Aligned(Perlin(2), apart=-1.0), "must not be negative"),
        (lambda: Perlin()(torch.zeros(3, 3)), r"shape \(N, 2\), found \(3, 3\)"),
    ],
)
def test_what_is_no_landscape_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()  # type: ignore[operator]
