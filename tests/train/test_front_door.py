"""What `fit` and its relatives take: every kind of data, by one contract."""

import json

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from counterpoint.balance import Balancer
from counterpoint.continual import EWC, LwF, Replay
from counterpoint.curvature import fisher, hessian, product
from counterpoint.data import Batch, Tensors
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Heads, Normal
from counterpoint.posterior import laplace
from counterpoint.train import Training, evaluate, find_rate, fit, minimize

HEADS = Heads.of(Normal())


def rows(count=24):
    x = torch.linspace(-1, 1, count).unsqueeze(1)
    return x, 2 * x + 1


def line():
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def goals(model, batch):
    return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}


def parts(size=8):
    return list(zip(*(part.split(size) for part in rows()), strict=True))


class Anew:
    def __iter__(self):
        return iter(parts())


KINDS = {
    "loader": lambda: Tensors(rows()),
    "pair": rows,
    "mapping": lambda: dict(zip("xy", rows(), strict=True)),
    "arrays": lambda: tuple(part.numpy() for part in rows()),
    "data set": lambda: TensorDataset(*rows()),
    "batch": lambda: Batch.of(rows()[0], target=rows()[1]),
    "DataLoader": lambda: DataLoader(TensorDataset(*rows()), batch_size=8),
    "list": parts,
    "object": Anew,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_learnt_from_and_judged(kind):
    model, training = line(), Training(epochs=3, batch_size=8, rate=0.1)
    result = fit(model, goals, KINDS[kind](), training, validation=KINDS[kind](), progress=False)
    assert result.step == 9
    last, first = result.history[-1], result.history[0]
    assert last["validation"]["score"] < first["validation"]["score"]
    assert evaluate(model, goals, KINDS[kind]())["score"] == pytest.approx(
        evaluate(model, goals, rows())["score"], rel=1e-6
    )
    curve = find_rate(line(), goals, KINDS[kind](), training, steps=20)
    assert curve.suggestion > 0
    exact = fisher(model, Normal(), rows(), structure="dense").dense()
    found = fisher(model, Normal(), KINDS[kind](), structure="dense").dense()
    torch.testing.assert_close(found, exact)


def test_the_same_rows_in_the_same_order_end_in_the_same_bits():
    training = Training(epochs=2, batch_size=8, rate=0.1)
    models = []
    for kind in ("loader", "pair", "mapping", "arrays", "data set", "batch"):
        models.append(line())
        fit(models[-1], goals, KINDS[kind](), training, progress=False)
    assert all(torch.equal(models[0].weight, other.weight) for other in models[1:])


def test_goals_of_likelihoods_are_what_one_would_write():
    def written(model, batch):
        return {"fit": Normal().nll(batch.call(model), batch.target)}

    training, models = Training(epochs=2, batch_size=8, rate=0.1), (line(), line())
    for model, one in zip(models, (HEADS.goals(), written), strict=True):
        fit(model, one, rows(), training, progress=False)
    assert torch.equal(models[0].weight, models[1].weight)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.price, self.kind = nn.Linear(1, 3), nn.Linear(3, 1), nn.Linear(3, 2)

    def forward(self, x):
        z = self.body(x).tanh()
        return {"price": self.price(z), "kind": self.kind(z)}


def test_heads_find_their_targets_by_name_and_weights_count_as_repetition():
    heads = Heads.of({"price": Normal(), "kind": Categorical()})
    x, y = rows(6)
    kind, weight = torch.arange(6) % 2, torch.tensor([2.0, 1, 1, 0, 1, 1])
    data = {"x": x, "price": y, "kind": kind, "weight": weight}
    again = torch.tensor([0, 0, 1, 2, 4, 5])
    repeated = {"x": x[again], "price": y[again], "kind": kind[again]}
    model = Two()
    found, wanted = (evaluate(model, heads.goals(), one) for one in (data, repeated))
    assert sorted(found) == ["kind", "price", "score"]
    assert found == pytest.approx(wanted, rel=1e-6)
    explicit = Batch.of(x, target={"price": y, "kind": kind}, weight=weight)
    assert evaluate(model, heads.goals(), explicit) == found
    training = Training(epochs=1, batch_size=3, balance="impartial")
    assert fit(model, heads.goals(), data, training, progress=False).step == 2


@pytest.mark.slow
def test_a_compiled_step_takes_the_same_goals():
    training = Training(epochs=2, batch_size=8, rate=0.1)
    models = (line(), line())
    for model, compiled in zip(models, (True, False), strict=True):
        one = Training(**{**vars(training), "compile": compiled})
        fit(model, HEADS.goals(), rows(), one, progress=False)
    torch.testing.assert_close(models[0].weight, models[1].weight)


class Indexed(Dataset):
    """(x, y, number of the row): the third part is no weight."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        x, y = rows()
        return x[index], y[index], index


def ask(how, data, **options):
    model = line()
    if how == "fit":
        return fit(model, goals, data, Training(epochs=1), progress=False, **options)
    if how == "evaluate":
        return evaluate(model, goals, data, **options)
    if how == "find_rate":
        return find_rate(model, goals, data, steps=10, **options)
    if how in ("EWC", "Replay", "LwF"):
        memory = {"EWC": EWC, "Replay": Replay, "LwF": LwF}[how]()
        return memory.consolidate(model, Normal(), data, **options)
    if how == "product":
        along = {name: torch.ones_like(value) for name, value in model.named_parameters()}
        return product(model, Normal(), data, along, **options)
    return {"fisher": fisher, "hessian": hessian, "laplace": laplace}[how](
        model, Normal(), data, **options
    )


DOORS = (
    "fit",
    "evaluate",
    "find_rate",
    "fisher",
    "hessian",
    "product",
    "laplace",
    "EWC",
    "Replay",
    "LwF",
)


@pytest.mark.parametrize("how", DOORS)
def test_a_third_part_is_refused_and_a_reader_takes_it(how):
    loader = DataLoader(Indexed(), batch_size=8)
    with pytest.raises(InputError, match="third part is not taken for row weights"):
        ask(how, loader)
    ask(how, loader, unpack=lambda found: Batch.of(found[0], target=found[1]))


@pytest.mark.parametrize("how", ["minimize", "step", "penalty"])
def test_one_batch_is_read_alike(how):
    model, (x, y) = line(), rows()
    if how == "penalty":
        memory = LwF()
        memory.consolidate(model, Normal(), (x, y))

    def one(found):
        if how == "minimize":
            return minimize(goals, line(), found, progress=False).score
        if how == "step":
            return Balancer("sum").step(goals, model, found).losses.tolist()
        return memory.penalty(model, found, rows=24).item()

    spelt = [(x, y), [x, y], {"x": x, "y": y}, Batch.of(x, target=y)]
    assert len({str(one(found)) for found in spelt}) == 1
    with pytest.raises(InputError, match="third part"):
        one((x, y, torch.arange(24)))


class Crash(Exception):
    pass


class AtStep:
    def __init__(self, step):
        self.step = step

    def step_end(self, moment):
        if moment.step == self.step:
            raise Crash
        return False

    def epoch_end(self, _):
        return False


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_run_on_a_shuffling_data_loader_goes_on_to_the_same_bits(tmp_path, workers):
    class Noisy(Dataset):
        def __len__(self):
            return 24

        def __getitem__(self, index):
            x, y = rows()
            return x[index] + 0.1 * torch.randn(1), y[index]

    def run(folder, callbacks=()):
        model = nn.Sequential(nn.Dropout(0.2), line())
        loader = DataLoader(Noisy(), batch_size=5, shuffle=True, num_workers=workers)
        training = Training(epochs=3, batch_size=5, rate=0.1, checkpoint_steps=1)
        fit(model, goals, loader, training, folder=folder, callbacks=callbacks, progress=False)
        return model[1]

    straight = run(tmp_path / "straight")
    for step in (1, 7):
        with pytest.raises(Crash):
            run(tmp_path / "run", [AtStep(step)])
    resumed = run(tmp_path / "run")
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)


def test_a_generator_is_refused_where_epochs_are_passes():
    with pytest.raises(InputError, match="can be gone through once, and an epoch is a pass"):
        fit(line(), goals, iter(parts()), Training(epochs=2), progress=False)
    assert evaluate(line(), goals, iter(parts()))["score"] > 0


WIDE = {
    "fit": lambda x, y: fit(line(), goals, (x, y), Training(epochs=1, batch_size=8)),
    "evaluate": lambda x, y: evaluate(line(), goals, (x, y)),
    "balancer": lambda x, y: Balancer().step(goals, line(), (x, y)),
    "fisher": lambda x, y: fisher(line().eval(), Normal(), [(x, y)]),
    "laplace": lambda x, y: laplace(line().eval(), Normal(), [(x, y)]),
    "memory": lambda x, y: EWC().consolidate(line(), Normal(), [(x, y)]),
    "predict": lambda x, y: laplace(line().eval(), Normal(), rows()).predict(x),
}


@pytest.mark.parametrize("use", WIDE)
@pytest.mark.parametrize("made", [lambda part: part.double().numpy(), lambda part: part.double()])
def test_numbers_of_another_type_than_the_weights_are_named(use, made):
    x, y = rows()
    with pytest.raises(InputError, match=r"'x' is float64, the model's weights are float32; conv"):
        WIDE[use](made(x), y)


def test_another_error_of_the_model_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(line(), goals, (torch.zeros(8, 3), torch.zeros(8, 1)), Training(epochs=1, batch_size=8))


def test_a_loader_without_a_batch_size_is_named():
    x, y = rows()
    loader = DataLoader(TensorDataset(x.expand(24, 3), y), batch_size=None)
    for use in (
        lambda: fit(line(), goals, loader, Training(epochs=1, batch_size=8)),
        lambda: fisher(line().eval(), Normal(), loader),
    ):
        with pytest.raises(InputError, match="this DataLoader has batch_size=None"):
            use()
    whole = DataLoader([rows()], batch_size=None)  # its items are batches: nothing is wrong
    assert fit(line(), goals, whole, Training(epochs=1, batch_size=8)).step == 1


class Held(Dataset):
    def __init__(self, shift):
        self.inputs = rows()[0] + shift

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, place):
        x = self.inputs[place]
        # augmented at random: no row may be read to tell the data by
        return x + torch.rand(()), 2 * x


DATA = {
    "tensors": lambda shift: (rows()[0] + shift, rows()[1]),
    "list": lambda shift: [(x + shift, y) for x, y in parts()],
    "DataLoader": lambda shift: DataLoader(
        TensorDataset(rows()[0] + shift, rows()[1]), batch_size=8
    ),
    "data set": lambda shift: DataLoader(Held(shift), batch_size=8),
    "part": lambda shift: DataLoader(torch.utils.data.Subset(Held(shift), range(16)), batch_size=8),
}


@pytest.mark.parametrize("kind", DATA)
def test_other_data_of_the_same_size_in_a_run_folder_are_noticed(kind, tmp_path):
    training = Training(epochs=2, batch_size=8)
    fit(line(), goals, DATA[kind](0.0), training, folder=tmp_path / "run")
    fit(line(), goals, DATA[kind](0.0), training, folder=tmp_path / "run")
    with pytest.raises(InputError, match="holds a run with data = "):
        fit(line(), goals, DATA[kind](1.0), training, folder=tmp_path / "run")


def test_a_run_folder_of_before_that_does_not_say_which_data_is_gone_on_with(tmp_path):
    training = Training(epochs=1, batch_size=8)
    fit(line(), goals, rows(), training, folder=tmp_path / "run")
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    del told["data"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(told))
    assert fit(line(), goals, rows(), training, folder=tmp_path / "run").step == 3
