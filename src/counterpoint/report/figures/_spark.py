"""A histogram the size of a word."""

from collections.abc import Sequence

from counterpoint.report._markup import Markup, tag

_STEP, _HEIGHT = 4, 48


def sparkline(counts: Sequence[int], title: str, most: int = 32) -> Markup:
    """Bars for the counts, in one path; more than `most` bins are added up in groups.

    >>> "rect" in sparkline([1, 2, 3], "three bins")
    False
    """
    grouped = _group([max(count, 0) for count in counts], most)
    highest = max(grouped, default=0)
    box = f"0 0 {_STEP * max(len(grouped), 1)} {_HEIGHT}"
    attributes = {"class": "spark", "viewBox": box, "preserveAspectRatio": "none", "role": "img"}
    bars = [
        # at least one unit high: a rare bin is not an empty one
        f"M{index * _STEP} {_HEIGHT}v-{max(round(_HEIGHT * count / highest), 1)}h3V{_HEIGHT}"
        for index, count in enumerate(grouped)
        if count
    ]
    return tag(
        "svg", attributes, tag("title", None, title[:200]), tag("path", {"d": "".join(bars)})
    )


def _group(counts: Sequence[int], most: int) -> list[int]:
    size = -(-len(counts) // most) or 1
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]
