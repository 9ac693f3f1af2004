import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.goals import Normal
from counterpoint.seeding import derive, seeded
from counterpoint.train import NonFiniteError, Training, fit


def _line(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)


@pytest.mark.parametrize(
    ("optimiser", "make"),
    [
        ("adamw", lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1, fused=True)),
        ("adam", lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1, fused=True)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, weight_decay=0.0)),
    ],
)
def test_a_run_is_the_loop_written_by_hand_bit_for_bit(optimiser, make, table, net, goals, same):
    ours, theirs = net(), net()
    training = Training(
        epochs=3,
        batch_size=32,
        optimiser=optimiser,
        rate=1e-2,
        schedule="constant",
        weight_decay=0.0 if optimiser == "sgd" else 0.1,
        seed=5,
    )
    result = fit(ours, goals, Tensors(table), training, progress=False)
    history, by_hand = [], make(theirs.parameters())
    with seeded(5):
        for epoch in range(3):
            total = torch.zeros(2, dtype=torch.float64)
            for batch in Tensors(table).batches(32, seed=derive(5, 1, epoch)):
                losses = torch.stack(list(goals(theirs, batch).values()))
                by_hand.zero_grad()
                losses.mean().backward()
                by_hand.step()
                total += losses.detach().double() * len(batch["x"])
            history.append((total / 200).tolist())
    assert same(ours, theirs)
    found = [[row["train"]["square"], row["train"]["absolute"]] for row in result.history]
    for ours_row, theirs_row in zip(found, history, strict=True):
        assert ours_row == pytest.approx(theirs_row, rel=1e-14)


@pytest.mark.parametrize("parts", [2, 3, 7, 64])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_accumulation_is_one_big_batch_even_in_uneven_parts(parts, clip, table):
    weight = torch.rand(200, 1, dtype=torch.float64) + 0.1
    source = Tensors({**{k: v.double() for k, v in table.items()}, "w": weight})
    likelihood, mean_weight = Normal(), float(weight.mean())

    def goals(model, batch):
        output = model(batch["x"])
        return {
            "fit": likelihood.nll(
                output, batch["y"], batch["w"].squeeze(1), mean_weight=mean_weight
            ),
            "size": output.square().mean(),
        }

    results, nets = [], []
    for accumulate in (1, parts):
        model = _line(torch.float64)
        training = Training(
            epochs=2, batch_size=61, accumulate=accumulate, rate=1e-2, clip=clip, optimiser="sgd"
        )
        results.append(fit(model, goals, source, training, progress=False))
        nets.append(model)
    for a, b in zip(*(model.parameters() for model in nets), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)
    for a, b in zip(*(result.history for result in results), strict=True):
        assert a["train"] == pytest.approx(b["train"], rel=1e-12)


def test_the_weighted_score_of_an_epoch_is_that_of_all_rows():
    """reference example: 10 % of rows weigh 1 with loss 5, the rest 0.02 with loss 1: 4.341."""
    weight = torch.tensor([1.0] * 100 + [0.02] * 900)
    loss = torch.tensor([5.0] * 100 + [1.0] * 900)
    mean_weight = float(weight.double().mean())
    model = nn.Linear(1, 1)

    def goals(model, batch):
        still = 0.0 * model(torch.zeros(1, 1)).sum()
        return {"fit": (batch["w"] * batch["l"]).mean() / mean_weight + still}

    training = Training(epochs=1, batch_size=8, rate=0.0)
    result = fit(model, goals, Tensors({"w": weight, "l": loss}), training, progress=False)
    truth = (100 * 5 + 900 * 0.02) / (100 + 900 * 0.02)
    assert result.history[0]["train"]["fit"] == pytest.approx(truth, rel=1e-6)


