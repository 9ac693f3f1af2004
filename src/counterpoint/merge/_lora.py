"""Low-rank adapters: their products, which can be merged, and factors of a product again."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoint.errors import InputError

_FACTOR = re.compile(r"(.*?)\.?lora_(A|B)(?:\.[^.]+)?\.weight")


def is_factor(name: str) -> bool:
    """Whether a tensor is one of an adapter's two factors, by its name."""
    return _FACTOR.fullmatch(name) is not None


def lora_products(adapter: Mapping[str, Tensor], alpha: float | None = None) -> dict[str, Tensor]:
    r"""What an adapter adds to each weight, :math:`(\alpha / r) B A`, by the weight's name.

    The mean of B times the mean of A is not the mean of the products: merge the products where
    what the adapters do is to be merged, and the factors (by `merge` as they are) where all
    adapters began with the same A and only a cheap average is wanted.

    Hu et al. 2022, "LoRA: low-rank adaptation of large language models", equation 3.

    Args:
        adapter: a state dict with ``….lora_A.weight`` of shape (r, inputs) and
            ``….lora_B.weight`` of shape (outputs, r).
        alpha: of the adapter; by default r, so that the factor is 1.

    Raises:
        InputError: a factor lacks the other, or has another shape; there are none.

    >>> factors = {"q.lora_A.weight": torch.ones(1, 2), "q.lora_B.weight": torch.full((3, 1), 2.0)}
    >>> lora_products(factors)["q.weight"].tolist()
    [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    """
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in adapter.items():
        if (found := _FACTOR.fullmatch(name)) is not None:
            pairs.setdefault(found[1], {})[found[2]] = tensor
    if not pairs:
        raise InputError("lora: there is no tensor named '….lora_A.weight' or '….lora_B.weight'")
    result = dict[str, Tensor]()
    for module, factors in pairs.items():
        if len(factors) < 2:
            raise InputError(f"lora: {module!r} has lora_{next(iter(factors))} alone")
        a, b = factors["A"], factors["B"]
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            raise InputError(
                f"lora: {module!r} expects factors (r, inputs) and (outputs, r), found"
                f" {tuple(a.shape)} and {tuple(b.shape)}"
            )
        scale = 1.0 if alpha is None else alpha / a.shape[0]
        result[f"{module}.weight".removeprefix(".")] = scale * (b @ a)
    return result


def lora_factors(products: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Factors of the nearest products of a rank, by the singular value decomposition.

    Args:
        products: by the weight's name, as `lora_products` gives them, merged or not.
        rank: r; a product of a greater rank is cut (Eckart and Young 1936).

    Raises:
        InputError: a tensor is no matrix, or the rank is below 1.
    """
    result = dict[str, Tensor]()
    for name, product in products.items():
        if product.ndim != 2 or rank < 1:
            raise InputError(
                f"lora: {name!r} expects a matrix and a rank of at least 1, found"
                f" {tuple(product.shape)} and {rank}"
            )
        left, values, right = torch.linalg.svd(product.double(), full_matrices=False)
        root = values[:rank].sqrt()
        module = name.removesuffix(".weight")
        result[f"{module}.lora_A.weight"] = (root[:, None] * right[:rank]).to(product.dtype)
        result[f"{module}.lora_B.weight"] = (left[:, :rank] * root).to(product.dtype)
    return result
