"""Open whatever holds a model's weights: list its tensors and check that they are all there."""

from dataclasses import replace
from pathlib import Path

from counterpoint.checkpoints._distributed import METADATA, read_distributed
from counterpoint.checkpoints._json import strict_object
from counterpoint.checkpoints._layout import TORCH
from counterpoint.checkpoints._names import Unwrapped, natural, stripped
from counterpoint.checkpoints._paths import inside
from counterpoint.checkpoints._safetensors import read_header
from counterpoint.checkpoints._tensor import Checkpoint, StoredTensor
from counterpoint.checkpoints._torch_file import TEXTS, read_torch_file, texts_of
from counterpoint.errors import InputError
from counterpoint.plain import StrPath

_SUFFIXES = (".safetensors", *TORCH)
_INDEX = ".index.json"
_LONGEST_INDEX = 100_000_000
_COMPANIONS = (".json", ".txt", ".model", ".jinja")
_LARGEST_COMPANION = 64 * 2**20


def open_checkpoint(path: StrPath) -> Checkpoint:
    """List the tensors of a weight file or folder, without torch, and without reading any.

    Args:
        path: a `.safetensors` file; a file of `torch.save` (`.pt`, `.pth`, `.bin`, `.ckpt`) with a
            state dict in it; a folder with an index and its shards, or with one such file; a
            folder of `torch.distributed.checkpoint`.

    Raises:
        InputError: what it holds cannot be used, and why, in one line; nothing was executed.

    The names of wrappers (`module.`, `_orig_mod.`) are taken off, state dicts are taken out of the
    checkpoints of training programs, and the result's `notes` say so.
    """
    path = Path(path)
    try:
        found = _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not found.tensors:
        raise InputError(f"{path}: holds no tensors")
    return found


def companions(found: Checkpoint) -> tuple[Path, ...]:
    """The small files beside the weights of a folder that a program needs to load them.

    Configurations, tokenizers and texts; none beside a file, or in a folder of ours.
    """
    if not found.path.is_dir() or (found.path / "manifest.json").exists():
        return ()
    return tuple(
        file
        for file in sorted(found.path.iterdir())
        if file.name.endswith(_COMPANIONS)
        and not file.name.endswith(_INDEX)
        and file.is_file()
        and file.stat().st_size <= _LARGEST_COMPANION
        and inside(found.path, file.name, str(found.path))
    )


def _file(file: Path) -> Checkpoint:
    if not file.exists():
        raise InputError(f"{file}: no such file or folder")
    if file.name.endswith(_INDEX):
        return _sharded(file.parent, file)
    if file.name.endswith(".safetensors"):
        tensors, metadata = read_header(file)
        ordered = {name: tensors[name] for name in sorted(tensors, key=natural)}
        found = stripped(Unwrapped(ordered), file)
        layout = "safetensors"
    elif file.name.endswith(TORCH):
        found, metadata = read_torch_file(file)
        found, layout = stripped(found, file), "pytorch"
    else:
        raise InputError(f"{file}: expected one of {' '.join(_SUFFIXES)}, or a folder")
    return Checkpoint(file, layout, found.tensors, metadata, (file,), notes=found.notes)


def _folder(folder: Path) -> Checkpoint:
    if (folder / METADATA).is_file():
        found = stripped(read_distributed(folder), folder)
        files = {box.file for tensor in found.tensors.values() for box in tensor.boxes}
        return Checkpoint(
            folder,
            "distributed",
            found.tensors,
            _texts_beside(folder),
            tuple(sorted(files)),
            notes=found.notes,
        )
    # a folder often has both kinds; safetensors are the ones that hold tensors alone
    for suffixes in ((".safetensors",), TORCH):
        endings = tuple(f"{suffix}{_INDEX}" for suffix in suffixes)
        indices = [file for file in sorted(folder.iterdir()) if file.name.endswith(endings)]
        files = [file for file in sorted(folder.iterdir()) if file.name.endswith(suffixes)]
        if len(indices) > 1 or (not indices and len(files) > 1):
            names = ", ".join(file.name for file in (indices or files)[:4])
            raise InputError(f"{folder}: which of {names} is meant? name the file")
        if indices:
            return _sharded(folder, indices[0])
        if files:
            file = inside(folder, files[0].name, str(folder))
            return replace(_file(file), path=folder)
    raise InputError(f"{folder}: holds no {' '.join(_SUFFIXES)} file and no {METADATA}")


def _sharded(folder: Path, index: Path) -> Checkpoint:
    if index.stat().st_size > _LONGEST_INDEX:
        raise InputError(f"{index}: larger than {_LONGEST_INDEX:,} bytes")
    content = strict_object(index.read_bytes(), index, "index")
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise InputError(f"{index}: expected a weight_map: a file's name for each tensor")
    # the object inside was checked for keys that come twice, too
    files = {shard: inside(folder, shard, str(index)) for shard in dict.fromkeys(shards.values())}
    # in the order of names, so that what is said of a folder is always the same
    opened = {shard: _shard(file) for shard, file in sorted(files.items())}
    tensors, homes = dict[str, StoredTensor](), dict[str, str]()
    for shard, found in opened.items():
        for name, tensor in found.tensors.items():
            if name in homes:
                raise InputError(f"{index}: {name!r:.80} is in {homes[name]} and in {shard}")
            if shards.get(name) != shard:
                said = f"says {shards[name]}" if name in shards else "does not name it"
                raise InputError(f"{index}: {name!r:.80} is in {shard}; the index {said}")
            tensors[name], homes[name] = tensor, shard
    for name, shard in shards.items():
        if name not in tensors:
            raise InputError(f"{index}: {name!r:.80} is not in {shard}, which is to have it")
    return _joined(folder, opened, tensors, homes, _texts(content.get("metadata")))


def _joined(
    folder: Path,
    opened: dict[str, Checkpoint],
    tensors: dict[str, StoredTensor],
    homes: dict[str, str],
    texts: dict[str, str],
) -> Checkpoint:
    ordered = {name: tensors[name] for name in sorted(tensors, key=natural)}
    found = stripped(Unwrapped(ordered), folder)
    # the order and number of names are those before, so that shards go along by place
    shards = dict(zip(found.tensors, (homes[name] for name in ordered), strict=True))
    # the parts of one program's checkpoint say the same of themselves
    first = next(iter(opened.values()))
    notes = [note for part in opened.values() for note in part.notes]
    return Checkpoint(
        folder,
        f"sharded {first.layout}",
        found.tensors,
        {**first.metadata, **texts},
        tuple(part.path for part in opened.values()),
        shards,
        (*notes, *found.notes),
    )


def _texts_beside(folder: Path) -> dict[str, str]:
    if not (folder / TEXTS).exists():
        return {}
    file = inside(folder, TEXTS, str(folder))
    if file.stat().st_size > _LONGEST_INDEX:
        raise InputError(f"{file}: larger than {_LONGEST_INDEX:,} bytes")
    return texts_of(file.read_bytes(), file)


def _texts(metadata: object) -> dict[str, str]:
    """What an index says in words; sizes are known better."""
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return {str(name): text for name, text in pairs if isinstance(text, str)}


def _shard(file: Path) -> Checkpoint:
    if file.name.endswith(".safetensors"):
        tensors, metadata = read_header(file)
        return Checkpoint(file, "safetensors", tensors, metadata, (file,))
    found, metadata = read_torch_file(file)
    return Checkpoint(file, "pytorch", found.tensors, metadata, (file,), notes=found.notes)
