"""The lab's page: stills that need no script, and the script that sets them going."""

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from counterpoint.balance import Failure
from counterpoint.landscape.page._figures import (
    STARTS,
    arrival_figure,
    arrivals,
    law_figure,
)
from counterpoint.landscape.page._hills import Hills, share_arrived, walked
from counterpoint.landscape.page._law import FIELDS, LARGEST, law
from counterpoint.landscape.page._still import common_valleys, ground, still, walks
from counterpoint.landscape.page._stories import OWN, RULE_TITLES, STORIES
from counterpoint.landscape.page._words import count, percent, title_of
from counterpoint.plain import to_plain
from counterpoint.recipe import LAB_PRESETS, Lab, LabWalk
from counterpoint.report import offline_page

WALKS = 60
_SCRIPTS = ("noise.js", "walks.js", "alarms.js", "law.js", "map.js", "pane.js", "page.js")
_STUCK = 240  # steps of the walks on a card
_SHOWN = 3  # layers on the still map of common valleys


@dataclass(frozen=True)
class LabPage:
    """The lab as one HTML page.

    Attributes:
        html: encode it as UTF-8.
        reached: the share of walks that ended at the shared minimum, of the first and the second
            way to walk.
    """

    html: str
    reached: tuple[float, float]


def lab_page(
    lab: Lab,
    *,
    command: str = "counterpoint landscape",
    version: str = "",
    fields: int = 2,
    progress: Callable[[str], None] | None = None,
) -> LabPage:
    """Draw a lab as one HTML page that opens offline, stays under 1 MB and asks for nothing.

    What it shows at first, and all that it says, is computed here; its script goes on from there
    with the same layers, starts and lots.

    Args:
        lab: what it begins with.
        command: that wrote it, to be shown.
        version: of what wrote it.
        fields: random fields that the curve over the number of goals is averaged over, positive.
        progress: is told what is being done.
    """
    tell = progress or (lambda _: None)
    drawing = _Drawing(tell)
    panes, shares = drawing.panes(lab)
    cards = "\n".join(drawing.card(name) for name, story in STORIES.items() if story.failure)
    tell("counting common valleys")
    counted = law(lab)
    found = arrivals(lab, fields, tell)
    chosen = next((name for name, preset in LAB_PRESETS.items() if preset == lab), "")
    mean = {rule: percent(each[:, -1].mean()) for rule, each in found.items()}
    valleys = Hills(Lab(LARGEST, lab.cells, lab.seed))
    body = Template(_asset("lab.html")).substitute(
        line=STORIES[chosen].line if chosen else OWN,
        first=panes[0],
        second=panes[1],
        cards=cards,
        law_said=(
            f"{count(_SHOWN, 'goal').capitalize()}: {percent(counted.common[0, _SHOWN - 1], 2)} of "
            "the plane lies near a minimum of all; chance alone would leave "
            f"{percent(counted.chance[0, _SHOWN - 1], 2)}."
        ),
        law_map=still(
            "law-still", "Valleys of three goals, and what they have in common",
            "Discs around the minima of each of three goals; where all overlap is marked. The "
            "shared minimum is in the middle.", common_valleys(valleys, _SHOWN),
        ),
        law_figure=law_figure(counted),
        arrivals_said=(
            f"With 16 goals {mean['alternation']} of all walks arrive by alternation and "
            f"{mean['mean']} by the sum (with one goal {percent(found['mean'][:, 0].mean())}). "
            f"Always following the steepest goal brings {mean['largest-gradient']} there."
        ),
        arrivals_figure=arrival_figure(found),
        fields_law=count(FIELDS, "field").capitalize(),
        fields_arrivals=count(fields, "field").capitalize(),
        starts=STARTS,
        version=html.escape(version),
        command=html.escape(command),
    )  # fmt: skip
    body = drawing.grounds() + body
    script = f"const LAB = {_settings(lab, chosen)};\n" + "".join(map(_asset, _SCRIPTS))
    page = offline_page(
        "The landscape lab · counterpoint", body,
        style=_asset("lab.css"), script=script, version=version,
    )  # fmt: skip
    return LabPage(page, shares)


class _Drawing:
    """Stills of walks, over grounds that are drawn once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._hills: dict[tuple[object, ...], tuple[str, Hills, str]] = {}

    def panes(self, lab: Lab) -> tuple[list[str], tuple[float, float]]:
        """The two ways to walk side by side, and how many arrived by each."""
        drawn: list[str] = []
        shares: list[float] = []
        for key, walk in (("first", lab.first), ("second", lab.second)):
            self._tell(f"walking: {title_of(walk)}")
            picture, share = self._walk(f"{key}-still", lab, walk)
            drawn.append(
                Template(_asset("pane.html")).substitute(
                    key=key,
                    label=f"The {key} way to walk",
                    name=title_of(walk),
                    map=picture,
                    share=percent(share),
                )
            )
            shares.append(share)
        return drawn, (shares[0], shares[1])

    def card(self, name: str) -> str:
        """A preset: where its first way to walk ends, and what that is called."""
        story, lab = STORIES[name], LAB_PRESETS[name]
        self._tell(f"walking: {story.title}")
        below, hills = self._ground(lab)
        # who is stuck is so long before the end
        went = walked(hills, lab.first, lab, WALKS, steps=_STUCK, settle=0)
        title = f"{story.title}: {title_of(lab.first)}, {lab.layers} goals"
        description = f"Where {WALKS} walks are after {_STUCK} steps, and the way that some came."
        picture = still(
            f"{name}-still", title, description, walks(below, went, hills.width, last=True)
        )
        return (
            f'<article class="card" data-story="{name}"><div class="frame">{picture}</div>'
            f"<h3>{html.escape(story.title)}</h3><p>{html.escape(story.line)}</p></article>"
        )

    def grounds(self) -> str:
        """All grounds that were used, out of sight."""
        parts = "".join(drawn for _, _, drawn in self._hills.values())
        return f'<svg class="map visually-hidden" aria-hidden="true"><defs>{parts}</defs></svg>\n'

    def _walk(self, identifier: str, lab: Lab, walk: LabWalk) -> tuple[str, float]:
        below, hills = self._ground(lab)
        went = walked(hills, walk, lab, WALKS)
        share = share_arrived(hills, hills.minimum, went.ends)
        description = f"{percent(share)} of {WALKS} walks end in the valley in the middle."
        title = f"Where walks end: {title_of(walk)}, {lab.layers} goals"
        return still(identifier, title, description, walks(below, went, hills.width)), share

    def _ground(self, lab: Lab) -> tuple[str, Hills]:
        key = (lab.layers, lab.cells, lab.seed, lab.temper, lab.loud)
        if key not in self._hills:
            name, hills = f"ground-{len(self._hills)}", Hills(lab)
            self._hills[key] = (name, hills, ground(name, hills))
        name, hills, _ = self._hills[key]
        return name, hills


def _settings(lab: Lab, chosen: str) -> str:
    """What the script is told, as JSON that is safe inside a script element."""
    told: dict[str, Any] = {
        "start": to_plain(lab),
        "chosen": chosen,
        "presets": to_plain(LAB_PRESETS),
        "stories": to_plain(STORIES),
        "rules": RULE_TITLES,
        "failures": {
            failure.word: {
                "title": failure.word,
                "sentence": failure.sentence,
                "remedy": failure.remedy,
            }
            for failure in Failure
        },
    }
    return json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("counterpoint.landscape.page").joinpath("assets", name).read_text("utf-8")
