"""`counterpoint merge`: the command says what it does, does it, and refuses in one line."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterpoint.cli import main
from tables import mixed


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["merge", *map(str, arguments)])
    return ended.value.code


@pytest.fixture
def files(tmp_path):
    for place in range(3):
        state = {f"blocks.{block}.weight": torch.full((2, 3), float(place)) for block in range(11)}
        save_file(
            state | {"head.bias": torch.full((4,), float(place))}, tmp_path / f"{place}.safetensors"
        )
    return [tmp_path / f"{place}.safetensors" for place in range(3)]


def test_two_files_layer_by_layer(files, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    options = ["--lambda", 0.3, "--ramp", "blocks[*]=0..1", "--set", "blocks.5=0.25"]
    assert run(*files[:2], "-o", out, *options) == 0
    assert "12 tensors" in capsys.readouterr().out
    found = load_file(out)
    assert found["head.bias"][0] == pytest.approx(0.3)
    shares = [float(found[f"blocks.{block}.weight"][0, 0]) for block in range(11)]
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.25, 0.6, 0.7, 0.8, 0.9, 1.0])


def test_three_files_and_first(files, tmp_path):
    assert run(*files, "-o", tmp_path / "o.safetensors", "--weights", "0.2,0.3,0.5") == 0
    assert load_file(tmp_path / "o.safetensors")["head.bias"][0] == pytest.approx(1.3)
    assert run(*files[:2], "-o", tmp_path / "p.safetensors", "--first", 0.25) == 0
    assert load_file(tmp_path / "p.safetensors")["head.bias"][0] == pytest.approx(0.75)
    assert run(*files, "-o", tmp_path / "q.safetensors", "--last", 2, "--schedule", "linear") == 0
    assert load_file(tmp_path / "q.safetensors")["head.bias"][0] == pytest.approx(5 / 3)


def test_a_method_with_its_settings(files, tmp_path):
    options = ["--method", "ties", "--base", files[0], "--option", "density=1.0"]
    assert run(*files[1:], "-o", tmp_path / "o.safetensors", *options) == 0
    # 1 and 2 away from the base, of one sign: their mean
    assert load_file(tmp_path / "o.safetensors")["head.bias"][0] == pytest.approx(1.5)


def test_json(files, tmp_path, capsys):
    out = tmp_path / "o.safetensors"
    assert run(*files[:2], "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tensors"] == 12
    for action in (["inspect", out], ["diff", files[0], out], ["verify", out]):
        assert run(*action, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found.get("holds", True)
        assert len(found.get("layers", range(12))) == 12
    assert run(*files[:2], "--dry-run", "--json", "--set", "blocks[4:]=0.1", "--lambda", 0.2) == 0
    found = json.loads(capsys.readouterr().out)
    assert [rule["decided"] for rule in found["rules"]] == [5, 7]


def test_verify_says_what_is_wrong(files, tmp_path, capsys):
    out = tmp_path / "o.safetensors"
    run(*files[:2], "-o", out)
    content = bytearray(out.read_bytes())
    content[-1] ^= 1
    out.write_bytes(content)
    capsys.readouterr()
    assert run("verify", out) == 1
    assert "DAMAGED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "say where the result goes"),
        (["-o", "{0}"], "is an input of this merge"),
        (["-o", "o", "--lambda", 0.1, "--first", 0.2], "give one of --lambda"),
        (["-o", "o", "--set", "head"], "expected NAMES=VALUE"),
        (["-o", "o", "--lambda", 0.1, "--set", "haed=0.2"], "did you mean 'head'?"),
        (["-o", "o", "--method", "tise"], "did you mean 'ties'?"),
        (["-o", "o", "--schedule", "unifrom"], "did you mean 'uniform'?"),
        (["-o", "o", "--last", 9], "3 files are given"),
        (["-o", "o", "--dytpe", "bfloat16"], "did you mean '--dtype'?"),
    ],
)
def test_bad_arguments_are_one_line_and_nothing_is_written(
    files, tmp_path, capsys, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    inputs = files if "--last" in options or "--schedule" in options else files[:2]
    assert run(*inputs, *(str(option).format(*files) for option in options)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_actions_take_no_options_of_others(files, capsys):
    assert run("inspect", files[0], "--lambda", 0.3) == 2
    assert "takes no --lambda" in capsys.readouterr().err
    assert run("diff", files[0]) == 2
    assert "expected 2 paths, found 1" in capsys.readouterr().err


def test_looking_does_not_import_torch(files):
    script = (
        "import sys; from counterpoint.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: sys.exit(9 if 'torch' in sys.modules else end.code)"
    )
    for arguments in (["inspect", files[0]], [*files[:2], "--lambda", "0.3", "--dry-run"]):
        command = [sys.executable, "-c", script, "merge", *map(str, arguments)]
        assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Two networks that learnt one task each from its own start, and rows of it."""
    monkeypatch.chdir(tmp_path)
    source = "from torch import nn\ndef make():\n"
    layers = "nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2)"
    (tmp_path / "ring.py").write_text(f"{source}    return nn.Sequential({layers})\n")
    generator = torch.Generator().manual_seed(0)
    for name in ("tuning", "judging"):
        x = torch.randn(300, 2, generator=generator)
        save_file({"x": x, "y": (x.square().sum(1) > 1.4).long()}, tmp_path / f"{name}.safetensors")
    rows = load_file("tuning.safetensors")
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = torch.nn.Sequential(
                torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
            )
        optimizer = torch.optim.Adam(net.parameters(), 0.03)
        for _ in range(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(rows["x"]), rows["y"]).backward()
            optimizer.step()
        torch.save(net.state_dict(), tmp_path / f"{seed}.pt")
    return [tmp_path / "0.pt", tmp_path / "1.pt"]


