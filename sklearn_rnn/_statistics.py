"""Means and scales of channels and targets, in float64 and without copies of the rows.

Processes that train together get those of all their rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sklearn_rnn._distributed import gathered, summed
from sklearn_rnn.sequences import Sequences, count_within

_CHUNK = 2**19  # numbers looked at in one go
DECILES_OF_A_NORMAL = 2.563  # distance of the first from the ninth, in standard deviations
MOST_STRETCHES = 1_000
ROUNDING_OF_TARGETS = 1e-14  # in parts of their mean: what varies by less is constant
SMALLEST, LARGEST = 1e-36, 1e36  # units that float32 holds, with room for what is computed from them


def channel_statistics(
    sequences: Sequences, weights: NDArray | None = None, *, n_targets: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Mean and scale of each channel over the steps that the net will see, and whether it has missing values.

    A row counts as often as sequences contain it, times their weights. The scale is the standard deviation; that of a
    constant channel is 1, but for the first `n_targets` as :func:`target_statistics` says.
    """
    counts = sequences.used_rows(weights)
    total, mean = np.zeros(sequences.n_channels), np.zeros(sequences.n_channels)
    missing = np.zeros(sequences.n_channels, dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):  # check_units refuses what comes of it
        for rows, share in _used_chunks(sequences, counts):
            present = ~np.isnan(rows)
            missing |= ~present.all(axis=0)
            total += share @ present
            mean += share @ np.where(present, rows, 0.0)
        total, mean, missing = summed(total), summed(mean), np.any(gathered(missing), axis=0)
        mean /= np.where(total > 0, total, 1.0)
        variance = np.zeros_like(mean)
        for rows, share in _used_chunks(sequences, counts):
            variance += share @ np.square(np.where(np.isnan(rows), 0.0, rows - mean))
        variance = summed(variance) / np.where(total > 0, total, 1.0)
    if_constant = np.where(np.arange(len(mean)) < n_targets, _scale_of_constant_target(mean), 1.0)
    return mean, _scale(mean, variance, if_constant), missing


