import pytest

from counterpoint.landscape.page import LabPage, lab_page
from counterpoint.recipe import Lab


@pytest.fixture(scope="session")
def lab_html() -> LabPage:
    """The page as it is without any option, its curve over one field."""
    return lab_page(Lab(), version="1.2.3", fields=1)
