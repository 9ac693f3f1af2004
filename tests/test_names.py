"""A name is found as people write it, wherever one is taken, and refused with the nearest."""

import pytest
import torch

from counterpoint.balance import Balancer
from counterpoint.balance.rules import Alternate, rule
from counterpoint.continual import EWC, MAS, Functional, OnlineEWC, Scenario
from counterpoint.curvature import fisher, hessian, product
from counterpoint.derivatives import scheme
from counterpoint.errors import InputError, one_of
from counterpoint.estimators import KinkWarning, LunaRegressor, NeuralLinearRegressor
from counterpoint.goals import Categorical, Normal, diversity, moments, orthogonality
from counterpoint.posterior import Softmax, laplace
from counterpoint.recipe import Data, Network, Posterior, Training
from counterpoint.train import minimize

X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]])
ROWS = [(X, X.sum(1))]
SLOPES = torch.tensor([[[1.0, 0.0], [0.0, 3.0]], [[1.0, 1.0], [2.0, 0.0]]])
IMAGES = (torch.arange(8.0)[:, None], torch.tensor([0, 1, 2, 3] * 2))


def line():
    model = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.5)
    return model.eval()


def softmax(name):
    fitted = Softmax.fit(X, torch.tensor([0, 1, 1]), 2, prior=1.0)
    return fitted.predict(X, link=name).probabilities.tolist()


def network(name, **settings):
    estimator = NeuralLinearRegressor(activation=name, width=2, epochs=1, random_state=0)
    return estimator.set_params(**settings).fit(X.numpy(), X[:, 0].numpy()).predict(X[:1]).tolist()


def luna(**settings):
    short = {"width": 2, "heads": 2, "epochs": 1, "random_state": 0}
    return LunaRegressor(**short, **settings).fit(X.numpy(), X[:, 0].numpy()).similarity(X.numpy())


def least(name):
    model = line()

    def goals(module, batch):
        return {"fit": (module(batch["x"]) - 1).square().mean()}

    minimize(goals, model, (X, X), method=name, iterations=2, progress=False)
    return model.weight.tolist()


def regression(link):
    posterior = laplace(line(), Normal(), ROWS, prior=1.0)
    draws = torch.Generator().manual_seed(0)
    return posterior.predict(X, link=link, generator=draws).mean.tolist()


def tuned(each):
    return sorted(laplace(line(), Normal(), ROWS, prior=1.0).tuned(each=each).prior)


def curvature(**settings):
    draws = torch.Generator().manual_seed(0)
    return fisher(line(), Normal(), ROWS, generator=draws, **settings).dense().tolist()


def balancer(**settings):
    state = Balancer(**settings).state_dict()
    return {name: value.tolist() for name, value in state.items()}


