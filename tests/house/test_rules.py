"""The checks themselves, on made-up trees: what keeps a rule passes, what breaks it is named."""

import pytest

from house import rules


@pytest.fixture
def tree(tmp_path):
    """Write files below a made-up package and give its folder."""

    def write(**files):
        package = tmp_path / "counterpoint"
        for name, text in {"__init__": "", **files}.items():
            path = package / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return package

    return write


@pytest.mark.parametrize(
    "line",
    [
        "from counterpoint.train import fit",
        "from counterpoint.train.fit import fit",
        "import counterpoint.train",
        "import counterpoint.train.fit as f",
        "from counterpoint import train",
        "from ..train import fit",
        "from .. import train",
        "def f():\n    from counterpoint.train import fit",
        "if TYPE_CHECKING:\n    import counterpoint.train",
    ],
)
def test_an_import_from_above_is_found_however_it_is_written(tree, line):
    package = tree(goals__in__gaussian=line, train__in____init__="")
    number = line.count("\n") + 1
    assert rules.imports_upwards(package) == [
        f"goals/gaussian.py:{number}: goals (floor 2) imports train (floor 4)"
    ]


def test_an_import_from_the_same_floor_is_found(tree):
    package = tree(storage__in__a="import counterpoint.parameters", parameters__in____init__="")
    assert rules.imports_upwards(package) == [
        "storage/a.py:1: storage (floor 0) imports parameters (floor 0)"
    ]


def test_the_ground_may_not_look_up(tree):
    package = tree(errors="from counterpoint.storage import Lock", storage__in____init__="")
    assert rules.imports_upwards(package) == [
        "errors.py:1: errors (floor -1) imports storage (floor 0)"
    ]


def test_a_room_without_a_floor_is_found(tree):
    assert rules.imports_upwards(tree(attic__in____init__="")) == [
        "attic/__init__.py: room 'attic' has no floor"
    ]


def test_imports_downwards_within_a_room_and_of_others_are_fine(tree):
    package = tree(
        __init__="from counterpoint.cli import main",
        cli__in____init__="",
        goals__in____init__="from .gaussian import Gaussian\nfrom . import gaussian",
        goals__in__gaussian="import torch\nfrom counterpoint.errors import InputError\n"
        "from counterpoint import __version__\nfrom counterpoint.goals.checks import check\n"
        "from ..parameters import named\nimport counterpointless.train",
        goals__in__checks="",
        parameters__in____init__="",
        errors="",
    )
    assert rules.imports_upwards(package) == []


UNDOCUMENTED = '''
"""A module."""
__all__ = ["BARE", "SAID", "Thing", "bare", "elsewhere", "said"]
BARE = 1
SAID: int = 2
"""Said below."""
def bare(): ...
def said():
    """Says."""
def hidden(): ...
class Thing:
    """A thing."""
    def bare(self): ...
    def said(self):
        """Says."""
    def _private(self): ...
    def __len__(self): ...
    @property
    def bare_property(self): ...
    @bare_property.setter
    def bare_property(self, value): ...
'''


def test_public_names_without_a_docstring_are_found(tree):
    package = tree(
        __init__='"""Top."""',
        goals__in____init__='"""Goals."""\nfrom .a import *\n__all__ = ["BARE", "SAID"]',
        goals__in__a=UNDOCUMENTED,
        goals__in__b="def f(): ...",
        goals__in__c='"""C."""\n__all__ = ["ONLY_HERE"]\nONLY_HERE = 1',
    )
    assert rules.undocumented(package) == [
        "goals/a.py: constant BARE has no string below it",
        "goals/a.py: method Thing.bare has no docstring",
        "goals/a.py: method Thing.bare_property has no docstring",
        "goals/a.py: function bare has no docstring",
        "goals/b.py: the module has no docstring",
        "goals/b.py: no __all__",
    ]


def test_a_room_without_an_essay_is_found(tree):
    essay = '"""One.\n\nTwo.\nThree.\nFour.\n\n>>> 1\n1\n"""\n__all__ = []'
    package = tree(goals__in____init__=essay, train__in____init__='"""Short."""')
    assert rules.without_essay(package) == [
        "train: the essay has no example (>>>)",
        "train: the essay has 1 lines; say what goes in and out",
        "train: no __all__",
    ]


def test_a_long_file_is_found(tree):
    package = tree(a="x = 1\n" * rules.LONGEST_FILE, b="x = 1\n" * (rules.LONGEST_FILE + 1))
    assert rules.too_long(package) == [f"{package}/b.py: {rules.LONGEST_FILE + 1} lines"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("print(1)", "print()"),
        ("eval('1')", "eval()"),
        ("assert x", "assert"),
        ("import pickle", "import of pickle"),
        ("from pickle import loads", "import of pickle"),
        ("import joblib.hashing", "import of joblib.hashing"),
        ("torch.load(f)", "torch.load without weights_only=True"),
        ("torch.load(f, weights_only=False)", "torch.load without weights_only=True"),
        ("np.load(f, allow_pickle=True)", "allow_pickle=True"),
        ("# TO" "DO later", "# TO" "DO later"),
        ("x = 1  # FIX" "ME", "# FIX" "ME"),
    ],
)  # fmt: skip
def test_what_does_not_belong_in_the_source_is_found(tree, line, what):
    assert rules.unfinished_or_unsafe(tree(a=line)) == [f"a.py:1: {what}"]


@pytest.mark.parametrize(
    "caught", ["", " Exception", " BaseException as e", " (OSError, Exception)"]
)
def test_a_blanket_except_is_found(tree, caught):
    package = tree(a=f"try:\n    f()\nexcept{caught}:\n    pass")
    assert rules.unfinished_or_unsafe(package) == ["a.py:3: blanket except"]


def test_sound_source_passes(tree):
    package = tree(
        a="import json\ntry:\n    json.loads(s)\nexcept (OSError, ValueError):\n    pass\n"
        "except BaseException:\n    tidy()\n    raise\n"
        "torch.load(f, weights_only=True)\nreport.print(1)  # prints\ntext = 'to do'"
    )
    assert rules.unfinished_or_unsafe(package) == []


@pytest.mark.parametrize(
    "line",
    [
        "cd /ro" "ot/x",
        "see /wo" "rk/y",
        "open('/ho" "me/ann/a.csv')",
        "https://py" "pi.org/simple",
        "files.python" "hosted.org",
    ],
)  # fmt: skip
def test_foreign_names_are_found(tmp_path, line):
    path = tmp_path / "a.md"
    path.write_text(f"fine: ~/.cache, framework/x, ../shared, https://example.org/home/x\n{line}\n")
    (found,) = rules.foreign_names(path)
    assert found.startswith(f"{path}:2: ")


def test_a_file_that_is_not_text_is_left_alone(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe\x00/root/x")
    assert rules.foreign_names(tmp_path / "a.bin") == []
