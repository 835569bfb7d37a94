"""The mean of a net's weights over its updates: what is judged and kept, while training goes on from the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The net has the mean; the weights that training goes on from are kept aside.

    The weights after update t count t times, so that the first ones are soon forgotten: polynomial-decay averaging
    with eta = 1 (Shamir and Zhang 2013, Stochastic gradient descent for non-smooth optimization).

    Parameters
    ----------
    module : nn.Module
    """

    def __init__(self, module: nn.Module) -> None:
        self.weights = [weight.detach() for weight in module.parameters()]
        self.aside = [weight.clone() for weight in self.weights]
        self.n_updates = 0

    @contextmanager
    def training(self) -> Iterator[None]:
        """The net has the last weights meanwhile. An epoch that fails is given up with its net."""
        self._exchange()
        yield
        self._exchange()

    def update(self) -> None:
        """The optimizer has made a step."""
        self.n_updates += 1
        torch._foreach_lerp_(self.aside, self.weights, 2 / (self.n_updates + 1))

    def state_dict(self) -> dict[str, Any]:
        return {"aside": self.aside, "n_updates": self.n_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_updates = state["n_updates"]
        _copy(self.aside, state["aside"])

    def _exchange(self) -> None:
        kept = [weight.clone() for weight in self.weights]
        _copy(self.weights, self.aside)
        _copy(self.aside, kept)


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
