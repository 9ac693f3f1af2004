"""A softmax layer sought from another one's optimum is the one that is sought from nothing."""

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import Softmax
from softmax_cases import rows

FORMS = pytest.mark.parametrize("dense_limit", [1024, 0])


def same(warm, cold):
    torch.testing.assert_close(warm.mean, cold.mean, rtol=0, atol=1e-8)
    assert warm.log_evidence == pytest.approx(cold.log_evidence, rel=1e-9)
    x = torch.randn(5, cold.mean.shape[0] - 1, generator=torch.Generator().manual_seed(1))
    one, other = warm.predict(x.double()), cold.predict(x.double())
    torch.testing.assert_close(one.probabilities, other.probabilities, rtol=0, atol=1e-8)
    torch.testing.assert_close(one.knowledge, other.knowledge, rtol=1e-6, atol=1e-10)


@FORMS
@pytest.mark.parametrize("classes", [2, 4])
def test_another_prior_leads_to_the_same_optimum(classes, dense_limit):
    x, labels = rows(3, 400, classes=classes)
    told = {"classes": classes, "dense_limit": dense_limit}
    near = None
    for prior in (0.5, 4.0, 32.0, 256.0):
        cold = Softmax.fit(x, labels, prior=prior, **told)
        near = Softmax.fit(x, labels, prior=prior, near=near, **told)
        same(near, cold)


@FORMS
def test_other_rows_lead_to_the_same_optimum(dense_limit):
    x, labels = rows(4, 500)
    near = Softmax.fit(x[:350], labels[:350], 3, prior=2.0, dense_limit=dense_limit)
    weight = torch.linspace(0, 2, 500).double()
    cold = Softmax.fit(x, labels, 3, weight, prior=2.0, dense_limit=dense_limit)
    same(Softmax.fit(x, labels, 3, weight, prior=2.0, near=near, dense_limit=dense_limit), cold)


def test_far_from_the_optimum_is_no_worse():
    x, labels = rows(5, 300)
    near = Softmax.fit(-50 * x, (labels + 1) % 3, 3, prior=1e-4)
    same(Softmax.fit(x, labels, 3, prior=1.0, near=near), Softmax.fit(x, labels, 3, prior=1.0))


def test_the_prior_found_is_the_same():
    x, labels = rows(6, 300)
    near, cold = Softmax.fit(x, labels, 3, prior=30.0), Softmax.fit(x, labels, 3)
    warm = Softmax.fit(x, labels, 3, near=near)
    assert warm.prior == pytest.approx(cold.prior, rel=0.02)


def test_one_of_other_features_or_classes_is_refused():
    x, labels = rows(7)
    near = Softmax.fit(x, labels, 3, prior=1.0)
    with pytest.raises(InputError, match="features: expected 3 columns as in the fit, found 4"):
        Softmax.fit(x[:, :3], labels, 3, prior=1.0, near=near)
    with pytest.raises(InputError, match="near: expected 4 classes, found 3"):
        Softmax.fit(x, labels, 4, prior=1.0, near=near)
