"""Targets step by step: read in any form, laid along the sequences, given back in the form they came in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._validation import plain_data
from sklearn_rnn.sequences import Sequences, as_sequences, may_hold_sequences, starts_of


def form_of(y: Any) -> str:
    """ "sequences", "list" or "dense": the form in which predictions are given back."""
    if isinstance(y, Sequences):
        return "sequences"
    is_list = isinstance(y, (list, tuple)) or may_hold_sequences(y)
    return "list" if is_list else "dense"


def read_step_labels(y: Any, sequences: Sequences) -> tuple[NDArray, Sequences]:
    """Targets of each step, whatever their type.

    Returns
    -------
    labels : ndarray of shape (n_rows,) or (n_rows, n_targets)
        All targets in one table.
    layout : Sequences
        Where in that table the targets of each sample are; its values have no meaning.

    Raises
    ------
    ValueError
        If there are more or fewer targets than steps, or they stand at other steps, or one is missing, naming the first
        such sample.
    """
    if isinstance(y, Sequences):
        layout = y.without_unused_rows()  # those of other samples must not count as targets
        labels = layout.values
        _check_counts(layout.lengths, sequences)
    else:
        items = _items(y, sequences)
        lengths = np.array([len(item) for item in items])
        _check_counts(lengths, sequences)
        labels = np.concatenate(items)
        layout = Sequences(np.zeros(len(labels), np.float32), starts_of(lengths), lengths, align=sequences.align)
    _check_none_missing(labels, layout)
    return labels, layout


def with_values(layout: Sequences, values: NDArray) -> Sequences:
    """The same samples over another table of rows."""
    return Sequences(values, layout.starts, layout.lengths, align=layout.align)


def in_form(values: NDArray, layout: Sequences, form: str, place: tuple[int, NDArray] | None = None) -> Any:
    """Predictions (n_rows[, n_targets]) of the steps of `layout` as Sequences, list of arrays, or padded array.

    `place` is how many steps wide a padded array is and where in it each sample begins; None makes it as wide as the
    longest sample.
    """
    if form == "sequences" and values.dtype.kind == "f":
        return with_values(layout, values)
    items = [values[start : start + length] for start, length in zip(layout.starts, layout.lengths, strict=True)]
    if form != "dense":
        return items
    width, first = _place_of(layout) if place is None else place
    if (layout.lengths == width).all():
        return np.stack(items)
    nothing = np.nan if values.dtype.kind in "fiub" else None
    padded = np.full((len(items), width, *values.shape[1:]), nothing)
    for row, item, begin in zip(padded, items, first, strict=True):
        row[begin : begin + len(item)] = item
    return padded


def place_in_rows(sequences: Sequences) -> tuple[int, NDArray]:
    """How many steps wide the array is whose rows were read as sequences, and at which step of it each begins."""
    width = len(sequences.values) // len(sequences)
    return width, sequences.starts - width * np.arange(len(sequences))


def _place_of(layout: Sequences) -> tuple[int, NDArray]:
    longest = int(layout.lengths.max())
    return longest, longest - layout.lengths if layout.align == "end" else np.zeros_like(layout.lengths)


def flat_steps(y: Any, sequences: Sequences) -> NDArray:
    """All targets of all samples one after the other, (n_steps of all samples[, n_targets])."""
    labels, layout = read_step_labels(y, sequences)
    return labels[layout.rows_by_step()]


def _items(y: Any, sequences: Sequences) -> list[NDArray]:
    if form_of(y) == "list":
        return [np.asarray(item) for item in y]
    dense = np.asarray(plain_data(y, "y"))
    if dense.ndim < 2:
        raise ValueError(
            f"y has shape {dense.shape}, but per_step=True takes a target for every step: a list of arrays, Sequences, "
            "or an array of shape (n_samples, n_steps) with NaN where a sequence has no step."
        )
    if dense.dtype == object:
        dense = pd.Series(dense.ravel()).infer_objects().to_numpy().reshape(dense.shape)
    there = np.where(pd.isna(dense), np.nan, 0.0)
    places = as_sequences(there if dense.ndim == 3 else there[:, :, None])
    _check_places(places, sequences)
    _, first = place_in_rows(places)
    return [row[begin : begin + n] for row, begin, n in zip(dense, first, places.lengths, strict=True)]


def _check_places(targets: Sequences, sequences: Sequences) -> None:
    """ValueError if X and y are padded to one width, and a sample has its targets at other steps than its own."""
    if len(targets) != len(sequences) or len(targets.values) != len(sequences.values):
        return
    (width, of_X), (_, of_y) = place_in_rows(sequences), place_in_rows(targets)
    differing = np.flatnonzero(of_X != of_y)
    if len(differing) and (of_X >= 0).all() and (of_X + sequences.lengths <= width).all():
        i = int(differing[0])
        raise ValueError(
            f"Sample {i} begins at step {of_X[i]} in X, but its targets at step {of_y[i]} in y. With per_step=True "
            "give one target for each step, and NaN in y where a sequence has no step."
        )


def _check_none_missing(labels: NDArray, layout: Sequences) -> None:
    missing = pd.isna(labels).reshape(len(labels), -1).any(axis=1)
    if missing.any():
        row = int(missing.argmax())
        sample = int(((layout.starts <= row) & (row < layout.ends)).argmax())
        raise ValueError(
            f"Sample {sample} has no target at its step {row - layout.starts[sample]}, but with per_step=True each has "
            "one. Cut such sequences in two there, or drop them."
        )


def _check_counts(lengths: NDArray, sequences: Sequences) -> None:
    if len(lengths) != len(sequences):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[len(sequences), len(lengths)]}."
        )
    differing = np.flatnonzero(lengths != sequences.lengths)
    if len(differing):
        i = int(differing[0])
        raise ValueError(
            f"Sample {i} has {sequences.lengths[i]} steps in X, but {lengths[i]} targets in y. With per_step=True give "
            "one target for each step."
        )
