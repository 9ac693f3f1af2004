"""The page's script against Python: the same layers, rules, walks, alarms and counts."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

import pytest
import torch

from counterpoint.balance import BalancedStep
from counterpoint.balance.monitor import Monitor
from counterpoint.balance.rules import Magnitude
from counterpoint.landscape import Composition, Evaluation, Ruled, descend
from counterpoint.landscape.noise import Perlin, mixed
from counterpoint.landscape.page._hills import (
    NEAR,
    SETTLE,
    STEPS,
    Hills,
    Lots,
    composed,
    starts,
    walked,
)
from counterpoint.landscape.page._law import _counted, sampled, valleys
from counterpoint.landscape.page._still import SHADES, levels
from counterpoint.plain import to_plain
from counterpoint.recipe import LAB_PRESETS, LAB_RULES, Lab, LabWalk

pytestmark = pytest.mark.browser

LABS = [Lab(3, seed=1), Lab(2, 2, seed=2**32 - 1), Lab(5, 9, 12345), Lab(2, 4, 7, 3.5, 20.0)]


@pytest.fixture(scope="module")
def script(chromium) -> Iterator:
    """Calls an expression of the script's functions with values that go through JSON."""
    assets = files("counterpoint.landscape.page").joinpath("assets")
    names = ("noise.js", "walks.js", "alarms.js", "law.js", "map.js")
    text = "\n".join(assets.joinpath(name).read_text("utf-8") for name in names)
    page = chromium.new_page()
    page.add_script_tag(content=text)

    def call(expression: str, **values):
        return page.evaluate(f"(given) => {{ {expression} }}", values)

    yield call
    page.close()


def points(cells: int, count: int = 40) -> torch.Tensor:
    drawn = torch.rand(count, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return cells * (3 * drawn - 1)  # once round the torus on either side, too


def same(found, wanted: torch.Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), wanted.double(), atol=within, rtol=within
    )


def test_the_hash_is_the_same_to_the_bit(script) -> None:
    pairs = [(0, 0), (2**32 - 1, 1), (12345, 2**31), (7, 2**32 - 1)]
    found = script("return given.pairs.map(([a, b]) => mixed(a, b));", pairs=pairs)
    assert found == [int(mixed(one, two)) for one, two in pairs]


@pytest.mark.parametrize(("seed", "cells"), [(0, 6), (1, 2), (99, 12), (2**32 - 1, 5)])
def test_noise_and_its_slopes_are_the_same(script, seed: int, cells: int) -> None:
    noise, places = Perlin(3, 2, cells=cells, seed=seed), points(cells)
    here = noise(places)
    found = script(
        """const vectors = latticeVectors(3, given.cells, given.seed), out = new Float64Array(3);
        return given.places.map(([x, y]) => vectors.map((own) => {
          perlin(own, given.cells, x, y, out); return Array.from(out);
        }));""",
        cells=cells, seed=seed, places=places.tolist(),
    )  # fmt: skip
    same(found, torch.cat([here.values[:, :, None], here.gradients], 2), 1e-12)


@pytest.mark.parametrize("lab", LABS)
def test_layers_in_harmony_are_the_same(script, lab: Lab) -> None:
    places = torch.cat([points(lab.cells), torch.full((1, 2), lab.cells / 2).double()])
    here = Hills(lab)(places)
    found = script(
        """const hills = makeHills(given.lab), out = new Float64Array(3);
        return given.places.map(([x, y]) => hills.shifts.map((_, k) => {
          hills.at(k, x, y, out); return Array.from(out);
        }));""",
        lab=to_plain(lab), places=places.tolist(),
    )  # fmt: skip
    same(found, torch.cat([here.values[:, :, None], here.gradients], 2))


def test_starts_are_the_same(script) -> None:
    lab = Lab(1, 5, seed=31)
    found = script(
        "const hills = makeHills(given.lab);"
        "return Array.from(startWalks(hills, given.lab.first, 9, given.lab.seed).spots);",
        lab=to_plain(lab),
    )
    same(found, starts(lab, 9).flatten(), 1e-12)


