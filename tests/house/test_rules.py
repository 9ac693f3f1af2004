"""The checks themselves, on made-up trees: what keeps a rule passes, what breaks it is named."""

import pytest

from house import imports, rules, words


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
        "from counterpoint.train._fit import fit",
        "import counterpoint.train",
        "import counterpoint.train._fit as f",
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
        "errors.py:1: errors (floor -2) imports storage (floor 0)"
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
        "from counterpoint import __version__\nfrom counterpoint.goals._checks import check\n"
        "from ..parameters import named\nimport counterpointless.train",
        goals__in__checks="",
        parameters__in____init__="",
        errors="",
    )
    assert rules.imports_upwards(package) == []


@pytest.mark.parametrize(
    "line",
    [
        "from counterpoint.goals.b import f",
        "from counterpoint.goals import b",
        "from .b import f",
        "from . import b",
        "def f():\n    import counterpoint.goals.b",
        "if TYPE_CHECKING:\n    from .b import f",
    ],
)
def test_a_circle_is_found_however_it_is_written(tree, line):
    package = tree(goals__in____init__="", goals__in__a=line, goals__in__b="from .c import g")
    assert imports.circles(package, {}) == []
    (package / "goals" / "c.py").write_text("from counterpoint.goals.a import f")
    assert imports.circles(package, {}) == ["goals/a.py -> goals/b.py -> goals/c.py -> goals/a.py"]


def test_a_circle_through_the_face_or_a_folder_of_the_room_is_found(tree):
    package = tree(
        goals__in____init__="from counterpoint.goals.a import f\n__all__ = ['a', 'f']",
        goals__in__a="from counterpoint.goals import f",
        goals__in__d="from counterpoint.goals.rules import x",
        goals__in__rules__in____init__="from .x import x\n__all__ = ['x']",
        goals__in__rules__in__x="from ..d import y",
        train__in____init__="from .a import x",
        train__in__a="from counterpoint.goals import f\nimport counterpoint.goals.d",
    )
    assert imports.circles(package, {}) == [
        "goals/__init__.py -> goals/a.py -> goals/__init__.py",
        "goals/d.py -> goals/rules/__init__.py -> goals/rules/x.py -> goals/d.py",
    ]


def test_a_circle_may_be_exempt_while_there_is_one(tree):
    package = tree(goals__in__a="from .b import f", goals__in__b="from .a import f")
    exempt = {("goals/a.py", "goals/b.py"): "a reason"}
    assert imports.circles(package, exempt) == []
    (package / "goals" / "b.py").write_text("")
    assert imports.circles(package, exempt) == [
        "goals/a.py -> goals/b.py: exempt, and no longer in a circle"
    ]


INSIDE_GOALS = {
    "goals__in____init__": "from counterpoint.goals import words\nfrom .fisher import fisher\n"
    "__all__ = ['fisher', 'words']",
    "goals__in__fisher": "from .words import x",
    "goals__in___hidden": "from counterpoint.goals.fisher import fisher",
    "goals__in__words": "",
    "goals__in__rules__in____init__": "from .mgda import MGDA",
    "goals__in__rules__in__mgda": "",
    "errors": "",
}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from counterpoint.goals.fisher import fisher", "goals.fisher"),
        ("import counterpoint.goals.fisher as f", "goals.fisher"),
        ("from ..goals.fisher import fisher", "goals.fisher"),
        ("from counterpoint.goals._hidden import x", "goals._hidden"),
        ("from counterpoint.goals import _hidden", "goals._hidden"),
        ("from counterpoint.goals import _name", "goals._name"),
        ("from counterpoint.goals.rules.mgda import MGDA", "goals.rules.mgda"),
        ("def f():\n    from counterpoint.goals.fisher import fisher", "goals.fisher"),
    ],
)
def test_an_import_below_a_face_is_found(tree, line, found):
    package = tree(**INSIDE_GOALS, train__in__a=line)
    number = line.count("\n") + 1
    assert imports.below_faces(package, exempt=()) == [f"train/a.py:{number}: {found}"]
    plain = found.replace("._", ".")
    assert imports.below_faces(package, exempt=[f"train -> {plain}"]) == []


