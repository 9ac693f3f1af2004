"""State as tensors alone, so that any checkpoint, safetensors or PyTorch's own, can hold it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from counterpoint.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = "plain"


def pack_state(
    values: Mapping[str, Any], tensors: "Mapping[str, Mapping[str, Tensor]] | None" = None
) -> "dict[str, Tensor]":
    """One flat mapping of tensors on the CPU.

    Args:
        values: plain values, as JSON holds them; a tensor among them is kept as one.
        tensors: groups of named tensors; each enters as ``group.name``.

    >>> import torch
    >>> state = pack_state({"step": 3, "mean": torch.ones(2)}, {"rule": {"age": torch.zeros(1)}})
    >>> sorted(state)
    ['mean', 'plain', 'rule.age']
    >>> unpack_state(state)["step"], below(state, "rule")
    (3, {'age': tensor([0.])})
    """
    # inside: whoever reads documents alone imports this room without torch
    import torch
    from torch import Tensor

    top = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in values.items() if name not in top}
    for group, named in (tensors or {}).items():
        top |= {f"{group}.{name}": value for name, value in named.items()}
    text = torch.tensor(list(json.dumps(rest).encode()), dtype=torch.uint8)
    # copies: what is held may go on changing after its state was taken
    return {_PLAIN: text, **{n: v.detach().to("cpu", copy=True) for n, v in top.items()}}


def unpack_state(state: "Mapping[str, Tensor]", what: str = "state") -> dict[str, Any]:
    """The plain values that `pack_state` was given, and every tensor under the name that it has.

    Args:
        state: what `pack_state` made.
        what: whose state, for the message.

    Raises:
        InputError: it is nothing that `pack_state` made.
    """
    if _PLAIN not in state:
        raise InputError(f"{what}: not a state of a {what}: no {_PLAIN!r} in it")
    try:
        # not `from_json`: a state may hold what is not finite, as the best score before the first
        values = json.loads(bytes(state[_PLAIN].tolist()).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what}: not a state of a {what}: {error!s:.120}") from error
    return {**{name: value for name, value in state.items() if name != _PLAIN}, **values}


def below(state: "Mapping[str, Tensor]", group: str) -> "dict[str, Tensor]":
    """The tensors of a group, by their own names."""
    head = f"{group}."
    return {
        name.removeprefix(head): value for name, value in state.items() if name.startswith(head)
    }


def refuse_other_settings(what: str, saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """See that a state goes on in a thing made like the one that it is of.

    Args:
        what: the kind of thing, for the message.
        saved: its settings when the state was taken.
        here: those of the thing that is to go on.

    Raises:
        InputError: names the first setting that differs.
    """
    for key in [*saved, *here]:
        if saved.get(key) != here.get(key):
            raise InputError(
                f"{what}: the state is of one with {key} = {saved.get(key, 'nothing')}, this one"
                f" has {here.get(key, 'nothing')}; make it with the same settings"
            )
