"""What do ratings say of films, and how few numbers reproduce them?

First the sheet of fastai's lesson: the fifteen users and fifteen films with most ratings, and five
numbers for each of them whose products reproduce the ratings, with and without a bias, by least
squares. Then a Gaussian for every user and film (`Recommender`), told by ratings that were
left out, and the map of what people differ in.

    python examples/recommend.py [FIGURE.svg]

MovieLens latest-small; ratings that are made up where it is not at hand.
"""

import sys
import urllib.error
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.datasets import movielens
from counterpoint.errors import InputError
from counterpoint.estimators import Recommender
from counterpoint.report.figures import Axis, Cells, Figure, Points, TextLabels, sheet
from counterpoint.seeding import generator, seeded
from counterpoint.train import minimize

SIDE, FACTORS, NAMED = 15, 5, 45


def ratings() -> pd.DataFrame:
    """Who, what, and stars."""
    try:
        found, films = movielens()
    except (InputError, urllib.error.URLError):
        draws = np.random.default_rng(0)
        user, film = draws.integers(200, size=9000), draws.integers(120, size=9000)
        stars = 3.5 + np.where((user + film) % 3 == 0, 1.0, -0.5) + 0.5 * draws.normal(size=9000)
        made = {"userId": user, "title": [f"film {each}" for each in film]}
        return pd.DataFrame({**made, "rating": stars.clip(0.5, 5)})
    return found.merge(films)[["userId", "title", "rating"]]


class Product(nn.Module):
    """A rating as a product of vectors, with or without a bias of user and film."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        with seeded(0):
            shapes = [(SIDE, FACTORS), (SIDE, FACTORS), (SIDE, 1), (SIDE, 1)]
            self.parts = nn.ParameterList(torch.rand(s, dtype=torch.float64) for s in shapes)
        for part in list(self.parts)[2:]:
            part.requires_grad_(bias)
            nn.init.zeros_(part)

    def forward(self) -> Tensor:
        """All ratings, (users, films)."""
        people, films, mild, good = self.parts
        return people @ films.T + mild + good.T


def densest(table: pd.DataFrame) -> tuple[pd.DataFrame, Tensor]:
    """The ratings of those who rated most, by what was rated most; NaN where there is none."""
    people = table["userId"].value_counts().index[:SIDE]
    films = table["title"].value_counts().index[:SIDE]
    block = table[table["userId"].isin(people) & table["title"].isin(films)]
    block = block.pivot_table(index="userId", columns="title", values="rating")
    return block, torch.tensor(block.to_numpy())


def reproduced(seen: Tensor, bias: bool) -> tuple[Tensor, float]:
    """The sheet as the product of few numbers, and its root mean square error."""
    model, known = Product(bias), ~seen.isnan()

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        del batch
        return {"square": (model()[known] - seen[known]).square().mean()}

    minimize(goals, model, iterations=300, progress=False)
    with torch.no_grad():
        found = model()
    return found, float((found[known] - seen[known]).square().mean().sqrt())


def drawn(title: str, block: pd.DataFrame, values: Tensor) -> Figure:
    """A sheet of ratings, shaded from the middle of the scale."""
    shade = [[None if v != v else (v - 3) / 2.5 for v in row] for row in values.tolist()]
    texts = [["" if v != v else f"{v:.1f}" for v in row] for row in values.tolist()]
    return Figure(
        title,
        [Cells(shade, texts)],
        Axis(names=[""] * values.shape[1]),
        Axis(names=[str(each) for each in block.index]),
        description=title,
        width=430,
        height=360,
    )


def mapped(model: Recommender) -> Figure:
    """The films that most have rated, by what people differ in."""
    table = model.map().nlargest(NAMED, "ratings")
    x, y = table["first"].tolist(), table["second"].tolist()
    names = [str(name).split(" (")[0][:24] for name in table["title"]]
    return Figure(
        "Films by taste",
        [Points(x, y, tips=names), TextLabels(x, y, names)],
        Axis("first component", hidden=True),
        Axis("second component", hidden=True),
        description="What lies close together is liked by the same people.",
        width=860,
        height=420,
        margin=0.1,
    )


def main() -> None:
    """Print, and draw."""
    torch.set_num_threads(1)
    table = ratings()
    block, seen = densest(table)
    figures = [drawn("the sheet", block, seen)]
    for bias in (False, True):
        found, error = reproduced(seen, bias)
        name = "with" if bias else "without"
        print(f"{FACTORS} numbers each, {name} biases: RMSE of the sheet {error:.3f}")
        figures.append(drawn(f"reproduced {name} biases: RMSE {error:.2f}", block, found))
    order = torch.randperm(len(table), generator=generator(0)).numpy()
    test, train = order[: len(order) // 10], order[len(order) // 10 :]
    pairs, stars = table[["userId", "title"]], table["rating"].to_numpy()
    model = Recommender(random_state=0).fit(pairs.iloc[train], stars[train])
    mean, std = model.predict(pairs.iloc[test], return_std=True)
    apart = mean - stars[test]
    print(f"left out: RMSE {np.sqrt(np.mean(apart**2)):.4f}, "
          f"90 % intervals hold {np.mean(np.abs(apart) < 1.645 * std):.1%}")  # fmt: skip
    liked = model.effects().query("ratings >= 5")
    print(liked.iloc[[0, 1, 2, -3, -2, -1]].round(2).to_string(index=False))
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "recommend.svg")
    path.write_text(sheet([mapped(model)], across=1), encoding="utf-8")
    path.with_suffix(".sheet.svg").write_text(sheet(figures, across=3), encoding="utf-8")
    print(f"figures: {path}, {path.with_suffix('.sheet.svg')}")


if __name__ == "__main__":
    main()
