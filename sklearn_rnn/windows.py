"""Rows of time series as windows: each row becomes the sequence of the rows up to and including it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.tseries.offsets import BaseOffset
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from sklearn_rnn._callbacks import CallbackSupportMixin, FitTask
from sklearn_rnn._errors import reading, unchanged_on_error
from sklearn_rnn._rows import (
    Rows,
    as_names,
    as_pandas,
    categories_of,
    channel_positions,
    check_has_columns,
    check_no_duplicate,
    earlier_rows,
    first_rows_of_runs,
    joined,
    last_rows_of_groups,
    rows_of_array,
    rows_of_frame,
    sorted_order,
    spacings,
    warn_of_rounding,
    warn_of_windows_of_one_row,
    without_gap_before,
)
from sklearn_rnn._times import (
    INTEGERS,
    Times,
    check_same_kind,
    default_max_gap,
    gap_as_number,
    is_gap,
    read_max_gap,
    warn_of_counted_groups,
    with_clock_changes,
)
from sklearn_rnn._validation import check_parameters, plain_data
from sklearn_rnn.sequences import Sequences


def window_bounds(
    groups: NDArray,
    times: NDArray | None,
    *,
    n_steps: int,
    max_gap: float | None = None,
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64], NDArray[np.int64]]:
    """For each row, where its window begins among the sorted rows and how many rows it has.

    Parameters
    ----------
    groups : ndarray of int of shape (n_rows,)
        The group of each row. No window joins two groups.
    times : ndarray of shape (n_rows,) or None
        The time of each row; None for rows that follow each other.
    n_steps : int
        The most rows of a window.
    max_gap : float, default=None
        No window crosses a longer step in time; None is no limit.

    Returns
    -------
    order : ndarray of int of shape (n_rows,) or None
        The order that sorts the rows; None if they are sorted.
    starts : ndarray of int of shape (n_rows,)
        The first sorted row of the window of each row, the rows as they were given.
    lengths : ndarray of int of shape (n_rows,)
        The number of rows of each window.
    """
    n_rows = len(groups)
    order = sorted_order(groups, times)
    if order is not None:
        groups, times = groups[order], None if times is None else times[order]
    runs = first_rows_of_runs(groups, None if times is None or max_gap is None else is_gap(times, max_gap))
    starts = np.arange(1 - n_steps, n_rows + 1 - n_steps)
    np.maximum(starts, np.repeat(runs, np.diff(runs, append=n_rows)), out=starts)
    lengths = np.arange(1, n_rows + 1)
    lengths -= starts
    if order is None:
        return None, starts, lengths
    position = np.empty_like(order)
    position[order] = np.arange(n_rows)
    return order, starts[position], lengths[position]


def lag_features(windows: Sequences, n_steps: int) -> NDArray[np.float32]:
    """Windows as a table of shape (n_samples, n_steps * n_channels), oldest step first, NaN where there is none."""
    lags = np.full((len(windows), n_steps, windows.n_channels), np.nan, dtype=windows.dtype)
    last = windows.ends - 1
    for lag in range(n_steps):
        samples = np.flatnonzero(windows.lengths > lag)
        lags[samples, n_steps - 1 - lag] = windows.values[last[samples] - lag]
    return lags.reshape(len(windows), n_steps * windows.n_channels)


def _makes_lags(transformer: SlidingWindow) -> bool:
    if not transformer.flatten:
        raise AttributeError("Only lag features have names: get_feature_names_out needs flatten=True.")
    return True


class SlidingWindow(CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """Turn each row of a time series into the sequence of the rows up to and including it.

    A window has at most `n_steps` rows, the first rows of a series have shorter ones, and there are as many windows as
    rows, in the order of the rows, so `y` stays as it is. No window sees a later row, another group, or across a gap.
    Windows share the rows and are never copied. A step before it in a Pipeline must keep times and groups, as a scaler
    does by `set_output(transform="pandas")`: of an array nothing but the order of its rows is known.

    Parameters
    ----------
    n_steps : int, default=24
        The most rows of a window, at least 1.
    time : str, default=None
        The column of a DataFrame with the times: timestamps, periods, durations or numbers. It is no channel. None
        takes the index if it consists of times or numbers; otherwise, and for arrays, rows follow each other in the
        order given. With times, rows may come in any order.
    group : str or list of str, default=None
        The column or columns of a DataFrame that tell several series apart. They are no channels.
    max_gap : number, str or timedelta-like, default=None
        No window crosses a longer step in time. A number for numeric times, a length of time such as "1h" for
        timestamps. None finds it: 1 for integers; the spacing of evenly spaced times; the longest step of business
        days, other days of the week, months, quarters and years; no limit, with a warning, for irregular times.
    context : {"auto", "always", "never"}, default="auto"
        Whether the last rows of each group in `fit` are the history of later rows in `transform`. "auto": those that
        are earlier than all given rows of their group, across no gap; never without times. "always": as "auto", but
        whatever the gap; rows without times are taken to follow the rows of `fit`. "never": no.
    flatten : bool, default=False
        Whether to return lag features, a table with NaN where a window has no step, for estimators such as
        HistGradientBoostingRegressor. Those that take no NaN, such as Ridge, need a SimpleImputer in between.

    Attributes
    ----------
    max_gap_ : int, float, Timedelta or None
        The longest step in time within a window; None is no limit.
    n_features_in_ : int
        The number of columns of X, time and group included.
    feature_names_in_ : ndarray of str of shape (n_columns,)
        The names of the columns, where X has any.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_rnn import SlidingWindow
    >>> X = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0]}, index=pd.date_range("2024-01-01", periods=4, freq="h"))
    >>> SlidingWindow(n_steps=3).fit_transform(X)
    Sequences(n_samples=4, n_steps=1 to 3, n_channels=1)
    >>> lags = SlidingWindow(n_steps=3, flatten=True)
    >>> lags.fit_transform(X)
    array([[nan, nan,  1.],
           [nan,  1.,  2.],
           [ 1.,  2.,  3.],
           [ 2.,  3.,  4.]], dtype=float32)
    >>> lags.get_feature_names_out()
    array(['load_lag2', 'load_lag1', 'load_lag0'], dtype=object)
    """

    _parameter_constraints: dict = {
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "time": [str, Integral, None],
        "group": [str, Integral, list, tuple, None],
        "max_gap": [np.timedelta64, timedelta, BaseOffset, str, Interval(Real, 0, None, closed="neither"), None],
        "context": [StrOptions({"auto", "always", "never"})],
        "flatten": ["boolean"],
    }

    def __init__(
        self,
        n_steps: int = 24,
        *,
        time: str | None = None,
        group: str | list[str] | None = None,
        max_gap: Any = None,
        context: str = "auto",
        flatten: bool = False,
    ) -> None:
        self.n_steps = n_steps
        self.time = time
        self.group = group
        self.max_gap = max_gap
        self.context = context
        self.flatten = flatten

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> SlidingWindow:
        """Learn the columns, the longest step in time, and the last rows of each group.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            One row per time. Channels are numbers, NaN being a missing value. A table of another library, such as
            polars, is read by its `to_pandas`; having no index, it has no times but those of the column `time`. One of
            dask is computed, and keeps its index.
        y : None
            Ignored.

        Returns
        -------
        SlidingWindow
            Itself.

        Raises
        ------
        ValueError
            If no group has `n_steps` rows; a column is absent or no number; a time or a group is missing; a time
            occurs twice in a group; a channel is infinite; or `max_gap` does not fit the times.
        """
        task = FitTask(self, X=X, y=y)
        task.begin()
        with unchanged_on_error(self):
            self._learn(as_pandas(X))
        task.end()
        return self

    def transform(self, X: ArrayLike | pd.DataFrame) -> Sequences | NDArray[np.float32]:
        """Make the window of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows with the columns of `fit`, any number of them.

        Returns
        -------
        Sequences of shape (n_rows, n_steps, n_channels) or ndarray of shape (n_rows, n_steps * n_channels)
            The windows in the order of the rows; with `flatten` the lag features, oldest step first.

        Raises
        ------
        ValueError
            If the columns differ from those of `fit`, or the times, where there are any, are of another kind; if
            n_steps was changed since; or as in `fit`.
        """
        self._check_is_as_fitted()
        return self._make_windows(X, self.context)

    def fit_transform(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> Sequences | NDArray[np.float32]:
        """Fit to the rows, then make the window of each; nothing precedes the rows of `fit`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            As in `fit`.
        y : None
            Ignored.

        Returns
        -------
        Sequences or ndarray
            As in `transform`.
        """
        X = as_pandas(X)
        return self.fit(X)._make_windows(X, "never")

    def set_output(self, *, transform: str | None = None) -> SlidingWindow:
        """Choose the container of lag features; sequences stay as they are.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            As in scikit-learn; None changes nothing.

        Returns
        -------
        SlidingWindow
            Itself.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    @available_if(_makes_lags)
    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Name the lag features, such as `load_lag3` for three rows ago; `load_lag0` is the row itself.

        Parameters
        ----------
        input_features : array-like of str of shape (n_columns,), default=None
            The names of the columns; None takes those of `fit`.

        Returns
        -------
        ndarray of str of shape (n_steps * n_channels,)
        """
        self._check_is_as_fitted()
        with reading("input_features", "Pass the names of the columns."):
            names = _check_feature_names_in(self, input_features)
        lags = range(self.n_steps - 1, -1, -1)
        return np.array([f"{names[channel]}_lag{lag}" for lag in lags for channel in self._channels], dtype=object)

    def _validate_params(self) -> None:
        check_parameters(self)

    def _check_is_as_fitted(self) -> None:
        """NotFittedError before `fit`; ValueError if windows are to be of another length since."""
        check_is_fitted(self)
        fitted = getattr(self, "_fitted_n_steps", self.n_steps)  # of version 0.1.0, which did not note it
        if self.n_steps != fitted:
            raise ValueError(f"n_steps is {self.n_steps}, but was {fitted} in fit. Set it back, or fit again.")

    def _learn(self, X: Any) -> None:
        rows, times = self._read(X, reset=True)
        self._check_n_steps(rows)
        self._fitted_n_steps = self.n_steps
        order = sorted_order(rows.groups, rows.times)
        self._time_kind = None if times is None else times.kind
        check_no_duplicate(rows, order, self._time_kind)
        self.max_gap_ = self._find_max_gap(rows, order, times)
        if self.max_gap is not None or self._time_kind != INTEGERS:
            warn_of_windows_of_one_row(rows, order, self.max_gap_)
        self._remember(last_rows_of_groups(rows, order, self.n_steps))  # the last may be asked for once more
        self._channels = list(range(self.n_features_in_))
        self._channel_names = None
        if isinstance(X, pd.DataFrame):
            self._channels = channel_positions(X, self.time, as_names(self.group))
            self._channel_names = [str(X.columns[channel]) for channel in self._channels]
        numeric = [channel for channel in self._channels if channel not in self._categories]
        table = X if isinstance(X, pd.DataFrame) else np.asarray(X)
        warn_of_rounding(table, numeric, "float32", "Subtract a constant from it.", series=rows)

    def _read(self, X: Any, *, reset: bool) -> tuple[Rows, Times | None]:
        group = as_names(self.group)
        check_has_columns(X, self.time, group)
        if isinstance(X, pd.DataFrame):
            with reading("X"):
                validate_data(self, X, reset=reset, skip_check_array=True)
            if reset:
                self._categories = categories_of(X, channel_positions(X, self.time, group))
            return rows_of_frame(X, self.time, group, self._categories)
        if reset:
            self._categories = {}
        with reading("X", "Pass a DataFrame or numbers of shape (n_rows, n_columns)."):
            X = plain_data(X, "X")
            values = validate_data(self, X, reset=reset, dtype=np.float32, ensure_all_finite=False)
        return rows_of_array(values), None

    def _check_n_steps(self, rows: Rows) -> None:
        longest = int(rows.sizes().max())
        if self.n_steps > longest:
            raise ValueError(
                f"n_steps is {self.n_steps}, but the longest group has {longest} rows (n_samples={len(rows.groups)}, "
                f"n_groups={len(rows.labels)}). Use fewer steps or pass more rows."
            )

    def _find_max_gap(self, rows: Rows, order: NDArray | None, times: Times | None) -> Any:
        gap = None if self.max_gap is None else read_max_gap(self.max_gap, None if times is None else times.kind)
        if times is None:
            return None
        steps = spacings(rows, order)
        if gap is not None:
            return with_clock_changes(gap, times.kind, steps)
        if self.time is None and self.group is not None and times.kind == INTEGERS:
            warn_of_counted_groups(steps)
        return default_max_gap(times, steps)

    def _remember(self, rows: Rows) -> None:
        """Keep rows as plain arrays, which any way of saving the transformer can handle."""
        self._context_values, self._context_groups, self._context_times = rows.values, rows.groups, rows.times
        self._context_labels = rows.labels

    def _with_context(self, rows: Rows, context: str) -> Rows:
        """The rows with those remembered ones before them that are their history."""
        if context == "never" or (context == "auto" and rows.times is None):
            return rows
        remembered = Rows(self._context_values, self._context_groups, self._context_labels, self._context_times)
        history = earlier_rows(remembered, rows)
        if len(history.groups) == 0:
            return rows
        if context == "always" and self.max_gap_ is not None:
            history = without_gap_before(rows, history, gap_as_number(self.max_gap_))
        return joined(history, rows)

    def _make_windows(self, X: Any, context: str) -> Sequences | NDArray[np.float32]:
        new, times = self._read(as_pandas(X), reset=False)
        new = self._with_comparable_times(new, times)
        rows = self._with_context(new, context)
        order, starts, lengths = window_bounds(
            rows.groups, rows.times, n_steps=self.n_steps, max_gap=gap_as_number(self.max_gap_)
        )
        check_no_duplicate(rows, order, self._time_kind)
        n_remembered = len(rows.groups) - len(new.groups)
        windows = Sequences(
            rows.values if order is None else rows.values[order],
            starts[n_remembered:],
            lengths[n_remembered:],
            channel_names=self._channel_names,
            categorical=[j for j, channel in enumerate(self._channels) if channel in self._categories],
        )
        if self.flatten:
            return lag_features(windows, self.n_steps)
        if rows.times is None:
            return windows
        return windows.with_times(rows.times if order is None else rows.times[order])

    def _with_comparable_times(self, rows: Rows, times: Times | None) -> Rows:
        """The rows, whose times only count if those of `fit` had times of the same kind."""
        if times is None or self._time_kind is None:
            return replace(rows, times=None)
        check_same_kind(times, self._time_kind, "X")
        return rows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
