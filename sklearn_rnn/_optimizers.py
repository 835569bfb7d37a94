"""Optimizers, by name or as classes of the user's, and how training makes one."""

from __future__ import annotations

import inspect
from typing import Any

import torch

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.AdamW,  # Adam's weight decay is part of the gradient: as large as this, it would rule the steps
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_DECOUPLED_ON_DEMAND = ("nadam", "radam")
_WITH_ONE_KERNEL = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)
_DECORATED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def takes_the_settings(optimizer: type) -> bool:
    """Whether a class is an optimizer of weights and biases that takes a learning rate and weight decay."""
    is_optimizer = issubclass(optimizer, torch.optim.Optimizer)
    if not is_optimizer or not {"lr", "weight_decay"} <= set(inspect.signature(optimizer).parameters):
        return False
    try:
        weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))]
        _without_compiler(optimizer)(weights, lr=0.1, weight_decay=0.1)
    except (ValueError, TypeError):  # Muon takes matrices alone, others need further arguments
        return False
    return True


def optimizer_class(optimizer: str | type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The one behind a name."""
    return OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer


def optimizer_and_options(optimizer: str | type, device: str) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """The class to make, and what to pass to it besides the settings: one kernel for all weights, where there is."""
    known = optimizer_class(optimizer)
    options = {"fused": True} if known in _WITH_ONE_KERNEL and device != "mps" else {}
    if optimizer in _DECOUPLED_ON_DEMAND:
        options["decoupled_weight_decay"] = True
    return _without_compiler(known), options


def _without_compiler(optimizer: Any) -> Any:
    """The same optimizer, if it is torch's own, which does not import torch's compiler to tell it to keep out.

    Nothing here is compiled by torch, and that import takes two seconds of the first fit of every process.
    """
    if not optimizer.__module__.startswith("torch.optim."):
        return optimizer
    members = {name: inspect.unwrap(getattr(optimizer, name)) for name in _DECORATED}
    members["step"] = torch.no_grad()(members["step"])
    return type(optimizer.__name__, (optimizer,), members)
