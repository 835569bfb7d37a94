"""Checks of data that need no estimator, and splits into training and validation rows."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils._param_validation import validate_parameter_constraints

from sklearn_rnn._distributed import gathered
from sklearn_rnn._errors import reading
from sklearn_rnn._statistics import first_infinite
from sklearn_rnn.sequences import Sequences

MEDIAN = 0.5  # among quantiles


def check_parameters(owner: Any) -> None:
    """Check the owner's parameters, one by one, by its table `_parameter_constraints`."""
    table = owner._parameter_constraints
    for name in [name for name in table if name in vars(owner)]:
        value = getattr(owner, name)
        if isinstance(value, np.timedelta64) and np.timedelta64 not in table[name]:  # numpy counts it as an integer
            raise TypeError(f"{name} is {value!r}, but must be no length of time. Pass a number.")
        with reading(name):
            if isinstance(value, int):
                float(value)  # an integer of hundreds of digits fits nowhere
            validate_parameter_constraints(table, {name: value}, caller_name=type(owner).__name__)


def read_quantiles(quantiles: ArrayLike) -> list[float]:
    """The levels; ValueError or TypeError unless they are numbers between 0 and 1."""
    with reading("quantiles"):
        levels = np.asarray(quantiles, dtype=float)
        are_texts = any(isinstance(level, (str, bytes)) for level in np.asarray(quantiles, dtype=object).ravel())
    if are_texts or levels.ndim != 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles is {quantiles!r}, but must be numbers between 0 and 1.")
    return levels.tolist()


def on_host(data: Any) -> Any:
    """A tensor as an array, from a GPU, too; all else as it is."""
    return data.detach().cpu().numpy() if hasattr(data, "detach") else data


def plain_data(data: Any, name: str) -> Any:
    """The data, tensors as arrays, what is masked or NA as NaN.

    Raises
    ------
    ValueError
        For what numpy casts in silence: times and complex numbers.
    """
    data = on_host(data)
    if isinstance(data, np.ma.MaskedArray) and data.dtype.kind in "fiub":
        return np.ma.filled(data.astype(np.float64), np.nan)
    types = getattr(data, "dtypes", None) if hasattr(data, "columns") else [getattr(data, "dtype", None)]
    types = [] if types is None else list(types)
    for dtype in types:
        if getattr(dtype, "kind", "") in ("m", "M"):
            raise ValueError(f"{name} has times ({dtype}), but must be numbers. Drop them or make numbers of them.")
        if getattr(dtype, "kind", "") == "c":
            raise ValueError(f"Complex data not supported: {name} has {dtype}. Pass real numbers.")
    is_numeric = all(getattr(dtype, "kind", "O") in "fiub" for dtype in types)
    if hasattr(data, "columns") and is_numeric and any(hasattr(dtype, "na_value") for dtype in types):
        return data.astype(np.float64)  # pandas' nullable types
    if hasattr(data, "columns") and any(getattr(dtype, "kind", "") == "O" for dtype in types):
        return data.where(data.notna(), np.nan)
    if isinstance(data, np.ndarray) and data.dtype == object:
        return np.where(pd.isna(data), np.nan, data)
    return data


def check_usable(sequences: Sequences, name: str) -> None:
    """ValueError if there are no sequences, or one that names the first infinite value."""
    if not len(sequences):
        raise ValueError(f"{name} is empty. Pass at least one sequence.")
    row = first_infinite(sequences)
    if row is not None:
        sample = int(((sequences.starts <= row) & (row < sequences.ends)).argmax())
        channel = int(np.isinf(sequences.values[row]).argmax())
        raise ValueError(
            f"{name} contains infinity or a value too large for {sequences.dtype}: sample {sample}, step "
            f"{row - sequences.starts[sample]}, channel {channel}. Replace it, by NaN if it is unknown."
        )


