"""Rows and goals of several members side by side: each has its own rows in every batch."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from counterpoint.data import Batch
from counterpoint.goals import Goals
from counterpoint.seeding import derive, generator
from counterpoint.table.fit._losses import goal_names, is_even, shares_of
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._observed import likelihoods


class MemberRows:
    """Batches for networks side by side (`counterpoint.nn.pack`): a `counterpoint.data.Loader`.

    A batch holds as many rows of each member, one member after the other. Members may have
    different numbers of rows: a pass has as many steps as the longest needs, each member's rows are
    spread over them evenly, and what is missing in a batch is filled up with rows that count
    nothing. ``share.k`` says what a row adds to the k-th target's goal: over a pass the mean of the
    goal is the mean over the member's rows, each by its weight.

    Args:
        prepared: the table; nothing of it is copied.
        rows: places of each member's rows, at least one.
        most: rows of a member in a batch, whatever is asked for; none: as many as that.
    """

    def __init__(self, prepared: Prepared, rows: Sequence[Tensor], most: int | None = None) -> None:
        self._prepared, self._rows, self._most = prepared, list(rows), most
        self._weights = [
            None if is_even(target.weight) else [shares_of(target.weight[own]) for own in rows]
            for target in prepared.targets
        ]
        self._heard = [
            [] if t.lesson is None else [shares_of(t.lesson.weight[own]) for own in rows]
            for t in prepared.targets
        ]

    def steps(self, size: int) -> int:
        """How many batches one pass gives, of at most so many rows a member."""
        return -(-max(map(len, self._rows)) // min(size, self._most or size))

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass; each member's order is its own."""
        steps = self.steps(size)
        every = [self._order(place, seed) for place in range(len(self._rows))]
        parts = [_spread(order, steps) for order in every]
        # of one width for all members: the longest has the largest batches
        width = max(part.shape[1] for part in parts)
        gaps = [(0, width - part.shape[1]) for part in parts]
        places = torch.stack([pad(*pair, value=-1) for pair in zip(parts, gaps, strict=True)])
        for step in range(start, steps):
            yield self._batch(places[:, step], steps)

    def _order(self, place: int, seed: int | None) -> Tensor:
        count = len(self._rows[place])
        if seed is None:
            return torch.arange(count)
        return torch.randperm(count, generator=generator(derive(seed, place)))

    def _batch(self, places: Tensor, steps: int) -> Batch:
        table, filled = self._prepared, places >= 0
        # -1 is the member's last row, and counts nothing
        own = torch.cat([rows[at] for rows, at in zip(self._rows, places, strict=True)])
        count = torch.tensor([len(rows) for rows in self._rows])
        share = (filled * (steps / count).unsqueeze(1)).flatten()
        named = {name: value.index_select(0, own) for name, value in table.inputs.items()}
        for place, target in enumerate(table.targets):
            named[f"target.{place}"] = target.values.index_select(0, own)
            named[f"share.{place}"] = share
            weights = self._weights[place]
            if weights is not None:
                mine = [w[at] for w, at in zip(weights, places, strict=True)]
                named[f"share.{place}"] = share * torch.cat(mine)
            if target.lesson is not None:
                mine = [w[at] for w, at in zip(self._heard[place], places, strict=True)]
                named[f"lesson.{place}"] = target.lesson.values.index_select(0, own)
                named[f"heard.{place}"] = share * torch.cat(mine)
        return Batch((), named, None, None, len(own))


def make_member_goals(prepared: Prepared, members: int) -> Goals:
    """Each member's goals, one a target, as `make_goals` has them; member by member.

    Args:
        prepared: the table.
        members: how many stand side by side in the model.
    """
    heads = {target.name: target.head for target in prepared.targets}
    every = list(zip(prepared.targets, likelihoods(heads, {}).values(), strict=True))
    names = goal_names(prepared.targets)

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        apart = (members, batch.rows // members, -1)
        outputs = model(batch["categories"].view(apart), batch["numbers"].view(apart))
        each = list[tuple[Tensor, ...]]()
        for place, (target, likelihood) in enumerate(every):
            output = outputs[target.name].flatten(0, 1)
            found = likelihood.nll_each(output, batch[f"target.{place}"])
            each.append((found * batch[f"share.{place}"]).view(members, -1).sum(1).unbind())
        for place, (target, _) in enumerate(every):
            if target.lesson is not None:
                output = outputs[target.name].flatten(0, 1)
                cost = target.head.imitation(output, batch[f"lesson.{place}"])
                each.append((cost * batch[f"heard.{place}"]).view(members, -1).sum(1).unbind())
        return {
            goal_name(member, name): losses[member]
            for member in range(members)
            for name, losses in zip(names, each, strict=True)
        }

    return goals


def goal_name(member: int, goal: str) -> str:
    """What a member's goal is called in a run of all."""
    return f"network {member + 1}: {goal}"


def _spread(order: Tensor, steps: int) -> Tensor:
    """An order in rows of equal length, one a step; -1 where a step has one less."""
    ends = torch.arange(steps + 1) * len(order) // steps
    low, high = ends[:-1, None], ends[1:, None]
    at = low + torch.arange(int((high - low).max()))
    return torch.where(at < high, order[at.clamp_max(len(order) - 1)], -1)
