"""Processes that train one net together, each on rows of its own, once a script has begun torch.distributed."""

from __future__ import annotations

import sys
from typing import Any


def n_processes() -> int:
    """How many train together: 1 where nothing was begun."""
    group = _group()
    return 1 if group is None else group.get_world_size()


def rank() -> int:
    """The number of this process: 0 writes and prints."""
    group = _group()
    return 0 if group is None else group.get_rank()


def gathered(value: Any) -> list[Any]:
    """The values of all processes in their order. All must call it, and wait for each other."""
    if n_processes() == 1:
        return [value]
    values = [None] * n_processes()
    _group().all_gather_object(values, value)
    return values


def summed(value: Any) -> Any:
    """The sum of the numbers or arrays of all processes, to the same bits in each."""
    return sum(gathered(value))


def check_alike(**things: Any) -> None:
    """ValueError in all processes where one has other things."""
    if n_processes() == 1:
        return
    first, *others = gathered({name: repr(thing) for name, thing in things.items()})
    differing = [name.replace("_", " ") for name in first if any(other[name] != first[name] for other in others)]
    if differing:
        raise ValueError(
            f"The {n_processes()} processes that train together differ in {' and '.join(differing)}. Call fit with the "
            "same arguments in all of them, but for the rows."
        )


def _group() -> Any:
    """torch.distributed where a group of processes was begun: then it has been imported, too."""
    distributed = sys.modules.get("torch.distributed")
    begun = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if begun else None
