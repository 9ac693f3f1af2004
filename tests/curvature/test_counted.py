"""Only rows that count are looked at, and they count by what was observed in them."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from counterpoint.continual import DER, EWC, MAS, SI, Functional, LwF, OnlineEWC, Replay
from counterpoint.curvature import fisher, ggn, hessian, product
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Normal
from counterpoint.posterior import laplace
from counterpoint.seeding import generator

close = torch.testing.assert_close
KEPT = torch.tensor([1, 2, 3, 4, 6, 7, 8, 9, 10])
LEFT_OUT = torch.tensor([0, 5, 11])


def net(outputs=3, inputs=4):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs)
        return nn.Sequential(*layers).double().eval()


def rows(count=12):
    draw = generator(3, 0)
    x = torch.randn(count, 4, generator=draw, dtype=torch.float64)
    return x, torch.arange(count) % 3


def marked(y):
    y = y.clone()
    y[LEFT_OUT] = -100
    return y


IGNORING = Categorical(ignore_index=-100)


def halves(x, y):
    """Two batches, the first of which begins and the second of which ends with a row left out."""
    return [(x[:6], y[:6]), (x[6:], y[6:])]


def taught(memory, model, likelihood, data):
    """What a memory holds of a task."""
    memory.begin(model)
    if isinstance(memory, SI):
        for weight in model.parameters():
            weight.grad = -torch.ones_like(weight)
            weight.data += 0.1
        memory.observe(model)
    memory.consolidate(model, likelihood, data, generator=generator(9))
    return {name: v for name, v in memory.state_dict().items() if name != "plain"}


USES = {
    "fisher": lambda m, one, data: {"": fisher(m, one, data, structure="dense").dense()},
    "diagonal": lambda m, one, data: fisher(m, one, data).diagonal(),
    "kronecker": lambda m, one, data: fisher(m, one, data, structure="kronecker").diagonal(),
    "empirical": lambda m, one, data: fisher(m, one, data, labels="empirical").diagonal(),
    "jac": lambda m, one, data: fisher(m, one, data, labels="jac").diagonal(),
    "sampled": lambda m, one, data: fisher(
        m, one, data, labels="sampled", generator=generator(5)
    ).diagonal(),
    "ggn": lambda m, one, data: ggn(m, one, data).diagonal(),
    "hessian": lambda m, one, data: {"": hessian(m, one, data).dense()},
    "product": lambda m, one, data: product(m, one, data, dict(m.named_parameters())),
    "laplace": lambda m, one, data: dict(
        enumerate(vars(laplace(m, one, data).predict(rows()[0])).values())
    ),
    "evidence": lambda m, one, data: {"": laplace(m, one, data).log_evidence()},
    "ewc": lambda *args: taught(EWC(), *args),
    "ewc jac": lambda *args: taught(EWC(labels="jac"), *args),
    "online": lambda *args: taught(OnlineEWC(structure="kronecker"), *args),
    "mas": lambda *args: taught(MAS(), *args),
    "si": lambda *args: taught(SI(), *args),
    "replay": lambda *args: taught(Replay(capacity=99, batch=99), *args),
    "der": lambda *args: taught(DER(capacity=99, batch=99), *args),
    "functional": lambda *args: taught(Functional(capacity=99, batch=99), *args),
    "lwf": lambda *args: taught(LwF(), *args),
}


@pytest.mark.parametrize("use", USES)
def test_a_row_without_a_target_is_left_out(use):
    x, y = rows()
    found = USES[use](net(), IGNORING, halves(x, marked(y)))
    kept = USES[use](net(), IGNORING, [(x[KEPT[:4]], y[KEPT[:4]]), (x[KEPT[4:]], y[KEPT[4:]])])
    assert found.keys() == kept.keys()
    for name, value in found.items():
        close(value, kept[name])


@pytest.mark.parametrize("use", USES)
def test_a_row_of_weight_zero_is_not_looked_at(use):
    """Its inputs need not be finite, nor its class one that there is."""
    x, y = rows()
    weight = torch.linspace(0.5, 2.0, 12, dtype=torch.float64)
    kept = [{"x": x[KEPT], "y": y[KEPT], "weight": weight[KEPT]}]
    x, weight = x.clone(), weight.clone()
    x[LEFT_OUT], weight[LEFT_OUT] = float("nan"), 0.0
    data = [{"x": x, "y": marked(y), "weight": weight}]
    found, alone = USES[use](net(), Categorical(), data), USES[use](net(), Categorical(), kept)
    for name, value in found.items():
        close(value, alone[name])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("place", [0, 5, 11])
def test_a_class_that_is_none_is_refused_wherever_it_is(use, place):
    if use in ("mas", "si", "replay", "der", "functional", "lwf"):
        return  # nothing of these is made of targets
    x, y = rows()
    y[place] = -100
    with pytest.raises(InputError, match=r"class number .* found -100 in row .*ignore_index=-100"):
        USES[use](net(), Categorical(), halves(x, y))


@pytest.mark.parametrize("use", USES)
def test_a_third_part_of_a_batch_is_not_taken_for_weights(use):
    x, y = rows()
    with pytest.raises(InputError, match="a third part is not taken for row weights"):
        USES[use](net(), Categorical(), [(x, y, torch.arange(12))])


@pytest.mark.parametrize("use", USES)
def test_data_without_a_row_that_counts_are_refused(use):
    x, y = rows()
    nothing = [{"x": x, "y": y, "weight": torch.zeros(12)}]
    with pytest.raises(InputError, match="at least one row"):
        USES[use](net(), Categorical(), nothing)


@pytest.mark.parametrize("use", ["fisher", "diagonal", "kronecker", "ggn", "hessian", "product"])
def test_class_weights_are_row_weights(use):
    x, y = rows()
    classes = torch.tensor([0.5, 2.0, 0.0])
    found = USES[use](net(), Categorical(weight=classes), [(x, y)])
    by_row = USES[use](net(), Categorical(), [{"x": x, "y": y, "weight": classes[y].double()}])
    for name, value in found.items():
        close(value, by_row[name])


def test_class_weights_need_the_classes():
    x, _ = rows()
    with pytest.raises(InputError, match="has a weight for each class: how much a row counts"):
        fisher(net(), Categorical(weight=[1.0, 2.0, 3.0]), [x])


def test_smoothing_leaves_what_does_not_depend_on_labels():
    x, y = rows()
    smooth, plain = Categorical(label_smoothing=0.3), Categorical()
    for labels in ("exact", "sampled"):
        told = {"labels": labels, "structure": "dense", "generator": None}
        one = fisher(net(), smooth, [(x, y)], **(told | {"generator": generator(5)})).dense()
        two = fisher(net(), plain, [(x, y)], **(told | {"generator": generator(5)})).dense()
        close(one, two)


def test_sampled_labels_have_the_weight_of_those_observed():
    """On average the exact information, whose rows have it."""
    x, y = rows()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(4, 3).double().eval()
    likelihood = Categorical(weight=[0.2, 3.0, 1.0])
    exact = fisher(model, likelihood, [(x, y)], structure="dense").dense()
    draw, total = generator(7), torch.zeros_like(exact)
    for _ in range(400):
        options = {"structure": "dense", "labels": "sampled", "generator": draw, "check": False}
        total += fisher(model, likelihood, [(x, y)], **options).dense()
    assert (total / 400 - exact).norm() < 0.06 * exact.norm()


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = net(), net(1)

    def forward(self, x):
        return {"a": self.a(x), "b": self.b(x)}


def test_a_row_may_say_something_under_one_head_alone():
    x, y = rows()
    heads = {"a": IGNORING, "b": Normal()}
    found = fisher(TwoHeads().eval(), heads, [{"x": x, "a": marked(y), "b": x[:, :1]}])
    one = fisher(net(), Categorical(), [(x[KEPT], y[KEPT])]).diagonal()
    other = fisher(net(1), Normal(), [(x, x[:, :1])]).diagonal()
    for name, value in found.diagonal().items():
        head, _, rest = name.partition(".")
        close(value, (one if head == "a" else other)[rest])


class Flipped(Dataset):
    """A flip with some probability; with a gap that stays a gap."""

    def __init__(self, chance):
        self.chance = chance
        self.x, self.y = rows(64)
        self.x = self.x.float()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, place):
        x = self.x[place]
        return (x.flip(0) if float(torch.rand(())) < self.chance else x), self.y[place]


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_random_augmentation_is_noticed_whatever_the_seed(chance):
    model = net().float()
    with torch.random.fork_rng(devices=[]):
        for seed in range(40):
            torch.manual_seed(seed)
            with pytest.raises(InputError, match="differs between two reads; it is augmented"):
                fisher(model, Categorical(), DataLoader(Flipped(chance), 16))
        fisher(model, Categorical(), DataLoader(Flipped(0.0), 16))


def test_rows_that_are_mixed_as_they_are_collated_are_noticed():
    def mixed(found):
        x, y = torch.utils.data.default_collate(found)
        share = float(torch.rand(()))
        return share * x + (1 - share) * x.flip(0), y

    with torch.random.fork_rng(devices=[]), pytest.raises(InputError, match="collate_fn makes"):
        fisher(net().float(), Categorical(), DataLoader(Flipped(0.0), 16, collate_fn=mixed))


def test_a_gap_that_stays_a_gap_is_no_augmentation():
    class Gaps(Flipped):
        def __getitem__(self, place):
            x, y = super().__getitem__(place)
            return {"x": x, "y": y, "note": float("nan"), "gap": x * float("nan")}

    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net().float()

        def forward(self, x, note, gap):
            return self.inner(x)

    fisher(Reading().eval(), Categorical(), DataLoader(Gaps(0.0), 16))
