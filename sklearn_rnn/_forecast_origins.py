"""Forecasts from past origins: which there are, what came after them, and what naive forecasts said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_rnn._errors import warn
from sklearn_rnn._forecast_base import BaseForecaster
from sklearn_rnn._forecast_tables import check_names_of_groups
from sklearn_rnn._frequency import find_frequency
from sklearn_rnn._panel import bounds_of_runs, count_in_group, read_history, sort_rows, with_missing_rows
from sklearn_rnn._rows import Rows, readable_label
from sklearn_rnn.sequences import Sequences

_AT_ONCE = 4_096  # windows


class NoOriginError(ValueError):
    """No row of a table can be forecast from."""


class OriginForecaster(BaseForecaster):
    """What `predict`, `score` and `backtest` of :class:`~sklearn_rnn.RNNForecaster` share."""

    def _bridged(self, history: Rows) -> Rows:
        """The rows with rows of NaN in the gaps that leave a group's last window shorter than any of training.

        A net that has learned from whole windows makes nothing of a few rows.
        """
        starts, stops = bounds_of_runs(history, self._frequency)
        groups = history.groups[starts]
        is_short = (stops - starts)[_is_last(groups)] < self._shortest_window  # (n_groups,)
        return self._with_filled(history, starts[_follows(groups) & is_short[groups]])[0]

    def _with_filled(self, rows: Rows, gaps: NDArray) -> tuple[Rows, NDArray[np.int64]]:
        """The rows with rows of NaN in the gaps before some of them, and where they are there."""
        if not len(gaps):
            return rows, np.arange(len(rows.groups))
        return with_missing_rows(rows, gaps, self._roles, self._frequency, self.n_steps_)

    def _warn_of_short_windows(self, windows: Sequences) -> None:
        short = windows.lengths < self._shortest_window
        if short.any():
            warn(
                f"{short.sum()} of {len(windows)} series have fewer rows to forecast from than any window of training "
                f"had: {windows.lengths.min()} instead of {self._shortest_window}. The net has not learned such "
                "forecasts, look at them. Pass more rows of these series without gaps, or fit with a smaller n_steps.",
            )

    def _last_windows(self, history: Rows, both: Rows) -> Sequences:
        """The window that ends at each group's last row, found in the rows with `horizon` coming ones a group."""
        starts, stops = bounds_of_runs(history, self._frequency)
        last_runs = _is_last(history.groups[starts])
        shift = np.arange(len(history.labels)) * self.horizon
        first = np.maximum(starts, stops - self.n_steps_)[last_runs]
        return Sequences(both.values, first + shift, stops[last_runs] - first)

    def _origins(
        self, frame: pd.DataFrame, n_origins: int | None, stride: int, *, after_fit: bool = False
    ) -> tuple[Rows, NDArray, NDArray, Sequences]:
        """Rows in whose gaps rows of NaN stand, each group's first new row, first rows of runs, windows of origins.

        Windows are those that :meth:`predict` would forecast from, and their horizon is of new rows without a gap.
        `after_fit` says that these are expected to follow the rows of fit, as those of a test fold do.
        """
        given, first_new = self._read_new(frame, follow=True)
        starts, _ = bounds_of_runs(given, self._frequency)
        if after_fit:
            _warn_of_a_gap_behind_fit(first_new, given.bounds()[0], starts)
        rows, position = self._with_filled(given, starts[_follows(given.groups[starts])])
        first_new, starts = position[first_new], position[starts]
        runs = bounds_of_runs(rows, self._frequency)
        windows = self._windows_of(rows, runs, None, first_new[rows.groups[runs[0]]])
        if len(starts) > len(runs[0]):
            windows = self._cut_at_gaps(windows, starts, position)
        if self._frequency.rows_a_week:
            n_told = self._roles.known_columns.stop - 2 * len(self._roles.calendar)
            is_given = ~np.isnan(rows.values[windows.ends - 1, :n_told]).all(axis=1)
            windows = windows[np.flatnonzero(is_given)]  # none ends at a row that only the schedule has
        if len(windows) == 0:
            raise NoOriginError(
                f"There is no row to forecast from: no group has {self.horizon} rows without a gap that follow a "
                "row of its own or one remembered from fit, and have a target. Pass more rows, or lower horizon."
            )
        origins = windows.ends - 1
        groups = rows.groups[origins]
        latest = np.zeros(len(rows.labels), dtype=np.int64)
        np.maximum.at(latest, groups, origins)
        back = latest[groups] - origins
        chosen = back % stride == 0
        if n_origins is not None:
            chosen &= back // stride < n_origins
        return rows, first_new, runs[0], windows[np.flatnonzero(chosen)]

    def _cut_at_gaps(self, windows: Sequences, starts: NDArray, given: NDArray) -> Sequences:
        """The windows at and before rows that are given, from the gap on if that leaves as many rows as in training.

        Parameters
        ----------
        windows : Sequences
            Of rows with others in their gaps.
        starts, given : ndarray of int
            The first row behind each gap, and of each series, and all rows but those in gaps, sorted.
        """
        ends = windows.ends
        n_given = np.searchsorted(given, ends + self.horizon) - np.searchsorted(given, ends - 1)
        windows = windows[np.flatnonzero(n_given == self.horizon + 1)]
        ends = windows.ends
        behind_gap = starts[np.searchsorted(starts, ends - 1, side="right") - 1]
        is_enough = ends - behind_gap >= self._shortest_window
        first = np.where(is_enough, np.maximum(windows.starts, behind_gap), windows.starts)
        return Sequences(windows.values, first, ends - first)

    def _warn_of_unknown(self, forecasts: NDArray) -> None:
        """Tell of groups whose windows (n_groups, horizon, n_targets[, n_quantiles]) have no value to begin from."""
        unknown = np.isnan(self.net_.module_.point(forecasts)).any(axis=1)  # (n_groups, n_targets)
        if unknown.any():
            names = [str(name) for name, some in zip(self._roles.target, unknown.any(axis=0), strict=True) if some]
            warn(
                f"{unknown.any(axis=1).sum()} of {len(unknown)} series have no value of {' or '.join(names)} in their "
                f"last {self.n_steps_} rows, so its forecast is NaN. Pass rows that have one, or fit with a larger "
                "n_steps; normalize=None forecasts such series by their covariates.",
            )

    def _skill_over_naive(self, rows: Rows, windows: Sequences, first_rows: NDArray) -> float:
        """One minus the mean absolute error over that of the seasonal naive forecast."""
        totals, n_compared = np.zeros(2), 0
        units = self._units(rows, windows)
        for begin in range(0, len(windows), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            actual = self._actual(windows[part])
            model = self._point_forecast(windows[part]) - actual
            naive = self._naive(windows[part], first_rows, self.season_) - actual
            there = ~np.isnan(model + naive)
            totals += [(np.abs(errors) / units[part])[there].sum() for errors in (model, naive)]
            n_compared += int(there.sum())
        if not n_compared:
            raise ValueError(
                "Nothing can be scored: no row to be forecast has a value and, for the seasonal naive forecast, another"
                f" one {self.season_} rows before it. Pass rows with fewer missing values."
            )
        return float(1 - totals[0] / totals[1]) if totals[1] > 0 else float(totals[0] == 0)

    def _scales(self, rows: Rows, first_rows: NDArray, origins: NDArray) -> NDArray[np.float64]:
        """Mean absolute change over a season in the rows of fit, (n_groups, n_targets), NaN if unknown.

        For groups that fit has not seen, up to their first origin.
        """
        first_origin = np.full(len(rows.labels), len(rows.groups))
        np.minimum.at(first_origin, rows.groups[origins], origins)
        scales = self._season_changes(rows, first_rows, first_origin)
        fitted: dict[tuple, list] = dict(self._scales_of_fit)
        for code, label in enumerate(rows.labels):
            scales[code] = fitted.get(label, scales[code])
        return scales

    def _backtest_with_refits(self, X: Any, n_origins: int | None, stride: int) -> pd.DataFrame:
        """A backtest whose every origin has a forecaster of its own, trained on the rows up to its time."""
        fresh: Any = clone(self)
        frame = fresh._as_frame(X, reset=True)
        roles = fresh._find_roles(frame)
        check_names_of_groups(roles, self.quantiles)
        rows, times = read_history(frame, roles, self.dtype, row_times=fresh._has_index)
        self._check_length(rows)
        if times is None:  # all groups end together
            late = rows.sizes().max() - rows.sizes()  # than the longest group each begins
            moments = late[rows.groups] + count_in_group(rows.groups)
            begins = dict(zip(rows.labels, late, strict=True))
        else:
            frequency = find_frequency(times, sort_rows(rows, times.kind))
            moments = _moments(times.numbers, frequency.shortest_step)
        cuts = np.arange(moments.max() - self.horizon, self.horizon - 1, -stride)[:n_origins]
        if len(cuts) == 0:
            raise ValueError(
                f"There are {moments.max() + 1} times, but a backtest with refit=True needs at least "
                f"{2 * self.horizon + 1}. Pass more rows, or lower horizon."
            )
        parts, reason = [], NoOriginError()
        covered = np.zeros(len(rows.labels), dtype=bool)
        for cut in cuts[::-1]:
            train, test = moments <= cut, (moments > cut) & (moments <= cut + self.horizon)
            covered[rows.groups[test]] = True
            tables = [frame[chosen] if fresh._has_index else frame[chosen].to_numpy() for chosen in (train, test)]
            try:
                part = self._backtest_anew(*tables)
            except NoOriginError as error:  # a gap, or all targets are missing
                reason = error
                continue
            if times is None:
                labels = zip(*(part[name] for name in roles.group), strict=True) if roles.group else [()] * len(part)
                part["origin"] = cut - np.array([begins[label] for label in labels])
                part["time"] = part["origin"] + part["step"]
            parts.append(part)
        if not parts:
            raise reason
        if not covered.all():
            label = readable_label(rows.labels[int(covered.argmin())])
            warn(
                f"{(~covered).sum()} of {len(covered)} groups, such as {label}, have no rows behind any origin, which "
                "are the latest times of all groups together. Raise n_origins, or backtest such groups apart.",
            )
        return pd.concat(parts, ignore_index=True)

    def _backtest_anew(self, train: Any, test: Any) -> pd.DataFrame:
        """That of a forecaster trained on some rows, whose one origin is the last of them."""
        model = clone(self)
        try:
            model.fit(train)
        except ValueError as error:
            raise ValueError(
                f"Training on the {len(train)} rows up to an origin fails: {error} Or begin with a later origin: lower "
                "n_origins or stride."
            ) from error
        return model.backtest(test, n_origins=1)


def _is_last(groups: NDArray) -> NDArray[np.bool_]:
    """Which of the runs, of these groups, are the last ones of their group."""
    return np.append(groups[1:] != groups[:-1], True)


def _follows(groups: NDArray) -> NDArray[np.bool_]:
    """Which of the runs follow another one of their group."""
    return np.append(False, ~_is_last(groups)[:-1])


def _moments(times: NDArray, step: Any) -> NDArray[np.int64]:
    """The rank of each time, where those less than a `step` before another one rank with it: hours of two clocks."""
    distinct = np.unique(times)
    if step is not None:
        ends: list[Any] = [distinct[-1]]
        for time in distinct[-2::-1]:
            if ends[-1] - time >= 0.99 * step:
                ends.append(time)
        distinct = np.array(ends[::-1])
    return np.searchsorted(distinct, times)


def _warn_of_a_gap_behind_fit(first_new: NDArray, first_rows: NDArray, starts_of_runs: NDArray) -> None:
    """Tell that the rows remembered from fit are of no use, where they end a gap before the new ones in every group."""
    remembered = first_new > first_rows
    if remembered.any() and np.isin(first_new[remembered], starts_of_runs).all():
        warn(
            "The rows of fit end some rows before those of X, so the first windows have a hole there. In a "
            "cross-validation use WindowSplit(horizon=0): the forecaster's targets are rows of the training fold, and "
            "nothing has to be left out between the folds.",
        )
