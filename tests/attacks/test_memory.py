"""Small folders that ask for large memory."""

import json
import os
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterpoint.errors import InputError
from counterpoint.seeding import threads
from counterpoint.storage import read_folder
from counterpoint.table import TableModel


def test_a_recipe_that_asks_for_a_larger_network_is_refused_before_it_is_built(
    model, reseal, monkeypatch
):
    recipe = json.loads((model / "recipe.json").read_bytes())
    recipe["network"] |= {"width": 8192, "depth": 64}  # 17 GB of weights in a folder of 250 kB
    (model / "recipe.json").write_text(json.dumps(recipe))
    reseal()
    built = _devices(monkeypatch)
    with pytest.raises(InputError, match="the recipe calls for .* of shape"):
        TableModel.load(model)
    assert built == ["meta"]


def test_an_embedding_as_wide_as_memory_is_refused_before_it_is_made(model, reseal):
    file = model / "columns.json"
    text, many = re.subn(r'("width": )\d+', r"\g<1>1000000000", file.read_text())
    assert many
    file.write_text(text)
    reseal()
    with pytest.raises(InputError):
        TableModel.load(model)


def test_a_long_manifest_is_not_parsed(model):
    with (model / "manifest.json").open("ab") as file:
        file.write(b" " * 2**21)
    with pytest.raises(InputError, match="larger than 1,048,576 bytes"):
        read_folder(model, kind="table model", schema=3)


def _devices(monkeypatch):
    """On which device each network is built."""
    from counterpoint.table.model import _model

    plain = _model.build_network
    seen = []

    def build(*arguments):
        network = plain(*arguments)
        seen.append(next(network.parameters()).device.type)
        return network

    monkeypatch.setattr(_model, "build_network", build)
    return seen


@pytest.mark.parametrize(
    ("name", "value"),
    [("categories", -1), ("categories", 10_000), ("value.1", -3), ("value.1", 77)],
)
def test_kept_rows_with_codes_that_do_not_exist_are_refused_when_read(name, value, model, reseal):
    tensors = load_file(model / "kept.safetensors")
    tensors[name][:] = value
    save_file(tensors, model / "kept.safetensors")
    reseal()
    with pytest.raises(InputError, match="kept rows: they do not fit"):
        TableModel.load(model)


@pytest.mark.parametrize("scale", ["0.0", "-1.0"])
def test_a_scale_by_which_nothing_can_be_divided_is_refused(scale, model, reseal):
    file = model / "columns.json"
    text, many = re.subn(r'("scale": )[-\d.e]+', rf"\g<1>{scale}", file.read_text(), count=1)
    assert many
    file.write_text(text)
    reseal()
    with pytest.raises(InputError, match="the scale positive"):
        TableModel.load(model)


def test_counts_below_zero_are_refused(model, reseal):
    file = model / "tallies.json"
    found = json.loads(file.read_bytes())
    next(iter(found.values()))["counts"][0] = -1.0
    file.write_text(json.dumps(found))
    reseal()
    with pytest.raises(InputError, match="none below 0"):
        TableModel.load(model)


def test_a_foreign_recipe_gets_no_more_threads_than_there_are_cores():
    before = torch.get_num_threads()
    with threads(1024):
        assert torch.get_num_threads() == min(1024, os.cpu_count())
    assert torch.get_num_threads() == before
