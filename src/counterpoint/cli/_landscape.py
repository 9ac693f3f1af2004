"""`counterpoint landscape`: the lab as one HTML file."""

import shlex
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterpoint.cli._files import refuse_file
from counterpoint.cli._say import note, show, show_json
from counterpoint.errors import one_of
from counterpoint.recipe import LAB_PRESETS, Lab

_LAB = {
    "layers": (int, "N", "how many goals (16)"),
    "cells": (int, "N", "of the noise along each axis (6)"),
    "seed": (int, "N", "of layers, starts and lots (0)"),
    "temper": (float, "P", "power that the first goal is taken to (1)"),
    "loud": (float, "X", "and times this (1)"),
}
_WALK = {
    "rule": (str, "RULE", "how goals share a step: mean | impartial | alternation | ..."),
    "step": (float, "X", "learning rate (0.6)"),
    "momentum": (float, "X", "of sgd (0)"),
    "optimiser": (str, "NAME", "sgd | adam | rmsprop (sgd)"),
}


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--preset", default="alternation", metavar="NAME",
        help=f"what to begin with: {' | '.join(LAB_PRESETS)} (alternation)",
    )  # fmt: skip
    for name, (kind, metavar, text) in {**_LAB, **_WALK}.items():
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    parser.add_argument("--against", metavar="RULE", help="how the walks beside them share a step")
    parser.add_argument(
        "--out", type=Path, default=Path("landscape.html"), help="file to write; landscape.html"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(arguments: Namespace) -> None:
    """Write one HTML file: landscapes of goals, walks over them, and what gets them stuck.

    Every option can be changed in the page as well; here they say what it begins with.
    """
    lab = _lab(arguments)
    refuse_file(arguments.out, overwrite=arguments.overwrite)
    # only now: whatever is refused is refused before torch is imported
    import counterpoint
    from counterpoint.landscape.page import lab_page
    from counterpoint.plain import to_plain
    from counterpoint.seeding import threads
    from counterpoint.storage import write_file

    with threads(1):
        page = lab_page(
            lab,
            command=shlex.join(["counterpoint", *arguments.typed]),
            version=counterpoint.__version__,
            progress=None if arguments.json else note,
        )
    write_file(arguments.out, page.html.encode())
    if arguments.json:
        first, second = page.reached
        show_json({"page": str(arguments.out), "lab": to_plain(lab), "reached": [first, second]})
        return
    show(str(arguments.out))


def _lab(arguments: Namespace) -> Lab:
    preset = LAB_PRESETS[one_of("--preset", arguments.preset, LAB_PRESETS)]
    first = replace(preset.first, **_given(arguments, _WALK))
    second = preset.second
    if arguments.against is not None:
        second = replace(second, rule=arguments.against)
    return replace(preset, first=first, second=second, **_given(arguments, _LAB))


def _given(arguments: Namespace, names: dict[str, Any]) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