def check_weights(
    sample_weight: ArrayLike | None, n_samples: int, *, together: bool = False
) -> NDArray[np.float64] | None:
    """Weights as float64 of shape (n_samples,), none negative and not all zero, at most 1.

    `together` if all processes that train together call it: they get weights in the same units.
    """
    if sample_weight is None:
        return None
    with reading("sample_weight", "Pass one number for each sample."):
        one_for_all = isinstance(sample_weight, Real)
        given = np.full(n_samples, sample_weight) if one_for_all else plain_data(sample_weight, "sample_weight")
        weights = check_array(given, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight.shape is {weights.shape}, but must be ({n_samples},): one weight for each sample."
        )
    if (weights < 0).any() or not weights.any():
        raise ValueError(
            "sample_weight must not be negative and not all zero, but it has a sum of "
            f"{weights.sum():g} and a smallest value of {weights.min():g}."
        )
    largest = max(gathered(weights.max())) if together else weights.max()
    return weights / largest  # so that no sum of them is too large


def check_segment_size(segment_size: int, sequences: Sequences) -> None:
    """ValueError for segments longer than every sequence."""
    longest = sequences.shape[1]
    if segment_size > longest:
        raise ValueError(
            f"segment_size is {segment_size}, but the longest sequence of X has {longest} steps. Choose a "
            "segment_size that is no longer than the sequences."
        )


def check_codes_exact(sequences: Sequences, channels: list[int]) -> None:
    """ValueError for category codes that float32 cannot tell apart."""
    used = sequences.used_rows() > 0 if channels else None
    for channel in channels:
        largest = np.nanmax(np.abs(sequences.values[used, channel]), initial=0)
        if largest >= 2**24:
            raise ValueError(
                f"categorical_features names channel {channel}, which has the code {largest:.0f}, but float32 "
                "holds integers exactly up to 16,777,215. Number the categories from 0, or use dtype='float64'."
            )


def channel_positions(chosen: NDArray, sequences: Sequences, parameter: str) -> list[int]:
    """Channels by position, name or mask as sorted positions; ValueError names what there is."""
    names, n_channels = sequences.channel_names, sequences.n_channels
    there = f"{n_channels} channels" + (f" ({', '.join(names)})" if names else " without names")
    if chosen.dtype == bool and chosen.shape == (n_channels,):
        return np.flatnonzero(chosen).tolist()
    if chosen.dtype.kind in "iu" and ((chosen >= -n_channels) & (chosen < n_channels)).all():
        return sorted({int(position) % n_channels for position in chosen})
    if chosen.size == 0:
        return []
    if chosen.dtype.kind in "OUT" and names and set(map(str, chosen)) <= set(names):
        return sorted(names.index(str(name)) for name in set(chosen))
    raise ValueError(f"{parameter} is {chosen.tolist()}, but X has {there}. Name channels that are there.")


def used_codes(sequences: Sequences, channel: int) -> list[float]:
    """The sorted codes of a channel that sequences use, those of all processes that train together."""
    codes = np.unique(np.concatenate(gathered(np.unique(sequences.values[sequences.used_rows() > 0, channel]))))
    return codes[~np.isnan(codes)].astype(np.float64).tolist()


def tail_split(order: NDArray, n_held_out: int) -> tuple[NDArray, NDArray]:
    """The last samples in an order are held out, both parts as they stand."""
    n_learned = len(order) - n_held_out
    return np.sort(order[:n_learned]), np.sort(order[n_learned:])


def random_split(n_samples: int, n_held_out: int, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
    """Any samples are held out, both parts in order."""
    rows = random.permutation(n_samples)
    return np.sort(rows[n_held_out:]), np.sort(rows[:n_held_out])


def stratified_split(codes: NDArray, n_held_out: int, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
    """Hold out the same share of each class, as evenly as whole samples allow; a class of any size will do.

    No class loses its last sample to train on, if others are left to hold out.
    """
    order = random.permutation(len(codes))
    by_class = order[np.argsort(codes[order], kind="stable")]
    # Every (n / n_held_out)-th sample in the order of classes: systematic sampling keeps the shares.
    position = ((np.arange(n_held_out) + random.uniform()) * len(codes) / n_held_out).astype(int)
    held_out = np.zeros(len(codes), dtype=bool)
    held_out[by_class[position]] = True
    classes, first = np.unique(codes[by_class], return_index=True)
    lost = by_class[first][~np.isin(classes, codes[~held_out])]
    if len(lost) < held_out.sum():
        held_out[lost] = False
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
