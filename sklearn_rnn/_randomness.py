"""Torch's own random generators, of which a process has one for each device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_ONE_AT_A_TIME = threading.RLock()


def is_random(module: nn.Module) -> bool:
    """Whether training draws from torch's generators: for dropout, or for noise on inputs."""
    return any(getattr(part, "p", 0) or getattr(part, "noise", 0) for part in module.modules())


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Draw from generators that begin at `seed`; the caller's global ones are as before afterwards.

    Threads that draw from them wait for each other.
    """
    with _ONE_AT_A_TIME:
        before = random_states(device)
        try:
            begin_at(seed, device)
            yield
        finally:
            set_random_states(before, device)


def begin_at(seed: int, device: str) -> None:
    for generator in _generators(device):
        generator.manual_seed(seed)


def random_states(device: str) -> list[Tensor]:
    return [generator.get_state() for generator in _generators(device)]


def set_random_states(states: list[Tensor], device: str) -> None:
    """Those that :func:`random_states` gave, if on another device that of the CPU alone."""
    for generator, state in zip(_generators(device), states, strict=False):
        generator.set_state(state)


def _generators(device: str) -> list[torch.Generator]:
    """Those that a net on this device draws from; torch.manual_seed would reach all other devices, too."""
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.init()
        return [torch.default_generator, torch.cuda.default_generators[place.index or 0]]
    if place.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]
