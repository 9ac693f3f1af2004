from dataclasses import asdict

import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import Recipe, Training, build, dump, load


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optimiser", "adamm", "expected one of adamw, adam, sgd, found 'adamm'; did you mean"),
        ("schedule", "linear", "expected one of one-cycle, cosine, constant"),
        ("precision", "float64", "expected one of float32"),
        ("epochs", -1, "expected a whole number of at least 0, found -1"),
        ("accumulate", True, "expected a whole number of at least 1, found True"),
        ("patience", -1, "at least 0, found -1"),
        ("seed", 2**63, "expected a whole number"),
        ("rate", float("nan"), "expected a number from 0 to 1e"),
        ("momentum", 1.0, "expected a number from 0 to"),
        ("warmup", 1.0, "expected a number from 0 to 0.99"),
        ("weight_decay", -0.1, "expected a number from 0 to inf"),
    ],
)
def test_bad_settings_name_field_rule_and_value(field, value, message):
    with pytest.raises(InputError, match=f"training.{field}: .*{message}"):
        Training(**{field: value})


def test_what_cannot_be_compiled_is_refused_at_once():
    with pytest.raises(InputError, match="accumulate = 1"):
        Training(compile=True, accumulate=2)
    with pytest.raises(InputError, match="float32 and bfloat16"):
        Training(compile=True, precision="float16")


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        ({"precision": "bfloat16"}, Training(precision="bfloat16")),
        ({"accumulate": "4", "warmup": "0.1"}, Training(accumulate=4, warmup=0.1)),
        ({"compile": "true", "momentum": "0"}, Training(compile=True, momentum=0.0)),
        ({"checkpoint_steps": "7", "threads": "2"}, Training(checkpoint_steps=7, threads=2)),
    ],
)
def test_a_recipe_reaches_all_that_the_loop_can_do(overrides, wanted, tmp_path):
    recipe = build({}, overrides={f"training.{name}": text for name, text in overrides.items()})
    assert recipe.training == wanted
    (tmp_path / "r.toml").write_text(dump(recipe))
    assert build(load(tmp_path / "r.toml")) == recipe
    assert build(asdict(recipe)) == recipe  # as the JSON of a model folder has it


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"training.compile": "1"}, "training.compile: expected true or false, found 1"),
        ({"training.compile": "yes"}, "training.compile: expected true or false, found 'yes'"),
        ({"training.warmup": "long"}, "training.warmup: expected a number, found 'long'"),
        ({"training.rate": "true"}, "training.rate: expected a number, found True"),
    ],
)
def test_values_of_another_type_are_refused(override, message):
    with pytest.raises(InputError, match=message):
        build({}, overrides=override)


def test_what_is_given_is_not_resolved():
    given = Training(epochs=3, batch_size=7)
    assert given.resolved(1000) == given
    assert Training(epochs=3).resolved(1000) == Training(epochs=3, batch_size=16 * 2)
    assert Training().resolved(0).epochs == 100


def test_a_table_has_one_thread_unless_it_asks_for_more():
    assert Recipe().threads == 1
    assert build({"training": {"threads": 3}}).threads == 3
