"""What a run is told."""

import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.recipe import Data, Network, Posterior, Recipe, Training, build, dump, load

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)


def test_later_wins_over_earlier():
    recipe = build({"training": {"rate": 0.1, "epochs": 3}}, overrides={"training.rate": "0.2"})
    assert (recipe.training.rate, recipe.training.epochs) == (0.2, 3)


VALUES = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {
                "table": TEXT,
                "target": st.lists(TEXT, max_size=3),
                "separator": TEXT,
                "kinds": st.dictionaries(TEXT, TEXT, max_size=3),
                "header": st.booleans(),
            }
        ),
        "network": st.fixed_dictionaries(
            {"width": st.integers(1, 512), "dropout": st.floats(0, 0.9)}
        ),
        "training": st.fixed_dictionaries(
            {"rate": st.floats(1e-8, 100.0), "seed": st.integers(0, 2**31 - 1)}
        ),
    }
)


def test_lists_of_columns_by_kind_are_read_as_recipes_once_had_them(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[data]\nnumber = ["a", "b"]\ncategory = "c"\nkinds = { "b" = "date" }\n')
    assert build(load(file)).data.kinds == {"a": "number", "b": "date", "c": "category"}
    assert build({"data": {"date": []}}) == Recipe()
    with pytest.raises(InputError, match=r"data\.kinds: expected a table of texts, found \['a'\]"):
        build({"data": {"kinds": ["a"]}})


def test_names_of_columns_have_one_form_of_unicode():
    data = Data(target=("o\u0308",), kinds={"o\u0308": "number"}, split="time:o\u0308")
    assert (data.target, data.kinds, data.split) == (("ö",), {"ö": "number"}, "time:ö")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"decimal": ",", "thousands": ","}, "data.thousands: ',' stands before decimals; choose"),
        (
            {"thousands": "x"},
            "data.thousands: expected one of '', ,, ., ', _, space, none, found 'x'",
        ),
        ({"decimal": ";"}, "data.decimal: expected one of"),
    ],
)
def test_signs_that_cannot_be(told, message):
    with pytest.raises(InputError, match=message):
        Data(**told)


@given(VALUES)
def test_a_dumped_recipe_is_the_same_recipe(tmp_path_factory, values):
    recipe = build(values)
    file = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    file.write_text(dump(recipe), "utf-8")
    assert build(load(file)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nrte = 1\n", r"r\.toml, line 2: recipe: unknown key 'training\.rte'; did you"),
        ("[trainig]\nrate = 1\n", r"unknown key 'trainig'; did you mean 'training'"),
        ("[training]\n\nrate = 'fast'\n", r"line 3: .*training\.rate: expected a number, found 'f"),
        ("[training]\nepochs = 2.5\n", r"training\.epochs: expected a whole number, found 2\.5"),
        ("[training]\nepochs = true\n", r"training\.epochs: expected a whole number, found True"),
        (
            "[training]\nrate = -1.0\n",
            r"line 2: training\.rate: expected a number from 0 to 1e\+06, found -1",
        ),
        ("[data]\ntarget = [1]\n", r"data\.target: expected a list of texts, found \[1\]"),
        ("[network]\ntrunk = 'deep'\n", r"network\.trunk: expected one of auto, plain, "),
        ("training = 3\n", r"expected a section \[training\], found 3"),
        ("rate: 3\n", "not readable as TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_line_key_and_rule(tmp_path, text, message):
    file = tmp_path / "r.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such recipe file"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"training.rat": "1"}, r"unknown key 'training\.rat'; did you mean 'training\.rate'"),
        ({"trainin.rate": "1"}, r"unknown key 'trainin\.rate'; did you mean 'training\.rate'"),
        ({"training.rate": "fast"}, "expected a number, found 'fast'"),
    ],
)
def test_a_wrong_override_is_refused(override, message):
    with pytest.raises(InputError, match=message):
        build({}, overrides=override)


def test_overrides_are_toml_values_where_that_works():
    recipe = build(
        {}, overrides={"training.rate": "3e-3", "data.target": '["a", "b"]', "data.split": "0.3"}
    )
    assert recipe.training.rate == 0.003
    assert recipe.data.target == ("a", "b")
    assert recipe.data.split == "0.3"


def test_a_single_text_stands_for_a_list_of_one():
    assert build({"data": {"target": "price"}}).data.target == ("price",)


def test_every_key_has_its_meaning_in_the_docstring():
    for section, kind in zip(asdict(Recipe()), (Data, Network, Training, Posterior), strict=True):
        for key in asdict(Recipe())[section]:
            assert f"{key}" in (kind.__doc__ or ""), f"{section}.{key} is not explained"


def test_the_rules_are_those_of_the_balancer():
    from counterpoint.balance.rules import RULES
    from counterpoint.recipe import BALANCE

    assert len(BALANCE) == len(set(BALANCE))
    assert set(BALANCE) == set(RULES)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("upgard", "found 'upgard'; did you mean 'upgrad'"),
        ("zz", "expected one of sum, impartial, .*, upgrad, found 'zz'$"),
    ],
)
def test_an_unknown_rule_is_refused_with_the_nearest(found, message):
    with pytest.raises(InputError, match=message):
        build({"training": {"balance": found}})


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"uncertainty": "laplas"}, "expected one of .*, found 'laplas'; did you mean 'laplace'"),
        (
            {"uncertainty": "zz"},
            "expected one of last-layer, luna, laplace, ensemble, found 'zz'",
        ),
        ({"heads": 1}, "heads: expected a whole number from 2 to 1000, found 1"),
        ({"diversity": -0.1}, "diversity: expected a number from 0 to 1e"),
        ({"diversity": float("nan")}, "diversity: expected a number from 0 to 1e.* found nan"),
    ],
)
def test_a_wrong_uncertainty_is_refused(told, message):
    with pytest.raises(InputError, match=message):
        build({"posterior": told})


def test_an_ensemble_has_members():
    told = {"posterior": {"uncertainty": "ensemble"}, "network": {"members": 1}}
    with pytest.raises(InputError, match=r"network\.members: an ensemble .* found 1"):
        build(told)
    assert build({**told, "network": {"members": 2}}).posterior.uncertainty == "ensemble"


def test_reading_a_recipe_does_not_import_torch():
    code = "import counterpoint.recipe, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
