"""How X becomes Sequences, and is checked against the X of fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._net_estimator import NetEstimator
from sklearn_rnn._rows import AGAINST_ROUNDING, CHECKED_AT_ONCE, warn_of_rounding
from sklearn_rnn._validation import channel_positions, check_codes_exact, check_usable, plain_data
from sklearn_rnn.sequences import Sequences, as_sequences, is_ragged, is_table

FORMS = (
    "Pass Sequences, numbers of shape (n_samples, n_steps * n_channels) or (n_samples, n_steps, n_channels), or a list "
    "of arrays of shape (n_steps, n_channels)."
)


class SequenceReader(NetEstimator):
    """What RNNRegressor and RNNClassifier know of X: its forms, channels and categories."""

    feature_names_in_: NDArray

    def _check_X(self, X: Any, dtype: str, *, reset: bool) -> Sequences:
        with reading("X", FORMS):
            return self._read_X(X, dtype, reset)

    def _read_X(self, X: Any, dtype: str, reset: bool) -> Sequences:
        X = as_dense(X, "X")
        if isinstance(X, np.ndarray) and X.ndim == 2 and not reset and self._has_sequences_of_numbers():
            X = X[:, :, None]
        if not is_table(X):
            sequences = as_sequences(X, dtype=dtype)
            self._check_channels(sequences, reset)
            check_usable(sequences, "X")
            return sequences
        if reset and isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.PeriodIndex)):
            warn(
                "X is a table with a time index, and each of its rows is read as one sequence of its columns. If its "
                f"rows are the steps, put SlidingWindow before {type(self).__name__} in a Pipeline.",
            )
        _check_cells(X)
        X = plain_data(X, "X")
        table = validate_data(self, X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan")
        sequences = as_sequences(table, n_channels=int(self.n_channels), dtype=dtype)
        if not reset:
            self._check_net_channels(
                sequences,
                "Each row of a table is one sequence; wrap a single sequence (n_steps, n_channels) in a list.",
            )
        return sequences

    def _warn_of_rounding(self, X: Any, sequences: Sequences) -> None:
        """Tell of channels of which the net's type keeps little, by some of the samples."""
        if self.dtype == "float64" or str(getattr(X, "dtype", "")) == "float32":
            return
        if isinstance(X, Sequences):
            X = X.without_unused_rows()
        else:
            some = slice(None, None, len(sequences) * sequences.shape[1] // CHECKED_AT_ONCE + 1)
            if is_ragged(X):
                X = list(X)[some]
            else:
                X = plain_data(X.iloc[some] if isinstance(X, pd.DataFrame) else np.asanyarray(X)[some], "X")
                X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", allow_nd=True)
            X = as_sequences(X, n_channels=sequences.n_channels, dtype=np.float64)
        names = sequences.channel_names or [f"channel {i}" for i in range(sequences.n_channels)]
        warn_of_rounding(X.values, range(len(names)), self.dtype, AGAINST_ROUNDING, names=names)

    def _has_sequences_of_numbers(self) -> bool:
        """Whether fit had sequences (n_steps, 1), rather than rows of a table, each a sequence of its columns."""
        return self.n_features_in_ == self.net_.module_.config["n_channels"] == 1 < self.n_steps_in_

    def _check_channels(self, sequences: Sequences, reset: bool) -> None:
        names = sequences.channel_names
        if reset:
            self._learn_features(sequences.n_channels, names)
            return
        self._check_net_channels(sequences)
        fitted = getattr(self, "feature_names_in_", None)
        if names is not None and fitted is not None and len(fitted) == len(names) and tuple(fitted) != names:
            raise ValueError(
                f"X has the channels {', '.join(names)}, but the model was fitted with {', '.join(map(str, fitted))}. "
                "Pass the same columns in the same order."
            )

    def _check_net_channels(self, sequences: Sequences, hint: str = "Pass the same channels.") -> None:
        expected = self.net_.module_.config["n_channels"]
        if sequences.n_channels != expected:
            names = getattr(self, "feature_names_in_", ())
            which = f" ({', '.join(map(str, names))})" if len(names) == expected else ""
            raise ValueError(
                f"X has {sequences.n_channels} channels, but the model was fitted with {expected}{which}. {hint}"
            )

    def _categorical_channels(self, sequences: Sequences) -> list[int]:
        """Positions of the channels that hold codes, their codes checked."""
        chosen = self.categorical_features
        if chosen is None or (isinstance(chosen, str) and chosen == "from_dtype"):
            channels = list(sequences.categorical) if chosen is not None else []
        else:
            with reading("categorical_features", "Pass positions, names or a mask of channels."):
                channels = channel_positions(np.asarray(chosen), sequences, "categorical_features")
        if self.dtype == "float32":
            check_codes_exact(sequences, channels)
        return channels

    def _check_X_val(self, X_val: Any, X: Any, sequences: Sequences) -> Sequences:
        X_val = plain_data(as_dense(X_val, "X_val"), "X_val")
        is_rows = isinstance(X, Sequences) and isinstance(X_val, np.ndarray) and X_val.ndim == 2
        if is_rows or (hasattr(X_val, "columns") and not is_table(X)):
            raise ValueError(
                f"X_val is a table, but X is {type(X).__name__}. Pass both in one form; behind SlidingWindow in a "
                "Pipeline, make Pipeline(..., transform_input=['X_val']) with metadata routing, or pass windows."
            )
        if hasattr(X_val, "columns"):
            X_val = validate_data(self, X_val, reset=False, dtype=self.dtype, ensure_all_finite="allow-nan")
        elif is_table(X) and is_table(X_val) and np.shape(X_val)[1:] != (self.n_features_in_,):
            raise ValueError(
                f"X_val has shape {np.shape(X_val)}, but X has {self.n_features_in_} columns. Pass the same columns."
            )
        held_out = as_sequences(X_val, n_channels=int(self.n_channels), dtype=self.dtype)
        if held_out.n_channels != sequences.n_channels:
            raise ValueError(
                f"X_val has {held_out.n_channels} channels, but X has {sequences.n_channels}. Pass the same channels."
            )
        names, of_X = held_out.channel_names, sequences.channel_names
        if names is not None and of_X is not None and names != of_X:
            raise ValueError(
                f"X_val has the channels {', '.join(names)}, but X has {', '.join(of_X)}. Pass the same columns in the "
                "same order."
            )
        check_usable(held_out, "X_val")
        return held_out


def _check_cells(X: Any) -> None:
    """ValueError if X is a table and the cells of one of its columns are sequences."""
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return
    for name, dtype in zip(X.columns, X.dtypes, strict=True):
        if getattr(dtype, "kind", "O") == "O" and is_ragged(X[name]):
            raise ValueError(
                f"Column {name!r} of X has a sequence in each cell. Pass X[{name!r}] itself; several such columns as a "
                "list that has for each row np.column_stack of its cells, of shape (n_steps, n_channels)."
            )


def as_dense(X: Any, name: str) -> Any:
    """The array that nested lists make, if they make one."""
    if not isinstance(X, (list, tuple)) or is_ragged(X):
        return X
    if not X:
        raise ValueError(f"{name} is empty. Pass at least one sequence.")
    return np.asarray(X)
