"""Every file that was made to mislead is refused in one line, and nothing in it is run."""

import io
import json
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from counterpoint.checkpoints import Reader, open_checkpoint
from counterpoint.errors import InputError


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        open_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert path.name in message or path.parent.name in message


def entry(first: int, last: int, dtype: str = "F32", shape=None) -> dict:
    shape = [(last - first) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def header(file: Path, content: object, body: bytes = bytes(16)) -> Path:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return file


SAFETENSORS = {
    "overlap": ({"a": entry(0, 8), "b": entry(4, 16)}, "'b': overlaps"),
    "hole": ({"a": entry(0, 4), "b": entry(8, 16)}, "'b': leaves a hole"),
    "hole at the beginning": ({"a": entry(4, 16)}, "'a': leaves a hole"),
    "trailing bytes": ({"a": entry(0, 12)}, "bytes follow the last tensor"),
    "truncated": ({"a": entry(0, 20)}, "truncated"),
    "negative offset": ({"a": entry(-4, 12, shape=[4])}, "cannot be"),
    "negative size": ({"a": entry(0, 16, shape=[-4])}, "cannot be"),
    "size true": ({"a": entry(0, 4, shape=[True])}, "cannot be"),
    "backwards": ({"a": entry(16, 0, shape=[4])}, "takes 16 bytes"),
    "shape and bytes": ({"a": entry(0, 16, shape=[5])}, "takes 20 bytes, its offsets hold 16"),
    "overflow": ({"a": entry(0, 16, shape=[2**62, 4])}, "takes"),
    "unknown type": ({"a": entry(0, 16, "F33")}, "cannot read the type 'F33'"),
    "type that is a list": ({"a": entry(0, 16, ["F32"])}, "cannot read the type"),
    "more parts": ({"a": {**entry(0, 16), "file": "x"}}, "expected dtype, shape and data_offsets"),
    "no entry": ({"a": 3}, "expected dtype, shape and data_offsets"),
    "metadata": ({"__metadata__": {"a": 1}, "a": entry(0, 16)}, "expected texts"),
    "no object": ([], "expected an object"),
    "no JSON": (b"{" * 20, "not readable as JSON"),
    "deep": (b"[" * 100_000, "not readable as JSON"),
    "no text": (b"\xff\xfe", "not readable as JSON"),
    "twice": (
        b'{"a": ' + json.dumps(entry(0, 16)).encode() + b', "a": {}}',
        "the key 'a' comes twice",
    ),
    "twice inside": (
        b'{"a": {"dtype": "F32", "dtype": "F64", "shape": [4], "data_offsets": [0, 16]}}',
        "key 'dtype' comes twice",
    ),
    "nothing": ({}, "bytes follow"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_safetensors(tmp_path, case):
    content, words = SAFETENSORS[case]
    refused(header(tmp_path / "w.safetensors", content), words)


@pytest.mark.parametrize("content", [b"", b"1234", struct.pack("<Q", 2**62) + b"{}"])
def test_a_header_longer_than_the_file(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    refused(tmp_path / "w.safetensors", "truncated")


def test_a_header_longer_than_the_format_allows(tmp_path):
    file = tmp_path / "w.safetensors"
    with file.open("wb") as opened:
        opened.write(struct.pack("<Q", 100_000_001))
        opened.truncate(100_000_100)
    refused(file, "at most 100,000,000")


def test_a_file_without_tensors(tmp_path):
    refused(header(tmp_path / "w.safetensors", {}, b""), "holds no tensors")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_leaves_the_listing_whole(tmp_path_factory, data):
    """One changed byte anywhere: a refusal of ours, or a listing whose bytes are all there."""
    suffix = data.draw(st.sampled_from(["safetensors", "pt"]))
    file = tmp_path_factory.mktemp("damage") / f"w.{suffix}"
    tensors = {"a.b": torch.arange(6.0).reshape(2, 3), "c": torch.ones(2, dtype=torch.bfloat16)}
    save_file(tensors, file) if suffix == "safetensors" else torch.save(tensors, file)
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    try:
        found = open_checkpoint(file)
    except InputError:
        return
    with Reader() as reader:
        for tensor in found.tensors.values():
            reader.read(tensor, 0, memoryview(bytearray(tensor.size)))


def index(folder: Path, weight_map: object, parts: dict[str, list[str]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, keys in parts.items():
        save_file({key: torch.ones(2) for key in keys}, folder / name)
    text = weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/tmp/x.safetensors", "a/b.safetensors", "..", "", "a\0", 3]
)
def test_an_index_cannot_lead_out_of_its_folder(tmp_path, name):
    save_file({"a": torch.ones(2)}, tmp_path / "secret.safetensors")
    refused(index(tmp_path / "m", {"a": name}, {"p.safetensors": ["a"]}), "not a plain name")


def test_a_link_out_of_the_folder(tmp_path):
    folder = index(tmp_path / "m", {"a": "p.safetensors"}, {"p.safetensors": ["a"]})
    (folder / "p.safetensors").rename(tmp_path / "secret.safetensors")
    (folder / "p.safetensors").symlink_to("../secret.safetensors")
    refused(folder, "is a link out of its folder")


INDICES = {
    "a key too many": ({"a": "p.safetensors", "b": "p.safetensors"}, ["a"], "'b' is not in p"),
    "a key too few": ({"a": "p.safetensors"}, ["a", "b"], "'b' is in p.safetensors; the index"),
    "no file": ({"a": "q.safetensors"}, ["a"], "which is not there"),
    "no map": ([], ["a"], "expected a weight_map"),
    "empty map": ({}, ["a"], "expected a weight_map"),
    "twice": ('{"weight_map": {"a": "p.safetensors", "a": "q"}}', ["a"], "key 'a' comes twice"),
    "deep": ("[" * 100_000, ["a"], "not readable as JSON"),
}


@pytest.mark.parametrize("case", INDICES)
def test_an_index_that_is_wrong(tmp_path, case):
    weight_map, keys, words = INDICES[case]
    refused(index(tmp_path / "m", weight_map, {"p.safetensors": keys}), words)


def test_one_key_in_two_shards(tmp_path):
    parts = {"p.safetensors": ["a"], "q.safetensors": ["a", "b"]}
    weight_map = {"a": "p.safetensors", "b": "q.safetensors"}
    refused(index(tmp_path / "m", weight_map, parts), "'a' is in p.safetensors and in q")


def test_two_files_without_an_index(tmp_path):
    for name in ("p", "q"):
        save_file({"a": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    refused(tmp_path, "which of p.safetensors, q.safetensors is meant")


def test_nothing_to_read(tmp_path):
    refused(tmp_path, "holds no .safetensors")
    refused(tmp_path / "none.pt", "no such file")
    (tmp_path / "a.txt").write_text("a")
    refused(tmp_path / "a.txt", "expected one of .safetensors .pt")


def repacked(source: Path, file: Path, change=lambda name, content: content, **options) -> Path:
    """The members of a torch file, changed, in a new archive."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w", **options) as new:
        for name in old.namelist():
            changed = change(name, old.read(name))
            if changed is not None:
                new.writestr(name, changed)
    return file


@pytest.fixture
def saved(tmp_path) -> Path:
    torch.save({"a": torch.arange(1000.0)}, tmp_path / "good.pt")
    return tmp_path / "good.pt"


def test_a_bomb(saved, tmp_path):
    refused(repacked(saved, tmp_path / "b.pt", compression=zipfile.ZIP_DEFLATED), "is compressed")


def test_a_storage_that_is_too_short_or_missing(saved, tmp_path):
    def shorter(name, content):
        return content[:-4] if "/data/" in name else content

    def none(name, content):
        return None if "/data/" in name else content

    refused(repacked(saved, tmp_path / "s.pt", shorter), "its storage has 3,996 bytes")
    refused(repacked(saved, tmp_path / "n.pt", none), "has no storage '0'")


def test_a_member_twice(saved, tmp_path):
    with zipfile.ZipFile(saved, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("good/data/0", bytes(4000))
    refused(saved, "is in the file twice")


def test_members_that_share_bytes(saved):
    content = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        first = archive.getinfo("good/data.pkl").header_offset
    place = content.rfind(b"good/data/0") - 46  # in the directory; its offset is at byte 42
    content[place + 42 : place + 46] = struct.pack("<I", first)
    saved.write_bytes(content)
    refused(saved, "do not agree")


def test_a_size_beyond_the_file(saved):
    content = bytearray(saved.read_bytes())
    place = content.rfind(b"good/data/0") - 46
    content[place + 20 : place + 28] = struct.pack("<II", 2**31, 2**31)
    saved.write_bytes(content)
    refused(saved, "its bytes are not its own")


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(1).expand(10**12), "its elements overlap"),
        (torch.arange(4.0).as_strided((3, 2), (1, 1)), "its elements overlap"),
        (torch.eye(2).to_sparse(), "kind 'sparse_tensor'"),
        (torch.ones(2, device="meta"), "kind 'meta_tensor"),
        (torch.ones(2, dtype=torch.complex64).conj(), "conjugated"),
    ],
)
def test_tensors_that_are_not_all_there(tmp_path, tensor, words):
    torch.save({"good": torch.ones(1), "odd": tensor}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", words)


def test_a_view_beyond_its_storage(saved, tmp_path):
    def longer(name, content):
        # 1000 as a shape; the storage's own 1000 stays
        at = content.rfind(b"M\xe8\x03")
        return content[:at] + b"M\xe9\x03" + content[at + 3 :] if "pkl" in name else content

    refused(repacked(saved, tmp_path / "v.pt", longer), "reach beyond its storage of 1,000")


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("around", [lambda x: x, lambda x: {"model": x}, lambda x: [x]])
def test_whole_modules_are_refused_with_what_to_save_instead(tmp_path, monkeypatch, around):
    monkeypatch.chdir(tmp_path)
    torch.save(around(torch.nn.Linear(2, 1)), tmp_path / "w.pt")
    words = "expected tensors by name" if isinstance(around(0), list) else "model.state_dict()"
    refused(tmp_path / "w.pt", words)
    torch.save(around(Hostile()), tmp_path / "h.pt")
    refused(tmp_path / "h.pt", "h.pt")
    torch.save({"w": torch.ones(1), "x": Hostile()}, tmp_path / "i.pt")
    assert open_checkpoint(tmp_path / "i.pt").notes == ("i.pt: left out what is no tensor: x",)
    assert not (tmp_path / "executed").exists()


def test_files_that_are_none_of_torchs(tmp_path, saved):
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "old.pt", "since torch 1.6")
    (tmp_path / "half.pt").write_bytes(saved.read_bytes()[:2000])
    refused(tmp_path / "half.pt", "truncated")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and people have files of it
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(tmp_path / "script.pt"))
    refused(tmp_path / "script.pt", "TorchScript")


def pickled(tmp_path, program: bytes) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("w/data.pkl", program)
    (tmp_path / "w.pt").write_bytes(buffer.getvalue())
    return tmp_path / "w.pt"


def test_pickles_that_are_large_when_they_are_walked(tmp_path):
    """Tuples that hold each other twice: 2^60 to whoever hashes, compares or shows them."""
    grown = b"\x80\x02K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 60
    refused(pickled(tmp_path, grown + b"0}h\x00K\x01s."), "a key that is no text or number")
    refused(pickled(tmp_path, grown + b"."), "found tuple")
    refused(pickled(tmp_path, grown + b"0}X\x01\x00\x00\x00ah\x00s."), "found a")


@pytest.mark.parametrize(
    "program", [b"", b".", b"\x80\x02}", b"R.", b"h\x05.", b"\x80\x02(u.", b"}(K\x01u."]
)
def test_pickles_that_are_broken(tmp_path, program):
    refused(pickled(tmp_path, program), "pickle|no state dict")


def distributed(tmp_path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"a": torch.arange(6.0).reshape(2, 3)}, checkpoint_id=tmp_path / "d")
    return tmp_path / "d"


def test_distributed_checkpoints_that_are_wrong(tmp_path):
    folder = distributed(tmp_path)
    metadata, data = folder / ".metadata", folder / "__0_0.distcp"
    good, whole = metadata.read_bytes(), data.read_bytes()
    metadata.write_bytes(good.replace(b"__0_0.distcp", b"../0_0.distp"))
    refused(folder, "not a plain name")
    metadata.write_bytes(good[:-20])
    refused(folder, "not a whole pickle")
    metadata.write_bytes(good)
    data.write_bytes(whole[:-40])
    refused(folder, "truncated")
    data.unlink()
    refused(folder, "which is not there")
