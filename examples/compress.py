"""Pictures in a tenth of their bytes, by a codec whose latent statistics are goals.

A small learned codec (`codec/`) is trained toward five named goals: the squared error, the bytes,
and the mean, variance and covariance of its latent, drawn to 0, 1 and 0. How should they share a
step? Every rule gets the same network, seeds and epochs; then each is written by a real range coder
with as many bytes an image, so that what differs is what comes back.

    python examples/compress.py [FOLDER] [--full]

By default two rules, one seed and a few steps, under a minute. With ``--full`` every rule, three
seeds, a tenth, a twentieth and a forty-fifth of the bytes, and MNIST as well: about half an hour on
one core. With FOLDER all of it is kept there: runs go on where they were stopped, and finished ones
are not run again. CIFAR-10 and MNIST are taken from where COUNTERPOINT_DATA says; without them
there are scikit-learn's digits.
"""

import json
import sys
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import NoReturn

import torch
from codec import drawn, opponents
from codec.coder import Scribe, finer_for
from codec.measures import ms_ssim, off_by, psnr
from codec.network import Codec, Shape
from sklearn.datasets import load_digits
from torch import Tensor

from counterpoint.balance import Balancer
from counterpoint.balance.rules import Constraint
from counterpoint.data import Batch, Tensors
from counterpoint.datasets import cifar10, mnist
from counterpoint.errors import InputError
from counterpoint.goals import moments
from counterpoint.seeding import seeded
from counterpoint.train import FitEnding, Group, Training, evaluate, fit, groups

Result = dict[str, float]
Made = Callable[[Callable[[], Mapping[str, float]]], Balancer]
"""A balancer, from the bounds that there are, should it ask for them."""
STATISTICS = ("mean", "variance", "covariance")
GREY = 255.0**2
"""Squared error in grey levels, as a preference beside an error of numbers between 0 and 1."""


@dataclass(frozen=True)
class Pictures:
    """A set of pictures between 0 and 1, and the network for them.

    Attributes:
        name: of the set.
        train: what is learnt from.
        chosen: what choices are made on: training pictures that are not learnt from.
        test: what is reported.
        shape: of the network.
    """

    name: str
    train: Tensor
    chosen: Tensor
    test: Tensor
    shape: Shape

    @property
    def plain(self) -> int:
        """Bytes of a picture without compression."""
        return self.test[0].numel()


@dataclass(frozen=True)
class Size:
    """How much is run."""

    epochs: int
    seeds: Sequence[int]
    rules: Sequence[str] | None = None
    rows: int | None = None


SMOKE = Size(1, (0,), ("sum", "constraint"), 640)
FULL = Size(2, (0, 1, 2))


def goals(model: Codec, batch: Batch) -> dict[str, Tensor]:
    """The squared error, the bytes an image, and three statistics of the latent."""
    latent, back, bits = model(batch["x"])
    rows = latent.flatten(0, -2)
    return {
        "error": (back - batch["x"]).square().mean(),
        "bytes": bits.mean() / 8,
        "mean": moments(rows, variance=None),
        "variance": moments(rows, mean=None),
        "covariance": moments(rows, mean=None, variance=None, covariance="diagonal"),
    }


def static(error: float, statistics: float = 1.0) -> Made:
    """Fixed weights beside bytes of weight 1."""
    wanted = {"error": error, "bytes": 1.0, **dict.fromkeys(STATISTICS, statistics)}
    return lambda _: Balancer("sum", preference=wanted, on_alarm=_unheard)


def named(rule: str) -> Made:
    return lambda _: Balancer(rule, on_alarm=_unheard)


def bounded(geometric: bool) -> Made:
    """The least error where bytes and statistics are within bounds."""

    def made(bounds: Callable[[], Mapping[str, float]]) -> Balancer:
        decay, told = 0.99 if geometric else 0.9, bounds()
        told = tuple(told), tuple(told.values())
        return Balancer(
            Constraint(*told, rate=0.2, decay=decay, geometric=geometric), on_alarm=_unheard
        )

    return made


RULES: dict[str, Made] = {
    "sum": named("sum"),
    "sum, grey levels": static(GREY),
    "uncertainty": named("uncertainty"),
    "impartial": named("impartial"),
    "upgrad": named("upgrad"),
    "mgda": named("mgda"),
    "constraint": bounded(False),
    "geco": bounded(True),
}
"""How the goals share a step; all of them without a weight that was tuned by hand."""

STATIC = {
    f"static {error:g}, {statistics:g}": static(error, statistics)
    for error, statistics in ((4e5, 1.0), (4e5, 100.0))
}
"""Weights to choose from: of the error, by the slope of error by bytes, and of the statistics."""


def _unheard(alarm: object) -> None:
    """What the monitor says is of the run; this table is of how it ends."""


def bounds_of(model: Codec, pictures: Pictures, budget: float) -> dict[str, float]:
    """The bytes, and statistics as near as batches of a right latent come to them by chance.

    Over the training pictures the components are right to rounding, so what their batches show is
    the chance of a draw; 1 % of what they are drawn to comes on top.
    """
    chance = evaluate(model, goals, Tensors({"x": pictures.train}), batch_size=32)
    return {"bytes": budget, **{name: chance[name] + 0.01**2 for name in STATISTICS}}


