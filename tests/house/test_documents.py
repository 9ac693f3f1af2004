"""Every block of code in the documentation runs, and every script in ``examples/``."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^(`{3,})(\{doctest\}|python)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def read(path):
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def blocks(page):
    """The page's Python blocks: where they begin, and their text."""
    text = read(page)
    return [(text.count("\n", 0, match.start(3)), match[3]) for match in BLOCK.finditer(text)]


def page_name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    parser, runner = (
        doctest.DocTestParser(),
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE),
    )
    for line, text in blocks(page):
        if ">>>" in text:
            test = parser.get_doctest(text, names, page_name(page), str(page), line)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
        else:
            exec(compile("\n" * line + text, str(page), "exec"), names)
    assert runner.summarize(verbose=False).failed == 0


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n```python\nx = 1\n```\n```console\n$ ls\n```\n```{doctest}\n>>> x\n1\n```\n"
    )
    assert blocks(page) == [(2, "x = 1\n"), (8, ">>> x\n1\n")]


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=page_name)
def test_an_example_runs(script, tmp_path):
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


COMMAND = re.compile(r"^\$ counterpoint (\w+)(.*)$", re.MULTILINE)


@pytest.mark.parametrize("verb", sorted({v for p in PAGES for v, _ in COMMAND.findall(read(p))}))
def test_the_options_of_a_command_exist(verb):
    done = subprocess.run(
        [sys.executable, "-m", "counterpoint", verb, "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in PAGES:
        for found, rest in COMMAND.findall(read(page)):
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]*(?![\w.-])", rest):
                assert found != verb or option in done.stdout, f"{page_name(page)}: {option}"


TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_pages_name_exists():
    named = {name for page in PAGES for name in TEST.findall(read(page))}
    assert named
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not re.search(rf"^(    )?def {name}\(", read(ROOT / path), re.MULTILINE)
    ]
    assert not missing, missing