@pytest.mark.parametrize("rule", LAB_RULES)
def test_weights_are_those_of_their_closed_forms(script, rule: str) -> None:
    gradients = torch.randn(
        30, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    gradients[3, 2] = 0.0  # one layer at rest
    here = Evaluation(torch.ones(30, 5, dtype=torch.float64), gradients)
    norms = gradients.norm(dim=2)
    if rule in ("impartial", "magnitude"):
        power = -1.0 if rule == "impartial" else 1.0
        wanted = Ruled(Magnitude(power=power, decay=0.0)).weights(here)
        awake = (norms > 0).double()
        closed = torch.where(norms > 0, norms**power, 0.0)
        closed = closed / closed.sum(1, keepdim=True) * awake.sum(1, keepdim=True)
        torch.testing.assert_close(wanted, torch.where(norms > 0, closed, 1.0))
    else:
        wanted = composed(rule, 4).weights(here)
    lots = script(
        "const root = mixed(mixed(3, 4), 0);"
        "return Array.from({length: 30}, (_, at) => uniform(mixed(mixed(root, at), 0)));"
    )
    found = script(
        """return given.norms.map((norms, at) => {
          const weights = new Float64Array(5);
          const memory = { norms: new Float64Array(5), count: new Float64Array(5) };
          weigh(given.rule, norms, weights, memory, given.lots[at], 0);
          return Array.from(weights);
        });""",
        norms=norms.tolist(), rule=rule, lots=lots,
    )  # fmt: skip
    same(found, wanted)


def test_lots_fall_as_they_should() -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    here = Evaluation(torch.ones(6000, 3).double(), gradients.expand(6000, 3, 2).clone())
    for by_magnitude, wanted in ((False, [1 / 3, 1 / 3, 1 / 3]), (True, [1 / 6, 1 / 3, 1 / 2])):
        share = Lots(5, by_magnitude=by_magnitude).weights(here).mean(0) / 3
        torch.testing.assert_close(share, torch.tensor(wanted).double(), atol=0.02, rtol=0)


WALKS = [LabWalk(rule, 0.3) for rule in LAB_RULES]
WALKS += [LabWalk("mean", 0.1, 0.9), LabWalk("mean", 0.1, 0.0, "adam")]
WALKS += [LabWalk("alternation", 0.05, 0.0, "rmsprop")]


@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_walks_take_the_same_way(script, walk: LabWalk) -> None:
    lab = Lab(3, 4, seed=2, temper=2.0, loud=1.5)
    path = descend(
        Hills(lab), starts(lab, 4), composed(walk.rule, lab.seed), steps=60, step=walk.step,
        momentum=walk.momentum, optimiser=walk.optimiser, record=True,
    ).path  # fmt: skip
    found = script(
        """const hills = makeHills(given.lab);
        const walks = startWalks(hills, given.walk, 4, given.lab.seed);
        const path = [];
        for (let step = 0; step < 60; step++) {
          walks.advance();
          path.push(Array.from(walks.spots));
        }
        return path;""",
        lab=to_plain(lab), walk=to_plain(walk),
    )  # fmt: skip
    assert path is not None
    same(found, path[1:].flatten(1))


def test_a_walk_ends_where_python_s_does(script) -> None:
    lab = Lab(4, 4, seed=3)
    ends = walked(Hills(lab), lab.second, lab, 6).path
    found = script(
        """const walks = startWalks(makeHills(given.lab), given.lab.second, 6, given.lab.seed);
        while (walks.time < STEPS + SETTLE) walks.advance();
        return Array.from(walks.spots);""",
        lab=to_plain(lab),
    )
    assert ends is not None
    same(found, ends[-1].flatten())


@pytest.mark.parametrize("name", ["standoff", "desert", "oscillation", "obnoxious"])
def test_alarms_are_those_of_the_monitor(script, name: str) -> None:
    """Along the same walks, as Python took them: what is told, when, and by which numbers."""
    lab = LAB_PRESETS[name]
    lab = replace(lab, layers=min(lab.layers, 6))  # each step has a matrix of cosines
    hills = Hills(lab)
    count = 3
    along = _Kept(composed(lab.first.rule, lab.seed))
    path = descend(
        hills, starts(lab, count), along, steps=STEPS, step=lab.first.step, record=True
    ).path
    assert path is not None
    seen, weights = along.seen, along.said
    wanted = [
        _told([_record(here, w, walk) for here, w in zip(seen, weights, strict=True)], path, walk)
        for walk in range(count)
    ]
    rows = [
        [
            [*path[time, walk].tolist(), here.values[walk].tolist(), w[walk].tolist(),
             here.gradients[walk].flatten().tolist(), here.gradients[walk].norm(dim=1).tolist()]
            for time, (here, w) in enumerate(zip(seen, weights, strict=True))
        ]
        for walk in range(count)
    ]  # fmt: skip
    found = script(
        """return given.rows.map((steps) => {
          const monitor = makeMonitor(given.layers);
          for (const step of steps) monitor.add(...step);
          return { told: monitor.told, force: Array.from(monitor.force.keys()) };
        });""",
        rows=rows, layers=lab.layers,
    )  # fmt: skip
    assert any(told for told, _ in wanted)
    for mine, (told, force) in zip(found, wanted, strict=True):
        assert [(each["failure"], each["step"]) for each in mine["told"]] == [
            (alarm.failure.word, alarm.step) for alarm in told
        ]
        assert mine["force"] == force
        for each, alarm in zip(mine["told"], told, strict=True):
            for measure, value in alarm.measures.items():
                assert each[measure] == pytest.approx(value, rel=1e-6, abs=1e-7), measure
            if alarm.failure.word == "obnoxious":
                assert alarm.goals == (str(each["goal"]),)


class _Kept(Composition):
    """A composition that keeps what it saw and said."""

    def __init__(self, inner: Composition) -> None:
        self.inner, self.seen, self.said = inner, [], []

    def weights(self, here: Evaluation) -> torch.Tensor:
        self.seen.append(here)
        self.said.append(self.inner.weights(here))
        return self.said[-1]


def _record(here: Evaluation, weights: torch.Tensor, walk: int) -> BalancedStep:
    gradients = here.gradients[walk]
    norms = gradients.norm(dim=1)
    unit = gradients / norms.clamp_min(1e-300)[:, None]
    names = tuple(str(layer) for layer in range(len(norms)))
    losses = here.values[walk]
    return BalancedStep(names, losses, losses.mean(), weights[walk].double(), norms, unit @ unit.T)


def _told(steps: list[BalancedStep], path: torch.Tensor, walk: int) -> tuple[list, list[str]]:
    monitor, told = Monitor(), []
    for time, step in enumerate(steps):
        told += [alarm for alarm in monitor.add(step, path[time, walk]) if not alarm.over]
    return told, [alarm.failure.word for alarm in monitor.in_force]


@pytest.mark.parametrize("lab", [Lab(4, 6, 0), Lab(3, 3, 8)])
def test_common_valleys_are_counted_alike(script, lab: Lab) -> None:
    hills = Hills(lab)
    inside = valleys(hills)[:, _counted(lab.cells, lab.cells * 16)]
    found = script(
        """const hills = makeHills(given.lab);
        return countLaw(hills, valleysOf(hills)).map(({ common, chance }) => [common, chance]);""",
        lab=to_plain(lab),
    )
    together = torch.tensor(inside).long().cumprod(0).double().mean(1)
    chance = torch.tensor(inside).double().mean(1).cumprod(0)
    same(found, torch.stack([together, chance], 1))


def test_maps_are_shaded_alike(script) -> None:
    lab = Lab(3, 4, seed=5)
    field = sampled(Hills(lab), 12).mean(0)
    found = script(
        """const map = sampleMap(makeHills(given.lab), -1, 12);
        return [Array.from(map.values), shadeLevels(map.values)];""",
        lab=to_plain(lab),
    )
    same(found[0], torch.tensor(field).flatten())
    same(found[1], torch.tensor(levels(field)))


def test_constants_are_the_same(script) -> None:
    found = script("return [STEPS, SETTLE, NEAR, SHADES, WINDOW, EVERY, CONFIRM, FIRST];")
    monitor = Monitor()
    assert found[:4] == [STEPS, SETTLE, NEAR, SHADES]
    assert found[4:7] == [monitor.window, monitor.every, monitor.confirm]
    assert found[7] == 20


@pytest.mark.slow
def test_a_preset_shows_the_failure_that_it_is_named_after(script) -> None:
    for name, failure in {
        "momentum": "standoff", "standoff": "standoff", "desert": "desert",
        "oscillation": "oscillation", "obnoxious": "obnoxious",
    }.items():  # fmt: skip
        lab = LAB_PRESETS[name]
        first, second = (_alarmed(script, lab, walk) for walk in (lab.first, lab.second))
        assert first["alarms"].get(failure, 0) >= 30, (name, first)
        assert first["reached"] < 0.4, (name, first)
        assert second["reached"] > 0.9, (name, second)


def _alarmed(script, lab: Lab, walk: LabWalk) -> dict:
    """Of 60 walks: how many had each alarm, and the share that arrived."""
    return script(
        """const hills = makeHills(given.lab), alarms = {};
        const monitors = Array.from({ length: 60 }, () => makeMonitor(hills.layers));
        const walks = startWalks(hills, given.walk, 60, given.lab.seed,
          (walk, ...seen) => monitors[walk].add(...seen));
        while (walks.time < STEPS + SETTLE) walks.advance();
        for (const { told } of monitors) {
          for (const failure of new Set(told.map((each) => each.failure))) {
            alarms[failure] = (alarms[failure] || 0) + 1;
          }
        }
        return { alarms, reached: walks.reached[walks.reached.length - 1] };""",
        lab=to_plain(lab), walk=to_plain(replace(walk)),
    )  # fmt: skip
