"""The field's test functions against what their papers say of them."""

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.landscape.functions import CLASSIC, SEVERAL, problem


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("name", CLASSIC)
def test_the_known_minimum_is_one(name: str, d: int) -> None:
    if (name, d) in {("himmelblau", 1), ("himmelblau", 5), ("rosenbrock", 1)}:
        pytest.skip("not defined there")
    found = problem(name, d)
    assert found.landscape.minimum is not None
    here = found.landscape(found.landscape.minimum[None])
    assert found.lowest is not None
    assert abs(float(here.values[0, 0]) - found.lowest) < 1e-6
    assert here.gradients.abs().max() < 1e-3 if name != "ackley" else True
    drawn = found.landscape.uniform(3000, torch.Generator().manual_seed(0))
    assert found.landscape(drawn).values.min() >= found.lowest - 1e-9


@pytest.mark.parametrize("name", [*CLASSIC, *SEVERAL])
def test_slopes_are_those_of_differences(name: str) -> None:
    landscape = problem(name, 3 if name != "himmelblau" else 2).landscape
    points = landscape.uniform(30, torch.Generator().manual_seed(1))
    h = 1e-6 * landscape.width
    exact = landscape(points).gradients
    for axis in range(landscape.dimension):
        shift = h * torch.eye(landscape.dimension, dtype=torch.float64)[axis]
        slope = (landscape(points + shift).values - landscape(points - shift).values) / (2 * h)
        torch.testing.assert_close(slope, exact[:, :, axis], atol=1e-5, rtol=1e-4)


def test_published_values() -> None:
    def at(name: str, *point: float) -> list[float]:
        values = problem(name, len(point)).landscape(torch.tensor([point]).double()).values
        return [round(value, 4) for value in values[0].tolist()]

    assert at("himmelblau", -2.805118, 3.131312) == [0.0]
    assert at("rosenbrock", 0.0, 0.0) == [1.0]
    assert at("rastrigin", 4.52299366, 4.52299366) == [80.7066]  # its largest in the box
    assert at("zdt1", 0.25, 0.0, 0.0) == [0.25, 0.5]
    assert at("zdt2", 0.5, 0.0) == [0.5, 0.75]
    assert at("dtlz1", 0.5, 0.5, 0.5) == [0.125, 0.125, 0.25]
    assert at("dtlz2", 0.0, 0.0, 0.5) == [1.0, 0.0, 0.0]


def test_fronts_are_what_they_are_known_to_be() -> None:
    def front(name: str) -> torch.Tensor:
        found = problem(name, 6).front
        assert found is not None
        return found

    f = front("zdt1")
    torch.testing.assert_close(f[:, 1], 1 - f[:, 0].sqrt())
    f = front("zdt2")
    torch.testing.assert_close(f[:, 1], 1 - f[:, 0].square())
    torch.testing.assert_close(front("dtlz1").sum(1), torch.full((1024,), 0.5).double())
    for name in ("dtlz2", "dtlz3", "dtlz4"):
        length = front(name).norm(dim=1)
        torch.testing.assert_close(length, torch.ones_like(length))
    assert len(front("zdt3")) < 201  # it is in five pieces
    f = front("fonseca-fleming")
    assert ((f >= 0) & (f <= 1 - torch.exp(torch.tensor(-4.0)))).all()


@pytest.mark.parametrize("name", SEVERAL)
def test_nothing_drawn_is_below_the_front(name: str) -> None:
    found = problem(name, 4)
    assert found.front is not None
    drawn = found.landscape.uniform(500, torch.Generator().manual_seed(2))
    values = found.landscape(drawn).values
    below = (values[:, None] < found.front[None] - 1e-9).all(2)
    assert not below.any()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: problem("rastrigan"), "did you mean 'rastrigin'"),
        (lambda: problem("rosenbrock", 1), "at least 2 dimensions, found 1"),
        (lambda: problem("himmelblau", 3), "exactly 2 dimensions, found 3"),
        (lambda: problem("dtlz2", 2, goals=3), "at least 3 dimensions, found 2"),
        (lambda: problem("dtlz2", 3, goals=1), "goals must be at least 2"),
        (lambda: problem("sphere", 17), "from 1 to 16"),
    ],
)
def test_what_is_not_defined_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()  # type: ignore[operator]
