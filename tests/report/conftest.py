import pytest

from counterpoint.report import render
from report.sample import largest


@pytest.fixture(scope="session")
def largest_page() -> str:
    """The page of the largest findings: it takes a while with every call checked."""
    return render(largest())