def target_statistics(targets: NDArray, weights: NDArray | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and scale of each column of targets (n, n_targets), NaN left out.

    A constant target gets a scale so small that the net cannot miss it by more than rounding.
    """
    share = np.ones(len(targets)) if weights is None else weights
    present = ~np.isnan(targets)
    total = summed(share @ present)
    total = np.where(total > 0, total, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):  # check_units refuses what comes of it
        mean = summed(share @ np.where(present, targets, 0.0)) / total
        mean += summed(share @ np.where(present, targets - mean, 0.0)) / total  # what rounding took from a large one
        variance = summed(share @ np.square(np.where(present, targets - mean, 0.0))) / total
    return mean, _scale(mean, variance, _scale_of_constant_target(mean), rounding=ROUNDING_OF_TARGETS)


def robust_statistics(targets: NDArray, weights: NDArray | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted median and distance of the outer deciles of each column of targets (n, n_targets), NaN left out.

    The distance is that in which a normal distribution has a standard deviation of 1. Of a column whose outer deciles
    are the same, mean and scale of :func:`target_statistics`. Several processes take the means of their deciles.
    """
    mean, scale = target_statistics(targets, weights)
    share = np.ones(len(targets)) if weights is None else weights
    deciles = np.array([_weighted_deciles(column, share) for column in targets.T])  # (n_targets, 3)
    of_processes = np.array(gathered(deciles))
    known = ~np.isnan(of_processes)
    means = np.where(known, of_processes, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    low, median, high = means.T
    distance = (high - low) / DECILES_OF_A_NORMAL
    usual = distance > ROUNDING_OF_TARGETS * np.abs(median)
    return np.where(usual, median, mean), np.where(usual, distance, scale)


def _weighted_deciles(values: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """The lowest, the median and the highest, NaN of no values."""
    present = ~np.isnan(values) & (weights > 0)
    if not present.any():
        return np.full(3, np.nan)
    order = np.argsort(values[present])
    values, covered = values[present][order], np.cumsum(weights[present][order])
    position = np.searchsorted(covered, covered[-1] * np.array([0.1, 0.5, 0.9]))
    return values[position].astype(np.float64)


def deviations_of_groups(
    values: NDArray, starts: NDArray, stops: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The standard deviation of each column in each group of rows, NaN where it is constant, and mean absolute value.

    Both are of shape (n_groups, n_columns).
    """
    deviations, magnitudes = np.full((2, len(starts), values.shape[1]), np.nan)
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):  # no table is copied whole
        group = values[start:stop].astype(np.float64)
        present = ~np.isnan(group)
        total = np.maximum(present.sum(axis=0), 1)
        with np.errstate(over="ignore", invalid="ignore"):  # check_units refuses what comes of it
            mean = np.where(present, group, 0.0).sum(axis=0) / total
            variance = np.square(np.where(present, group - mean, 0.0)).sum(axis=0) / total
            magnitudes[i] = np.where(present, np.abs(group), 0.0).sum(axis=0) / total
        deviations[i] = _scale(mean, variance, np.full(len(mean), np.nan))
    return deviations, magnitudes


def not_above_stretches(scale: NDArray, sequences: Sequences, n_rows: int) -> NDArray[np.float64]:
    """Deviations (n_columns,) of the first columns, at most three times those within stretches of `n_rows`.

    An outlier, or a level that a series has left, would make all that happens within a window look like nothing. What
    counts is the ninth decile of the stretches, so that a series may stand still for most of the time.
    """
    n_stretches = -(-sequences.lengths // n_rows)
    starts = np.repeat(sequences.starts, n_stretches) + count_within(n_stretches) * n_rows
    stops = np.minimum(starts + n_rows, np.repeat(sequences.ends, n_stretches))
    some = evenly_spread(len(starts), MOST_STRETCHES)
    deviations, _ = deviations_of_groups(sequences.values[:, : len(scale)], starts[some], stops[some])
    usual = np.array([_ninth_decile(column[~np.isnan(column)]) for column in deviations.T])
    return np.minimum(scale, 3 * usual)


def evenly_spread(n: int, largest: int) -> NDArray[np.int64]:
    """At most `largest` of the positions 0 to n - 1."""
    return np.linspace(0, n - 1, min(n, largest)).astype(np.int64)


def _ninth_decile(values: NDArray) -> float:
    """Never the largest of several; without any it is infinite."""
    return float(np.quantile(values, 0.9, method="lower")) if len(values) else np.inf


def scales_of_groups(
    deviations: NDArray, magnitudes: NDArray, otherwise: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How much groups vary, column by column; `otherwise` in columns in which no group does.

    The deviation of all rows together says how far apart the groups are, and how far the largest of them moves.

    Parameters
    ----------
    deviations, magnitudes : ndarray of shape (n_groups, n_columns)
        See :func:`deviations_of_groups`.
    otherwise : ndarray of shape (n_columns,)

    Returns
    -------
    usual : ndarray of shape (n_columns,)
        The median over the groups of the deviation.
    relative : ndarray of shape (n_columns,)
        The median of the deviation in parts of the mean absolute value, 0 in columns in which no group varies.
    smallest : ndarray of shape (n_columns,)
        The smallest deviation; that of a constant group counts as `relative` parts of its value.
    """
    magnitudes = np.where(magnitudes > 0, magnitudes, np.nan)
    usual, relative = _median(deviations), _median(deviations / magnitudes)
    sizes = np.where(np.isnan(deviations), relative * magnitudes, deviations)
    smallest = np.maximum(np.fmin.reduce(sizes, axis=0), SMALLEST)
    unknown = np.isnan(usual)
    return np.where(unknown, otherwise, usual), np.where(unknown, 0.0, relative), np.where(unknown, otherwise, smallest)


def _median(values: NDArray) -> NDArray[np.float64]:
    """Of what is known in each column, NaN where nothing is."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.median(column) if len(column) else np.nan for column in known])


def check_units(mean: NDArray, scale: NDArray, name: str) -> None:
    """ValueError where the net, which keeps its units in float32, cannot hold a mean or scale."""
    fit = (np.abs(mean) <= LARGEST) & (scale <= LARGEST) & (scale >= SMALLEST)
    fit &= (mean == 0) | (np.abs(mean) >= SMALLEST) | (scale > SMALLEST)  # too small to tell it from a constant
    if not fit.all():
        i = int(np.flatnonzero(~fit)[0])
        raise ValueError(
            f"{name} has values too large or too small: in column {i} the mean is {mean[i]:.3g} and the standard "
            f"deviation {scale[i]:.3g}, but the net holds {SMALLEST:g} to {LARGEST:g}. Change the unit of {name}."
        )


def first_infinite(sequences: Sequences) -> int | None:
    """The first row of the table that holds an infinite value and belongs to a sequence."""
    used = None
    for chunk in _chunks(sequences):
        infinite = np.isinf(sequences.values[chunk]).any(axis=1)
        if infinite.any():
            used = sequences.used_rows() > 0 if used is None else used
            infinite &= used[chunk]
        if infinite.any():
            return chunk.start + int(np.flatnonzero(infinite)[0])
    return None


def _used_chunks(sequences: Sequences, counts: NDArray) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Rows in float64 that count, and how often each does."""
    for chunk in _chunks(sequences):
        used = counts[chunk] > 0  # of the others nothing is known: they may be infinite
        if used.any():
            yield sequences.values[chunk][used].astype(np.float64), counts[chunk][used].astype(np.float64)


def _chunks(sequences: Sequences) -> Iterator[slice]:
    """The rows of the table from the first to the last one in use, some at a time: it may be larger than the memory."""
    n_rows = max(_CHUNK // sequences.n_channels, 1)
    first, end = sequences.bounds()
    return (slice(start, min(start + n_rows, end)) for start in range(first, end, n_rows))


def is_scale_of_constant_target(mean: NDArray, scale: NDArray) -> NDArray[np.bool_]:
    """Where :func:`target_statistics` saw a single value, by what a net holds of it, perhaps in float32."""
    return np.isclose(scale, _scale_of_constant_target(mean), rtol=1e-5, atol=0)


def _scale_of_constant_target(mean: NDArray) -> NDArray[np.float64]:
    return np.maximum(1e-6 * np.where(mean == 0, 1.0, np.abs(mean)), SMALLEST)


def _scale(mean: NDArray, variance: NDArray, if_constant: NDArray, rounding: float = 1e-12) -> NDArray[np.float64]:
    """Standard deviations; `if_constant` where nothing varies but `rounding`, in parts of the mean."""
    scale = np.sqrt(variance)
    return np.where(scale > rounding * np.abs(mean), scale, if_constant)