def trained(
    pictures: Pictures, rule: str, budget: float, size: Size, seed: int, folder: Path | None
) -> Codec:
    """A codec after its epochs; with a folder it goes on where it was."""
    with seeded(seed):
        model = Codec(pictures.train, pictures.shape)
    training = Training(
        epochs=size.epochs, batch_size=32, rate=0.004, weight_decay=0.01, seed=seed, threads=1
    )
    # the components are nearly right: they move slowly, and nothing draws them to 0
    slow, quick = (Group((), rate=rate, weight_decay=0.0) for rate in (0.0004, 0.05))
    split = groups(model, {"analysis.*": slow, "synthesis.*": slow, "log_gain": quick})
    balancer = (RULES | STATIC)[rule](lambda: bounds_of(model, pictures, budget))
    done = fit(
        model,
        goals,
        Tensors({"x": pictures.train}),
        training,
        groups=split,
        balancer=balancer,
        folder=folder,
        progress=f"{rule}, seed {seed}",
    )
    if done.status is FitEnding.INTERRUPTED:
        raise SystemExit(130)  # half a training is no result; the same call goes on with it
    return model.eval()


def written(model: Codec, images: Tensor, budget: float) -> tuple[float, Tensor]:
    """By the finest rounding that is within the budget: bytes an image, and what is read again.

    Raises:
        RuntimeError: what comes back from the streams is not what went in.
    """
    few = images[:: max(1, len(images) // 100)]

    def spent(finer: float) -> float:
        scribe = Scribe(model, finer)
        return scribe.ideal(scribe.rounded(few)).mean().item()

    finer = finer_for(budget, spent)
    while True:
        scribe = Scribe(model, finer)
        streams = scribe.encode(images)
        over = _bytes(streams) / budget
        if over <= 1.0:
            break
        finer *= 0.9995 * over**-1.5
    again = scribe.decode(streams)
    if not torch.equal(again, scribe.rounded(images)):
        raise RuntimeError("the streams do not hold what was written")
    return _bytes(streams), scribe.images(again)


def _bytes(streams: Sequence[bytes]) -> float:
    return sum(map(len, streams)) / len(streams)


@torch.no_grad()
def result(model: Codec, images: Tensor, budget: float) -> Result:
    """What came of a codec: as it was trained, and with all the bytes that are allowed."""
    plain = Scribe(model)
    numbers = plain.rounded(images)
    spent, back = written(model, images, budget)
    wrong = {f"{name} off": value for name, value in off_by(model.latent(images)).items()}
    return {
        "own bytes": plain.ideal(numbers).mean().item(),
        "own psnr": psnr(images, plain.images(numbers)),
        "bytes": spent,
        "psnr": psnr(images, back),
        "ms_ssim": ms_ssim(images, back),
        **wrong,
    }


@dataclass(frozen=True)
class Bench:
    """Runs that are kept in a folder, each once."""

    pictures: Pictures
    size: Size
    folder: Path | None

    def run(self, rule: str, less: float, seed: int, *, on_chosen: bool = False) -> Result:
        """Train and write, or read what an earlier call found."""
        budget, name = self.pictures.plain / less, self.named(rule, less, seed)
        kept = None if self.folder is None else self.folder / f"{name}.json"
        if kept is not None and kept.is_file():
            return json.loads(kept.read_text("utf-8"))["chosen" if on_chosen else "test"]
        model = self.model(rule, less, seed)
        found = {"test": result(model, self.pictures.test, budget)}
        if rule in STATIC:
            found["chosen"] = result(model, self.pictures.chosen, budget)
        if kept is not None:
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return found["chosen" if on_chosen else "test"]

    def model(self, rule: str, less: float, seed: int) -> Codec:
        """The trained codec; from its run folder, where that is finished."""
        name = self.named(rule, less, seed)
        place = None if self.folder is None else self.folder / "runs" / name
        return trained(self.pictures, rule, self.pictures.plain / less, self.size, seed, place)

    def named(self, rule: str, less: float, seed: int) -> str:
        """What the files of a run are called."""
        return f"{self.pictures.name}-{less:g}-{rule}-{seed}".replace(" ", "").lower()

    def tuned(self, less: float) -> str:
        """The fixed weights that do best on the pictures that choices are made on."""
        seed = self.size.seeds[0]
        return max(STATIC, key=lambda rule: self.run(rule, less, seed, on_chosen=True)["psnr"])

    def compared(self, less: float, rules: Sequence[str]) -> dict[str, list[Result]]:
        """Every rule over every seed, said as it comes."""
        table = dict[str, list[Result]]()
        for rule in rules:
            table[rule] = [self.run(rule, less, seed) for seed in self.size.seeds]
            print(line(rule, table[rule]), flush=True)
        return table


HEAD = (
    f"{'':24}{'own bytes, PSNR':>18} |{'bytes':>7}{'PSNR dB':>15}{'MS-SSIM':>9} |"
    "  latent off by: mean, variance, correlation"
)


def line(name: str, found: Sequence[Mapping[str, float]]) -> str:
    """A row of the table: means over seeds, and the spread of the PSNR."""
    at = {key: mean(one[key] for one in found) for key in found[0]}
    spread = stdev(one["psnr"] for one in found) if len(found) > 1 else 0.0
    own = f"{at['own bytes']:9.0f}, {at['own psnr']:5.2f}" if "own bytes" in at else ""
    quality = f"{at['psnr']:8.2f} ± {spread:4.2f}{at['ms_ssim']:9.4f}"
    off = [
        f"{at[key]:8.1%}" for key in ("mean off", "variance off", "correlation off") if key in at
    ]
    return f"{name:24}{own:>18} |{at['bytes']:7.1f}{quality} |{''.join(off)}"


def data(full: bool) -> list[Pictures]:
    """CIFAR-10, and for a full run MNIST; digits where there are none."""
    try:
        images = torch.tensor(cifar10(opener=offline)[0]).permute(0, 3, 1, 2).float() / 255
        shape = Shape(colours=3, side=32, block=8, kept=96, seen=32, hidden=64)
        sets = [Pictures("CIFAR-10", images[:2700], images[2700:3000], images[3000:], shape)]
        if full:
            found = mnist(opener=offline)
            train = torch.tensor(found.train_images[:3000])[:, None].float() / 255
            test = torch.tensor(found.test_images[:1000])[:, None].float() / 255
            shape = Shape(colours=1, side=28, block=7, kept=49, seen=24, hidden=64)
            sets.append(Pictures("MNIST", train[:2700], train[2700:], test, shape))
    except InputError:
        images = torch.tensor(load_digits().images / 16).float()[:, None]
        shape = Shape(colours=1, side=8, block=2, kept=4, seen=4, hidden=16)
        sets = [Pictures("digits", images[300:], images[200:300], images[:200], shape)]
    return sets


def offline(url: str) -> NoReturn:
    """An example downloads nothing."""
    raise urllib.error.URLError(f"{url} is not asked for")


def others(
    pictures: Pictures, budget: float, components: opponents.WholeComponents
) -> dict[str, Result]:
    """What does not learn from goals, with as many bytes."""
    found = {
        "components, ideal coder": components(pictures.test, budget)[0],
        "before training": result(Codec(pictures.train, pictures.shape), pictures.test, budget),
    }
    webp = opponents.webp(pictures.test, budget)
    return found if webp is None else found | {"WebP": webp}


def run(size: Size, folder: Path | None, full: bool) -> dict[str, dict[str, list[Result]]]:
    """All tables: printed, and given back by set and size."""
    if folder is not None:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    tables = dict[str, dict[str, list[Result]]]()
    for pictures in data(full):
        bench = Bench(replace(pictures, train=pictures.train[: size.rows]), size, folder)
        known = torch.cat([pictures.train, pictures.chosen])
        components = opponents.WholeComponents(known) if full else None
        for less in (10.0, 20.0, 45.0) if full and pictures.name == "CIFAR-10" else (10.0,):
            budget = pictures.plain / less
            name = f"{pictures.name}, {pictures.plain} bytes to {budget:.1f}"
            print(f"\n{name}\n{HEAD}")
            table = tables.setdefault(name, {})
            if components is not None:
                for other, found in others(pictures, budget, components).items():
                    table[other] = [found]
                    print(line(other, [found]), flush=True)
            rules = list(size.rules or RULES) if less == 10 else ["constraint"]
            if full and pictures.name == "MNIST":
                rules = ["sum", "impartial", "constraint"]
            if full and less == 10 and pictures.name == "CIFAR-10":
                rules.append(bench.tuned(less))
            table.update(bench.compared(less, rules))
    return tables


def shown(folder: Path, count: int = 12) -> list[Tensor]:
    """Rows: as they are; a tenth of the bytes; a 45th, by the codec and by components; a sum's."""
    pictures = data(full=False)[0]
    bench, rows = Bench(pictures, FULL, folder), [pictures.test[:count]]
    for rule, less in (("constraint", 10.0), ("constraint", 45.0), ("sum", 10.0)):
        model = bench.model(rule, less, FULL.seeds[0])
        rows.append(written(model, pictures.test, pictures.plain / less)[1][:count])
    known = torch.cat([pictures.train, pictures.chosen])
    plain = opponents.WholeComponents(known)(pictures.test, pictures.plain / 45)[1]
    return [*rows[:3], plain[:count], rows[3]]


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(1)
    words = [word for word in arguments if not word.startswith("-")]
    folder, full = Path(words[0]) if words else None, "--full" in arguments
    tables = run(FULL if full else SMOKE, folder, full)
    if folder is None:
        return
    (folder / "compress.json").write_text(json.dumps(tables, indent=1) + "\n", "utf-8")
    (folder / "compress.svg").write_text(drawn.figures(tables), "utf-8")
    if full and drawn.pictures(shown(folder), folder / "compress.png"):
        print(f"Figures: {folder / 'compress.svg'}, {folder / 'compress.png'}")


if __name__ == "__main__":
    main(sys.argv[1:])
