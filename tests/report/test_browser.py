"""The page in a real browser: nothing is executed, nothing is asked for, everything is visible."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from counterpoint.report import render
from report.reading import as_tree
from report.sample import HOSTILE, empty, named, rich
from report.updated import disguised_update, several

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory, largest_page) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    names = iter(HOSTILE * 99)
    hidden = [disguised_update(item, lambda: next(names)) for item in several()]
    made = {
        "rich": render(rich()),
        "updated": render(replace(empty(), updates=several())),
        "disguised": render(replace(empty(), updates=hidden)),
        "empty": render(empty("x" * 4_000)),
        "hostile": render(named(HOSTILE)),
        "largest": largest_page,
    }
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, "utf-8")
    return {name: folder / f"{name}.html" for name in made}


@dataclass
class Opened:
    """A page, and everything it should not have done."""

    page: object
    complaints: list[str] = field(default_factory=list)

    def watch(self, path: Path) -> None:
        page = self.page
        page.on("pageerror", lambda error: self.complaints.append(f"error {error}"))
        page.on("console", lambda message: self.complaints.append(f"console {message.text}"))
        page.on("dialog", lambda dialog: self.complaints.append("dialog"))
        page.on("request", lambda request: self._asked(request.url, path.as_uri()))
        page.goto(path.as_uri())

    def _asked(self, url: str, own: str) -> None:
        if url != own and not url.startswith("data:"):
            self.complaints.append(f"request {url}")


@pytest.fixture
def open_page(chromium, pages):
    contexts = []

    def open_(name: str, width: int = 1280, **settings) -> Opened:
        size = {"width": width, "height": 800}
        contexts.append(chromium.new_context(viewport=size, offline=True, **settings))
        opened = Opened(contexts[-1].new_page())
        opened.watch(pages[name])
        return opened

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["rich", "updated", "disguised", "empty", "hostile", "largest"])
def test_no_error_no_request_and_no_sideways_scrolling(open_page, name, width):
    opened = open_page(name, width)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.locator("h2").count() >= 3
    assert opened.page.locator("script").count() == 1
    assert opened.complaints == []


def test_everything_is_visible_without_script(open_page):
    opened = open_page("rich", java_script_enabled=False)
    drawn = [svg for svg in as_tree(render(rich())).iter("svg") if "figure" in svg.get("class", "")]
    assert opened.page.locator("svg.figure").count() == len(drawn) > 30
    assert all(svg.is_visible() for svg in opened.page.locator("svg.figure").all())
    assert all(table.is_visible() for table in opened.page.locator("table").all())
    assert opened.page.locator("#tip").count() == 0
    assert opened.complaints == []


def test_dark_differs_from_light_and_is_readable(open_page):
    colours = (
        "() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; }"
    )
    shade = {}
    for scheme in ("light", "dark"):
        page = open_page("rich", color_scheme=scheme).page
        shade[scheme] = [_brightness(colour) for colour in page.evaluate(colours)]
    assert shade["light"][1] - shade["light"][0] > 150
    assert shade["dark"][0] - shade["dark"][1] > 150


def _brightness(colour: str) -> float:
    return sum(float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 3


def test_the_pointer_shows_values(open_page):
    opened = open_page("rich")
    dot = opened.page.locator("#target-0-coverage circle").nth(5)
    dot.scroll_into_view_if_needed()
    assert opened.page.locator("#tip").is_hidden()
    box = dot.bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    assert opened.page.locator("#tip").is_visible()
    assert opened.page.locator("#tip").inner_text().startswith("nominal 30 %")
    assert opened.complaints == []


def test_a_table_is_sorted_by_its_headings(open_page):
    page = open_page("rich").page
    button = page.locator("#data thead button", has_text="missing")
    cells = page.locator("#data tbody td.amount")
    missing = [int(text.split(" ")[0].replace(",", "")) for text in cells.all_inner_texts()]
    button.click()
    rising = [int(text.split(" ")[0].replace(",", "")) for text in cells.all_inner_texts()]
    button.click()
    falling = [int(text.split(" ")[0].replace(",", "")) for text in cells.all_inner_texts()]
    assert missing != rising
    assert rising == sorted(missing)
    assert falling == sorted(missing, reverse=True)
    assert page.locator("#data th[aria-sort=descending]").count() == 1


def test_text_in_figures_is_not_too_small_on_a_phone(open_page):
    page = open_page("rich", 360).page
    heights = page.evaluate(
        "[...document.querySelectorAll('svg.figure text')]"
        ".map(text => text.getBoundingClientRect().height)"
    )
    assert min(heights) > 8
    inside = page.evaluate(
        "[...document.querySelectorAll('svg.figure')]"
        ".every(svg => svg.getBoundingClientRect().right <= 360)"
    )
    assert inside


@pytest.mark.parametrize("name", ["rich", "updated"])
def test_texts_of_figures_stay_inside_them(open_page, name):
    page = open_page(name).page
    outside = page.evaluate(
        """[...document.querySelectorAll('svg.figure')].flatMap(svg => {
          const box = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter(text => {
            const own = text.getBoundingClientRect();
            return own.left < box.left - 6 || own.right > box.right + 6
              || own.bottom > box.bottom + 2;
          }).map(text => svg.id + ': ' + text.textContent);
        })"""
    )
    assert outside == []