def test_decay_of_sgd_is_decoupled_from_its_momentum():
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    training = Training(
        epochs=3, batch_size=4, optimiser="sgd", rate=0.1, weight_decay=0.5, schedule="constant"
    )

    def goals(model, batch):
        return {"none": (model(batch["x"]) * 0.0).sum()}

    fit(model, goals, Tensors({"x": torch.ones(4, 2)}), training, progress=False)
    assert torch.allclose(model.weight, torch.full((1, 2), (1 - 0.1 * 0.5) ** 3))


def test_clipping_bounds_the_step():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    training = Training(
        epochs=1, batch_size=4, optimiser="sgd", momentum=0.0, rate=1.0, clip=0.25,
        schedule="constant",
    )  # fmt: skip

    def goals(model, batch):
        return {"far": 100.0 * model(batch["x"]).sum()}

    fit(model, goals, Tensors({"x": torch.ones(4, 2)}), training, progress=False)
    assert model.weight.norm().item() == pytest.approx(0.25, rel=1e-4)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights(table):
    seen = []

    def goals(model, batch):
        output = model(batch["x"])
        seen.append(output.dtype)
        return {"fit": (output.float() - batch["y"]).square().mean()}

    model = _line()
    training = Training(epochs=20, batch_size=50, rate=2e-2, precision="bfloat16")
    result = fit(model, goals, Tensors(table), training, progress=False)
    assert set(seen) == {torch.bfloat16}
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert result.history[-1]["train"]["fit"] < 0.2 * result.history[0]["train"]["fit"]


def test_float16_without_cuda_is_refused_and_auto_falls_back(table, goals):
    with pytest.raises(InputError, match="float16 needs a CUDA device, found 'cpu'"):
        fit(_line(), goals, Tensors(table), Training(precision="float16"), progress=False)
    plain, automatic = _line(), _line()
    for model, precision in ((plain, "float32"), (automatic, "auto")):
        fit(model, goals, Tensors(table), Training(epochs=1, precision=precision), progress=False)
    assert torch.equal(plain[0].weight, automatic[0].weight)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            lambda loss: {"fit": loss.expand(3)},
            r"goal 'fit': expected a scalar, found shape \(3,\)",
        ),
        (lambda loss: {"fit": loss.detach()}, "goal 'fit': expected a scalar with a graph"),
        (lambda _: {}, "expected at least one goal"),
    ],
)
def test_goals_that_are_none_are_refused_before_a_step(found, message, table):
    model = _line()
    before = model[0].weight.clone()
    with pytest.raises(InputError, match=message):
        fit(
            model,
            lambda model, batch: found(model(batch["x"]).mean()),
            Tensors(table),
            Training(),
            progress=False,
        )
    assert torch.equal(before, model[0].weight)


def test_goals_may_not_come_and_go(table):
    calls = []

    def goals(model, batch):
        calls.append(1)
        loss = model(batch["x"]).mean()
        return {"a": loss} if len(calls) == 1 else {"a": loss, "b": loss}

    with pytest.raises(InputError, match="goal 'b': not among the goals of the first batch"):
        fit(_line(), goals, Tensors(table), Training(batch_size=100), progress=False)
    calls.clear()

    def fewer(model, batch):
        calls.append(1)
        loss = model(batch["x"]).mean()
        return {"a": loss, "b": loss} if len(calls) == 1 else {"a": loss}

    with pytest.raises(InputError, match="goal 'b': absent from this batch"):
        fit(_line(), fewer, Tensors(table), Training(batch_size=100), progress=False)


@pytest.mark.parametrize("log_every", [0, 2])
def test_a_loss_that_is_not_finite_names_goal_epoch_and_step(table, log_every):
    calls = []

    def goals(model, batch):
        calls.append(1)
        loss = model(batch["x"]).square().mean()
        return {"good": loss, "bad": loss / (0.0 if len(calls) == 7 else 1.0)}

    training = Training(batch_size=50, log_every=log_every)
    with pytest.raises(NonFiniteError, match=r"goal 'bad': not finite \(inf\) at epoch 2, step 7;"):
        fit(_line(), goals, Tensors(table), training, progress=False)
