"""One published file: found, or downloaded, and in either case checked before it is used."""

import hashlib
import io
import os
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, TypeAlias

from counterpoint.errors import InputError

Opener: TypeAlias = Callable[[str], IO[bytes]]
"""What opens a URL for reading: a context manager with ``read``."""

_UNREADABLE = (
    OSError,  # no network, no such host, a server that answers 404, a timeout
    HTTPException,  # a connection cut short
    KeyError,  # an archive without the member
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_ARCHIVE_LIMIT = 64 * 2**20  # bytes of a zip archive that are read before its members are looked at


@dataclass(frozen=True)
class File:
    """What is known about one published file."""

    path: str  # below the data folder and the cache
    sha256: str
    size: int  # in bytes; never more is read, whatever a server sends
    url: str  # of the file, or of the archive that holds it
    member: str | None = None  # its name inside that archive (.zip or .tar.gz)
    parts: tuple[str, ...] = ()  # names below `path` and `url` that it is the concatenation of


def _data_folder() -> Path | None:
    """The folder that ``COUNTERPOINT_DATA`` names, if it is set."""
    name = os.environ.get("COUNTERPOINT_DATA")
    return Path(name) if name else None


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/counterpoint``, or ``~/.cache/counterpoint``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "counterpoint"


def fetch(file: File, *, opener: Opener | None = None) -> bytes:
    """The file's content: from the data folder, from the cache, or downloaded into the cache."""
    found = local(file)
    if found is not None:
        return found
    cached = cache_folder() / file.path
    if cached.is_file():
        content = cached.read_bytes()
        # a cache may be damaged and is ours: downloaded again, where a data folder is refused
        if _digest(content) == file.sha256:
            return content
    content = _download(file, opener or _open)
    _write(cached, content)
    return content


def local(file: File) -> bytes | None:
    """The content from the data folder, None if it is not there; refused if it is another."""
    folder = _data_folder()
    if folder is None:
        return None
    paths = [folder / file.path / part for part in file.parts] or [folder / file.path]
    if not all(path.is_file() for path in paths):
        return None
    content = b"".join(path.read_bytes() for path in paths)
    if _digest(content) != file.sha256:
        raise InputError(
            f"{folder / file.path}: expected the published file, sha256 {file.sha256}, "
            f"found {_digest(content)}"
        )
    return content


def _download(file: File, opener: Opener) -> bytes:
    try:
        if file.parts:
            content = b"".join(_read(opener, file.url + part, file.size) for part in file.parts)
        elif file.member is None:
            content = _read(opener, file.url, file.size)
        else:
            content = _read_member(opener, file.url, file.member, file.size)
    except _UNREADABLE as error:
        raise InputError(
            f"{file.path}: {_searched()}, and {file.url} could not be read ({error}); "
            f"set COUNTERPOINT_DATA to a folder that holds {file.path}"
        ) from error
    if _digest(content) != file.sha256:
        raise InputError(
            f"{file.url}: expected {file.size} bytes with sha256 {file.sha256}, "
            f"found {len(content)} bytes with {_digest(content)}; nothing was kept"
        )
    return content


def _open(url: str) -> IO[bytes]:
    return urllib.request.urlopen(url, timeout=30)


def _read(opener: Opener, url: str, size: int) -> bytes:
    with opener(url) as stream:
        return stream.read(size)


def _read_member(opener: Opener, url: str, member: str, size: int) -> bytes:
    # the directory of a zip archive is at its end, so it has to be whole in memory
    if url.endswith(".zip"):
        whole = io.BytesIO(_read(opener, url, _ARCHIVE_LIMIT))
        with zipfile.ZipFile(whole) as archive, archive.open(member) as inside:
            return inside.read(size)
    # a stream, not a file: members pass by once, and reading ends at the one wanted
    with opener(url) as stream, tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for entry in archive:
            inside = archive.extractfile(entry) if entry.name == member else None
            if inside is not None:
                return inside.read(size)
    raise KeyError(f"there is no {member} in the archive")


def _write(path: Path, content: bytes) -> None:
    """All or nothing: a reader sees the whole file or none, whenever the writer is stopped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # in the same folder, since a rename is atomic only within one file system
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                stream.write(content)
                stream.flush()
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error}); set XDG_CACHE_HOME to a folder that can"
        ) from error


def _searched() -> str:
    folder = _data_folder()
    first = f"not in COUNTERPOINT_DATA={folder}" if folder else "COUNTERPOINT_DATA is not set"
    return f"{first}, not in {cache_folder()}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
