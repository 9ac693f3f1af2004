"""Gradients at the values through which all goals reach what they share."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from counterpoint.balance.gram import Gram
from counterpoint.balance.graph import Route, walk
from counterpoint.balance.sources.source import Measured, Scene
from counterpoint.errors import InputError

__all__ = ["Features"]


class Features:
    """G_kl = <dL_k/dz, dL_l/dz> with z the shared representation.

    One short backward pass a goal, down to z only. For a trunk with Jacobian J_z the gradients of
    its weights are ``J_z' dL_k/dz``, so what is measured there bounds what is measured at the
    weights, and costs almost nothing. Over ranks the matrices add, since features of different
    examples are disjoint: exact for the mean of the ranks' losses.

    z is what was passed (`Scene.features`); else it is found in the graph: the values through
    which every goal reaches the part of the graph that all goals have in common.

    Source: Sener & Koltun, NeurIPS 2018 (arXiv 1810.04650), equation 5: MGDA's upper bound.
    """

    def __init__(self, why: str = "") -> None:
        self._why = why
        self._route: tuple[tuple[str, ...], Route, tuple[int, ...]] | None = None

    @property
    def text(self) -> str:
        """Where it measures."""
        return f"features{self._why}"

    def measure(self, scene: Scene) -> Measured:
        """See `Source`.

        Raises:
            InputError: no goal depends on the features that were passed; or none were passed and
                the goals meet in weights only.
        """
        places: Sequence[Tensor | GradientEdge] = scene.features or self._find(scene)
        before = [value.grad if value.retains_grad else None for value in scene.features]
        rows = [_gradients(loss, places) for loss in scene.scaled]
        for value, kept in zip(scene.features, before, strict=True):
            if value.retains_grad:
                value.grad = kept  # these short passes are none of the caller's business
        if scene.features and all(part is None for row in rows for part in row):
            raise InputError(
                "features: no goal depends on them; pass the tensor that the heads were given"
            )
        gram = Gram.of(_table(rows))
        if scene.ranks.count > 1:
            gram = Gram.from_matrix(scene.ranks.mean(gram.matrix) / scene.ranks.count)
        return Measured(scene.unscaled(gram))

    def _find(self, scene: Scene) -> list[GradientEdge]:
        if self._route is not None and self._route[0] == scene.names:
            nodes = self._route[1].follow(scene.losses)
            if nodes is not None:
                outputs = self._route[2]
                return [GradientEdge(n, output) for n, output in zip(nodes, outputs, strict=True)]
        graph = walk(scene.losses)
        places = graph.meeting()
        if places is None:
            raise InputError(
                "features: the goals meet in weights, not in a value that was computed from them;"
                " pass features=, or use gram='parameters'"
            )
        route = Route.to(graph, [place.node for place in places])
        self._route = scene.names, route, tuple(place.output_nr for place in places)
        return places


def _gradients(loss: Tensor, places: Sequence[Tensor | GradientEdge]) -> list[Tensor | None]:
    differentiate: Any = torch.autograd.grad  # its annotations do not know mixed sequences
    return list(differentiate(loss, places, retain_graph=True, allow_unused=True))


def _table(rows: Sequence[Sequence[Tensor | None]]) -> Tensor:
    """All gradients of a goal as one row, (K, N); zeros where a goal does not reach."""
    columns: list[Tensor] = []
    for column in zip(*rows, strict=True):
        known = next((part for part in column if part is not None), None)
        if known is not None:
            full = [torch.zeros_like(known) if part is None else part for part in column]
            columns.append(torch.stack(full).reshape(len(full), -1))
    return columns[0] if len(columns) == 1 else torch.cat(columns, 1)
