"""Fitted once for all tests of the room."""

import pytest

from tables import mixed, quick


@pytest.fixture
def table():
    return mixed()


@pytest.fixture(scope="session")
def fitted():
    from counterpoint.table import fit_table

    return fit_table(mixed(), quick(target=("price", "kind"), weight="weight", ignore=("junk",)))
