"""Folders at rest: whole or not at all, and never read when a byte is wrong."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.storage import FileSystem, Lock, read_folder, sweep, write_file, write_folder
from counterpoint.storage._filesystem import temporary

OLD = {"w": {"a": torch.arange(4.0)}}
NEW = {"w": {"a": torch.arange(4.0) + 10.0}}


def write(path: Path, tensors=OLD, **more) -> None:
    write_folder(
        path, kind="demo", schema=1, tensors=tensors, documents={"d": {"x": [1, None]}}, **more
    )


def read(path: Path):
    return read_folder(path, kind="demo", schema=1)


def test_gives_back_what_was_written(tmp_path):
    write(tmp_path / "f", texts={"note.toml": "ä = 1\n"}, data={"step": 3})
    folder = read(tmp_path / "f")
    assert torch.equal(folder.tensors("w")["a"], OLD["w"]["a"])
    assert folder.document("d") == {"x": [1, None]}
    assert folder.text("note.toml") == "ä = 1\n"
    assert folder.data == {"step": 3}


def test_keeps_dtype_shape_and_tied_memory_apart(tmp_path):
    tied = torch.arange(6).reshape(2, 3)
    tensors = {"w": {"a": tied, "b": tied[0], "c": tied.T, "h": torch.ones(1).bfloat16()}}
    write(tmp_path / "f", tensors)
    for name, value in read(tmp_path / "f").tensors("w").items():
        assert torch.equal(value, tensors["w"][name])
        assert value.dtype == tensors["w"][name].dtype


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "f"
    write(path)
    file = path / data.draw(st.sampled_from(["w.safetensors", "d.json", "manifest.json"]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(bytes(content))
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize("keep", [0, 1, -1])
def test_truncated_is_refused(tmp_path, keep):
    write(tmp_path / "f")
    file = tmp_path / "f" / "w.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"w\.safetensors: expected .* bytes, found"):
        read(tmp_path / "f")


def test_zeros_of_the_right_size_are_refused(tmp_path):
    write(tmp_path / "f")
    file = tmp_path / "f" / "w.safetensors"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "f")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", ".hidden", "x" * 300, ""])
def test_a_hostile_name_in_the_manifest_is_refused(tmp_path, name):
    write(tmp_path / "f")
    (tmp_path / "secret").write_text("s")
    file = tmp_path / "f" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["files"][name] = {"size": 1, "sha256": "0"}
    file.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="not a plain name"):
        read(tmp_path / "f")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    write(tmp_path / "f")
    file = tmp_path / "f" / "d.json"
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="missing"):
        read(tmp_path / "f")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not readable as JSON"),
        ("[]", "not a manifest"),
        ("[" * 100_000, "not readable as JSON"),
        ('{"kind": "demo", "schema": 2, "files": {}}', "layout has version 2"),
        ('{"kind": "other", "schema": 1, "files": {}}', "expected a demo folder, found 'other'"),
        ('{"kind": "demo", "schema": 1, "files": {"a": 3}}', "no size and sha256 for 'a'"),
    ],
)
def test_a_manifest_made_by_hand_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_missing_folder_and_foreign_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "f")
    with pytest.raises(InputError, match=r"no manifest\.json inside"):
        read(tmp_path)


def test_an_existing_folder_is_kept_unless_overwritten(tmp_path):
    write(tmp_path / "f")
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "f", NEW)
    write(tmp_path / "f", NEW, overwrite=True)
    assert read(tmp_path / "f").tensors("w")["a"][0] == 10
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_is_not_ours_is_never_overwritten(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not a counterpoint folder"):
        write(tmp_path / "f", overwrite=True)
    assert (tmp_path / "f" / "thesis.tex").read_text() == "precious"


class Failing(FileSystem):
    """Fails at the n-th call that changes the disk; `swaps` says whether names can be exchanged."""

    def __init__(
        self, at: int, error: type[BaseException] = OSError, *, swaps: bool = True
    ) -> None:
        self.at, self.calls, self.error, self.swaps = at, 0, error, swaps

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise self.error(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make(self, path):
        self._count()
        super().make(path)

    def write(self, path, content):
        self._count()
        super().write(path, content)

    def sync(self, folder):
        self._count()
        super().sync(folder)

    def rename(self, old, new):
        self._count()
        super().rename(old, new)

    def swap(self, one, other):
        if not self.swaps:
            return False
        self._count()
        return super().swap(one, other)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_full_disk_at_any_call_leaves_the_old_folder(tmp_path, swaps):
    calls = Failing(at=0, swaps=swaps)
    write(tmp_path / "f")
    write(tmp_path / "f", overwrite=True, disk=calls)
    for at in range(1, calls.calls):
        with pytest.raises(InputError, match=r"No space left.*it needs [\d,]+ bytes"):
            write(tmp_path / "f", NEW, overwrite=True, disk=Failing(at, swaps=swaps))
        assert read(tmp_path / "f").tensors("w")["a"][0] in (0, 10)
        assert [p.name for p in tmp_path.iterdir()] == ["f"]


class Killed(BaseException):
    """A process that ends here: nothing below may catch it."""


@pytest.mark.parametrize("swaps", [True, False])
def test_a_kill_at_any_call_leaves_the_old_folder_or_the_new(tmp_path, monkeypatch, swaps):
    monkeypatch.setattr("counterpoint.storage._filesystem._alive", lambda process: False)
    calls = Failing(at=0, swaps=swaps)
    write(tmp_path / "f")
    write(tmp_path / "f", overwrite=True, disk=calls)
    for at in range(1, calls.calls + 1):
        with pytest.raises(Killed):
            write(tmp_path / "f", NEW, overwrite=True, disk=Failing(at, Killed, swaps=swaps))
        assert read(tmp_path / "f").tensors("w")["a"][0] in (0, 10)
        sweep(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_sweep_leaves_what_is_not_ours(tmp_path, monkeypatch):
    (tmp_path / ".tmp-1-notes").mkdir()
    (tmp_path / ".counterpoint-tmp-otherhost-1-f").mkdir()
    monkeypatch.setattr("counterpoint.storage._filesystem._alive", lambda process: False)
    assert sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_sweep_leaves_what_a_living_process_writes(tmp_path):
    temporary(tmp_path / "f").mkdir()
    assert sweep(tmp_path) == []


def test_a_single_file_is_old_or_new(tmp_path):
    write_file(tmp_path / "a", b"old")
    with pytest.raises(InputError, match="No space left"):
        write_file(tmp_path / "a", b"new", disk=Failing(at=1))
    assert (tmp_path / "a").read_bytes() == b"old"
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_read_only_folder_is_refused_in_one_line(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write(tmp_path / "f")


def test_one_writer_a_folder(tmp_path):
    with (
        Lock(tmp_path / "lock"),
        pytest.raises(InputError, match=rf"in use by process {os.getpid()}"),
        Lock(tmp_path / "lock"),
    ):
        pass
    with Lock(tmp_path / "lock"):
        pass


def test_not_a_number_is_refused_rather_than_written(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_folder(tmp_path / "f", kind="demo", schema=1, documents={"d": float("nan")})
    assert not list(tmp_path.iterdir())
