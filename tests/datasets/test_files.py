"""Files are found, or downloaded whole and checked; nothing here touches a network."""

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
import zipfile
from http.client import IncompleteRead
from pathlib import Path

import pytest

from counterpoint.datasets._files import File, cache_folder, fetch, local
from counterpoint.errors import InputError

CONTENT = b"1 2 3\n" * 50


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A cache of the test's own, and no data folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("COUNTERPOINT_DATA", raising=False)


def one(url="https://example.org/a.txt", content=CONTENT, **more):
    return File("set/a.txt", digest(content), len(content), url, **more)


def serve(content, calls=None):
    """An opener that answers every URL with the same bytes."""

    def opener(url):
        if calls is not None:
            calls.append(url)
        return io.BytesIO(content)

    return opener


def refuse(url):
    raise urllib.error.URLError(f"no route to {url}")


def kept():
    folder = cache_folder()
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_downloaded_once_then_from_the_cache():
    calls = []
    assert fetch(one(), opener=serve(CONTENT, calls)) == CONTENT
    assert fetch(one(), opener=serve(CONTENT, calls)) == CONTENT
    assert calls == ["https://example.org/a.txt"]
    assert kept() == ["a.txt"]


def test_a_file_url_through_the_default_opener(tmp_path):
    (tmp_path / "a.txt").write_bytes(CONTENT)
    assert fetch(one((tmp_path / "a.txt").as_uri())) == CONTENT


def test_the_data_folder_comes_first_and_the_cache_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "a.txt").write_bytes(CONTENT)
    monkeypatch.setenv("COUNTERPOINT_DATA", str(tmp_path / "data"))
    assert fetch(one(), opener=refuse) == CONTENT
    assert not cache_folder().exists()


def test_a_changed_file_in_the_data_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_bytes(CONTENT[:-1])
    monkeypatch.setenv("COUNTERPOINT_DATA", str(tmp_path))
    with pytest.raises(InputError) as caught:
        local(one())
    assert str(caught.value) == (
        f"{tmp_path}/set/a.txt: expected the published file, sha256 {digest(CONTENT)}, "
        f"found {digest(CONTENT[:-1])}"
    )


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], b"<html>moved</html>"])
def test_a_wrong_or_partial_download_is_never_kept(content):
    with pytest.raises(InputError, match="nothing was kept"):
        fetch(one(), opener=serve(content))
    assert kept() == []


def test_a_damaged_cache_is_fetched_again():
    path = cache_folder() / "set" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[: len(CONTENT) // 2])
    assert fetch(one(), opener=serve(CONTENT)) == CONTENT
    assert path.read_bytes() == CONTENT


def test_never_more_is_read_than_the_file_has():
    class Endless(io.BytesIO):
        def read(self, size=-1):
            assert 0 < size <= len(CONTENT)
            return super().read(size)

    assert fetch(one(), opener=lambda _: Endless(CONTENT * 1000)) == CONTENT


def test_offline_says_where_it_looked(tmp_path, monkeypatch):
    with pytest.raises(InputError) as caught:
        fetch(one(), opener=refuse)
    assert str(caught.value) == (
        f"set/a.txt: COUNTERPOINT_DATA is not set, not in {tmp_path}/cache/counterpoint, and "
        "https://example.org/a.txt could not be read "
        "(<urlopen error no route to https://example.org/a.txt>); "
        "set COUNTERPOINT_DATA to a folder that holds set/a.txt"
    )
    monkeypatch.setenv("COUNTERPOINT_DATA", "elsewhere")
    with pytest.raises(InputError, match="not in COUNTERPOINT_DATA=elsewhere, not in"):
        fetch(one(), opener=refuse)


def test_a_connection_cut_short_is_one_line():
    class Cut(io.BytesIO):
        def read(self, _=-1):
            raise IncompleteRead(b"1 2")

    with pytest.raises(InputError, match=r"could not be read \(IncompleteRead"):
        fetch(one(), opener=lambda _: Cut())


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"cannot be written .* set XDG_CACHE_HOME"):
        fetch(one(), opener=serve(CONTENT))


def test_the_cache_is_below_home_by_default(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "counterpoint"


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


ARCHIVES = [("https://example.org/a.zip", zipped), ("https://example.org/a.tar.gz", tarred)]


@pytest.mark.parametrize(("url", "pack"), ARCHIVES)
def test_one_member_of_an_archive(url, pack):
    archive = pack({"b/other.txt": b"no", "b/a.txt": CONTENT, "../../escape": b"no"})
    assert fetch(one(url, member="b/a.txt"), opener=serve(archive)) == CONTENT
    assert kept() == ["a.txt"]


@pytest.mark.parametrize(("url", "pack"), ARCHIVES)
@pytest.mark.parametrize("damage", ["missing member", "cut", "no archive", "flipped"])
def test_a_damaged_archive_is_one_line_and_nothing_is_kept(url, pack, damage):
    archive = pack({"b/a.txt": b"" if damage == "missing member" else CONTENT})
    member = "b/b.txt" if damage == "missing member" else "b/a.txt"
    if damage == "cut":
        archive = archive[: len(archive) // 2]
    elif damage == "no archive":
        archive = b"<html>"
    elif damage == "flipped":
        middle = 45
        archive = archive[:middle] + bytes([archive[middle] ^ 0xFF]) + archive[middle + 1 :]
    with pytest.raises(InputError) as caught:
        fetch(one(url, member=member), opener=serve(archive))
    assert "\n" not in str(caught.value)
    assert kept() == []


def test_a_file_in_parts_is_their_concatenation(tmp_path, monkeypatch):
    parts = {"x_0.txt": CONTENT[:100], "x_1.txt": CONTENT[100:]}
    file = one("https://example.org/x/", parts=tuple(parts))
    calls = []

    def opener(url):
        calls.append(url)
        return io.BytesIO(parts[url.removeprefix("https://example.org/x/")])

    assert fetch(file, opener=opener) == CONTENT
    assert calls == ["https://example.org/x/x_0.txt", "https://example.org/x/x_1.txt"]

    folder = tmp_path / "data" / "set" / "a.txt"
    folder.mkdir(parents=True)
    monkeypatch.setenv("COUNTERPOINT_DATA", str(tmp_path / "data"))
    assert local(file) is None
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    assert local(file) == CONTENT