PLACES = {
    "rule": ("PCGrad", "pcgrad", rule),
    "rule, with _ for -": ("IMTL_G", "imtl-g", rule),
    "pick": ("Uniform", "uniform", lambda name: Alternate(name).pick),
    "gram": ("Sketch", "sketch", lambda name: balancer(rule="mgda", gram=name)),
    "nonfinite": ("Skip", "skip", lambda name: balancer(nonfinite=name)),
    "on_alarm": ("Remedy", "remedy", lambda name: balancer(on_alarm=name)),
    "scheme": ("Complex_Step", "complex-step", scheme),
    "diversity over": ("Points", "points", lambda name: diversity(SLOPES, over=name).item()),
    "diversity reduction": ("Sum", "sum", lambda name: diversity(SLOPES, reduction=name).item()),
    "orthogonality": ("Sum", "sum", lambda name: orthogonality(X, reduction=name).item()),
    "covariance": ("Diagonal", "diagonal", lambda name: moments(X, covariance=name).item()),
    "inputs": ("Logits", "logits", lambda name: Categorical(name).inputs),
    "structure": ("Kronecker", "kronecker", lambda name: curvature(structure=name)),
    "structure of a glob": ("Dense", "dense", lambda name: curvature(structure={"*": name})),
    "labels": ("Sampled", "sampled", lambda name: curvature(labels=name)),
    "hessian": (
        "Diagonal", "diagonal",
        lambda name: hessian(line(), Normal(), ROWS, structure=name).dense().tolist(),
    ),
    "product": (
        "Hessian", "hessian",
        lambda name: product(
            line(), Normal(), ROWS, {"weight": torch.ones(1, 2)}, kind=name
        )["weight"].tolist(),
    ),
    "EWC structure": ("Kronecker", "kronecker", lambda name: EWC(structure=name).structure),
    "EWC merged": ("Kronecker_Merged", "kronecker-merged", lambda n: EWC(structure=n).structure),
    "EWC globs": ("Dense", "dense", lambda name: EWC(structure={"*": name}).structure),
    "EWC labels": ("Empirical", "empirical", lambda name: EWC(labels=name).labels),
    "OnlineEWC centre": ("Product", "product", lambda name: OnlineEWC(centre=name).centre),
    "MAS": ("Square", "square", lambda name: MAS(importance=name).importance),
    "Functional labels": ("Exact", "exact", lambda n: Functional(labels=n).labels),
    "Functional core": ("Memorable", "memorable", lambda n: Functional(core=n).core),
    "scenario": (
        "Domain", "domain",
        lambda name: Scenario.by_class(IMAGES, IMAGES, kind=name).kind,
    ),
    "Laplace link": ("Outputs", "outputs", regression),
    "Laplace each": ("Layer", "layer", tuned),
    "softmax link": ("Closed", "closed", softmax),
    "method": ("L_BFGS", "l-bfgs", least),
    "activation": ("ReLU", "relu", network),
    "luna over": ("Stacked", "stacked", lambda name: luna(over=name)),
    "luna balance": ("UPGrad", "upgrad", lambda name: luna(balance=name)),
    "luna scheme": ("Central", "central", lambda name: luna(scheme=name)),
    "optimiser": ("AdamW", "adamw", lambda name: Training(optimiser=name)),
    "schedule": ("One_Cycle", "one-cycle", lambda name: Training(schedule=name)),
    "precision": ("BFloat16", "bfloat16", lambda name: Training(precision=name)),
    "balance": ("ConFIG", "config", lambda name: Training(balance=name)),
    "trunk": ("Residual", "residual", lambda name: Network(trunk=name)),
    "dates": ("Day-First", "day-first", lambda name: Data(dates=name)),
    "uncertainty": ("LUNA", "luna", lambda name: Posterior(uncertainty=name)),
}  # fmt: skip


@pytest.mark.parametrize(("written", "known", "take"), PLACES.values(), ids=PLACES)
def test_a_name_is_found_whatever_its_case(written, known, take):
    assert take(written) == take(known)


@pytest.mark.parametrize(("written", "known", "take"), PLACES.values(), ids=PLACES)
def test_another_name_is_refused_with_the_nearest(written, known, take):
    with pytest.raises(InputError, match=f"found '{written}s'; did you mean '{known}'"):
        take(f"{written}s")


def test_a_kink_is_minded_however_its_name_is_written():
    with pytest.warns(KinkWarning, match="'relu' do not see its kinks"):
        luna(activation="ReLU", scheme="Reverse_Mode")


@pytest.mark.parametrize("value", [None, True, 3, "", "sums up"])
def test_what_is_no_name_is_refused(value):
    with pytest.raises(InputError, match=f"rule: expected one of none, true, 3s, found {value!r}"):
        one_of("rule", value, ["none", "true", "3s"])


def test_many_names_are_counted_where_one_is_meant():
    names = [f"rule-{letter}" for letter in "abcdefghijk"]
    with pytest.raises(InputError, match="expected one of 11 names, found 'rule-z'; did you mean"):
        one_of("rule", "rule-z", names)
    with pytest.raises(InputError, match="expected one of rule-a, .*, rule-k, found 'zebra'$"):
        one_of("rule", "zebra", names)
