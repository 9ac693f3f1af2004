"""The report of a model of ratings: its header and its sections."""

from collections.abc import Sequence

from counterpoint.findings import Effect, EmbeddingMap, RatingsFindings, RatingsUpdate
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Heading, Section, brief, card, grid, named, plain, sized
from counterpoint.report._parts import table as table_of
from counterpoint.report._words import amount, duration, number, percent
from counterpoint.report.figures import Axis, Figure, RowBars
from counterpoint.report.figures._text import shorten
from counterpoint.report.sections import embedding_card

_MOST_PARTS = 12
_MOST_UPDATES = 24


def ratings_facts(found: RatingsFindings) -> dict[str, str]:
    """Numbers for the header, by name."""
    return {
        "ratings": f"{found.rows.get('total', 0):,}",
        shorten(found.user, 40): f"{found.users:,}",
        shorten(found.item, 40): f"{found.items:,}",
        "factors": f"{found.factors:,}",
        "sweeps": f"{found.sweeps:,}",
        "fitted in": duration(found.seconds),
        "made": shorten(found.created, 40),
    }


def ratings_sections(found: RatingsFindings) -> list[Section]:
    """Everything in the order of the page; parts of which nothing is known are left out."""
    parts = [_results(found), _effects(found), _map(found), _alike(found), _updates(found)]
    return [part for part in parts if part is not None]


def _results(found: RatingsFindings) -> Section:
    title = "How good the predictions are"
    if not found.metrics:
        return Section("results", title, tag("p", None, "No ratings were held out."))
    models = {"this model": found.metrics, **found.baselines}
    names = list(found.metrics)
    rows = [
        [name, *(_shown(each, model.get(each)) for each in names)] for name, model in models.items()
    ]
    headings = [Heading("model", "name"), *(Heading(name, "amount") for name in names)]
    body = [table_of("On held-out ratings", headings, rows)]
    parts = found.parts[:_MOST_PARTS]
    if parts:
        cells = [
            [part.label, sized(f"{part.ratings:,}", part.ratings), number(part.rmse),
             percent(part.coverage)]
            for part in parts
        ]  # fmt: skip
        headings = [
            Heading(f"ratings of the {shorten(found.item, 40)} before", "name"),
            *(Heading(name, "amount") for name in ("held out", "RMSE", "coverage")),
        ]
        body.append(table_of("By what was known of the item", headings, cells))
    lead = (
        f"Intervals are meant to hold {percent(found.level)} of the ratings. The noise, what stays"
        f" unsure however much is rated, has a standard deviation of {number(found.noise, 3)}."
    )
    return Section("results", title, join(body), lead)


def _shown(name: str, value: float | None) -> str:
    return percent(value) if name == "coverage" else number(value)


def _effects(found: RatingsFindings) -> Section | None:
    cards = [
        _bars(title, found, effects, f"effects-{place}")
        for place, (title, effects) in enumerate(
            (("Liked most", found.highest), ("Liked least", found.lowest),
             (f"{plain(found.user)}: the mildest and the strictest", found.widest))
        )
        if effects
    ]  # fmt: skip
    lead = (
        "How far one lies above the average one to the average other. The whisker is the interval:"
        " of few ratings little is known, and the effect is drawn to the middle."
    )
    return Section("effects", "Above and below the average", grid(cards), lead) if cards else None


def _bars(title: str, found: RatingsFindings, effects: Sequence[Effect], anchor: str) -> Markup:
    tips = [
        f"{brief(each.name)}\n{number(each.effect, 3)} ({number(each.low, 3)} to"
        f" {number(each.high, 3)})\n{amount(each.ratings, 'rating')}"
        for each in effects
    ]
    figure = Figure(
        title,
        [RowBars([e.effect for e in effects], [(e.high - e.low) / 2 for e in effects], tips)],
        Axis(f"{plain(found.target)} above the average"),
        Axis(names=[each.name for each in effects]),
        description=title,
        height=52 + 21 * len(effects),
    )
    return card(title, [(anchor, figure)])


def _map(found: RatingsFindings) -> Section | None:
    if found.map is None or not found.map.labels:
        return None
    lead = (
        "The two directions in which tastes differ most. What lies close together is liked by the"
        " same; a step of one moves ratings by one, as a standard deviation over those who rate."
    )
    return Section("map", "A map of tastes", grid([_mapped(found.map)]), lead)


def _mapped(found: EmbeddingMap) -> Markup:
    return embedding_card(found, 0, len(found.labels))


def _alike(found: RatingsFindings) -> Section | None:
    if not found.alike:
        return None
    rows = [
        [plain(name), ", ".join(brief(other) for other in others)] for name, others in found.alike
    ]
    headings = [Heading(plain(found.item), "name"), Heading("most alike", "text", sorts=False)]
    body = table_of("Of those that most have rated", headings, rows)
    return Section("alike", "Who is like whom", body)


def _updates(found: RatingsFindings) -> Section | None:
    if not found.updates:
        return None
    rows = [_update(each) for each in found.updates[-_MOST_UPDATES:]]
    headings = [
        Heading("table", "name"),
        *(Heading(n, "amount") for n in ("ratings", "new users", "new items")),
        *(Heading(f"RMSE {when}", "amount") for when in ("before", "after")),
    ]
    body = table_of("Measured on the new ratings", headings, rows)
    return Section("updates", "What was learnt since", body)


def _update(each: RatingsUpdate) -> list[str]:
    return [
        plain(each.name), f"{each.ratings:,}", f"{each.new_users:,}", f"{each.new_items:,}",
        number(each.before.get("RMSE")), number(each.after.get("RMSE")),
    ]  # fmt: skip


def ratings_header(found: RatingsFindings) -> Markup:
    """What the page begins with, below its name."""
    lead = f"Ratings of {plain(found.item)} by {plain(found.user)}."
    facts = ratings_facts(found)
    pairs = [tag("div", None, tag("dt", None, k), tag("dd", None, v)) for k, v in facts.items()]
    return join([tag("p", {"class": "lead"}, named(lead)), tag("dl", {"class": "facts"}, *pairs)])
