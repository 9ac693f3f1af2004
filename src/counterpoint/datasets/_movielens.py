"""People's ratings of films."""

import io

import pandas as pd

from counterpoint.datasets._files import File, Opener, fetch

_URL = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
_RATINGS = File(
    "ml-latest-small/ratings.csv",
    "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    2483723,
    _URL,
    member="ml-latest-small/ratings.csv",
)
_MOVIES = File(
    "ml-latest-small/movies.csv",
    "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    494431,
    _URL,
    member="ml-latest-small/movies.csv",
)


def movielens(*, opener: Opener | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """MovieLens latest-small of September 2018: 100,836 ratings by 610 users, and 9,742 movies.

    For research use; cite F. M. Harper and J. A. Konstan, "The MovieLens Datasets" (2015). Its
    makers call it a development set, not one for results to be shared.

    Args:
        opener: opens a URL, if the archive must be downloaded.

    Returns:
        Ratings (userId, movieId, rating in half stars from 0.5 to 5, timestamp in seconds since
        1970) and movies (movieId, title, genres separated by ``|``).

    Raises:
        InputError: a file is not the published one, or is nowhere and cannot be downloaded.
    """
    ratings, movies = (
        pd.read_csv(io.BytesIO(fetch(file, opener=opener))) for file in (_RATINGS, _MOVIES)
    )
    return ratings, movies
