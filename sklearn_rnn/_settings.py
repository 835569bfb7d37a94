"""What training is to do, as plain values: schedules by name, and all settings of one fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

WARM_UP = 0.3  # of the training


def _one_cycle(progress: float) -> float:
    """Up while the training warms up, then down to nothing (Smith and Topin 2019)."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


# The learning rate as a fraction of its setting, by the progress of training from 0 to 1. By any other schedule it is a
# callback's matter.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "one_cycle": _one_cycle,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}


class Schedule:
    """Moves the learning rate of an optimizer with each update.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    factor : callable
        One of SCHEDULES.
    n_updates : int
        Of the whole training.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factor: Callable[[float], float], n_updates: int) -> None:
        self.optimizer, self.factor, self.n_updates = optimizer, factor, n_updates
        self.settings = [group["lr"] for group in optimizer.param_groups]
        self.n_done = 0
        self._set()

    def step(self) -> None:
        self.n_done += 1
        self._set()

    def state_dict(self) -> dict[str, Any]:
        return {"settings": self.settings, "n_done": self.n_done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.settings, self.n_done = state["settings"], state["n_done"]
        self._set()

    def _set(self) -> None:
        factor = self.factor(min(self.n_done / self.n_updates, 1.0))
        for group, setting in zip(self.optimizer.param_groups, self.settings, strict=True):
            group["lr"] = setting * factor


@dataclass(frozen=True)
class TrainingSettings:
    """What :func:`fit_net` needs to know besides the net and the data."""

    optimizer: str | type[torch.optim.Optimizer]
    learning_rate: float
    schedule: str
    weight_decay: float
    gradient_clip: float | None
    batch_size: int
    max_epochs: int
    n_epochs: int  # after which training ends; the schedule is made for max_epochs
    stop_early: bool
    n_iter_no_change: int
    tol: float
    average: bool
    callbacks: Sequence[Any]  # of skorch
    device: str
    verbose: int
    checkpoint: Path | None
    checkpoint_every: int

    @property
    def n_warm_up(self) -> int:
        """Epochs in which the learning rate has yet to rise."""
        return math.ceil(WARM_UP * self.max_epochs) if self.schedule == "one_cycle" else 0

    def of_trial(self) -> TrainingSettings:
        """Those of a training of which nothing is kept and no callback knows."""
        return replace(self, stop_early=False, callbacks=(), verbose=min(self.verbose, 1), checkpoint=None)

    def decisive(self) -> dict[str, Any]:
        """The settings that a result depends on, by name."""
        silent = ("callbacks", "device", "verbose", "checkpoint", "checkpoint_every")
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in silent}
