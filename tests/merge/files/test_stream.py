"""A merge of files is that in memory, to the bit, whatever the layout, threads and kills."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import counterpoint as cp
from counterpoint.checkpoints import open_checkpoint
from counterpoint.errors import InputError
from counterpoint.merge.files import prepare, recipe_of, write_merge
from counterpoint.storage import FileSystem

WEIGHTS = {"**": 0.3, "0": "0.1"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 4096 numbers: a tensor has several, and is small all the same."""
    for module in ("_prepared", "_compute"):
        monkeypatch.setattr(f"counterpoint.merge.files.{module}.CHUNK", 4096)


def net(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(30, 400), nn.BatchNorm1d(400), nn.Linear(400, 20))
        module(torch.randn(8, 30))
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in module.state_dict().items()}


def shard(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    names = list(state)
    parts = {"p-1.safetensors": names[::2], "p-2.safetensors": names[1::2]}
    for file, inside in parts.items():
        save_file({name: state[name] for name in inside}, folder / file)
    index = {name: file for file, inside in parts.items() for name in inside}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def files(tmp_path: Path, count: int = 2, **options) -> list[Path]:
    for seed in range(count):
        save_file(net(seed, **options), tmp_path / f"{seed}.safetensors")
    return [tmp_path / f"{seed}.safetensors" for seed in range(count)]


def merged(inputs, out: Path, weights=None, *, threads: int = 2, overwrite: bool = False, **recipe):
    return write_merge(
        prepare(recipe_of(inputs, weights, **recipe)), out, threads=threads, overwrite=overwrite
    )


def in_memory(states, weights=None, **options):
    with pytest.warns(cp.merge.MergeWarning):
        return cp.merge(states, weights, **options)


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_files_of_every_layout_give_what_memory_gives(tmp_path, dtype):
    a, b = net(0, dtype), net(1, dtype)
    first = shard(tmp_path / "a", a)
    torch.save({"state_dict": {f"module.{n}": t for n, t in b.items()}}, tmp_path / "b.pt")
    wanted = in_memory([a, b], {"**": 0.3, "0": 0.1})
    merged([first, tmp_path / "b.pt"], tmp_path / "out.safetensors", WEIGHTS)
    same(load_file(tmp_path / "out.safetensors"), wanted)
    # a folder of shards has the shards of the first input, and what is needed to load it
    (first / "config.json").write_text("{}")
    merged([first, tmp_path / "b.pt"], tmp_path / "out", WEIGHTS)
    found = open_checkpoint(tmp_path / "out")
    assert dict(found.shards) == dict(open_checkpoint(first).shards)
    assert (tmp_path / "out" / "config.json").read_text() == "{}"
    same({n: t for file in found.files for n, t in load_file(file).items()}, wanted)


@pytest.mark.parametrize("method", sorted(m for m, f in cp.merge.METHODS.items() if not f.evidence))
def test_every_method(tmp_path, method):
    inputs, facts = files(tmp_path, 3), cp.merge.METHODS[method]
    base = inputs.pop() if facts.base else None
    inputs = inputs[: facts.models or len(inputs)]
    states = [load_file(path) for path in inputs]
    start = {"base": load_file(base)} if base else {}
    wanted = in_memory(states, None, method=method, **start)
    merged(inputs, tmp_path / "out.safetensors", method=method, base=base)
    same(load_file(tmp_path / "out.safetensors"), wanted)


def test_fisher_with_evidence_from_files(tmp_path):
    inputs = files(tmp_path)
    states = [load_file(path) for path in inputs]
    evidence = []
    for place, state in enumerate(states):
        weights = {n: torch.rand_like(t) + 0.1 for n, t in state.items() if t.is_floating_point()}
        save_file(weights, tmp_path / f"f{place}.safetensors")
        evidence.append(weights)
    told = [tmp_path / "f0.safetensors", tmp_path / "f1.safetensors"]
    merged(inputs, tmp_path / "out.safetensors", method="fisher", evidence=told)
    same(
        load_file(tmp_path / "out.safetensors"),
        in_memory(states, method="fisher", evidence=evidence),
    )


def test_the_bytes_depend_on_neither_threads_nor_time(tmp_path):
    inputs = files(tmp_path, 3)
    for threads in (1, 2, 4):
        merged(inputs, tmp_path / f"out{threads}.safetensors", threads=threads)
    contents = {(tmp_path / f"out{threads}.safetensors").read_bytes() for threads in (1, 2, 4)}
    assert len(contents) == 1


def test_tied_weights_stay_tied(tmp_path):
    for place in (0, 1):
        table = torch.full((3, 2), float(place))
        torch.save({"embed.weight": table, "head.weight": table}, tmp_path / f"{place}.pt")
    inputs = [tmp_path / "0.pt", tmp_path / "1.pt"]
    merged(inputs, tmp_path / "out.safetensors", {"**": 0.3, "embed": 0.5})
    found = load_file(tmp_path / "out.safetensors")
    assert torch.equal(found["embed.weight"], torch.full((3, 2), 0.5))
    assert torch.equal(found["head.weight"], found["embed.weight"])
    # a file of safetensors has a tied weight once
    save_file({"embed.weight": torch.ones(3, 2)}, tmp_path / "once.safetensors")
    merged([tmp_path / "0.pt", tmp_path / "once.safetensors"], tmp_path / "o2.safetensors", 0.5)
    assert torch.equal(load_file(tmp_path / "o2.safetensors")["head.weight"], found["head.weight"])


def test_types(tmp_path):
    save_file({"w": torch.tensor([1.0, 2.0]), "n": torch.tensor([3])}, tmp_path / "a.safetensors")
    b = {"w": torch.tensor([2.0, 4.0]).bfloat16(), "n": torch.tensor([3])}
    save_file(b, tmp_path / "b.safetensors")
    inputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    prepared = prepare(recipe_of(inputs, 0.5))
    assert prepared.notes == ("1 tensors are of different types in the inputs (w)",)
    merged(inputs, tmp_path / "o.safetensors", 0.5)
    assert load_file(tmp_path / "o.safetensors")["w"].dtype == torch.float32
    merged(inputs, tmp_path / "p.safetensors", 0.5, dtype="bfloat16")
    found = load_file(tmp_path / "p.safetensors")
    assert (found["w"].dtype, found["n"].dtype) == (torch.bfloat16, torch.int64)
    assert found["w"].tolist() == [1.5, 3.0]


class StoppedError(Exception):
    """Something that is nobody's fault, in the middle of a merge."""


def test_a_merge_that_was_stopped_goes_on_to_the_same_bytes(tmp_path):
    inputs = files(tmp_path)
    merged(inputs, tmp_path / "whole.safetensors", 0.3)
    out = tmp_path / "out.safetensors"
    prepared = prepare(recipe_of(inputs, 0.3))
    resumed = []
    for stop_after in (1, 2, 3):
        told = []

        def tell(done, total, told=told, stop_after=stop_after):
            told.append(done)
            if len(told) == stop_after:
                raise StoppedError

        with pytest.raises(StoppedError):
            write_merge(prepared, out, threads=1, tell=tell)
        assert not out.exists()
        resumed.append(told[0])
    assert resumed == sorted(resumed)
    work = tmp_path / ".out.safetensors.unfinished"
    # after a power cut: a part that the journal names, but whose bytes never came to the disk
    prepared_file = work / "model.safetensors"
    content = bytearray(prepared_file.read_bytes())
    content[-4:] = b"\0\0\0\0"
    content[8_000] ^= 1
    prepared_file.write_bytes(content)
    with (work / "journal").open("ab") as journal:
        journal.write(b"half a record")
    result = write_merge(prepared, out)
    assert result.resumed > 0
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not work.exists()


def test_another_merge_does_not_go_on_with_this_one(tmp_path):
    inputs = files(tmp_path)

    def tell(done, total):
        raise StoppedError

    out = tmp_path / "out.safetensors"
    with pytest.raises(StoppedError):
        write_merge(prepare(recipe_of(inputs, 0.3)), out, tell=tell)
    merged(inputs, out, 0.6)
    merged(inputs, tmp_path / "whole.safetensors", 0.6)
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


SCRIPT = """
import sys, time
from counterpoint.merge.files import _compute, _prepared, prepare, recipe_of, write_merge
_compute.CHUNK = _prepared.CHUNK = 4096
def tell(done, total):
    print(done, flush=True)
    time.sleep(0.05)
write_merge(prepare(recipe_of(sys.argv[2:], 0.3)), sys.argv[1], tell=tell, threads=2)
"""


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path):
    inputs = files(tmp_path)
    merged(inputs, tmp_path / "whole.safetensors", 0.3)
    out = tmp_path / "out.safetensors"
    command = [sys.executable, "-c", SCRIPT, str(out), *map(str, inputs)]
    for lines in (1, 2, 1):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(lines):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert not out.exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def refused(tmp_path, words: str, call) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_outputs_that_are_refused(tmp_path):
    inputs = files(tmp_path)
    (tmp_path / "link.safetensors").symlink_to(inputs[0])
    for out in (inputs[0], tmp_path / "link.safetensors", tmp_path / "." / inputs[1].name):
        refused(
            tmp_path,
            "is an input of this merge",
            lambda out=out: merged(inputs, out, overwrite=True),
        )
    first = shard(tmp_path / "s", net(0))
    inside = first / "p-1.safetensors"
    refused(tmp_path, "is an input", lambda: merged([first, inputs[1]], inside, overwrite=True))
    refused(tmp_path, "is an input", lambda: merged([first, inputs[1]], first, overwrite=True))
    (tmp_path / "mine").mkdir()
    refused(tmp_path, "exists already", lambda: merged(inputs, tmp_path / "mine"))
    refused(tmp_path, "not overwritten", lambda: merged(inputs, tmp_path / "mine", overwrite=True))


