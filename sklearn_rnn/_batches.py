"""Batches of sequences, gathered by index where the rows are: on the device, or on the host if they are too large."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._device import has_room
from sklearn_rnn._statistics import evenly_spread
from sklearn_rnn.sequences import Sequences

# One batch holds at most this many numbers, so that long sequences do not exhaust the memory in prediction.
_LARGEST_BATCH = 2**24
# A matrix product of fewer rows takes another code path and rounds differently: prediction never has fewer.
ROWS_PER_TILE = 16
PREDICTION_BATCH = 256
PREDICTION_BATCH_OF_GPU = 4096  # takes little longer than 256 there


class SequenceDataset(torch.utils.data.Dataset):
    """Sequences, their targets and weights as tensors; rows and targets live on the device.

    Rows that the device's memory has no room for stay on the host, from where each batch is moved.

    Parameters
    ----------
    sequences : Sequences
    targets : Tensor of shape (n_samples, n_targets), or SequenceDataset of targets step by step, default=None
    weights : Tensor of shape (n_samples,), default=None
    device : str
    beside : SequenceDataset, default=None
        One on the same device; if it has the same rows, they are not moved there twice.

    Attributes
    ----------
    starts, lengths : Tensor of int64 of shape (n_samples,)
        On the host, where sizes are decided on; `_starts_and_lengths` has both where the rows are.
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
        self.device, self._source = device, sequences.values
        if beside is not None and beside._source is self._source:
            self.values = beside.values
        else:
            self.values = _as_tensor(self._source)
            if has_room(device, self.values.nbytes):
                self.values = self.values.to(device)
        self.targets = targets.to(device) if isinstance(targets, Tensor) else targets
        self.weights = None if weights is None else weights.to(device)
        self._set_sequences(*(torch.from_numpy(np.ascontiguousarray(b)) for b in (sequences.starts, sequences.lengths)))

    def _set_sequences(self, starts: Tensor, lengths: Tensor) -> None:
        self.starts, self.lengths = starts, lengths
        shortest, longest = lengths.aminmax() if len(lengths) else (0, 0)
        self._common_length = int(longest) if shortest == longest else None
        self._starts_and_lengths = starts.to(self.values.device), lengths.to(self.values.device)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> Tensor:
        """The row behind the last one of each sequence, (n_samples,), on the host."""
        return self.starts + self.lengths

    @property
    def samples_an_epoch(self) -> int:
        """How many samples an epoch of training draws without repetition."""
        return len(self)

    def take(self, order: Tensor) -> Self:
        """The samples at these positions, in this order; the rows are shared."""
        taken = copy.copy(self)
        taken._set_sequences(self.starts[order], self.lengths[order])
        if isinstance(self.targets, SequenceDataset):
            taken.targets = self.targets.take(order)
        elif self.targets is not None:
            taken.targets = self.targets[order.to(self.device)]
        taken.weights = None if self.weights is None else self.weights[order.to(self.device)]
        return taken

    def thinned(self, largest: int) -> Self:
        """At most so many of the samples, from all over."""
        return self.take(torch.from_numpy(evenly_spread(len(self), largest)))

    def gather(self, part: slice) -> tuple[Tensor, Tensor | None]:
        """Values (batch, steps, n_channels) and lengths (batch,), None where all fill the steps.

        Behind a sequence's last step its last row stands again, which no result depends on.
        """
        starts, lengths = self._starts_and_lengths[0][part], self._starts_and_lengths[1][part]
        common = self._common_length
        if common is None:
            shortest, longest = (int(length) for length in torch.aminmax(self.lengths[part]))
            common = longest if shortest == longest else None
        if common is not None:  # every window is one piece of memory
            n_rows, n_channels = self.values.shape
            windows = self.values.as_strided((n_rows - common + 1, common * n_channels), (n_channels, 1))
            return self.select(windows, starts).view(-1, common, n_channels), None
        steps = torch.arange(longest, device=starts.device)
        values = self.select(self.values, torch.minimum(starts[:, None] + steps, (starts + lengths - 1)[:, None]))
        return values, lengths.to(self.device, non_blocking=True)

    def select(self, values: Tensor, index: Tensor) -> Tensor:
        """Parts of the rows, chosen where they are, on the device: (*index.shape, size)."""
        chosen = values.index_select(0, index.flatten())
        return chosen.view(*index.shape, -1).to(self.device, non_blocking=True)

    def batch(self, part: slice) -> tuple[tuple[Any, ...], tuple[Tensor, Tensor | None]]:
        """Inputs (values, lengths) and what they are compared with (targets, weights)."""
        assert self.targets is not None
        targets = self.targets[part] if isinstance(self.targets, Tensor) else self.targets.gather(part)[0]
        return self.inputs(part), (targets, None if self.weights is None else self.weights[part])

    def inputs(self, part: slice) -> tuple[Any, ...]:
        """What the net is called with."""
        return self.gather(part)


class Batches:
    """The batches of one epoch.

    Parameters
    ----------
    dataset : SequenceDataset
    batch_size : int
    generator : torch.Generator or None
        Shuffles the samples anew each time that they are iterated over; None keeps their order.
    n_samples : int or None
        How many of the shuffled samples an epoch has; None takes all.
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
        epoch = self.dataset
        if self.generator is not None:
            epoch = epoch.take(torch.randperm(len(epoch), generator=self.generator)[: self.n_samples])
        for start in range(0, len(epoch), self.batch_size):
            yield epoch.batch(slice(start, start + self.batch_size))


def batches_of_bounded_size(dataset: SequenceDataset, width: int) -> Batches:
    """Inputs and targets in their order, in batches of little memory; `width` as in :func:`prediction_batches`."""
    longest = int(dataset.lengths.max()) if len(dataset) else 1
    return Batches(dataset, min(max(_LARGEST_BATCH // (longest * width), 1), PREDICTION_BATCH))


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
    lengths, n_samples = dataset.lengths, len(dataset)
    if not n_samples:
        return
    order = lengths.argsort(stable=True) if lengths.min() < lengths.max() else torch.arange(n_samples)
    sorted_dataset = dataset.take(torch.cat([order, order[-1:].expand(-n_samples % ROWS_PER_TILE)]))
    largest = PREDICTION_BATCH if dataset.device == "cpu" else PREDICTION_BATCH_OF_GPU
    start = 0
    while start < n_samples:
        longest = int(sorted_dataset.lengths[start : start + largest][-1])
        fitting = _LARGEST_BATCH // (longest * width) // ROWS_PER_TILE * ROWS_PER_TILE
        part = slice(start, start + min(max(fitting, ROWS_PER_TILE), largest))
        yield order[part].numpy(), sorted_dataset.inputs(part)
        start = part.stop


def _as_tensor(array: NDArray) -> Tensor:
    """The array's memory as a tensor; rows are only read, so a read-only array is no reason for torch's warning."""
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)
