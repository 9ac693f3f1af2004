"""The published formats with their quirks, on small samples; the real files where they are."""

import hashlib
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from counterpoint.datasets import (
    CIFAR10_CLASSES,
    UCI_NAMES,
    adult,
    cifar10,
    mnist,
    movielens,
    standard_splits,
    uci,
)
from counterpoint.datasets._adult import ADULT_COLUMNS, parse_adult
from counterpoint.datasets._cifar import parse_records
from counterpoint.datasets._mnist import parse_idx
from counterpoint.datasets._uci import parse_gaps
from counterpoint.errors import InputError

real_files = pytest.mark.skipif(
    not os.environ.get("COUNTERPOINT_DATA"), reason="COUNTERPOINT_DATA names no data folder"
)

ADULT_TRAIN = b"""\
39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, \
2174, 0, 40, United-States, <=50K
18, ?, 103497, Some-college, 10, Never-married, ?, Own-child, White, Female, \
0, 0, 30, ?, >50K

"""
ADULT_TEST = b"|1x3 Cross validator\n" + ADULT_TRAIN.replace(b"50K", b"50K.")


@pytest.mark.parametrize("content", [ADULT_TRAIN, ADULT_TEST])
def test_adult_in_both_dialects(content):
    table = parse_adult(content)
    assert tuple(table.columns) == ADULT_COLUMNS
    assert table["income"].tolist() == ["<=50K", ">50K"]
    assert table["age"].tolist() == [39, 18]
    assert table["workclass"].isna().tolist() == [False, True]
    assert int(table.isna().sum().sum()) == 3
    assert table["native-country"].iloc[0] == "United-States"


def test_idx():
    content = b"\0\0\x08\x02" + struct.pack(">II", 2, 3) + bytes(range(6))
    assert parse_idx(content).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x0d\x01" + bytes(8), b"\0\0\x08\x03" + bytes(4), b"\0\0\x08\x01\0\0\0\x05abcd"],
)
def test_idx_that_is_none(content):
    with pytest.raises(InputError, match="idx: expected"):
        parse_idx(content)


def test_cifar_records_are_planes_of_colour():
    red = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    one = bytes([7]) + red.tobytes() + bytes([1]) * 1024 + bytes([2]) * 1024
    images, labels = parse_records(one + one)
    assert labels.tolist() == [7, 7]
    assert images.shape == (2, 32, 32, 3)
    assert np.array_equal(images[1, :, :, 0], red)
    assert images[0, 5, 9].tolist() == [red[5, 9], 1, 2]


def test_gap_files_come_in_the_order_of_their_names():
    features, rows, gap_rows = 11, 3, 1
    split = {f"index_test_{k}.txt": [k] for k in range(features)}
    split |= {f"index_train_{k}.txt": [100 + k, 200 + k] for k in range(features)}
    content = "".join(f"{row}\n" for name in sorted(split) for row in split[name]).encode()
    gaps = parse_gaps(content, rows, features, gap_rows)
    for k, (train, test) in enumerate(gaps):
        assert test.tolist() == [k]
        assert train.tolist() == [100 + k, 200 + k]


PUBLISHED_SPLITS = {
    (1030, 8): "d8b1ad72beb135bafd79434873ce9741b69b89352feda730b11edcb783ec2cf2",
    (768, 8): "1fe84032bd8f3a29d4c10702800a35d3955f4aa3835d2afeb853d9628e6c552b",
    (9568, 4): "718ce1e941d328ff949899f37de8868e80069e14263dee6afd2f35ae50d113cd",
    (1599, 11): "c708703c9091401f8c76b6534bf8d357dd7531bac7bf1081bc4f084d38127183",
}


@pytest.mark.parametrize(("shape", "sha256"), PUBLISHED_SPLITS.items())
def test_standard_splits_are_the_published_files_byte_for_byte(shape, sha256):
    rows, features = shape
    files = {"index_features.txt": range(features), "index_target.txt": [features]}
    for k, (train, test) in enumerate(standard_splits(rows)):
        files |= {f"index_train_{k}.txt": train, f"index_test_{k}.txt": test}
    content = b"".join(b"%d\n" % row for name in sorted(files) for row in files[name])
    assert hashlib.sha256(content).hexdigest() == sha256


def test_standard_splits_leave_numpys_random_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not change
    standard_splits(10)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(InputError) as caught:
        uci("concret")
    assert str(caught.value).endswith("power, wine, found 'concret'; did you mean 'concrete'?")


def test_importing_fetches_nothing_and_needs_no_torch():
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise SystemExit('the network was touched')\n"
        "socket.socket.connect = refuse\n"
        "import counterpoint.datasets\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@real_files
def test_real_mnist():
    digits = mnist()
    assert digits.train_images.shape == (60000, 28, 28)
    assert np.bincount(digits.test_labels).tolist()[:3] == [980, 1135, 1032]
    assert digits.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


@real_files
def test_real_cifar():
    images, labels = cifar10()
    assert images.shape == (4000, 32, 32, 3)
    assert [CIFAR10_CLASSES[label] for label in labels[:2]] == ["frog", "truck"]


@real_files
def test_real_adult():
    train, test = adult()
    assert (len(train), len(test)) == (32561, 16281)
    assert [(part["income"] == ">50K").sum() for part in (train, test)] == [7841, 3846]
    counts = train[["workclass", "occupation", "native-country"]].isna().sum()
    assert counts.tolist() == [1836, 1843, 583]


@real_files
def test_real_movielens():
    ratings, movies = movielens()
    assert (len(ratings), len(movies)) == (100836, 9742)
    assert (ratings["userId"].nunique(), ratings["movieId"].nunique()) == (610, 9724)
    assert (ratings["rating"].min(), ratings["rating"].max()) == (0.5, 5.0)


@real_files
@pytest.mark.parametrize("name", UCI_NAMES)
def test_real_uci(name):
    table = uci(name)
    rows, features = table.features.shape
    assert (rows, features) in PUBLISHED_SPLITS
    assert (len(table.standard), len(table.gap)) == (20, features)
    for train, test in table.standard + table.gap:
        assert sorted([*train, *test]) == list(range(rows))
    for k, (train, test) in enumerate(table.gap):
        inside, outside = table.features[test, k], table.features[train, k]
        assert not ((outside > inside.min()) & (outside < inside.max())).any()
