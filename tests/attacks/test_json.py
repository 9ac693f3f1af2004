"""JSON that was made to make a reader fail."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.storage import from_json, read_folder, write_folder, written_files
from counterpoint.table import TableModel

HOSTILE = {
    "not a number": (b'{"a": NaN}', "NaN is no number"),
    "infinite": (b"[Infinity, 1]", "Infinity is no number"),
    "minus infinite": (b'{"a": {"b": -Infinity}}', "-Infinity is no number"),
    "beyond float64": (b"[1e999]", "beyond float64"),
    "a long whole number": (b"[" + b"9" * 400 + b"]", "400 digits"),
    "a very long one": (b"[" + b"9" * 5000 + b"]", "5,000 digits"),
    "deep lists": (b"[" * 100_000, "nested too deep"),
    "deep objects": (b'{"a":' * 100_000, "nested too deep"),
    "half a character": (b'{"a": "\\ud800"}', "half of a character"),
    "half a character as a key": (b'[{"\\udfff": 1}]', "half of a character"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' comes twice"),
    "another encoding": ('{"a": 1}'.encode("utf-16"), "not readable as JSON"),
    "a byte-order mark": (b'\xef\xbb\xbf{"a": 1}', "not readable as JSON"),
    "zeros": (bytes(100), "not readable as JSON"),
    "nothing": (b"", "not readable as JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_in_one_line(name):
    content, sentence = HOSTILE[name]
    with pytest.raises(InputError, match=sentence) as refused:
        from_json(content, "a.json")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_is_written_is_read(value, ascii_only):
    # as our writer writes it, and with every character escaped (pairs of surrogates)
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert from_json(text.encode(), "a.json") == value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_manifest_of_it_is_refused_and_lists_nothing(name, tmp_path):
    write_folder(tmp_path / "a", kind="demo", schema=1, documents={"x": 1})
    (tmp_path / "a" / "manifest.json").write_bytes(HOSTILE[name][0])
    with pytest.raises(InputError):
        read_folder(tmp_path / "a", kind="demo", schema=1)
    assert written_files(tmp_path / "a") == set()


@pytest.mark.parametrize("extra", ["Infinity", "NaN", '"\\ud800"'])
def test_a_manifest_with_one_such_value_more_is_refused(extra, tmp_path):
    write_folder(tmp_path / "a", kind="demo", schema=1, documents={"x": 1})
    file = tmp_path / "a" / "manifest.json"
    file.write_text(file.read_text().replace('"schema": 1', f'"schema": 1, "x": {extra}'))
    with pytest.raises(InputError, match="not readable as JSON"):
        read_folder(tmp_path / "a", kind="demo", schema=1)


@pytest.mark.parametrize("document", ["columns", "recipe", "history", "tallies", "evaluation"])
@pytest.mark.parametrize("name", ["infinite", "a very long one", "deep lists", "half a character"])
def test_documents_of_a_model_with_right_hashes_are_refused(document, name, model, reseal):
    (model / f"{document}.json").write_bytes(HOSTILE[name][0])
    reseal()
    with pytest.raises(InputError, match=f"{document}.json"):
        TableModel.load(model)


def test_a_number_that_no_float_holds_is_refused(model, reseal):
    file = model / "columns.json"
    text = file.read_text()
    start = text.index('"mean": ') + len('"mean": ')
    end = text.index(",", start)
    file.write_text(text[:start] + "1" + "0" * 300 + text[end:])
    reseal()
    huge = TableModel.load  # 10^300 is a float64, and is read as one
    assert huge(model).schema is not None
    file.write_text(text[:start] + "1" + "0" * 400 + text[end:])
    reseal()
    with pytest.raises(InputError, match="401 digits"):
        TableModel.load(model)