def test_imports_of_faces_are_fine(tree, tmp_path):
    package = tree(
        **INSIDE_GOALS,
        train__in__a="import counterpoint.goals\nfrom counterpoint import goals, __version__\n"
        "from counterpoint.goals import fisher, words\nfrom counterpoint.goals.words import x\n"
        "from counterpoint.goals.rules import MGDA\nfrom counterpoint.errors import InputError\n"
        "from .b import y\nfrom counterpoint.train._c import z",
    )
    assert imports.below_faces(package, exempt=()) == []
    assert imports.below_faces(package, exempt=["train -> goals.fisher"]) == [
        "train -> goals.fisher: exempt, and no longer imported"
    ]
    examples = tmp_path / "examples"
    examples.mkdir()
    (examples / "a.py").write_text("from counterpoint.goals.fisher import fisher\nimport torch")
    assert imports.below_faces(package, examples, exempt=()) == ["examples/a.py:1: goals.fisher"]


def test_a_type_with_several_homes_is_found(tree):
    package = tree(
        goals__in__a="class Step: ...\nRows: TypeAlias = int\nclass _Own: ...\nN = 3",
        train__in__a="class Step: ...\nclass _Own: ...\ndef rows(): ...\nN = 3",
        train__in__b="Rows: typing.TypeAlias = str\nfrom .a import Step",
    )
    assert words.several_homes(package, []) == [
        "Rows: goals/a.py, train/b.py",
        "Step: goals/a.py, train/a.py",
    ]
    assert words.several_homes(package, ["Rows", "Step", "Unit"]) == [
        "Unit: known, and has one home by now"
    ]


def test_comments_and_code_are_counted():
    text = '''"""Documents,
# and no comment."""
import a  # noqa: F401

# a reason
# that goes on
x = """
# text
"""  # a reason at the end
def f():
    """Documents."""
    return x
'''
    assert words.comments_and_code(text) == (3, 6)


def test_too_few_comments_are_found_with_the_barest_room_first(tree):
    package = tree(goals__in__a="# a\nx = 1\n", train__in__a="x = 1\n" * 3)
    assert words.too_few_comments(package, 0.25) == []
    assert words.too_few_comments(package, 0.3) == [
        "in all: 1 of 4, 25.00%",
        "__init__.py: 0.00%",
        "train: 0.00%",
        "goals: 100.00%",
    ]


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
        goals__in__d='"""D."""\nONLY_HERE = 1\nSAID = 2\ndef f(): ...\ndef _g(): ...',
        goals__in__rules__in____init__='"""Rules."""\nfrom .e import f',
        goals__in__data__in____init__='"""Nothing but files."""',
    )
    assert rules.undocumented(package) == [
        "goals/a.py: constant BARE has no string below it",
        "goals/a.py: method Thing.bare has no docstring",
        "goals/a.py: method Thing.bare_property has no docstring",
        "goals/a.py: function bare has no docstring",
        "goals/b.py: the module has no docstring",
        "goals/b.py: function f has no docstring",
        "goals/d.py: constant SAID has no string below it",
        "goals/d.py: function f has no docstring",
        "goals/rules/__init__.py: no __all__",
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


def test_asking_which_structure_it_is_is_found(tree):
    line = "ok = isinstance(p, Diagonal | Dense) or isinstance(p, str)"
    package = tree(goals__in__a=line, gaussian__in__b=line)
    assert rules.told_apart(package) == ["goals/a.py:1: isinstance(p, Diagonal | Dense)"]
    asked = rules.told_apart(package, "goals", {"Dense"})
    assert asked == ["gaussian/b.py:1: isinstance(p, Diagonal | Dense)"]


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