def test_an_output_is_replaced_where_that_is_asked(tmp_path):
    inputs = files(tmp_path)
    for out in (tmp_path / "out.safetensors", tmp_path / "out"):
        merged(inputs, out, 0.3)
        merged(inputs, out, 0.6, overwrite=True)
        found = open_checkpoint(out)
        same(
            {n: t for file in found.files for n, t in load_file(file).items()},
            in_memory([load_file(path) for path in inputs], 0.6),
        )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "model.safetensors",
        "model.safetensors.index.json",
    ]


def test_results_that_are_not_finite_where_the_inputs_are(tmp_path):
    a, b = torch.full((2, 3), 6e4).half(), torch.full((2, 3), -6e4).half()
    b[1, 2] = torch.inf
    save_file({"w": a}, tmp_path / "a.safetensors")
    save_file({"w": b}, tmp_path / "b.safetensors")
    inputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    refused(
        tmp_path,
        "w: the result is not finite at element 0",
        lambda: merged(inputs, tmp_path / "o.safetensors", -0.5),
    )
    # what was infinite before may be so after
    merged(inputs, tmp_path / "o.safetensors", 0.5)


def test_inputs_that_do_not_fit_each_other(tmp_path):
    w = torch.ones(2, 3)
    save_file({"w": w, "n": torch.tensor([1])}, tmp_path / "a.safetensors")
    others = {
        "it lacks 'n'": {"w": w},
        "it has 'more'": {"w": w, "n": torch.tensor([1]), "more": w + 1},
        r"'w' has shape \(3, 2\), there \(2, 3\)": {"w": w.T.contiguous(), "n": torch.tensor([1])},
        "'w' has shape": {"w": torch.ones(1, 3), "n": torch.tensor([1])},
        "'w' is I64, there F32": {"w": w.long(), "n": torch.tensor([1])},
        "integers and masks are not averaged": {"w": w, "n": torch.tensor([2])},
    }
    for place, (words, state) in enumerate(others.items()):
        save_file(state, tmp_path / f"{place}.safetensors")
        inputs = [tmp_path / "a.safetensors", tmp_path / f"{place}.safetensors"]
        refused(tmp_path, words, lambda i=inputs: merged(i, tmp_path / "o.safetensors"))


