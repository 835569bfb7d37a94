"""Windows of panels and the rows that follow each, gathered by index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._batches import SequenceDataset
from sklearn_rnn._statistics import evenly_spread
from sklearn_rnn.sequences import Sequences, count_within

LARGEST_EPOCH = 2**16  # windows: more of them are drawn anew each epoch


class ForecastDataset(SequenceDataset):
    """Windows, and as targets the next rows of the same table: nothing but the windows' bounds is stored.

    Parameters
    ----------
    windows : Sequences
        Each is followed by `horizon` rows of its own series. Columns are targets, past, known, static.
    horizon, n_targets : int
    known : slice
        The columns of the known covariates.
    units : callable
        ``units(values, lengths)`` gives what the targets of each window are counted from and in, (batch, 1, n_targets).
    times : ndarray of shape (n_rows,), default=None
        When each row was, for :meth:`ends_in_time`. None takes the rows to be in order of time.
    device, beside
        See :class:`~sklearn_rnn._batches.SequenceDataset`.
    """

    def __init__(
        self,
        windows: Sequences,
        horizon: int,
        n_targets: int,
        known: slice,
        units: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]],
        *,
        times: NDArray | None = None,
        device: str = "cpu",
        beside: SequenceDataset | None = None,
    ) -> None:
        super().__init__(windows, device=device, beside=beside)
        self.horizon, self.n_targets, self.known, self.units = horizon, n_targets, known, units
        self.times = times

    @property
    def samples_an_epoch(self) -> int:
        return min(len(self), LARGEST_EPOCH)

    def ends_in_time(self, n_rows_later: int = 0) -> NDArray:
        """When the last row of each window was, or so many rows later, (n_windows,)."""
        rows = self.ends.numpy() - 1 + n_rows_later
        return rows if self.times is None else self.times[rows]

    def following(self, part: slice) -> Tensor:
        """The rows after each window, (batch, horizon, n_columns)."""
        starts, lengths = (bound[part] for bound in self._starts_and_lengths)
        steps = torch.arange(self.horizon, device=starts.device)
        return self.select(self.values, (starts + lengths)[:, None] + steps)

    def inputs(self, part: slice) -> tuple[Tensor, Tensor | None, Tensor]:
        return (*self.gather(part), self.following(part)[:, :, self.known])

    def batch(self, part: slice) -> tuple[tuple[Tensor, Tensor | None, Tensor], tuple[Tensor, None]]:
        windows, following = self.gather(part), self.following(part)
        level, unit = self.units(*windows)
        targets = (following[:, :, : self.n_targets] - level) / unit
        return (*windows, following[:, :, self.known]), (targets.flatten(1), None)


def windows_before(
    values: NDArray, first_rows: NDArray, first_origins: NDArray, last_origins: NDArray, n_steps: int
) -> Sequences:
    """The windows that end at each origin, run by run.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Sorted rows.
    first_rows, first_origins, last_origins : ndarray of int of shape (n_runs,)
        The first row of each run, and the first and last of its origins, none where last < first.
    n_steps : int
        The most rows of a window.
    """
    counts = np.maximum(last_origins - first_origins + 1, 0)
    origins = np.repeat(first_origins, counts) + count_within(counts)
    starts = np.maximum(np.repeat(first_rows, counts), origins + 1 - n_steps)
    return Sequences(values, starts, origins + 1 - starts)


def with_a_target(windows: Sequences, horizon: int, n_targets: int, *, inside: bool) -> Sequences:
    """The windows that are followed by a target that is not missing, and hold an earlier value of it, if `inside`."""
    present = ~np.isnan(windows.values[:, :n_targets])
    if present.all():
        return windows
    before = _counts_before(present)
    ends = windows.ends
    chosen = before[ends + horizon] > before[ends]  # (n_windows, n_targets)
    if inside:
        chosen &= before[ends] > before[windows.starts]
    return windows[np.flatnonzero(chosen.any(axis=1))]


def scale_after_zeros(windows: Sequences, horizon: int, n_targets: int) -> NDArray[np.float64]:
    """The root mean square of what follows windows of zeros, (n_targets,), NaN where there are none."""
    values = windows.values[:, :n_targets]
    ends = windows.ends
    n_others, n_zeros = _counts_before(np.nan_to_num(values) != 0), _counts_before(values == 0)
    is_zero = (n_others[ends] == n_others[windows.starts]) & (n_zeros[ends] > n_zeros[windows.starts])
    scales = np.full(n_targets, np.nan)
    for target, chosen in enumerate(is_zero.T):
        some = thinned(windows[np.flatnonzero(chosen)], LARGEST_EPOCH)
        following = values[some.ends[:, None] + np.arange(horizon), target].astype(np.float64)
        if not np.isnan(following).all():
            scales[target] = np.sqrt(np.nanmean(following**2))
    return scales


def _counts_before(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of the rows before each one, and before the end, are chosen, (n_rows + 1, n_columns)."""
    return np.concatenate([np.zeros((1, chosen.shape[1]), np.int64), np.cumsum(chosen, axis=0)])


def thinned(windows: Sequences, largest: int) -> Sequences:
    """At most `largest` windows, evenly spread."""
    return windows[evenly_spread(len(windows), largest)]


def values_after(windows: Sequences, horizon: int, n_targets: int) -> NDArray:
    """The targets of the rows after each window, (n_samples, horizon, n_targets)."""
    index = windows.ends[:, None] + np.arange(horizon)
    return windows.values[index, :n_targets].astype(np.float64)


def naive_forecast(windows: Sequences, first_rows: NDArray, horizon: int, n_targets: int, season: int) -> NDArray:
    """The values one season before, (n_samples, horizon, n_targets): persistence for a season of 1.

    Where a series is shorter than a season before its origin, the last value.

    Parameters
    ----------
    windows : Sequences
    first_rows : ndarray of int of shape (n_runs,)
        The first row of each run of the sorted rows, sorted.
    """
    origins = windows.ends - 1
    earliest = first_rows[np.searchsorted(first_rows, origins, side="right") - 1]
    index = (origins + 1 - season)[:, None] + np.arange(horizon) % season
    index = np.where((origins + 1 - season >= earliest)[:, None], index, origins[:, None])
    return windows.values[index, :n_targets].astype(np.float64)
