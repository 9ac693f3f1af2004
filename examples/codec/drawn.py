"""What came back, as figures: decibels by bytes and by rule, and the pictures themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.nn import functional

from counterpoint.report.figures import Axis, Figure, Line, Mark, Points, Tone, sheet

Tables = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]
TONES: tuple[Tone, ...] = ("one", "two", "three", "four")
SHOWN = ("constraint", "before training", "components, ideal coder", "WebP")


def figures(tables: Tables) -> str:
    """One sheet: decibels against bytes of the first set of pictures, then decibels by rule."""
    names = list(tables)
    first = [name for name in names if name.split(",")[0] == names[0].split(",")[0]]
    panels = [by_rule(name, tables[name]) for name in names if len(tables[name]) > 4]
    if len(first) > 1:
        panels.insert(0, by_bytes(first, tables))
    return sheet(panels or [by_rule(names[0], tables[names[0]])], across=1)


def by_bytes(names: Sequence[str], tables: Tables) -> Figure:
    """A line each for the codec and what it is compared with."""
    marks: list[Mark] = []
    for tone, shown in zip(TONES, SHOWN, strict=True):
        found = [tables[name][shown] for name in names if shown in tables[name]]
        spent = [mean(one["bytes"] for one in runs) for runs in found]
        quality = [mean(one["psnr"] for one in runs) for runs in found]
        marks += [Line(spent, quality, shown, tone), Points(spent, quality, tone=tone)]
    title = f"{names[0].split(',')[0]}: what comes back of how many bytes"
    return Figure(title, marks, Axis("bytes an image", log=True), Axis("PSNR, dB"), width=460)


def by_rule(name: str, table: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """A dot for every seed."""
    rows = sorted(table, key=lambda row: mean(one["psnr"] for one in table[row]))
    spots = [(one["psnr"], float(k)) for k, row in enumerate(rows) for one in table[row]]
    dots = Points([x for x, _ in spots], [y for _, y in spots], tone="one", radius=4.0)
    height = 60 + 26 * len(rows)
    return Figure(name, [dots], Axis("PSNR, dB"), Axis(names=rows), width=460, height=height)


def pictures(rows: Sequence[Tensor], path: Path, times: int = 3) -> bool:
    """Rows of pictures, one above the other, as PNG; False where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return False
    strips = [torch.cat([*framed(images)], dim=2) for images in rows]
    whole = torch.cat(strips, dim=1).clamp(0, 1).mul(255).round().byte()
    pixels = whole.permute(1, 2, 0).expand(-1, -1, 3).numpy()
    image = Image.fromarray(pixels)
    size = (image.width * times, image.height * times)
    image.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)
    return True


def framed(images: Tensor) -> Tensor:
    """A white pixel around each."""
    return functional.pad(images, (1, 1, 1, 1), value=1.0)
