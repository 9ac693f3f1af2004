"""The rules of the house, held on this tree."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from counterpoint.findings import MODEL_KIND, MODEL_SCHEMA
from counterpoint.storage import write_folder
from house import imports, rules, words

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / rules.PACKAGE
FOLDERS = [ROOT / name for name in ("src", "tests", "examples", "benchmarks", "docs", ".ci")]
GENERATED = {"__pycache__", "_build", "node_modules"}


def listing(found):
    return "\n" + "\n".join(found)


def test_rooms_import_only_from_lower_floors():
    found = rules.imports_upwards(PACKAGE)
    assert not found, listing(found)


def test_no_circle_between_the_files_of_a_room():
    found = imports.circles(PACKAGE)
    assert not found, listing(found)


def test_rooms_examples_and_benchmarks_import_faces():
    found = imports.below_faces(PACKAGE, ROOT / "examples", ROOT / "benchmarks")
    assert not found, listing(found)


def test_a_type_has_one_home():
    found = words.several_homes(PACKAGE)
    assert not found, listing(found)


def test_a_structure_answers_for_itself():
    found = rules.told_apart(PACKAGE)
    assert not found, listing(found)


def test_a_likelihood_answers_for_itself():
    found = rules.told_apart(PACKAGE, "goals", rules.LIKELIHOODS)
    assert not found, listing(found)


def test_delicate_lines_have_their_reasons():
    found = words.too_few_comments(PACKAGE)
    assert not found, listing(found)


def test_public_names_are_documented():
    found = rules.undocumented(PACKAGE)
    assert not found, listing(found)


def test_rooms_have_essays_with_an_example():
    found = rules.without_essay(PACKAGE)
    assert not found, listing(found)


def test_files_are_short():
    found = rules.too_long(*FOLDERS)
    assert not found, listing(found)


def test_the_source_is_finished_and_safe():
    found = rules.unfinished_or_unsafe(PACKAGE)
    assert not found, listing(found)


def test_nothing_names_a_machine_or_a_registry():
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    files += [
        path
        for folder in FOLDERS
        for path in folder.rglob("*")
        if path.is_file() and not GENERATED & set(path.parts)
    ]
    found = rules.foreign_names(*files)
    assert not found, listing(found)


def imported_by(code):
    """The heavy packages that a fresh interpreter has imported once it has run the code."""
    ending = (
        "except SystemExit as end:\n    code = end.code or 0\n"
        "else:\n    code = 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'sklearn', 'scipy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else code)\n"
    )
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    program = f"import sys\ntry:\n{lines}{ending}"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def command(*arguments):
    """Code that runs the command."""
    return f"from counterpoint.cli import main\nmain({[str(word) for word in arguments]!r})"


@pytest.mark.parametrize(
    "room", ["", ".cli", ".findings", ".merge", ".recipe", ".report", ".storage"]
)
def test_torch_is_not_imported_with_a_room_that_needs_none(room):
    done = imported_by(f"import counterpoint{room}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_torch_is_not_imported_to_answer(argument):
    done = imported_by(command(argument))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_torch_is_not_imported_to_draw_a_report(tmp_path):
    document = json.loads((ROOT / "tests" / "findings" / "evaluation.json").read_text("utf-8"))
    write_folder(
        tmp_path / "m", kind=MODEL_KIND, schema=MODEL_SCHEMA, documents={"evaluation": document}
    )
    done = imported_by(command("report", tmp_path / "m"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "m" / "report.html").read_text("utf-8")
    assert page.count("<svg") > 5
    done = imported_by(command("report", tmp_path / "m", "--json"))
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    # coverage by groups and verdicts came later than the document, and are read as none
    assert [target.pop("groups") for target in shown["targets"]] == [[], []]
    assert [target.pop("verdict") for target in shown["targets"]] == [None, None]
    # and so did what moved, as its column writes it
    shifts = [shift for update in shown["updates"] for shift in update["shifts"]]
    assert {shift.pop(text) for shift in shifts for text in ("before_text", "after_text")} == {""}
    assert shown.pop("sites") == []
    assert shown == document
