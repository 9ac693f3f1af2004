"""Learn a new table without the rows of the earlier ones.

`update_table` takes a fitted `TableModel` and a frame with the same columns to a `TableModel` that
has learnt both. On the way: `rows` (the frame under the columns as known, which take in new levels
and classes; `grow` widens the network), `updater` (the heads on a trunk that stays, exactly; or the
whole network under the Gaussian of all earlier rows, `deep`; `embed` finds vectors for new levels),
`cross_prediction` (each new row predicted by a model that had not learnt it, for the noise and to
say what was learnt), `measure` (what was forgotten) and `shift` (which columns moved).
"""

from counterpoint.table.update._update import refuse_update, update_table

__all__ = ["refuse_update", "update_table"]