def test_the_path_between_two_models(trained, capsys):
    options = ["--model", "ring:make", "--data", "tuning.safetensors"]
    assert run("path", *trained, *options, "--json", "-o", "path.svg") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["lambdas"]) == 25
    assert found["barrier"]["aligned"] < found["barrier"]["naive"]
    assert run("path", *trained, *options) == 0
    assert "barrier, aligned" in capsys.readouterr().out
    for words, wrong in {
        "needs --model": ["--data", "tuning.safetensors"],
        "cannot be imported": ["--model", "rong:make", "--data", "tuning.safetensors"],
        "expected tensors x and y": ["--model", "ring:make", "--data", "0.pt"],
        "did you mean 'categorical'": [*options, "--likelihood", "categoric"],
    }.items():
        assert run("path", *trained, *wrong) == 2
        assert words in capsys.readouterr().err


def test_a_search_is_judged_by_other_rows(trained, capsys):
    options = ["--model", "ring:make", "--data", "tuning.safetensors", "-o", "o.safetensors"]
    assert run("search", *trained, *options) == 2
    assert "give rows to judge by" in capsys.readouterr().err
    assert run("search", *trained, *options, "--report", "judging.safetensors", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tuning"][1] < found["tuning"][0]
    assert sorted(found["weights"]) == ["0", "2"]
    assert run("verify", "o.safetensors") == 0


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code


QUICK = ["--training.epochs", "3", "--network.members", "1", "--network.width", "16"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model, and what two sites made of it; and one that a site fitted for itself."""
    folder = tmp_path_factory.mktemp("sites")
    for seed, name in enumerate(["old", "a", "b"]):
        mixed(120, seed).to_csv(folder / f"{name}.csv", index=False)
    fit = ["--target", "price", "--target", "kind", *QUICK]
    command("fit", folder / "old.csv", *fit, "--out", folder / "old")
    command("fit", folder / "b.csv", *fit, "--out", folder / "own")
    for name in "ab":
        command("update", folder / "old", folder / f"{name}.csv", "--out", folder / name)
    return folder


@pytest.mark.slow
def test_model_folders_of_two_sites(models, tmp_path, capsys):
    inputs = [models / "a", models / "b"]
    assert run(*inputs, "--base", models / "old", "-o", tmp_path / "c", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exact"]
    assert sorted(found["rows"].values()) == [216, 216]
    for verb in (["predict", tmp_path / "c", models / "a.csv"], ["report", tmp_path / "c"]):
        assert command(*verb) == 0
    assert run(models / "a", models / "own", "-o", tmp_path / "d") == 0
    assert "as a mixture" in capsys.readouterr().err
    assert command("predict", tmp_path / "d", models / "a.csv", "--out", tmp_path / "p.csv") == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 121
    assert command("report", tmp_path / "d") == 0
    assert "What each site brought" in (tmp_path / "d" / "report.html").read_text()
    capsys.readouterr()
    assert command("update", tmp_path / "d", models / "a.csv") == 2
    said = capsys.readouterr().err
    assert "update the sites' own models, and merge them again" in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_model_folders_that_are_refused(models, files, tmp_path, capsys):
    for words, arguments in {
        "give the model from which both went on as --base": [models / "a", models / "b", "-o", "c"],
        "no --lambda": [models / "a", models / "b", "-o", "c", "--lambda", "0.5"],
        "not all inputs are such": [models / "a", files[0], "-o", "c"],
        "is an input of this merge": [models / "a", models / "b", "-o", models / "b"],
        "say where the result goes": [models / "a", models / "b"],
    }.items():
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not list(tmp_path.glob("c*"))
