"""A fitted model folder, and a hand that makes its manifest right whatever was changed in it."""

import hashlib
import json
import shutil

import pytest

from tables import mixed, quick


@pytest.fixture(scope="session")
def fitted():
    from counterpoint.table import fit_table

    told = {"weight": "weight", "ignore": ("junk",), "keep_sample": 60}
    return fit_table(mixed(), quick(target=("price", "kind"), **told))


@pytest.fixture(scope="session")
def saved(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    fitted.save(path)
    return path


@pytest.fixture
def model(saved, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(saved, tmp_path / "m")


def text_of(value):
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


@pytest.fixture
def reseal(model):
    """Give the folder a manifest that agrees with what is in it: what an attacker would do."""

    def seal(**extra):
        path = model / "manifest.json"
        manifest = json.loads(path.read_bytes())
        manifest.pop("sha256")
        contents = {f.name: f.read_bytes() for f in model.iterdir() if f.name != path.name}
        manifest["files"] = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(contents.items())
        }
        manifest |= extra
        digest = hashlib.sha256(text_of(manifest)).hexdigest()
        path.write_bytes(text_of({**manifest, "sha256": digest}))

    return seal
