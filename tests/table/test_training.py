"""What a recipe says of training reaches the loop; folders of earlier versions still load."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from counterpoint.errors import InputError
from counterpoint.recipe import Update, build
from counterpoint.storage import read_folder, write_folder
from counterpoint.table import Context, TableModel, fit_table, update_table
from tables import mixed, quick

NEW = (
    "accumulate", "checkpoint_every", "checkpoint_steps", "compile", "log_every", "momentum",
    "precision", "warmup",
)  # fmt: skip
"""Keys that a recipe of `training` did not have before it was the loop's own."""


def fitted(table, folder=None, **overrides):
    recipe = quick(split="none")
    recipe = replace(recipe, network=replace(recipe.network, dropout=0.0))
    told = {section: vars(getattr(recipe, section)) for section in vars(recipe)}
    overrides = {f"training.{name}": text for name, text in overrides.items()}
    context = Context(folder=folder)
    return fit_table(table, build(told, overrides=overrides), context, evaluate=False)


def test_a_step_in_parts_gives_the_same_fit_to_rounding(table):
    whole, parts = fitted(table), fitted(table, accumulate="4")
    one, two = (model.predict(table)["price"] for model in (whole, parts))
    assert not np.array_equal(one.mean, two.mean)
    assert one.mean == pytest.approx(two.mean, rel=1e-4, abs=1e-4)
    assert one.std == pytest.approx(two.std, rel=1e-3)


def test_a_restart_may_write_other_checkpoints_and_nothing_else(table, tmp_path):
    first = fitted(table, tmp_path)
    again = fitted(table, tmp_path, checkpoint_every="7", checkpoint_steps="3")
    assert np.array_equal(*(model.predict(table)["price"].mean for model in (first, again)))
    with pytest.raises(InputError, match=r"holds a run with training\.rate = "):
        fitted(table, tmp_path, rate="0.5")


def test_the_precision_of_a_recipe_is_that_of_the_steps(table):
    seen = set()

    def look(module, inputs, output):
        if isinstance(module, nn.Linear) and module.training:
            seen.add(output.dtype)

    handle = register_module_forward_hook(look)
    try:
        fitted(table, precision="bfloat16")
    finally:
        handle.remove()
    assert seen == {torch.bfloat16}


def test_the_warmup_of_a_recipe_is_that_of_the_rate(table, tmp_path):
    told = {"schedule": "constant", "warmup": "0.5", "rate": "0.01"}
    model = fitted(table, tmp_path / "run", **told)
    lines = [json.loads(line) for line in model.log.splitlines()]
    rates = [line["rate"] for line in lines if line["event"] == "epoch"]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075] + [0.01] * 5, rel=0.2)


COMPILED = """
from dataclasses import replace
import numpy as np
from counterpoint.recipe import Update
from counterpoint.table import fit_table, update_table
from tables import mixed, quick

plain = quick(split="none")
plain = replace(plain, network=replace(plain.network, dropout=0.0))
compiled = replace(plain, training=replace(plain.training, compile=True))
one, two = (fit_table(mixed(), recipe) for recipe in (plain, compiled))
means = [model.predict(mixed())["price"].mean for model in (one, two)]
assert not np.array_equal(*means)
assert np.allclose(*means, rtol=1e-4, atol=1e-4)
update_table(two, mixed(40, seed=1), Update(deep=True))
"""


@pytest.mark.slow
def test_a_recipe_may_ask_for_a_compiled_step():
    """In a process of its own: torch.compile cannot read the functions that tests look into."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", COMPILED], check=True, env=environment)


def test_what_does_not_go_together_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match="compile: works with accumulate = 1 only"):
        build({}, overrides={"training.compile": "true", "training.accumulate": "2"})


def as_written_before(path):
    """The folder as earlier versions wrote it: a recipe without what the loop alone had."""
    folder = read_folder(path, kind="table model", schema=3)
    tensors = [n.removesuffix(".safetensors") for n in folder.files if n.endswith(".safetensors")]
    documents = [n.removesuffix(".json") for n in folder.files if n.endswith(".json")]
    documents = {name: folder.document(name) for name in documents}
    for name in ("recipe", "told"):
        training = documents[name]["training"]
        documents[name]["training"] = {k: v for k, v in training.items() if k not in NEW}
        documents[name]["training"]["threads"] = 1
    write_folder(
        path,
        kind="table model",
        schema=3,
        tensors={name: folder.tensors(name) for name in tensors},
        documents=documents,
        texts={"log.jsonl": folder.text("log.jsonl")},
        overwrite=True,
    )


def test_a_model_of_an_earlier_version_predicts_and_learns_on(table, tmp_path):
    model = fit_table(table, quick())
    model.save(tmp_path / "m")
    as_written_before(tmp_path / "m")
    loaded = TableModel.load(tmp_path / "m")
    assert loaded.recipe == replace(
        model.recipe, training=replace(model.recipe.training, threads=1)
    )
    assert np.array_equal(loaded.predict(table)["price"].mean, model.predict(table)["price"].mean)
    update_table(loaded, mixed(40, seed=1), Update(deep=True))
