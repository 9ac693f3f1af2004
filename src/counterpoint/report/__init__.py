"""One HTML page that shows what a fit found out, and the SVG figures it is made of.

`read_findings` reads the `Findings` of a model folder, and `render` gives the page as a string:
results against the
baseline, what updates taught since, predictions and whether their intervals are honest, columns
that matter, rows of which least is known, training, data, embeddings. The page is one file: it
opens offline, makes no request, runs without script, follows light and dark, and stays under 1 MB.
`figures` draws (`Figure` and its marks, usable alone), `sections` chooses what to draw and says in
a sentence how to read it, `page` puts the parts together. Nothing here computes with tensors,
imports torch or writes a file. `offline_page` is the shell of this page and of any other.

>>> from counterpoint.findings import Findings
>>> empty = Findings("f", "", "", "", {}, 0, "", None, 0.0, [], [], [], [], [], [])
>>> render(empty).splitlines()[0]
'<!DOCTYPE html>'
"""

from counterpoint.report._page import render
from counterpoint.report._read import read_findings
from counterpoint.report._shell import offline_page

__all__ = ["offline_page", "read_findings", "render"]
