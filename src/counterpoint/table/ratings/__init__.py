"""Ratings: tables of two columns of ids and a number, which are factorised instead of encoded.

`ratings_in` says which columns of a table are who and what, as told or found; `fit_ratings` makes a
`RatingsModel` of them, which predicts, updates and is kept as other models of tables are.

>>> import pandas as pd
>>> from counterpoint.recipe import build
>>> frame = pd.DataFrame({"user": list("aabbcc") * 4, "item": list("xyxzyz") * 4,
...                       "stars": [5.0, 3, 4, 1, 2, 1] * 4})
>>> recipe = build({"data": {"target": ["stars"], "user": "user", "item": "item"}})
>>> model = fit_ratings(frame, recipe, ratings_in(frame, recipe.data))
>>> model.findings.users, model.predict(frame[:1]).columns.tolist()[:3]
(3, ['stars', 'stars low', 'stars high'])
"""

from counterpoint.table.ratings._columns import RatingColumns, ratings_hint, ratings_in
from counterpoint.table.ratings._fit import fit_ratings
from counterpoint.table.ratings._model import RatingsModel

__all__ = ["RatingColumns", "RatingsModel", "fit_ratings", "ratings_hint", "ratings_in"]
