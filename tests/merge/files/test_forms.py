"""Results in the forms of torch: its own readers read them; whole or not at all."""

import zipfile
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as distributed

import counterpoint as cp
from counterpoint.checkpoints import open_checkpoint
from counterpoint.checkpoints._layout import NewTensor, lay_out
from counterpoint.errors import InputError
from counterpoint.merge.files import merge_files, verify_merge
from counterpoint.storage import FileSystem

EVERY = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.int8,
         torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64,
         torch.uint64]  # fmt: skip


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 4096 numbers: a tensor has several, and is small all the same."""
    for module in ("_prepared", "_compute", "_verify"):
        monkeypatch.setattr(f"counterpoint.merge.files.{module}.CHUNK", 4096)


def state(seed: int) -> dict[str, torch.Tensor]:
    """Every type, no dimension, nothing in it, several parts, and two names of one tensor."""
    drawn = torch.Generator().manual_seed(seed)
    kinds = {str(kind).removeprefix("torch."): kind for kind in EVERY}
    found = {
        f"kinds.{name}": torch.randn(3, generator=drawn).to(kind)
        if kind.is_floating_point
        else torch.tensor([1, 0, 1]).to(kind)
        for name, kind in kinds.items()
    }
    found["layers.10.weight"] = torch.randn(130, 70, generator=drawn)
    found["layers.9.weight"] = torch.randn(5, generator=drawn)
    found["scale"], found["empty"] = torch.tensor(float(seed)), torch.zeros(0, 2)
    found["embed.weight"] = torch.randn(4, 3, generator=drawn)
    found["head.weight"] = found["embed.weight"]
    return found


@pytest.fixture
def inputs(tmp_path) -> list[Path]:
    for seed in (0, 1):
        torch.save(state(seed), tmp_path / f"{seed}.pt")
    return [tmp_path / "0.pt", tmp_path / "1.pt"]


@pytest.fixture
def wanted() -> dict[str, torch.Tensor]:
    return cp.merge([state(0), state(1)], {"**": 0.3, "layers.9": 0.1}, quiet=True)


SINGLE = pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
WEIGHTS = {"**": "0.3", "layers.9": "0.1"}


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("name", ["out.pt", "out.pth", "out.bin", "out.ckpt"])
def test_a_file_of_torch_save(tmp_path, inputs, wanted, name):
    out = tmp_path / name
    merge_files(inputs, out, WEIGHTS)
    for mapped in (False, True):
        found = torch.load(out, weights_only=True, mmap=mapped)
        same(found, wanted)
    assert found["head.weight"].data_ptr() == found["embed.weight"].data_ptr()
    # as any program that unpacks archives sees it, and as we do
    assert zipfile.ZipFile(out).testzip() is None
    assert open_checkpoint(out).tied == (("embed.weight", "head.weight"),)
    assert verify_merge(out).holds
    assert not list(tmp_path.glob(".*"))


def test_one_bit_of_it_is_noticed(tmp_path, inputs):
    out = tmp_path / "out.pt"
    merge_files(inputs, out, WEIGHTS)
    place = open_checkpoint(out).tensors["layers.10.weight"].boxes[0].offset
    content = bytearray(out.read_bytes())
    content[place + 5] ^= 1
    out.write_bytes(content)
    assert not verify_merge(out).undamaged
    assert zipfile.ZipFile(out).testzip() == "archive/data/13"


@SINGLE
def test_a_distributed_checkpoint(tmp_path, inputs, wanted):
    out = tmp_path / "out"
    merge_files(inputs, out, WEIGHTS, layout="distributed")
    found = {name: torch.zeros_like(value) for name, value in wanted.items()}
    distributed.load(found, checkpoint_id=out)
    same(found, wanted)
    assert verify_merge(out).holds
    # and it begets its like: a folder has the layout of the first input
    merge_files([out, inputs[1]], tmp_path / "next", 0.5)
    assert open_checkpoint(tmp_path / "next").layout == "distributed"
    merge_files([out, inputs[1]], tmp_path / "shards", 0.5, layout="safetensors")
    assert open_checkpoint(tmp_path / "shards").layout == "sharded safetensors"


@SINGLE
def test_a_part_of_a_distributed_tensor_is_read(tmp_path, inputs, wanted):
    out = tmp_path / "out"
    merge_files(inputs, out, WEIGHTS, layout="distributed")
    found = {"layers.10.weight": torch.zeros(130, 70)}
    distributed.load(found, checkpoint_id=out)
    assert torch.equal(found["layers.10.weight"], wanted["layers.10.weight"])


@pytest.mark.parametrize(("name", "layout"), [("out.pt", ""), ("out", "distributed")])
def test_the_bytes_depend_on_neither_name_nor_threads(tmp_path, inputs, name, layout):
    found = []
    for threads in (1, 3):
        home = tmp_path / f"at-{threads}"
        home.mkdir()
        out = home / f"{threads}{name}"
        merge_files(inputs, out, WEIGHTS, layout=layout, threads=threads)
        files = [out] if out.is_file() else sorted(out.iterdir())
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]


class Failing(FileSystem):
    """Ends at the last step."""

    def rename(self, source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    def exchange(self, one: Path, two: Path) -> None:
        raise OSError(28, "No space left on device")


def test_what_fails_leaves_what_was_there(tmp_path, inputs):
    from counterpoint.merge.files import prepare, recipe_of, write_merge

    out = tmp_path / "out.pt"
    torch.save(state(3), out)
    before = out.read_bytes()
    prepared = prepare(recipe_of(inputs, WEIGHTS))
    with pytest.raises(InputError, match="No space left"):
        write_merge(prepared, out, overwrite=True, disk=Failing())
    assert out.read_bytes() == before
    with pytest.raises(InputError, match="exists already"):
        write_merge(prepared, out)


@pytest.mark.parametrize(
    ("name", "layout", "said"),
    [
        ("out.pt", "distributed", "is one file"),
        ("out.gguf", "", ".gguf is not written; expected .safetensors, .pt"),
        ("out", "shards", "layout: expected one of safetensors, distributed"),
    ],
)
def test_a_name_that_is_no_result_is_refused(tmp_path, inputs, name, layout, said):
    with pytest.raises(InputError) as caught:
        merge_files(inputs, tmp_path / name, 0.5, layout=layout)
    assert said in str(caught.value)
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_more_than_four_gigabytes(tmp_path):
    """Fields of zip64, in a file with holes: nothing of the size is written."""
    large = NewTensor("large", "U8", (5 * 2**30,))
    tensors = [NewTensor("before", "F32", (2,)), large, NewTensor("after", "F32", (3,))]
    file = lay_out(tmp_path, "pytorch", tensors, {"format": "pt"}).files[0]
    with file.path.open("wb") as opened:
        opened.truncate(file.size)
        for at, content in file.frame({"format": "pt"}, dict.fromkeys(file.tensors, 0)):
            opened.seek(at)
            opened.write(content)
        opened.seek(file.tensors["after"].boxes[0].offset)
        opened.write(torch.arange(3.0).numpy().tobytes())
    # torch goes by the name: what is prepared has none of its own
    named = file.path.rename(tmp_path / "large.pt")
    found = torch.load(named, weights_only=True, mmap=True)
    assert found["after"].tolist() == [0.0, 1.0, 2.0]
    assert found["large"].shape == (5 * 2**30,)
    assert open_checkpoint(named).size == 5 * 2**30 + 20


@pytest.mark.parametrize("name", ["out.pt", "out.safetensors"])
def test_what_is_tied_in_one_alone_is_refused(tmp_path, name):
    shared = torch.ones(3, 2)
    torch.save({"a": shared, "b": shared}, tmp_path / "a.pt")
    torch.save({"a": shared, "b": shared + 1}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="'a' and 'b' are one tensor in .* two different ones"):
        merge_files([tmp_path / "a.pt", tmp_path / "b.pt"], tmp_path / name, 0.5)
    # stored twice and the same is the same
    torch.save({"a": shared + 2, "b": shared + 2}, tmp_path / "b.pt")
    merge_files([tmp_path / "a.pt", tmp_path / "b.pt"], tmp_path / name, 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.pt", "b.pt", name])
