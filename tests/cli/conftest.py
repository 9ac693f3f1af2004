"""The command, run in this process, and one model for all."""

import pytest

from counterpoint.cli import main
from tables import mixed

QUICK = ["--training.epochs", "4", "--network.members", "1", "--network.width", "16"]


@pytest.fixture
def table(tmp_path):
    mixed().to_csv(tmp_path / "houses.csv", index=False)
    return tmp_path / "houses.csv"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    mixed().to_csv(folder / "houses.csv", index=False)
    status, *_ = run_quietly(["fit", folder / "houses.csv", "--target", "price", "--target", "kind",
                              "--out", folder / "m", *QUICK])  # fmt: skip
    assert status == 0
    return folder / "m"


def run_quietly(arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return (stop.value.code or 0,)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call
