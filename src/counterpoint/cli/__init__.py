"""The command `counterpoint`: verbs over the rooms below, and nothing of its own.

Each verb is one file: `fit` makes a model folder of a table, `predict` a table of predictions of
another, `update` a model that has learnt a new table, `report` one HTML file of a model, and
`landscape` one of the lab. In come arguments; out come files, a short text on standard output (or
one JSON value with ``--json``), and progress on standard error. What a user gave and cannot be used
ends in one line on standard error and exit status 2, with nothing half written. Help, versions and
refusals of arguments do not import torch.

>>> rewrite(["fit", "t.csv", "--training.rate", "0.01", "--seed=3"])
['fit', 't.csv', '--set=training.rate=0.01', '--seed=3']
"""

from counterpoint.cli._app import main, rewrite

__all__ = ["main", "rewrite"]
