"""Goals are named scalars with a graph, and nothing else."""

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.goals import check_goals

SCALAR = torch.zeros((), requires_grad=True)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (SCALAR, "goals: expected a mapping from name to scalar, found Tensor; "
                 "return {'fit': loss}"),
        ({}, "goals: expected at least one goal, found an empty mapping"),
        ({3: SCALAR}, "goals: a name must be text, found 3 (int)"),
        ({"fit": SCALAR, "decay": 0.5}, "goal 'decay': expected a tensor, found float"),
        ({"rating": torch.zeros(64, requires_grad=True)},
         "goal 'rating': expected a scalar, found shape (64,); reduce it (for example .mean())"),
        ({"fit": torch.zeros(1, requires_grad=True)},
         "goal 'fit': expected a scalar, found shape (1,); reduce it (for example .mean())"),
        ({"fit": torch.tensor(3)},
         "goal 'fit': expected a floating-point scalar, found torch.int64"),
        ({"fit": SCALAR.detach()},
         "goal 'fit': expected a scalar with a graph, found one without; "
         "it was detached, or computed under torch.no_grad()"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(losses, message):
    with pytest.raises(InputError) as caught:
        check_goals(losses)
    assert str(caught.value) == message


def test_order_and_tensors_are_kept():
    other = SCALAR * 2
    checked = check_goals({"b": SCALAR, "a": other})
    assert list(checked) == ["b", "a"]
    assert checked["a"] is other


def test_without_a_graph_where_none_is_wanted():
    assert check_goals({"fit": SCALAR.detach()}, graph=False)["fit"].item() == 0


def test_a_loss_that_is_not_finite_is_not_read():
    check_goals({"fit": SCALAR * float("nan")})
