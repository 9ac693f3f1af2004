"""What holds for all tests."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# Warnings are errors, and torch gives some of them once a process: which test would meet one
# would depend on which came before.
torch.set_warn_always(True)

# A busy machine is not a defect: how long one example takes is nobody's promise. The same examples
# every time: a change is judged by what it changed. HYPOTHESIS_PROFILE=search looks further.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """One browser for all: a second driver in the same process is refused by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield running
        running.close()
