"""How the site is built: `make docs`."""

from docutils.nodes import Element, SkipNode
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from counterpoint import __version__

project = "counterpoint"
author = "The counterpoint authors"
copyright = "2026, The counterpoint authors"
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "counterpoint"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"

# The docstrings' own examples run under pytest, with their module's names; here run the pages'.
doctest_test_doctest_blocks = ""

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Names of other projects are not looked up (that would need a network), nor is what annotations
# name inside a room; what rooms export must resolve.
nitpick_ignore_regex = [
    ("py:.*", r"(?!counterpoint\.).*"),
    ("py:.*", r"counterpoint\.\w+\.\w+(\.\w+)+"),
    ("py:.*", r"counterpoint\.\w+\._\w+"),
]


def _mathml(self: HTML5Translator, node: Element, as_block: bool) -> None:
    try:
        self.body.append(tex2mathml(node.astext(), as_block=as_block))
    except MathError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
    raise SkipNode  # the formula is written; its source is not wanted beside it


def _inline(self: HTML5Translator, node: Element) -> None:
    _mathml(self, node, as_block=False)


def _block(self: HTML5Translator, node: Element) -> None:
    _mathml(self, node, as_block=True)


def setup(app: Sphinx) -> None:
    """Formulas become MathML, which browsers show by themselves: no script, no request."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
