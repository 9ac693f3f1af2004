"""Checkpoints of the shape of a small language model, and the streaming floor to compare with.

``python benchmarks/_merge_files.py make FOLDER`` makes three checkpoints of 0.95 GB in five shards;
``floor A B OUT`` merges two of them as fast as streaming can, without any safety.
"""

import json
import os
import sys
from pathlib import Path

PIECE = 8 * 2**20
LAYERS, WIDTH, INNER, WORDS, SHARD = 32, 1024, 2816, 32_000, 200_000_000


def shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape, as transformers names a Llama of 477 million weights."""
    found = {"model.embed_tokens.weight": (WORDS, WIDTH)}
    for place in range(LAYERS):
        block = f"model.layers.{place}"
        for name in "qkvo":
            found[f"{block}.self_attn.{name}_proj.weight"] = (WIDTH, WIDTH)
        for name in ("gate", "up"):
            found[f"{block}.mlp.{name}_proj.weight"] = (INNER, WIDTH)
        found[f"{block}.mlp.down_proj.weight"] = (WIDTH, INNER)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{block}.{name}.weight"] = (WIDTH,)
    return found | {"model.norm.weight": (WIDTH,), "lm_head.weight": (WORDS, WIDTH)}


def make(folder: Path, scale: float = 1.0) -> None:
    """Three checkpoints: a base, and two that moved from it."""
    import torch
    from safetensors.torch import save_file

    drawn = torch.Generator().manual_seed(0)
    shards, size = list[list[str]]([[]]), 0
    sizes = {n: (max(1, int(s[0] * scale)), *s[1:]) for n, s in shapes().items()}
    for name, shape in sizes.items():
        size += 2 * torch.Size(shape).numel()
        if size > SHARD:
            shards.append([])
            size = 2 * torch.Size(shape).numel()
        shards[-1].append(name)
    count = len(shards)
    for place, names in enumerate(shards, 1):
        base = {n: torch.randn(sizes[n], generator=drawn).mul_(0.02) for n in names}
        for which in ("base", "a", "b"):
            moved = {
                n: (t if which == "base" else t + 0.005 * torch.randn(t.shape, generator=drawn))
                for n, t in base.items()
            }
            (folder / which).mkdir(parents=True, exist_ok=True)
            file = folder / which / f"model-{place:05d}-of-{count:05d}.safetensors"
            save_file({n: t.to(torch.bfloat16) for n, t in moved.items()}, file)
    places = [(place, name) for place, names in enumerate(shards, 1) for name in names]
    where = {name: f"model-{place:05d}-of-{count:05d}.safetensors" for place, name in places}
    for which in ("base", "a", "b"):
        index = folder / which / "model.safetensors.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
        # mergekit asks what model it is before it reads a tensor
        about = {"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                 "hidden_size": WIDTH, "intermediate_size": INNER, "vocab_size": WORDS,
                 "num_hidden_layers": LAYERS, "num_attention_heads": 16}  # fmt: skip
        (folder / which / "config.json").write_text(json.dumps(about))


def floor(first: Path, second: Path, out: Path, share: float = 0.7) -> None:
    """Read both, interpolate, write: buffers of 8 MB, no check, no hash, no journal, no flush."""
    import torch

    torch.set_num_threads(2)
    out.mkdir()
    buffers = [torch.empty(PIECE, dtype=torch.uint8) for _ in range(3)]
    a, b, c = (memoryview(buffer.numpy()) for buffer in buffers)
    for shard in sorted(first.glob("*.safetensors")):
        files = [os.open(path / shard.name, os.O_RDONLY) for path in (first, second)]
        new = os.open(out / shard.name, os.O_RDWR | os.O_CREAT)
        begin = 8 + int.from_bytes(os.pread(files[0], 8, 0), "little")
        size = os.fstat(files[0]).st_size
        os.posix_fallocate(new, 0, size)
        os.pwrite(new, os.pread(files[0], begin, 0), 0)
        for at in range(begin, size, PIECE):
            n = min(PIECE, size - at)
            os.preadv(files[0], [a[:n]], at)
            os.preadv(files[1], [b[:n]], at)
            x, y, z = (buffer[:n].view(torch.bfloat16) for buffer in buffers)
            torch.lerp(x, y, share, out=z)
            os.pwrite(new, c[:n], at)
        for file in (*files, new):
            os.close(file)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        floor(*map(Path, sys.argv[2:5]))
