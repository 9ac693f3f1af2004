"""A map of each category column as the network sees it."""

from collections.abc import Sequence

from counterpoint.findings import EmbeddingMap, Findings
from counterpoint.report._markup import Markup
from counterpoint.report._parts import Section, brief, card, grid, plain
from counterpoint.report._words import amount, first_of, percent, sentences
from counterpoint.report.figures import Axis, Figure, Points, TextLabels, finite

_MOST_MAPS = 12
_MOST_LEVELS = 400
_MOST_LEVELS_EACH = 200


def embeddings(findings: Findings) -> Section | None:
    """One map a column; None when there is none."""
    maps = [embedding for embedding in findings.embeddings if embedding.labels]
    if not maps:
        return None
    drawn = maps[:_MOST_MAPS]
    most = min(_MOST_LEVELS_EACH, _MOST_LEVELS // len(drawn))
    cards = [embedding_card(embedding, index, most) for index, embedding in enumerate(drawn)]
    lead = (
        "Levels that the network treats alike lie close together. A larger dot is a level with more"
        " rows; of levels with few rows little was learnt, and their place says little."
    )
    lead = sentences(lead, first_of(len(drawn), len(maps), "columns"))
    return Section("embeddings", "How categories relate", grid(cards), lead)


def embedding_card(embedding: EmbeddingMap, index: int, most: int) -> Markup:
    """One map, of its levels that most rows have."""
    # padded: a level without a count is still a level
    counts = [max(count, 0) for count in embedding.count] + [0] * len(embedding.labels)
    order = sorted(range(len(embedding.labels)), key=lambda level: -counts[level])[:most]
    order = [level for level in order if level < min(len(embedding.x), len(embedding.y))]
    largest = max((counts[level] for level in order), default=0) or 1
    x, y = [embedding.x[level] for level in order], [embedding.y[level] for level in order]
    tips = [f"{brief(embedding.labels[level])}\n{amount(counts[level], 'row')}" for level in order]
    # by area: people compare areas of dots, not their radii
    radius = [2.2 + 5 * (counts[level] / largest) ** 0.5 for level in order]
    summary = _summary(embedding, len(order))
    figure = Figure(
        f"Map of {plain(embedding.column)}",
        [
            Points(x, y, radius=radius, tips=tips, tone="three"),
            TextLabels(x, y, [embedding.labels[level] for level in order], radius=radius),
        ],
        # components have no unit: who is near whom is all that is to be read
        Axis(_axis("first", embedding.explained, 0), hidden=True),
        Axis(_axis("second", embedding.explained, 1), hidden=True),
        description=summary,
        height=290,
        # room for the names of the outermost dots
        margin=0.12,
    )
    return card(
        f"Map of {plain(embedding.column)}",
        [(f"map-{index}", figure)],
        summary,
    )


def _axis(which: str, explained: Sequence[float], position: int) -> str:
    share = finite(explained[position]) if position < len(explained) else None
    return f"{which} component" + (
        f" ({percent(share, 0)} of variance)" if share is not None else ""
    )


def _summary(embedding: EmbeddingMap, drawn: int) -> str:
    levels = len(embedding.labels)
    text = f"{amount(levels, 'level')}; point at a dot for its name and number of rows."
    if drawn < levels:
        text += f" The {drawn:,} commonest are drawn."
    shares = [known for share in embedding.explained[:2] if (known := finite(share)) is not None]
    if len(shares) == 2 and sum(shares) < 0.5:
        text += f" The map shows only {percent(sum(shares), 0)} of the variance: distances mislead."
    if levels > 1 and len(set(zip(embedding.x, embedding.y, strict=False))) == 1:
        text += " All levels lie at one point: nothing was learnt that tells them apart."
    return text
