"""What a file is made of: pickles without pickle, sums of sums."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.checkpoints._crc import joined_sum
from counterpoint.checkpoints._opcodes import described
from counterpoint.checkpoints._pickled import pickled

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_pickled_is_what_is_described(value):
    assert repr(described(pickled(value), "test")) == repr(value)


def test_what_has_no_pickle():
    with pytest.raises(TypeError, match="no pickle for set"):
        pickled({1, 2})


@given(st.lists(st.binary(max_size=300)))
def test_the_sum_of_a_whole_is_that_of_its_parts(parts):
    sums = [(zlib.crc32(part), len(part)) for part in parts]
    assert joined_sum(sums) == zlib.crc32(b"".join(parts))
