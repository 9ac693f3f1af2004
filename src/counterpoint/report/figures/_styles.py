"""The figures' styles, for files that no page gives any."""

from importlib.resources import files

from counterpoint.report._markup import Markup, tag


def styles() -> Markup:
    """A `<style>` element, light and dark."""
    path = files("counterpoint.report").joinpath("assets", "figure.css")
    return tag("style", None, Markup(path.read_text("utf-8")))
