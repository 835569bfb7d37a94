"""How a forecaster reads tables, and the last rows that it remembers of each series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._frequency import Frequency
from sklearn_rnn._net_estimator import NetEstimator
from sklearn_rnn._panel import (
    Roles,
    check_columns,
    check_spacing,
    completed,
    find_roles,
    frame_of_array,
    read_history,
    sort_rows,
    warn_of_rows_alone,
    warn_of_rows_off_schedule,
    with_static_values,
)
from sklearn_rnn._rows import (
    Rows,
    as_names,
    as_pandas,
    codes_of,
    earlier_rows,
    joined,
    last_rows_of_groups,
    of_group,
    other_rows,
    with_numbers,
)
from sklearn_rnn._times import Times, check_same_kind, format_time


class HistoryForecaster(NetEstimator):
    """The tables of :class:`~sklearn_rnn.RNNForecaster`, which has learned roles of columns, frequency and sizes."""

    _roles: Roles
    _frequency: Frequency
    n_steps_: int
    season_: int

    def _as_frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """X as a DataFrame; whether its index may be one of times is learned or checked."""
        with reading("X", "Pass a DataFrame or a 2-D array."):
            X = as_pandas(X)
            X = X.to_frame() if isinstance(X, pd.Series) else X
            has_index = isinstance(X, pd.DataFrame)
            X = X if has_index else frame_of_array(X)
            check_columns(X.columns, "X")
            X = with_numbers(X, [self.time, *as_names(self.group)])
            if len(X) == 0:
                raise ValueError("X has no rows. Pass at least one.")
        if reset:
            self._has_index = has_index
            are_names = has_index and all(isinstance(name, str) for name in X.columns)
            self._learn_features(X.shape[1], X.columns if are_names else None)
        elif has_index != self._has_index:
            given, fitted = ("a DataFrame", "an array") if has_index else ("an array", "a DataFrame")
            raise ValueError(f"X is {given}, but the model was fitted with {fitted}. Pass {fitted}.")
        elif not has_index and X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} columns, but {self.n_features_in_} in fit. Arrays are read by position: pass the "
                "same columns."
            )
        return X

    def _find_roles(self, frame: pd.DataFrame) -> Roles:
        return find_roles(
            frame,
            target=as_names(self.target),
            time=self.time,
            group=as_names(self.group),
            known=as_names(self.known),
            static=as_names(self.static),
            calendar=[str(name) for name in as_names(self.calendar)],
        )

    def _read(self, frame: pd.DataFrame, dtype: str, zone: str | None) -> tuple[Rows, Times | None]:
        """Unsorted rows with the columns of the model; ValueError names what lacks."""
        absent = [name for name in self._roles.needed if name not in frame.columns]
        if absent:
            raise ValueError(
                f"The data have no column {', '.join(map(repr, absent))}, which the model was fitted with. Pass the "
                "columns of fit."
            )
        return read_history(frame, self._roles, dtype, row_times=self._has_index, zone=zone)

    def _read_new(self, frame: pd.DataFrame, *, follow: bool) -> tuple[Rows, NDArray[np.int64]]:
        """Sorted rows with the remembered ones that are earlier, and for each group its first new row.

        Rows without times are taken to follow the remembered ones if `follow`, otherwise to stand for themselves.
        """
        given = self._read_given(frame)
        rows = self._with_history(given, follow=follow, choose=earlier_rows)
        return rows, rows.bounds()[1] - given.sizes()

    def _read_given(self, frame: pd.DataFrame) -> Rows:
        """The rows of a table, sorted."""
        rows, times = self._read(frame, self._net_dtype, self._frequency.zone)
        check_same_kind(times, self._frequency.kind, "the data")
        rows = sort_rows(rows, self._frequency.kind)
        warn_of_rows_alone(rows, self._frequency)
        warn_of_rows_off_schedule(rows, self._frequency)
        return completed(rows, self._roles, self._frequency)

    def _with_history(self, given: Rows, *, follow: bool, choose: Callable[[Rows, Rows], Rows]) -> Rows:
        """Sorted rows with those of the remembered ones that `choose` gives; without times, only if they `follow`."""
        rows = given
        if rows.times is not None or follow:
            rows = sort_rows(joined(choose(self._remembered, rows), rows), self._frequency.kind)
            rows = completed(rows, self._roles, self._frequency)
        check_spacing(rows, self._frequency)
        return with_static_values(rows, self._roles)

    def _rows_up_to(self, X: Any) -> Rows:
        """The sorted rows that a forecast follows: those remembered, or X with those before it."""
        self._check_is_as_fitted()
        if X is None:
            return self._remembered
        return self._read_new(self._as_frame(X, reset=False), follow=False)[0]

    @property
    def _remembered(self) -> Rows:
        return Rows(self._last_values, self._last_groups, self._last_labels, self._last_times)

    def _remember(self, rows: Rows, resume: bool = False) -> None:
        """Keep the last rows of each group of the sorted rows; to `resume`, among those remembered."""
        last = last_rows_of_groups(rows, None, max(self.n_steps_, self.season_))
        if resume:
            self._append(self._with_history(last, follow=False, choose=other_rows))
            return
        self._last_values, self._last_groups, self._last_times = last.values, last.groups, last.times
        self._last_labels = last.labels

    def _warn_of_old_rows(self, given: Rows) -> None:
        """Tell of groups of which no row is kept, for what is remembered of them is newer."""
        if given.times is None or self._last_times is None:
            return
        first_rows, _ = self._remembered.bounds()
        oldest = dict(zip(self._last_labels, self._last_times[first_rows], strict=True))
        for last in given.bounds()[1] - 1:
            label = given.labels[given.groups[last]]
            kept = oldest[label]
            if given.times[last] < kept:
                newest, first = (format_time(time, self._frequency.kind) for time in (given.times[last], kept))
                warn(
                    f"None of the rows{of_group(label)} is kept: the newest is of {newest}, the oldest that is "
                    f"remembered of {first}. If they are new, go on with the times or numbers of the earlier rows.",
                )
                return

    def _append(self, rows: Rows) -> None:
        """Remember sorted rows beside those of the groups that they do not have; new groups come last."""
        labels = list(dict.fromkeys([*self._last_labels, *rows.labels]))
        codes = codes_of(rows.labels, labels)
        kept = self._remembered.take(np.flatnonzero(~np.isin(self._last_groups, codes)))
        both = joined(
            Rows(kept.values, kept.groups, labels, kept.times),
            Rows(rows.values, codes[rows.groups], labels, rows.times),
        )
        self._remember(completed(sort_rows(both, self._frequency.kind), self._roles, self._frequency))
