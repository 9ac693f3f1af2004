"""The lab's page without a browser."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
import torch

from counterpoint.balance import Failure
from counterpoint.errors import InputError
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.page._contour import outline
from counterpoint.landscape.page._hills import Hills
from counterpoint.landscape.page._law import minima, sampled, valleys
from counterpoint.landscape.page._stories import RULE_TITLES, STORIES
from counterpoint.landscape.page._words import title_of
from counterpoint.recipe import LAB_PRESETS, LAB_RULES, Lab, LabWalk
from report.reading import as_tree, check_page, text_of


def test_the_page_is_well_formed_small_and_asks_for_nothing(lab_html) -> None:
    page = lab_html.html
    check_page(page)
    assert not re.search(r"https?:|\$\{?[a-z_]+\}?[<\"]", re.sub(r"<script>.*</script>", "", page))


def test_the_policy_forbids_requests_and_names_script_and_style_by_hash(lab_html) -> None:
    page = lab_html.html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        text = re.search(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert not re.search(
            r"https?:|@import|url\(|\bfetch\b|XMLHttp|\beval\(|innerHTML|WebSocket|import\(", text
        )


def test_everything_is_said_and_drawn_without_script(lab_html) -> None:
    tree = as_tree(lab_html.html)
    maps = [svg for svg in tree.iter("svg") if svg.get("class") == "map"]
    stuck = [name for name, story in STORIES.items() if story.failure]
    assert {svg.get("id") for svg in maps} == {
        "first-still", "second-still", "law-still", *(f"{name}-still" for name in stuck)
    }  # fmt: skip
    for svg in maps:
        assert svg.findtext("title")
        assert svg.findtext("desc")
    figures = [svg for svg in tree.iter("svg") if svg.get("class") == "figure"]
    assert {svg.get("id") for svg in figures} == {"law-figure", "arrivals-figure"}
    text = text_of(tree)
    for name in stuck:
        assert STORIES[name].line in text
    first, second = lab_html.reached
    assert first > 0.9
    assert second < 0.2
    assert f"{first:.0%}".replace("%", " % of walks are in the shared valley") in text
    assert "counterpoint 1.2.3 with counterpoint landscape" in text
    # what needs the script is not shown without it
    for control in ("stories", "common", "law-control"):
        assert next(e for e in tree.iter() if e.get("id") == control).get("hidden")


def test_the_script_is_told_the_same_as_the_command(lab_html) -> None:
    told = json.loads(re.search(r"const LAB = (\{.*\});\n", lab_html.html).group(1))
    assert told["chosen"] == "alternation"
    assert list(told["presets"]) == list(LAB_PRESETS) == list(told["stories"])
    assert tuple(told["rules"]) == LAB_RULES
    assert set(told["failures"]) == {failure.word for failure in Failure}
    assert {story["failure"] for story in told["stories"].values()} - {""} == set(told["failures"])


def test_every_preset_has_a_story_and_every_rule_a_title() -> None:
    assert list(STORIES) == list(LAB_PRESETS)
    assert tuple(RULE_TITLES) == LAB_RULES
    assert title_of(LabWalk("mean", 0.3, 0.9)) == "the sum, step 0.3, momentum 0.9"
    assert title_of(LabWalk("impartial", 1, 0.9, "adam")) == "impartial, 1/|g|, step 1, adam"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"layers": 0}, "layers: expected a whole number from 1 to 64, found 0"),
        ({"layers": 65}, "layers: expected a whole number from 1 to 64, found 65"),
        ({"cells": 1}, "cells: expected a whole number from 2 to 12, found 1"),
        ({"seed": -1}, "seed: expected a whole number from 0 to"),
        ({"temper": 0.5}, "temper: expected a number from 1 to 6, found 0.5"),
        ({"loud": 0.0}, "loud: expected a number from 0.01 to 100, found 0.0"),
    ],
)
def test_what_a_lab_cannot_be_is_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Lab(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rule": "alternatio"}, "did you mean 'alternation'"),
        ({"optimiser": "adm"}, "did you mean 'adam'"),
        ({"step": 0.0}, "step: expected a number from 0.001 to 3, found 0.0"),
        ({"step": float("nan")}, "step: expected a number"),
        ({"momentum": 1.0}, "momentum: expected a number from 0 to 0.99, found 1.0"),
    ],
)
def test_how_nobody_can_walk_is_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        LabWalk(**values)


def test_a_tempered_layer_has_the_slope_of_its_value() -> None:
    hills = Hills(Lab(2, 3, 1, 3.0, 7.0))
    points = hills.uniform(20, torch.Generator().manual_seed(0))
    h = 1e-6
    for axis, step in enumerate(h * torch.eye(2, dtype=torch.float64)):
        slope = (hills(points + step).values - hills(points - step).values) / (2 * h)
        torch.testing.assert_close(slope, hills(points).gradients[:, :, axis], atol=1e-6, rtol=1e-5)
    here = hills(hills.minimum[None])
    assert here.values.abs().max() == 0
    assert (hills(points).values > 0).all()


@pytest.mark.parametrize("level", [-0.3, 0.0, 0.2, 0.6])
def test_an_outline_encloses_as_much_as_is_high(level: float) -> None:
    """The area inside the paths against a fine count; opposite turns would cancel."""
    noise, side = Perlin(1, 2, cells=3, seed=4), 90
    field = sampled(noise, side // 3)[0]
    closed = np.pad(field, ((0, 1), (0, 1)), mode="wrap")
    # holes run the other way round, so that the signed areas add up
    area = sum(_area(piece) for piece in outline(closed, level).split("M")[1:]) / 1e6
    fine = sampled(noise, 120)[0]
    assert area == pytest.approx((fine >= level).mean(), abs=0.003)


def _area(piece: str) -> float:
    start, _, steps = piece.rstrip("z").partition("l")
    numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
    moves = np.array(numbers, dtype=float).reshape(-1, 2)
    corner = np.array([float(number) for number in start.split(" ")])
    x, y = (np.concatenate([[corner], corner + moves.cumsum(0)])).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_outlines_of_all_and_of_nothing() -> None:
    flat = np.zeros((4, 4))
    assert outline(flat, 1.0) == ""
    assert abs(_area(outline(flat, -1.0)[1:])) == 1e6


def test_valleys_are_discs_around_the_lowest_points() -> None:
    hills = Hills(Lab(2, 3, 6))
    lowest, near = minima(sampled(hills)), valleys(hills)
    side = near.shape[1]
    for layer in range(2):
        places = np.argwhere(lowest[layer])
        assert [side // 2, side // 2] in places.tolist()  # the shared minimum is one of them
        apart = np.abs(np.indices((side, side))[:, :, :, None] - places.T[:, None, None])
        apart = np.minimum(apart, side - apart)
        wanted = (np.hypot(*apart) <= 0.3 * 16).any(2)
        np.testing.assert_array_equal(near[layer], wanted)
