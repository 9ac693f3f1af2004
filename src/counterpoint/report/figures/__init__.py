"""Figures as SVG, written by hand: small, tested as text, light and dark, no dependency.

A `Figure` is a title, a list of marks and two axes. Marks are frozen values: `Line`, `Area`,
`Points`, `Histogram`, `RowBars` (lying), `Cells` (a matrix), `Field` (a map), `Guide` (a line at
one value), `TextLabels`, `Bands` (strips that show a value under the pointer); a mark of your own
needs the three methods of `Mark`. Absent values are None (or NaN) and are drawn as gaps. In come
plain lists; out comes an `<svg>` element for a page (`svg`) or a whole file (`document`; `sheet`
for several, each under its title). Every text is escaped.

>>> loss = Line([1, 2, 3], [0.9, None, 0.4], label="validation", tone="two")
>>> figure = Figure("training", [loss, Guide(x=3, text="best")], Axis("epoch", kind="whole"))
>>> "<script" in figure.svg("training"), figure.document().startswith("<svg xmlns=")
(False, True)
"""

from counterpoint.report.figures._axis import Axis
from counterpoint.report.figures._bands import Bands
from counterpoint.report.figures._bars import Histogram, RowBars
from counterpoint.report.figures._cells import Cells
from counterpoint.report.figures._field import Field
from counterpoint.report.figures._figure import Figure
from counterpoint.report.figures._guide import Guide
from counterpoint.report.figures._labels import TextLabels
from counterpoint.report.figures._line import Area, Line
from counterpoint.report.figures._mark import Frame, Mark, Tone
from counterpoint.report.figures._points import Points
from counterpoint.report.figures._scale import Scale, extent, finite
from counterpoint.report.figures._sheet import sheet
from counterpoint.report.figures._spark import sparkline
from counterpoint.report.figures._thin import every, thin

__all__ = [
    "Area",
    "Axis",
    "Bands",
    "Cells",
    "Field",
    "Figure",
    "Frame",
    "Guide",
    "Histogram",
    "Line",
    "Mark",
    "Points",
    "RowBars",
    "Scale",
    "TextLabels",
    "Tone",
    "every",
    "extent",
    "finite",
    "sheet",
    "sparkline",
    "thin",
]
