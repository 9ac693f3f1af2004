"""How a fitted table learns new rows."""

from dataclasses import dataclass

from counterpoint.errors import InputError


@dataclass(frozen=True)
class Update:
    """What `counterpoint.table.update_table` is told.

    Attributes:
        forget: share of what the earlier rows say that is forgotten, from 0 (nothing: every row
            counts as much as any other, whenever it came) to 1 (everything but the trunk).
        deep: train the trunk, too, under the Gaussian of all earlier rows; otherwise the heads
            learn, exactly, on the trunk as it is.
        again: learn a table that was learnt before once more.
        keep_sample: rows kept to see what updates forget; None: as many as were kept so far.

    Raises:
        InputError: a share outside [0, 1], or a negative number of rows.
    """

    forget: float = 0.0
    deep: bool = False
    again: bool = False
    keep_sample: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.forget <= 1.0:
            raise InputError(f"forget: expected a share from 0 to 1, found {self.forget:g}")
        if self.keep_sample is not None and self.keep_sample < 0:
            raise InputError(f"keep_sample: expected 0 rows or more, found {self.keep_sample}")
