"""Findings at rest: what is written is read back, also what an earlier version wrote."""

import dataclasses
import json
from pathlib import Path

import pytest

from counterpoint import findings
from counterpoint.errors import InputError
from counterpoint.findings import Findings
from counterpoint.plain import from_plain, to_plain

# `evaluation.json` of a fit and an update by commit 3e13ad6, its lists cut to six entries
EARLIER = json.loads(Path(__file__).with_name("evaluation.json").read_text("utf-8"))


def test_what_an_earlier_version_wrote_is_read_whole():
    found = from_plain(Findings, EARLIER, "evaluation")
    written = json.loads(json.dumps(to_plain(found)))
    # what came later is not known of it
    assert [target.pop("groups") for target in written["targets"]] == [[], []]
    assert [target.pop("verdict") for target in written["targets"]] == [None, None]
    for shift in (shift for update in written["updates"] for shift in update["shifts"]):
        assert (shift.pop("before_text"), shift.pop("after_text")) == ("", "")
    assert written.pop("sites") == []
    assert written == EARLIER
    assert found.updates[0].targets[0].new["RMSE"] == (30.6402, 27.4841)
    assert found.balance is not None
    assert found.balance.cosines[0][0][0] == 1.0


def test_the_earlier_document_has_every_part():
    kinds = {
        type(value)
        for value in _within(from_plain(Findings, EARLIER))
        if dataclasses.is_dataclass(value)
    }
    every = {getattr(findings, name) for name in findings.__all__}
    # the little run rang no alarm; coverage by groups, verdicts and sites came later
    later = {findings.GroupCoverage, findings.IntervalVerdict, findings.CoveredPart}
    later |= {findings.SiteFindings, findings.RatingsFindings, findings.RatingsUpdate}
    later |= {findings.RatedPart, findings.Effect}
    absent = later | {findings.AlarmFindings}
    assert {kind for kind in every if isinstance(kind, type)} - kinds <= absent


def _within(value):
    yield value
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, part.name) for part in dataclasses.fields(value)]
    elif isinstance(value, dict):
        parts = value.values()
    else:
        parts = value if isinstance(value, list | tuple) else ()
    for part in parts:
        yield from _within(part)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("rows", "train"), "many", r"evaluation\.rows\['train'\]: expected a whole number"),
        (("targets", 0, "metrics"), [], r"evaluation\.targets\[0\]\.metrics: expected an object"),
        (
            ("updates", 0, "targets", 0, "new", "RMSE"),
            [1.0],
            r"evaluation\.updates\[0\]\.targets\[0\]\.new\['RMSE'\]: expected 2 values, found 1",
        ),
    ],
)
def test_what_was_changed_by_hand_is_named(path, value, message):
    document = json.loads(json.dumps(EARLIER))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InputError, match=message):
        from_plain(Findings, document, "evaluation")
