"""What is listed is what torch and safetensors load, whoever wrote the file, and without torch."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from counterpoint.checkpoints import Checkpoint, Reader, open_checkpoint
from counterpoint.errors import InputError

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "U16": torch.uint16, "I32": torch.int32, "U32": torch.uint32, "I64": torch.int64,
    "U64": torch.uint64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32,
    "F64": torch.float64, "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


def contents(found: Checkpoint, step: int = 5) -> dict[str, torch.Tensor]:
    """All tensors, read in pieces of a few elements."""
    values = {}
    with Reader() as reader:
        for name, tensor in found.tensors.items():
            into = bytearray(tensor.size)
            item = DTYPES[tensor.dtype].itemsize
            for first in range(0, tensor.size, step * item):
                part = memoryview(into)[first : first + step * item]
                reader.read(tensor, first, part)
            value = torch.empty(tensor.shape, dtype=DTYPES[tensor.dtype])
            if into:
                value = torch.frombuffer(into, dtype=DTYPES[tensor.dtype]).reshape(tensor.shape)
            values[name] = value
    return values


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        wide = torch.complex128 if value.is_complex() else torch.float64
        assert torch.equal(found[name].to(wide), value.to(wide)), name


def of_every_dtype() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, 2, (3, 4), generator=generator)
    return {f"t.{name}": drawn.to(dtype) for name, dtype in DTYPES.items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_every_type(tmp_path, suffix):
    tensors = of_every_dtype() | {"scalar": torch.tensor(2.5), "none": torch.ones(0, 3)}
    file = tmp_path / f"w.{suffix}"
    save_file(tensors, file) if suffix == "safetensors" else torch.save(tensors, file)
    found = open_checkpoint(file)
    same(contents(found), tensors)
    assert found.size == sum(t.numel() * t.itemsize for t in tensors.values())


shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@settings(max_examples=40)
@given(shape=shapes, data=st.data())
def test_any_strides_of_a_torch_file(tmp_path_factory, shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    steps = data.draw(st.lists(st.integers(1, 2), min_size=len(shape), max_size=len(shape)))
    value = torch.arange(float(torch.Size(shape).numel())).reshape(shape).permute(order)
    value = value[tuple(slice(None, None, step) for step in steps)]
    file = tmp_path_factory.mktemp("strides") / "w.pt"
    torch.save({"w": value, "other": torch.nn.Parameter(value)}, file)
    same(contents(open_checkpoint(file), step=3), {"w": value, "other": value})


def test_ties_and_views_of_one_storage(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    torch.save({"a": base, "b": base, "row": base[1], "column": base[:, 2]}, tmp_path / "w.pt")
    found = open_checkpoint(tmp_path / "w.pt")
    same(contents(found), {"a": base, "b": base, "row": base[1], "column": base[:, 2]})
    assert found.tied == (("a", "b"),)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_state_dicts_are_taken_out_of_training_checkpoints(tmp_path, key):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 2)).sum().backward()
    optimizer.step()
    saved = {key: net.state_dict(), "optimizer": optimizer.state_dict(), "step": torch.tensor(3)}
    torch.save(saved, tmp_path / "w.pt")
    found = open_checkpoint(tmp_path / "w.pt")
    same(contents(found), net.state_dict())
    assert found.notes == (f"w.pt: read from {key!r}",)


def test_the_names_of_wrappers_are_taken_off(tmp_path):
    tensors = {"module._orig_mod.a.weight": torch.ones(2), "module.b._orig_mod.bias": torch.ones(1)}
    save_file(tensors, tmp_path / "w.safetensors")
    found = open_checkpoint(tmp_path / "w.safetensors")
    assert list(found.tensors) == ["a.weight", "b.bias"]
    assert "wrappers' names taken off" in found.notes[0]


def test_a_module_of_that_name_is_no_wrapper(tmp_path):
    save_file({"module.a": torch.ones(2), "head": torch.ones(1)}, tmp_path / "w.safetensors")
    assert list(open_checkpoint(tmp_path / "w.safetensors").tensors) == ["head", "module.a"]


def test_what_is_no_tensor_is_left_out_and_said(tmp_path):
    torch.save({"w": torch.ones(2), "_extra_state": None, "epoch": 3}, tmp_path / "w.pt")
    found = open_checkpoint(tmp_path / "w.pt")
    assert list(found.tensors) == ["w"]
    assert found.notes == ("w.pt: left out what is no tensor: _extra_state, epoch",)


def test_names_are_in_natural_order(tmp_path):
    names = [f"h.{place}.w" for place in range(12)]
    save_file({name: torch.ones(1) for name in names}, tmp_path / "w.safetensors")
    assert list(open_checkpoint(tmp_path / "w.safetensors").tensors) == names


def shard(folder, parts: dict[str, dict[str, torch.Tensor]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, tensors in parts.items():
        save_file(tensors, folder / name)
    weight_map = {key: name for name, tensors in parts.items() for key in tensors}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_sharded_folders_and_the_cache_of_a_hub(tmp_path):
    parts = {"a.safetensors": {"x": torch.arange(3.0)}, "b.safetensors": {"y": torch.ones(2, 2)}}
    shard(tmp_path / "s", parts)
    found = open_checkpoint(tmp_path / "s")
    assert (found.layout, dict(found.shards)["y"]) == ("sharded safetensors", "b.safetensors")
    same(contents(found), {"x": torch.arange(3.0), "y": torch.ones(2, 2)})
    # the hub's cache keeps contents by hash, and links in the folder of a revision
    cache = tmp_path / "model" / "snapshots" / "r"
    cache.mkdir(parents=True)
    blobs = tmp_path / "model" / "blobs"
    blobs.mkdir()
    for file in (tmp_path / "s").iterdir():
        file.rename(blobs / f"h{file.name}")
        (cache / file.name).symlink_to(f"../../blobs/h{file.name}")
    same(contents(open_checkpoint(cache)), {"x": torch.arange(3.0), "y": torch.ones(2, 2)})


def test_a_folder_with_one_file(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / "model.safetensors")
    torch.save({"x": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert open_checkpoint(tmp_path).files == (tmp_path / "model.safetensors",)


def test_distributed_checkpoints(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {"model": net.state_dict(), "step": torch.tensor(3), "name": "run"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one process, and torch says so
        dcp.save(state, checkpoint_id=tmp_path / "d")
        loaded = {"model": {name: torch.zeros_like(v) for name, v in net.state_dict().items()}}
        dcp.load(loaded, checkpoint_id=tmp_path / "d")
    found = open_checkpoint(tmp_path / "d")
    assert found.layout == "distributed"
    same(contents(found), loaded["model"])


def test_torch_is_not_imported(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / "w.safetensors")
    torch.save({"x": torch.ones(2, 2).T}, tmp_path / "w.pt")
    script = (
        "import sys; from counterpoint.checkpoints import open_checkpoint;"
        "[open_checkpoint(path) for path in sys.argv[1:]];"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    files = [str(tmp_path / "w.safetensors"), str(tmp_path / "w.pt")]
    assert subprocess.run([sys.executable, "-c", script, *files], check=False).returncode == 0


def test_the_only_state_dict_is_found_whatever_its_name(tmp_path):
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    saved = {"net": net.state_dict(), "opt": optimizer.state_dict(), "epoch": 3}
    torch.save(saved, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    assert list(found.tensors) == ["weight", "bias"]
    assert found.notes == ("a.pt: read from 'net'",)
    torch.save({"generator": net.state_dict(), "critic": net.state_dict()}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="which of generator, critic is meant"):
        open_checkpoint(tmp_path / "b.pt")
