"""Files that somebody else's file names: plain names in the same folder, and no links out of it."""

from pathlib import Path

from counterpoint.errors import InputError


def inside(folder: Path, name: object, where: str) -> Path:
    """The file that a checkpoint names.

    Args:
        folder: the checkpoint's folder.
        name: as the checkpoint says it.
        where: what names it, for the message.

    Raises:
        InputError: the name is no plain one, there is no such file, or it leads out of the folder.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
    if not isinstance(name, str) or not plain:
        raise InputError(f"{where}: refuses the file name {name!r:.80}: not a plain name")
    file = folder / name
    if not file.is_file():
        raise InputError(f"{where}: names {name!r:.80}, which is not there")
    home, real = folder.resolve(), file.resolve()
    # the cache of Hugging Face's hub: <model>/snapshots/<revision>/<file> -> <model>/blobs/<hash>
    hub = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if real.parent not in (home, hub):
        raise InputError(f"{file}: is a link out of its folder, to {real}; refused")
    return file
