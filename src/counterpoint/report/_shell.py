"""One HTML file that opens offline: what every page is wrapped in."""

import base64
import hashlib
from importlib.resources import files
from string import Template

from counterpoint.report._markup import Markup, escape


def offline_page(title: str, body: str, *, style: str, script: str, version: str = "") -> str:
    """Wrap a body in an HTML page that makes no request.

    Its Content-Security-Policy forbids all of them, and names the only style and the only script
    by hash, so that nothing which slips into the body is ever run or loaded.

    Args:
        title: of the window.
        body: HTML, escaped already.
        style: CSS, after that of the figures and of the report.
        script: JavaScript.
        version: of what wrote the page.

    >>> offline_page("<b>", "<p>here</p>", style="", script="").count("&lt;b&gt;")
    1
    """
    # inlined, not linked: a page that is sent by mail has to open alone
    style = asset("figure.css") + asset("page.css") + style
    return Template(asset("shell.html")).substitute(
        title=escape(title),
        version=escape(version),
        style=style,
        style_hash=_digest(style),
        script=script,
        script_hash=_digest(script),
        body=Markup(body.rstrip("\n")),
    )


def asset(name: str) -> str:
    """The text of a file that is installed beside the report's code."""
    return files("counterpoint.report").joinpath("assets", name).read_text("utf-8")


def _digest(text: str) -> str:
    """The hash by which a Content-Security-Policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
