"""Where a net runs: device, its memory, and number of threads."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from joblib.parallel import get_active_backend

from sklearn_rnn._errors import warn
from sklearn_rnn.nets.fused import cell_threads
from sklearn_rnn.nets.recurrent import RecurrentLayers, has_bf16


def available_devices() -> list[str]:
    """The devices of this machine, the fastest kind first, and torch's current GPU before others."""
    devices = []
    if torch.cuda.is_available():
        current = torch.cuda.current_device()
        devices = [f"cuda:{i}" for i in sorted(range(torch.cuda.device_count()), key=lambda i: (i != current, i))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def resolve_device(device: str) -> str:
    """The device behind "auto", "cuda" or a full name; ValueError where this machine lacks it."""
    devices = available_devices()
    if device == "auto":
        return devices[0]
    if device in devices:
        return device
    if device == "cuda" and devices[0].startswith("cuda"):
        return devices[0]
    raise ValueError(
        f"device is {device!r}, but this machine has {devices}. Choose one of them, or 'auto' for the fastest."
    )


_turns = itertools.count(os.getpid())  # so that processes that begin together do not all begin with the first GPU


def device_for_fit(device: str, precision: str) -> str:
    """The device to train on: jobs of joblib take turns on several GPUs, and are warned where they share one.

    ValueError where this machine lacks the device, or the device the precision.
    """
    resolved = resolve_device(device)
    if precision == "bf16" and not has_bf16(torch.device(resolved)):
        raise ValueError(
            f"precision is 'bf16', but {resolved} does not compute in bfloat16. Set precision='full' or another device."
        )
    if not (resolved.startswith("cuda") and is_joblib_worker()):
        return resolved
    gpus = [name for name in available_devices() if name.startswith("cuda")]
    if len(gpus) == 1:
        warn(
            f"Several jobs train on {resolved}, the only GPU, at a time: they wait for each other, and each needs its "
            "memory. Set n_jobs=1, or device='cpu'."
        )
    elif device in ("auto", "cuda"):
        return gpus[next(_turns) % len(gpus)]
    return resolved


def has_room(device: str, n_bytes: int) -> bool:
    """Whether data of so many bytes leave half of the device's free memory for training; unknown but for CUDA."""
    if not device.startswith("cuda"):
        return True
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, which it gives back
    return 2 * n_bytes <= torch.cuda.mem_get_info(device)[0] + kept


# Torch's threads wait by spinning: beside any other busy process they cost far more than they ever gain on a small net.
_HIDDEN_SIZE_WORTH_SPINNING = 96


_SETTINGS: list[int] = []  # of torch's threads, as each that is computing found it
_SETTING = threading.Lock()


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads, the caller's setting restored: the last of several at a time has the first's."""
    with _SETTING:
        before = torch.get_num_threads()
        _SETTINGS.append(before)
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        with _SETTING:
            torch.set_num_threads(before if len(_SETTINGS) > 1 else _SETTINGS[0])
            _SETTINGS.pop()


@contextmanager
def usual_modes() -> Iterator[None]:
    """Neither torch's default device nor its mode without gradients, if the caller has set them, reaches into this."""
    is_usual = torch.get_default_device().type == "cpu"  # else each of torch's functions takes a microsecond more
    with nullcontext() if is_usual else torch.device("cpu"), torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def computing(n_threads: int | None, layers: RecurrentLayers, device: str) -> Iterator[None]:
    """Compute with `n_threads` threads, the caller's setting of torch restored; None chooses what is quickest.

    Compiled cells have threads of their own, which sleep while they wait; torch then gets one thread, whose companions
    would only spin beside them. MemoryError where that of a GPU is too small.
    """
    _keep_freed_memory()
    compiled = layers.runs_compiled(device)
    if n_threads is None:
        worth_it = compiled or layers.hidden_size >= _HIDDEN_SIZE_WORTH_SPINNING
        n_threads = torch.get_num_threads() if worth_it and not is_joblib_worker() else 1
    n_threads = int(n_threads)
    try:
        with usual_modes(), cell_threads(n_threads), torch_threads(1 if compiled else n_threads):
            yield
    except torch.cuda.OutOfMemoryError:
        raise MemoryError(
            f"The memory of {device} is too small. Pass fewer or shorter sequences at a time, or set device='cpu'."
        ) from None


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """Let this process keep the memory that one batch frees for the next one, 64 MB at most.

    The C library of Linux returns memory at the heap's end as soon as there is twice the largest block that was ever
    freed, and the next batch gets it back page by page, which takes up to a third of a training step. So a block of the
    largest size that it learns from is freed; nothing is written to it, so it never takes memory.
    """
    np.empty(2**25 - 2**16, dtype=np.uint8)


def is_joblib_worker() -> bool:
    """Whether joblib runs this beside other work, by whichever backend."""
    return get_active_backend()[0].nesting_level > 0
