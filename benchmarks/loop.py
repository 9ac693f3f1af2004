"""What a training loop costs beside a bare one: 784-50-10, batch 64, 50,000 rows, plain SGD, CPU.

    python benchmarks/loop.py [--repeats 7] [--only NAME ...]

A compiled step is timed on the second epoch of a run of two; what the first costs more is the
time to compile, printed apart.
Peers that are not installed are said to be so. Results go to benchmarks/results/loop.json.
"""

import argparse
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from _measure import environment, interleave, ratios, record, show
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.data import Tensors
from counterpoint.train import Training, fit

SIZE, RATE = 64, 0.02
Case = Callable[[], float | None]

COMPILE: list[float] = []


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))


class Batches:
    """Whole batches by tensor indexing: the fastest thing a framework can be fed."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x))
        for low in range(0, len(self.x), SIZE):
            places = order[low : low + SIZE]
            yield self.x[places], self.y[places]

    def __len__(self) -> int:
        return math.ceil(len(self.x) / SIZE)


def bare(data: Batches, *, adamw: bool) -> Case:
    model = net()
    if adamw:
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    else:
        optimiser = torch.optim.SGD(model.parameters(), lr=RATE)

    def run() -> None:
        for x, y in data:
            loss = F.cross_entropy(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run


def by_hand(data: Batches) -> Case:
    model = net()
    w1, b1, w2, b2 = (value.detach() for value in model.parameters())

    def run() -> None:
        with torch.inference_mode():
            for x, y in data:
                hidden = torch.addmm(b1, x, w1.t()).relu_()
                delta = torch.addmm(b2, hidden, w2.t()).softmax(1)
                delta[torch.arange(len(y)), y] -= 1
                delta /= len(y)
                below = delta.mm(w2).mul_(hidden > 0)
                w2.addmm_(delta.t(), hidden, alpha=-RATE)
                b2.sub_(delta.sum(0), alpha=RATE)
                w1.addmm_(below.t(), x, alpha=-RATE)
                b1.sub_(below.sum(0), alpha=RATE)

    return run


def ours(data: Batches, *, adamw: bool, compiled: bool = False, folder: bool = False) -> Case:
    """One `fit` of one epoch, setting up included."""
    model, source = net(), Tensors({"x": data.x, "y": data.y})
    kind = {"optimiser": "adamw", "rate": 1e-3} if adamw else {"optimiser": "sgd", "rate": RATE}
    training = Training(
        epochs=2 if compiled else 1,
        batch_size=SIZE,
        schedule="constant",
        momentum=0.9 if adamw else 0.0,
        weight_decay=0.01 if adamw else 0.0,  # torch's own defaults, as the peers have them
        compile=compiled,
        **kind,
    )

    def goals(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"fit": F.cross_entropy(model(batch["x"]), batch["y"])}

    def run() -> float | None:
        if not folder:
            result = fit(model, goals, source, training, progress=False)
            first, *second = (row["seconds"] for row in result.history)
            if compiled:
                COMPILE.append(2 * first - second[0])
            return second[0] - first if compiled else None
        with tempfile.TemporaryDirectory() as home:
            fit(model, goals, source, training, progress=False, folder=Path(home, "run"))
        return None

    return run


def lightning_trainer(data: Batches) -> Case:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            del index
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=RATE)

    def run() -> None:
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(), data)

    return run


def lightning_fabric(data: Batches) -> Case:
    import lightning

    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    inner = net()
    model, optimiser = fabric.setup(inner, torch.optim.SGD(inner.parameters(), lr=RATE))

    def run() -> None:
        for x, y in data:
            loss = F.cross_entropy(model(x), y)
            optimiser.zero_grad()
            fabric.backward(loss)
            optimiser.step()

    return run


def fastai_learner(data: Batches) -> Case:
    import fastai.callback.all
    from fastai.basics import DataLoaders, Learner, OptimWrapper

    loaders = DataLoaders(data, [(data.x[:64], data.y[:64])], device="cpu")
    optimiser = partial(OptimWrapper, opt=torch.optim.SGD)
    learner = Learner(loaders, net(), loss_func=nn.CrossEntropyLoss(), opt_func=optimiser, lr=RATE)
    del fastai

    def run() -> None:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1)

    return run


def skorch_net(data: Batches) -> Case:
    from skorch import NeuralNetClassifier

    learner = NeuralNetClassifier(
        net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=RATE,
        max_epochs=1,
        batch_size=SIZE,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )
    learner.initialize()

    def run() -> None:
        learner.partial_fit(data.x, data.y)

    return run


def cases(data: Batches) -> dict[str, Callable[[], Case]]:
    return {
        "bare PyTorch": lambda: bare(data, adamw=False),
        "backward by hand (floor)": lambda: by_hand(data),
        "counterpoint": lambda: ours(data, adamw=False),
        "counterpoint, run folder": lambda: ours(data, adamw=False, folder=True),
        "counterpoint, compiled": lambda: ours(data, adamw=False, compiled=True),
        "bare PyTorch, AdamW": lambda: bare(data, adamw=True),
        "counterpoint, AdamW": lambda: ours(data, adamw=True),
        "counterpoint, AdamW, compiled": lambda: ours(data, adamw=True, compiled=True),
        "Lightning Fabric": lambda: lightning_fabric(data),
        "Lightning Trainer, everything off": lambda: lightning_trainer(data),
        "skorch": lambda: skorch_net(data),
        "fastai Learner, bars and logging off": lambda: fastai_learner(data),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.manual_seed(0)
    data = Batches(torch.randn(options.rows, 784), torch.randint(0, 10, (options.rows,)))
    ready: dict[str, Case] = {}
    notes: dict[str, str] = {}
    for name, make in cases(data).items():
        wanted = not options.only or any(part in name for part in options.only)
        if wanted or name == "bare PyTorch":
            try:
                ready[name] = make()
            except ImportError as error:
                notes[name] = f"not installed ({error.name})"
    before = environment("counterpoint", "fastai", "lightning", "skorch")
    seconds = interleave(ready, options.repeats)
    found = ratios(seconds, "bare PyTorch")
    show(found, notes)
    compiling = [round(value, 1) for value in COMPILE]
    print(f"seconds to compile, in the order of the runs: {compiling}")
    content = {
        "environment": before,
        "repeats": options.repeats,
        "rows": options.rows,
        "ratios": found,
        "seconds_to_compile": compiling,
        "notes": notes,
    }
    if not options.only and options.rows == parser.get_default("rows"):
        print(record("loop", content))


main()
