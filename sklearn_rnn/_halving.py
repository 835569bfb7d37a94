"""What happens where the memory of a GPU is too small for the batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import nn

from sklearn_rnn._distributed import n_processes
from sklearn_rnn._errors import warn
from sklearn_rnn._settings import TrainingSettings

FitFunction = TypeVar("FitFunction", bound=Callable[..., Any])


def halving_batches(fit: FitFunction) -> FitFunction:
    """Decorator: where a GPU's memory is too small for the batches, begin anew with half ones, once."""

    @wraps(fit)
    def fit_or_halve(
        module: nn.Module, *data: Any, settings: TrainingSettings, optimizer_state: dict | None = None, **options: Any
    ) -> Any:
        start = copy.deepcopy((module.state_dict(), optimizer_state))
        try:
            return fit(module, *data, settings=settings, optimizer_state=optimizer_state, **options)
        except torch.cuda.OutOfMemoryError:
            if settings.batch_size == 1 or settings.checkpoint is not None or n_processes() > 1:
                raise _out_of_memory(settings) from None
        half = replace(settings, batch_size=settings.batch_size // 2)
        warn(
            f"The memory of {settings.device} is too small for batches of {settings.batch_size} sequences. Training "
            f"begins anew with batch_size={half.batch_size}; set it, or a smaller hidden_size, to save the attempt."
        )
        module.load_state_dict(start[0])
        torch.cuda.empty_cache()
        try:
            return fit(module, *data, settings=half, optimizer_state=start[1], **options)
        except torch.cuda.OutOfMemoryError:
            raise _out_of_memory(half) from None

    return cast(FitFunction, fit_or_halve)


def _out_of_memory(settings: TrainingSettings) -> MemoryError:
    return MemoryError(
        f"The memory of {settings.device} is too small for batches of {settings.batch_size} sequences. Lower "
        "batch_size or hidden_size, pass shorter sequences, or set device='cpu'."
    )
