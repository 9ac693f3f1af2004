"""Who earns more than 50,000 dollars."""

import io

import pandas as pd

from counterpoint.datasets._files import File, Opener, fetch

ADULT_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)
"""The columns in the published order; the last is the target. `fnlwgt` is a survey weight."""

_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_TRAIN = File(
    "adult/adult.data",
    "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    3974305,
    _URL + "adult.data",
)
_TEST = File(
    "adult/adult.test",
    "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    2003153,
    _URL + "adult.test",
)


def adult(*, opener: Opener | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Census Income of B. Becker and R. Kohavi (1996), doi:10.24432/C5XW20, in its own split.

    Args:
        opener: opens a URL, if a file must be downloaded.

    Returns:
        32,561 training and 16,281 test rows; ``income`` is ``<=50K`` or ``>50K`` in both.

    Raises:
        InputError: a file is not the published one, or is nowhere and cannot be downloaded.
    """
    train, test = (parse_adult(fetch(file, opener=opener)) for file in (_TRAIN, _TEST))
    return train, test


def parse_adult(content: bytes) -> pd.DataFrame:
    """A data frame from either file: ``?`` is missing, blanks after commas are dropped."""
    table = pd.read_csv(
        io.BytesIO(content),
        names=list(ADULT_COLUMNS),
        comment="|",  # the test file begins with a line that is no row, "|1x3 Cross validator"
        skipinitialspace=True,
        na_values="?",
        keep_default_na=False,
    )
    # labels of the test file end in a dot
    table["income"] = table["income"].str.removesuffix(".")
    return table
