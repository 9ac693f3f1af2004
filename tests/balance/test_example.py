"""``examples/compress.py`` on small digits: what is coded comes back, and bounds are kept."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("compress_example", FOLDER / "compress.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name == spec.name or name.startswith("codec")]:
        del sys.modules[name]
    sys.path.remove(str(FOLDER))


@pytest.fixture
def digits(example, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_DATA", str(tmp_path))
    (found,) = example.data(full=False)
    assert found.name == "digits"
    return found


@pytest.fixture
def codec(example, digits):
    torch.manual_seed(0)
    made = example.Codec(digits.train, digits.shape)
    with torch.no_grad():  # guesses that differ from number to number
        for weight in made.expects.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    return made


def test_what_is_coded_comes_back_by_itself_and_among_others(example, digits, codec):
    scribe, images = example.Scribe(codec, 1.7), digits.test[:20]
    numbers, streams = scribe.rounded(images), scribe.encode(images)
    assert numbers.abs().max() > 1
    assert torch.equal(scribe.decode(streams), numbers)
    assert torch.equal(scribe.decode(streams[3:4]), numbers[3:4])
    spent = torch.tensor([float(len(stream)) for stream in streams]) - scribe.ideal(numbers)
    # a stream ends with a word of 4 bytes, and no probability is below one in 2^24
    assert spent.min() > -0.1
    assert spent.max() < 8


def test_a_latent_begins_with_the_moments_that_are_asked_for(example, digits):
    latent = example.Codec(digits.train, digits.shape).latent(digits.train).detach()
    assert max(example.off_by(latent).values()) < 1e-4
    assert example.off_by(2 * latent + 1)["mean"] == pytest.approx(1, rel=1e-3)
    assert example.off_by(2 * latent)["variance"] == pytest.approx(3, rel=1e-3)


def test_all_components_rebuild_the_image(example, digits):
    codec = example.Codec(digits.train, digits.shape)
    back = codec.images(codec.latent(digits.test)).detach()
    assert (back - digits.test).abs().max() < 1e-4


def test_the_bits_of_a_number_are_those_of_its_mass(example):
    network = sys.modules["codec.network"]
    middle, width = torch.tensor(0.3).double(), torch.tensor(1.7).double()
    numbers = torch.arange(-40.0, 41.0).double()
    bits = network.surprise(numbers, middle, width.log())
    assert (2**-bits).sum().item() == pytest.approx(1, abs=1e-3)
    laplace = torch.distributions.Laplace(middle, width / math.sqrt(2))
    mass = laplace.cdf(numbers + 0.5) - laplace.cdf(numbers - 0.5)
    near = (numbers - 0.3).abs() < 8
    torch.testing.assert_close((2**-bits)[near], mass[near], rtol=0, atol=2e-6)


def test_measures_of_quality(example):
    images = torch.full((2, 1, 16, 16), 0.5)
    assert example.psnr(images, images + 0.1) == pytest.approx(20, abs=0.2)
    assert example.ms_ssim(images, images) == pytest.approx(1, abs=1e-5)
    noisy = images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    assert example.ms_ssim(images, noisy) < 0.5


def test_the_table_of_a_small_run_and_its_second_call(example, digits, tmp_path, capsys):
    folder, size = tmp_path / "kept", example.Size(1, (0,), ("sum", "constraint"), 320)
    first = example.run(size, folder, full=False)
    (table,) = first.values()
    for rule in size.rules:
        (found,) = table[rule]
        assert found["bytes"] <= digits.plain / 10
        assert all(map(math.isfinite, found.values()))
    printed = capsys.readouterr().out
    assert "digits, 64 bytes to 6.4" in printed
    for kept in (folder / "runs").iterdir():
        assert (kept / "log.jsonl").exists() or any(kept.iterdir())
    assert example.run(size, folder, full=False) == first
