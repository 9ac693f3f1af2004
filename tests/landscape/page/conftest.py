import shutil
from collections.abc import Iterator

import pytest

from counterpoint.landscape.page import LabPage, lab_page
from counterpoint.recipe import Lab

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def lab_html() -> LabPage:
    """The page as it is without any option, its curve over one field."""
    return lab_page(Lab(), version="1.2.3", fields=1)


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()
