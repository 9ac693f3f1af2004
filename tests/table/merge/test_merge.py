"""Models of two sites become one, as if all rows had been at one place where that can be."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import LastLayer
from counterpoint.report import read_findings, render
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.fit._context import Context
from counterpoint.table.merge import TableEnsemble, load_tables, merge_tables
from tables import mixed, quick

TARGETS = ("price", "kind")
OLD = mixed(240)


def more(seed: int, **changes) -> pd.DataFrame:
    return mixed(80, seed).assign(**changes)


@pytest.fixture(scope="module")
def base() -> TableModel:
    return fit_table(OLD, quick(target=TARGETS), Context("old.csv", fingerprint="old"))


def updated(base: TableModel, frame: pd.DataFrame, name: str) -> TableModel:
    return update_table(base, frame, context=Context(name, fingerprint=name))


@pytest.fixture(scope="module")
def sites(base):
    frames = [more(seed) for seed in (1, 2)]
    frames[0].loc[:20, "shade"] = "red"
    frames[1].loc[30:60, "shade"] = "green"
    models = [updated(base, frame, name) for frame, name in zip(frames, "ab", strict=True)]
    return models, frames


def layer(model: TableModel, name: str):
    return model.members[0].posterior.posteriors[name]


def test_the_last_layer_is_that_of_all_rows(base, sites):
    """Rows of old levels alone, so that the joint update has the same features."""
    frames = [more(seed) for seed in (3, 4)]
    models = [updated(base, frame, name) for frame, name in zip(frames, "cd", strict=True)]
    joint = updated(base, pd.concat(frames, ignore_index=True), "both")
    merged = merge_tables(models, base=base)
    assert merged.exact
    found, wanted = layer(merged.model, "price"), layer(joint, "price")
    for part in ("gram", "cross", "square"):
        torch.testing.assert_close(
            getattr(found.statistics, part), getattr(wanted.statistics, part), rtol=1e-12, atol=1e-9
        )
    assert found.statistics.count == wanted.statistics.count
    # the noise is a choice, a mean by rows; given it the layer is a function of the sums
    again = LastLayer.fit(wanted.statistics, noise=float(found.noise[0]))
    torch.testing.assert_close(found.mean, again.mean, rtol=1e-8, atol=1e-8)
    assert float(found.noise[0]) == pytest.approx(float(wanted.noise[0]), rel=0.15)
    new = more(9)
    probabilities = [model.predict(new)["kind"].probabilities for model in (merged.model, joint)]
    alone = models[0].predict(new)["kind"].probabilities
    # Laplace's Gaussians are of each site's optimum: close to the joint one, and closer than alone
    apart = np.abs(probabilities[0] - probabilities[1]).mean()
    assert apart < 0.01
    assert apart < np.abs(alone - probabilities[1]).mean()


def test_levels_of_one_site_are_known_afterwards(base, sites, tmp_path):
    models, frames = sites
    merged = merge_tables(models, ["north", "south"], base=base)
    assert merged.exact
    assert merged.model.schema.column("shade").levels[-2:] == ("red", "green")
    # 192 rows of the base, which held 48 out, and 80 of each site
    assert merged.rows == {"north": 272, "south": 272}
    for model, frame in zip(models, frames, strict=True):
        own = [m.members[0].network.features(*encoded(m, frame)) for m in (model, merged.model)]
        torch.testing.assert_close(*own)
    counts = merged.model.counts.columns["shade"]
    assert counts.rows == pytest.approx(192 + 80 + 80)
    assert counts.counts[-2:] == pytest.approx((21 - 1, 31 - 2), abs=3)
    # what each site brought is in the findings, and the folder is a model's like any other
    assert [update.name for update in merged.model.findings.updates] == ["a", "b"]
    assert [entry.name for entry in merged.model.history] == ["old.csv", "a", "b"]
    merged.model.save(tmp_path / "m")
    read = load_tables(tmp_path / "m")
    new = more(5, shade="green")
    np.testing.assert_array_equal(read.predict(new)["price"].mean,
                                  merged.model.predict(new)["price"].mean)  # fmt: skip


def encoded(model: TableModel, frame: pd.DataFrame):
    inputs = model.read(frame).encode()
    return inputs["categories"], inputs["numbers"]


def test_a_level_that_both_sites_learnt_is_said(base):
    frames = [more(seed, shade="red") for seed in (1, 2)]
    models = [updated(base, frame, name) for frame, name in zip(frames, "ab", strict=True)]
    merged = merge_tables(models, base=base)
    assert not merged.exact
    assert "'red'" in merged.why


@pytest.fixture(scope="module")
def apart():
    """Two sites that fitted for themselves: one has small things alone, one knows another class."""
    frames = [mixed(200, 11), mixed(100, 12)]
    frames[1].loc[::4, "kind"] = "huge"
    recipe = quick(target=TARGETS)
    models = [
        fit_table(frame, recipe, Context(name, fingerprint=name))
        for frame, name in zip(frames, "ab", strict=True)
    ]
    return models, frames


def test_different_trunks_predict_as_a_mixture(apart, tmp_path):
    models, _ = apart
    merged = merge_tables(models, ["a", "b"])
    assert not merged.exact
    assert "another scale or other bins" in merged.why
    assert merged.model.shares == pytest.approx((2 / 3, 1 / 3), abs=0.02)
    new = more(5)
    one, two = (model.predict(new) for model in models)
    both = merged.model.predict(new)
    share = merged.model.shares[0]
    mean = share * one["price"].mean + (1 - share) * two["price"].mean
    np.testing.assert_allclose(both["price"].mean, mean)
    # the second moment of a mixture is the mean of the second moments
    second = [p["price"].std ** 2 + p["price"].mean ** 2 for p in (one, two)]
    np.testing.assert_allclose(
        both["price"].std ** 2 + mean**2, share * second[0] + (1 - share) * second[1]
    )
    kind = both["kind"]
    assert kind.classes == ("big", "middle", "small", "huge")
    np.testing.assert_allclose(kind.probabilities.sum(1), 1)
    np.testing.assert_allclose(
        kind.probabilities[:, 3], (1 - share) * two["kind"].probabilities[:, 1]
    )
    merged.model.save(tmp_path / "m")
    # the report says what each site brought: its rows, its own scores, what it alone knows
    findings = read_findings(tmp_path / "m")
    assert [site.name for site in findings.sites] == ["a", "b"]
    assert sum(site.rows for site in findings.sites) == findings.rows["total"]
    assert findings.sites[1].alone["kind"] == ["huge"]
    scored = models[1].findings.targets[0]
    assert findings.sites[1].targets[0].metrics == scored.metrics
    page = render(findings)
    assert "What each site brought" in page
    assert "huge" in page
    read = load_tables(tmp_path / "m")
    assert isinstance(read, TableEnsemble)
    np.testing.assert_array_equal(read.predict(new)["price"].mean, both["price"].mean)
    with pytest.raises(InputError, match="expected a table model folder"):
        TableModel.load(tmp_path / "m")


def test_one_damaged_byte_of_a_site_is_refused(apart, tmp_path):
    merge_tables(apart[0]).model.save(tmp_path / "m")
    file = tmp_path / "m" / "site-1-network-0.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="site-1-network-0.safetensors: damaged"):
        load_tables(tmp_path / "m")


def test_rows_do_not_count_twice(base, sites, apart):
    models, _ = sites
    with pytest.raises(InputError, match=r"both learnt old.csv \(192 rows\).*--base"):
        merge_tables(models)
    with pytest.raises(InputError, match="lacks what the base learnt"):
        merge_tables(apart[0], base=base)
    with pytest.raises(InputError, match="at least two"):
        merge_tables(models[:1])


def test_columns_that_differ_are_named(base):
    frame = OLD.assign(junk=np.where(OLD["size"] > 0, "yes", "no")).drop(columns="sold")
    other = fit_table(frame, quick(target=TARGETS))
    words = r"'sold' \(input\) is only in here; 'junk' is a number in here and a boolean in there"
    with pytest.raises(InputError, match=words):
        merge_tables([base, other], ["here", "there"])
    with pytest.raises(InputError, match=r"'kind' \(target\) is only in a"):
        merge_tables([base, fit_table(OLD, quick(target=("price",)))], "ab")


def test_a_product_that_is_no_gaussian_is_refused(base, sites):
    models, _ = sites
    member = base.members[0]
    surer = replace(
        member.posterior,
        posteriors={
            **member.posterior.posteriors,
            "kind": replace(
                layer(base, "kind"), precision=layer(base, "kind").precision.scaled(1e6)
            ),
        },
    )
    wrong = replace(base, members=(replace(member, posterior=surer),))
    with pytest.raises(InputError, match="more certain than they are"):
        merge_tables(models, base=wrong)
