"""What a model folder predicts of the rows of a table, beside them, for another to imitate."""

from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from counterpoint.recipe import Data


def with_teachers(
    frame: "pd.DataFrame", data: "Data", where: str
) -> tuple["pd.DataFrame", list[str]]:
    """A table with the predictions of the teachers that are model folders, and their hashes.

    Args:
        frame: the table.
        data: of the recipe.
        where: the table's name, for messages.

    Raises:
        InputError: a folder holds no model of the target, or one that cannot read the table.
    """
    hashes = list[str]()
    for target, name in data.teachers.items():
        folder = Path(name)
        # a column of that name is nearer than a folder
        if name in frame.columns or not (folder / "manifest.json").is_file():
            continue
        from counterpoint.storage import digest_file

        frame = frame.assign(**_lesson(folder, name, frame, target, where))
        hashes.append(digest_file(folder / "manifest.json"))
    return frame, hashes


def _lesson(
    folder: Path, name: str, frame: "pd.DataFrame", target: str, where: str
) -> dict[str, "np.ndarray"]:
    from counterpoint.table.merge import load_tables

    teacher = load_tables(folder)
    found = teacher.predict(teacher.read(frame, where))
    if target not in found:
        raise InputError(f"{folder}: does not predict {target!r}{nearest(target, found)}")
    level = teacher.recipe.posterior.interval
    columns = found[target].columns(name, level)
    classes = {own: values for own, values in columns.items() if own.startswith(f"{name} p(")}
    return classes or {name: columns[name]}
