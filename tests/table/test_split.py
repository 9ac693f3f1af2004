"""Which rows are for what."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.columns import Table
from counterpoint.table.columns._split import parse_split
from counterpoint.table.fit._split import split_remarks
from counterpoint.table.fit._split import split_rows as split_planned


def split_rows(table, usable, data, **more):
    """With every column planned as `fit` would; the target plays no part."""
    planned = table.assign(y=np.arange(len(table)) ** 2 % 7)
    told = replace(
        data, target=("y",), kinds=dict.fromkeys("t" if data.split != "time:g" else "tg", "number")
    )
    return split_planned(Table.plan(planned, told), usable, data.validation, **more)


def frame(rows):
    return pd.DataFrame(
        {
            "t": np.arange(rows)[::-1] * 1.5,
            "g": [f"g{n % 7}" for n in range(rows)],
            "mark": ["test" if n % 5 == 0 else "train" for n in range(rows)],
        }
    )


@given(
    st.integers(21, 200),
    st.sampled_from(["0.2", "none", "0.5", "time:t", "group:g", "mark"]),
    st.integers(1, 6),
    st.integers(0, 2**31 - 1),
)
def test_every_usable_row_is_learnt_from_or_held_out(rows, split, members, seed):
    usable = np.arange(rows) % 3 != 0
    if usable.sum() < 14:
        return
    found = split_rows(frame(rows), usable, Data(split=split), members=members, seed=seed)
    assert sorted([*found.train, *found.test]) == np.flatnonzero(usable).tolist()
    assert len(found.held) == members
    for member, held in enumerate(found.held):
        assert len(held) > 0
        assert set(held) < set(found.train)
        assert sorted([*held, *found.fitted(member)]) == found.train.tolist()


def test_members_leave_out_different_rows():
    found = split_rows(frame(100), np.ones(100, bool), Data(), members=4)
    places = np.concatenate(found.held)
    assert len(set(places)) == len(places) == 64


def test_time_holds_out_the_latest_everywhere():
    table = frame(100)
    found = split_rows(table, np.ones(100, bool), Data(split="time:t"), members=2)
    times = table["t"].to_numpy()
    assert times[found.test].min() > times[found.train].max()
    assert times[found.held[1]].min() > times[found.fitted(1)].max()


def test_groups_stay_together():
    table = frame(140)
    found = split_rows(table, np.ones(140, bool), Data(split="group:g"), members=3)
    groups = table["g"].to_numpy()
    assert not set(groups[found.test]) & set(groups[found.train])
    assert not set(groups[found.held[2]]) & set(groups[found.fitted(2)])


def test_marks_are_obeyed():
    table = frame(100)
    found = split_rows(table, np.ones(100, bool), Data(split="mark"))
    assert found.test.tolist() == list(range(0, 100, 5))


def test_one_seed_one_split():
    one, two, other = (
        split_rows(frame(50), np.ones(50, bool), Data(), seed=seed).test.tolist()
        for seed in (0, 0, 1)
    )
    assert one == two != other


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("0.95", "expected a share from 0 to 0.9"),
        ("marc", "found .marc.; did you mean .mark."),
        ("g", "expected train, validation or test in every row, found 'g0'"),
        ("time:g", "expected a number, found 'g0'"),
    ],
)
def test_impossible_splits_are_refused(split, message):
    with pytest.raises(InputError, match=message):
        split_rows(frame(50), np.ones(50, bool), Data(split=split))


def test_one_row_is_too_few():
    usable = np.arange(20) == 3
    with pytest.raises(InputError, match="at least 10 rows with a target are needed, found 1 samp"):
        split_rows(frame(20), usable, Data())


def test_a_split_that_leaves_too_little_is_refused():
    with pytest.raises(InputError, match="leaves 2 rows to train on"):
        split_rows(frame(12), np.arange(12) < 10, Data(split="0.8"))


def test_a_column_of_that_name_comes_first():
    assert parse_split("0.2", ["0.2"]).kind == "marks"
    assert parse_split("time:t", ["time:t"]).kind == "marks"
    assert parse_split("1e-1", ["a"]).share == 0.1


def test_more_members_than_parts_take_turns():
    held = split_rows(frame(30), np.ones(30, bool), Data(validation=0.5), members=3).held
    assert len(held) == 3
    assert len(np.unique(np.concatenate(held))) == 24


def classes(counts):
    """A table of a class for each count, in an order that chance made."""
    labels = np.repeat(list(counts), list(counts.values()))
    labels = np.random.default_rng(5).permutation(labels)
    return pd.DataFrame({"x": np.arange(len(labels)) ** 2 % 23, "y": labels})


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=5),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.integers(0, 2**32 - 1),
)
def test_every_class_of_two_rows_is_learnt_from_and_held_out(counts, share, seed):
    frame = classes({f"c{place}": count for place, count in enumerate(counts)})
    if len(frame) < 20:
        return
    table = Table.plan(frame, Data(target=("y",), kinds={"y": "category"}, split=str(share)))
    found = split_planned(table, np.ones(len(frame), bool), 0.2, members=3, seed=seed)
    assert sorted([*found.train, *found.test]) == list(range(len(frame)))
    labels = frame["y"].to_numpy()
    for place, count in enumerate(counts):
        held = int((labels[found.test] == f"c{place}").sum())
        assert held == 0 if count == 1 else 1 <= held < count
        for part in found.held:
            left = int((labels[part] == f"c{place}").sum())
            assert abs(left - (count - held) / 5) <= 1
    if len(frame) > 60:
        assert abs(len(found.test) - share * len(frame)) <= len(counts)


def remarks(frame, **data):
    table = Table.plan(frame, Data(target=("y",), **data))
    return split_remarks(table, split_planned(table, np.ones(len(frame), bool), 0.2))


def test_what_few_rows_do_not_allow_to_say_is_said():
    few = remarks(classes({"a": 12, "b": 8}))
    assert few[0] == "16 rows to learn from are few: what is learnt of them may be chance"
    assert few[1] == "4 rows are held out: what is measured on them may be chance"
    assert "fewer than 5 held-out rows: 'a' (2 of 12), 'b' (2 of 8)" in few[2]
    (rare,) = remarks(classes({"no": 597, "yes": 3}))
    assert "target 'y': classes with fewer than 5 held-out rows: 'yes' (1 of 3)" in rare
    assert not remarks(classes({"no": 300, "yes": 300}))
    numbers = pd.DataFrame({"x": np.arange(200) ** 2 % 19, "y": np.arange(200) ** 2 % 7})
    assert not remarks(numbers, kinds={"y": "number"})


def test_too_few_weights_are_said_to_be_weights():
    frame = pd.DataFrame(
        {"x": np.arange(40.0) ** 2, "y": np.arange(40.0), "w": [1.0] * 3 + [0.0] * 37}
    )
    table = Table.plan(frame, Data(target=("y",), weight="w"))
    with pytest.raises(
        InputError, match="with a target and a weight above zero are needed, found 3"
    ):
        split_planned(table, table.weights > 0, 0.2)