def test_an_input_that_changes_while_it_is_read(tmp_path):
    inputs = files(tmp_path)
    prepared = prepare(recipe_of(inputs, 0.3))
    content = inputs[1].read_bytes()
    inputs[1].write_bytes(content[: len(content) // 2])
    refused(tmp_path, "became shorter", lambda: write_merge(prepared, tmp_path / "o.safetensors"))


class Full(FileSystem):
    """A disk that refuses to rename."""

    def rename(self, old: Path, new: Path) -> None:
        raise OSError(28, "No space left on device")

    def swap(self, one: Path, other: Path) -> bool:
        return False


@pytest.mark.parametrize("name", ["out.safetensors", "out"])
def test_a_disk_that_fails_at_the_last_moment(tmp_path, name):
    inputs = files(tmp_path)
    prepared, out = prepare(recipe_of(inputs, 0.3)), tmp_path / name
    merged(inputs, out, 0.6)
    refused(
        tmp_path,
        "No space left",
        lambda: write_merge(prepared, out, overwrite=True, disk=Full()),
    )
    assert open_checkpoint(out).tensors


def test_recipes_that_are_refused(tmp_path):
    inputs = files(tmp_path)
    for words, options in {
        "did you mean 'linear'": {"method": "liner"},
        "give it as --base": {"method": "ties"},
        "takes no --base": {"base": inputs[0]},
        "one --evidence for each of 2": {"method": "fisher"},
        "takes no --evidence": {"evidence": inputs},
        "dtype: expected one of": {"dtype": "int8"},
        "has no setting 'densty'; did you mean 'density'": {
            "method": "ties", "base": inputs[0], "options": {"densty": 0.1},
        },
        "density is a float, such as 0.2; found 'half'": {
            "method": "ties", "base": inputs[0], "options": {"density": "half"},
        },
        "density is a float, such as 0.5; found True": {
            "method": "dare", "base": inputs[0], "options": {"density": True},
        },
        "not both": {"weights": 0.1, "first": 0.2},
        "threads must be 0": {"threads": -1},
        "matches no layer or tensor": {"weights": {"**": 0.5, "3": 0.1}},
        "no rule is about": {"weights": {"0": 0.5}},
    }.items():  # fmt: skip
        refused(tmp_path, words, lambda o=options: merged(inputs, tmp_path / "o.safetensors", **o))
    refused(tmp_path, "takes 2 inputs", lambda: recipe_of([*inputs, inputs[0]], method="slerp"))
    refused(tmp_path, "two or more", lambda: recipe_of(inputs[:1]))
    refused(tmp_path, "numbers and schedules", lambda: recipe_of(inputs, {"0": torch.ones(3)}))


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_inputs_that_are_not_finite_are_named(tmp_path, method):
    states = [net(seed) for seed in range(3)]
    states[1]["0.weight"][300, 7] = float("nan")
    states[1]["2.bias"][3] = float("inf")
    for place, state in enumerate(states):
        save_file(state, tmp_path / f"{place}.safetensors")
    inputs = [tmp_path / f"{place}.safetensors" for place in range(3)]
    base = {"base": inputs.pop()} if method == "ties" else {}
    done = merged(inputs, tmp_path / "out.safetensors", method=method, **base)
    (note,) = [note for note in done.notes if "not finite" in note]
    assert "1.safetensors" in note
    assert note.endswith(("in 0.weight, 2.bias", "in 2.bias, 0.weight"))
