"""Batches of sequences, gathered by index where the rows are: on the device, or on the host if they are too large."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._device import has_room
from sklearn_rnn.sequences import Sequences

# One batch holds at most this many numbers, so that long sequences do not exhaust the memory in prediction.
_LARGEST_BATCH = 2**24
# A matrix product of fewer rows takes another code path and rounds differently: prediction never has fewer.
ROWS_PER_TILE = 8
PREDICTION_BATCH = 256


class SequenceDataset(torch.utils.data.Dataset):
    """Sequences, their targets and weights as tensors; the rows live on the device, the positions on the host.

    Rows that the device's memory has no room for stay on the host, from where each batch is moved.

    Parameters
    ----------
    sequences : Sequences
    targets : Tensor of shape (n_samples, n_targets), or SequenceDataset of targets step by step, default=None
    weights : Tensor of shape (n_samples,), default=None
    device : str
    beside : SequenceDataset, default=None
        One on the same device; if it has the same rows, they are not moved there twice.
    """

    values: Tensor

    def __init__(
        self,
        sequences: Sequences,
        targets: Tensor | SequenceDataset | None = None,
        weights: Tensor | None = None,
        *,
        device: str = "cpu",
        beside: SequenceDataset | None = None,
    ) -> None:
        self.device, self.source = device, sequences.values
        if beside is not None and beside.source is self.source:
            self.values = beside.values
        else:
            self.values = _as_tensor(self.source)
            if has_room(device, self.values.nbytes):
                self.values = self.values.to(device)
        self.starts = torch.from_numpy(np.ascontiguousarray(sequences.starts))
        self.lengths = torch.from_numpy(np.ascontiguousarray(sequences.lengths))
        self.targets = targets.to(device) if isinstance(targets, Tensor) else targets
        self.weights = None if weights is None else weights.to(device)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def samples_an_epoch(self) -> int:
        """How many samples an epoch of training draws without repetition."""
        return len(self)

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Values (batch, steps, n_channels) and lengths (batch,), None where all fill the steps.

        Behind a sequence's last step its last row stands again, which no result depends on.
        """
        starts, lengths = self.starts[rows], self.lengths[rows]
        shortest, longest = (int(length) for length in torch.aminmax(lengths))
        n_rows, n_channels = self.values.shape
        if shortest == longest:  # every window is one piece of memory
            windows = self.values.as_strided((n_rows - longest + 1, longest * n_channels), (n_channels, 1))
            return self.select(windows, starts).view(len(rows), longest, n_channels), None
        index = torch.minimum(starts[:, None] + torch.arange(longest), (starts + lengths - 1)[:, None])
        values = self.select(self.values, index.flatten()).view(len(rows), longest, n_channels)
        return values, lengths.to(self.device, non_blocking=True)

    def select(self, values: Tensor, index: Tensor) -> Tensor:
        """Parts of the rows, chosen where they are, on the device."""
        chosen = values.index_select(0, index.to(values.device, non_blocking=True))
        return chosen.to(self.device, non_blocking=True)

    def batch(self, rows: Tensor) -> tuple[tuple[Any, ...], tuple[Tensor, Tensor | None]]:
        """Inputs (values, lengths) and what they are compared with (targets, weights)."""
        if isinstance(self.targets, SequenceDataset):
            targets = self.targets.gather(rows)[0]
        else:
            assert self.targets is not None
            targets = self.targets[rows.to(self.device, non_blocking=True)]
        weights = None if self.weights is None else self.weights[rows.to(self.device, non_blocking=True)]
        return self.inputs(rows), (targets, weights)

    def inputs(self, rows: Tensor) -> tuple[Any, ...]:
        """What the net is called with."""
        return self.gather(rows)


class Batches:
    """The batches of one epoch, shuffled anew by `generator` each time they are iterated over.

    Parameters
    ----------
    dataset : SequenceDataset
    batch_size : int
    generator : torch.Generator or None
        None keeps the order.
    n_samples : int or None
        How many samples an epoch has; None takes all.
    """

    def __init__(
        self,
        dataset: SequenceDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        n_samples: int | None = None,
    ) -> None:
        self.dataset, self.batch_size, self.generator = dataset, batch_size, generator
        self.n_samples = len(dataset) if n_samples is None else n_samples

    def __len__(self) -> int:
        return -(-self.n_samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple]:
        n_samples = len(self.dataset)
        shuffled = self.generator is not None
        order = torch.randperm(n_samples, generator=self.generator) if shuffled else torch.arange(n_samples)
        order = order[: self.n_samples]
        for rows in order.split(self.batch_size):
            yield self.dataset.batch(rows)


def prediction_batches(dataset: SequenceDataset, width: int) -> Iterator[tuple[NDArray, tuple[Any, ...]]]:
    """Batches for prediction, sequences of like length together: (samples, inputs of the net).

    The last one is filled up to a whole tile of rows by repeating a sequence, so that a sequence's result has the same
    bits alone and in any company; `samples` names the rows that count.

    Parameters
    ----------
    dataset : SequenceDataset
    width : int
        Numbers that the net holds for each step of a sequence.
    """
    lengths = dataset.lengths
    order = (
        lengths.argsort(stable=True) if len(lengths) and lengths.min() < lengths.max() else torch.arange(len(lengths))
    )
    while len(order):
        # Ordered by length, so the batch's last candidate is its longest.
        longest = int(lengths[order[:PREDICTION_BATCH][-1]])
        fitting = _LARGEST_BATCH // (longest * width) // ROWS_PER_TILE * ROWS_PER_TILE
        rows, order = order.tensor_split([min(max(fitting, ROWS_PER_TILE), PREDICTION_BATCH)])
        repeats = -len(rows) % ROWS_PER_TILE
        yield rows.numpy(), dataset.inputs(torch.cat([rows, rows[-1:].expand(repeats)]))


def _as_tensor(array: NDArray) -> Tensor:
    """The array's memory as a tensor; rows are only read, so a read-only array is no reason for torch's warning."""
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)
