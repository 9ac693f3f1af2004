"""Updates to draw."""

from collections.abc import Callable
from dataclasses import replace

from counterpoint.findings import ShiftFindings, UpdatedTarget, UpdateFindings


def shifts() -> list[ShiftFindings]:
    """Two of six columns moved; one has new levels."""
    return [
        ShiftFindings("rooms", "number", 0.031, 0.62, False, 3.81, 3.78),
        ShiftFindings("living_area_m2", "number", 0.118, 0.004, True, 92.4, 104.9),
        ShiftFindings("listed", "date", 0.97, 0.0, True, 18_900.2, 19_870.0),
        ShiftFindings(
            "district", "category", 0.06, 0.21, False, 0.21, 0.17, "Altstadt Nord", {"Mülheim": 9}
        ),
        ShiftFindings("balcony", "boolean", 0.01, 0.84, False, 0.62, 0.63, "yes"),
        ShiftFindings("plot_m2", "number", float("nan"), float("nan"), False, None, None),
    ]


def target(
    before: float | None = 48_200.0, after: float | None = 40_100.0, name: str = "price"
) -> UpdatedTarget:
    """A number, with rows kept from earlier tables."""
    return UpdatedTarget(
        name,
        "number",
        "kept rows",
        200,
        {"RMSE": (44_700.0, 45_300.0), "R²": (0.91, 0.9097), "log likelihood": (-12.31, -12.3)},
        412,
        {
            "RMSE": (before, after),
            "mean absolute error": (31_000.0, 27_500.0),
            "R²": (0.88, 0.92),
            "log likelihood": (-12.7, None),
        },
    )


def condition() -> UpdatedTarget:
    """A category with two new classes; earlier rows are an estimate."""
    return UpdatedTarget(
        "condition",
        "category",
        "Gaussian",
        4_812,
        {"loss": (None, 0.0213)},
        405,
        {"accuracy": (0.71, 0.83), "log likelihood": (-0.74, -0.51), "AUROC": (0.9, 0.88)},
        {"shell": 31, "listed monument": 12},
        0.744,
    )


def update(name: str = "june.csv") -> UpdateFindings:
    """One update of a number and a category."""
    return UpdateFindings(
        name,
        "2025-07-01 09:30",
        412,
        4_812,
        0.1,
        False,
        3.2,
        shifts(),
        [target(), condition()],
        ["The test rows of the first fit were not touched."],
    )


def several() -> list[UpdateFindings]:
    """Five, the newest last."""
    sums = replace(target(), source="sufficient statistics", earlier_rows=3_930)
    spring = replace(
        update("spring.csv"), created="2025-06-10", deep=True, forget=0.0, targets=[sums], notes=[]
    )
    bare = UpdateFindings("bare.csv", "", 3, 4_000, 0.0, False, 0.1, [], [])
    older = replace(update("may.csv"), created="2025-05-02", rows=1_000)
    return [older, older, bare, spring, update()]


def disguised_update(found: UpdateFindings, pick: Callable[[], str]) -> UpdateFindings:
    """With other names and texts."""
    targets = [
        replace(
            item,
            name=pick(),
            kind=pick(),
            source=pick(),
            earlier={pick(): pair for pair in item.earlier.values()},
            new={pick(): pair for pair in item.new.values()},
            classes={pick(): rows for rows in item.classes.values()},
        )
        for item in found.targets
    ]
    moved = [
        replace(item, column=pick(), kind=pick(), level=pick(), new={pick(): 3, pick(): 4})
        for item in found.shifts
    ]
    return replace(
        found,
        name=pick(),
        created=pick(),
        shifts=moved,
        targets=targets,
        notes=[pick() for _ in range(3)],
    )
