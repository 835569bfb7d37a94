"""A table of series, read column by column into rows sorted by group and time, and the rows that follow them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._frequency import Frequency
from sklearn_rnn._rows import (
    Rows,
    among_all,
    as_pandas,
    category_codes,
    check_has_columns,
    check_no_duplicate,
    check_no_infinity,
    check_types_of_groups,
    codes_of,
    first_rows_of_runs,
    groups_apart,
    is_numeric,
    looks_like_a_date,
    of_group,
    one_group,
    read_groups,
    readable_label,
    sorted_order,
    times_of_frame,
    with_numbers,
)
from sklearn_rnn._schedule import DAY
from sklearn_rnn._times import ZONED, Times, check_same_kind, format_time, read_times
from sklearn_rnn._validation import plain_data

# What a calendar feature counts, from 0, and how many there are before it starts again.
CALENDAR = {
    "minute": (lambda dates: dates.minute, 60),
    "hour": (lambda dates: dates.hour, 24),
    "dayofweek": (lambda dates: dates.day_of_week, 7),
    "day": (lambda dates: dates.day - 1, 31),
    "dayofyear": (lambda dates: dates.day_of_year - 1, 366),
    "month": (lambda dates: dates.month - 1, 12),
    "quarter": (lambda dates: dates.quarter - 1, 4),
}

# What pandas may find in columns of objects.
DATES = ("date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period")
SOME_GROUPS = "To forecast some groups alone, such as those that have not ended, pass their recent rows as X, too."
MANY_CATEGORIES = 100
MANY_DATES = 20  # for categories
DAYS_OF_WEEK = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
FEW_WEEKS, ROWS_OF_DAYS = 14 * DAY, 20  # fewer may have no row on a day, and half as many on two, by chance
MOST_OFF_SCHEDULE, FEW_OFF_SCHEDULE = 0.1, 10  # of all rows, and rows, at other moments of the week
_GAPS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Roles:
    """Which column is what. Rows hold targets, past covariates, known covariates, calendar features, static columns."""

    time: Hashable | None
    group: tuple[Hashable, ...]
    target: tuple[Hashable, ...]
    past: tuple[Hashable, ...]
    known: tuple[Hashable, ...]
    static: tuple[Hashable, ...]
    calendar: tuple[str, ...]
    categories: Mapping[Hashable, list]  # the values of the columns that are not numbers

    @property
    def needed(self) -> list[Hashable]:
        time = [] if self.time is None else [self.time]
        return [*time, *self.group, *self.target, *self.past, *self.known, *self.static]

    @property
    def n_targets(self) -> int:
        return len(self.target)

    @property
    def n_known(self) -> int:
        return len(self.known) + 2 * len(self.calendar)

    @property
    def known_columns(self) -> slice:
        """Where among the columns of the rows the known covariates are, calendar features included."""
        first = self.n_targets + len(self.past)
        return slice(first, first + self.n_known)

    @property
    def n_columns(self) -> int:
        return self.known_columns.stop + len(self.static)

    def position(self, name: Hashable) -> int:
        """The column of the rows in which a column of the table stands."""
        before_calendar = [*self.target, *self.past, *self.known]
        if name in before_calendar:
            return before_calendar.index(name)
        return self.known_columns.stop + self.static.index(name)


def frame_of_array(X: Any) -> pd.DataFrame:
    """Numbers of shape (n_rows,) or (n_rows, n_columns) as a DataFrame."""
    what, X = X, np.asarray(plain_data(X, "X"))
    if X.ndim == 0:
        raise TypeError(f"X is {what!r:.100}, but must be a table: a DataFrame or a 2-D array.")
    if X.ndim not in (1, 2):
        raise ValueError(f"X has {X.ndim} dimensions, but must be a table: a DataFrame or a 2-D array.")
    return pd.DataFrame(X)


def check_columns(columns: pd.Index, name: str) -> None:
    """ValueError unless each column of the table has a name of its own."""
    if isinstance(columns, pd.MultiIndex):
        raise ValueError(f"{name} has a MultiIndex of columns. Give each column one name.")
    if not columns.is_unique:
        raise ValueError(f"Column {columns[columns.duplicated()][0]!r} of {name} occurs twice. Rename one of them.")


def find_roles(
    frame: pd.DataFrame,
    *,
    target: Sequence[Hashable],
    time: Hashable | None,
    group: Sequence[Hashable],
    known: Sequence[Hashable],
    static: Sequence[Hashable],
    calendar: Sequence[str],
) -> Roles:
    """Check the named columns, take all others as past covariates, and list the values of those that are no numbers."""
    if not target:
        raise ValueError("target names no column. Name the column, or the columns, to forecast.")
    named = [*([] if time is None else [time]), *group, *target, *known, *static]
    check_has_columns(frame, time, [*group, *target, *known, *static])
    twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        raise ValueError(f"Column {twice[0]!r} is named for two roles, but a column has one. Name it once.")
    for name in target:
        if not is_numeric(frame[name]) or frame[name].dtype.kind == "c":
            raise ValueError(f"target {name!r} is {frame[name].dtype}, but a target must be numbers.")
    past = [name for name in frame.columns if name not in named]
    # A column without a value is one of categories that are all unknown: no later value tells anything.
    categories = {
        name: _values_of(frame[name])
        for name in [*past, *known, *static]
        if _is_categorical(frame[name]) or frame[name].isna().all()
    }
    _check_few_categories(categories, len(frame))
    return Roles(
        time, tuple(group), tuple(target), tuple(past), tuple(known), tuple(static), tuple(calendar), categories
    )


def check_same_roles(roles: Roles, fitted: Roles) -> None:
    """ValueError if training is to go on with other columns."""
    for name in ("time", "group", "target", "known", "static", "calendar", "past"):
        given, before = getattr(roles, name), getattr(fitted, name)
        if given != before:
            what = "past covariates are" if name == "past" else f"{name} is"
            raise ValueError(
                f"warm_start=True goes on with the net of the last fit, but {what} {given!r} and was {before!r} there. "
                "Set it back, or warm_start=False."
            )


def read_history(
    frame: pd.DataFrame, roles: Roles, dtype: str, *, row_times: bool = True, zone: str | None = None
) -> tuple[Rows, Times | None]:
    """Rows as they stand in the table, and their times.

    Without `time`, the index tells the times if it is one; in a panel integers do not, they count rows. The calendar is
    that of `zone`, if given, else that of the times' own zone.
    """
    times: Times | None = None
    if roles.time is not None:
        times = read_times(frame[roles.time], f"time {roles.time!r}")
    elif row_times and not (roles.group and frame.index.dtype.kind in "iu"):
        times = times_of_frame(frame, None)
    if times is not None:
        _check_one_zone(times)
        if zone is not None and times.kind == ZONED and times.dates is not None:
            times = replace(times, dates=times.dates.tz_convert(zone))
    groups, labels = read_groups(frame, roles.group) if roles.group else one_group(len(frame))
    names = [*roles.target, *roles.past, *roles.known]
    values = np.empty((len(frame), roles.n_columns), dtype=dtype)
    for name in [*names, *roles.static]:
        with reading(f"Column {name!r}", "Drop it, or make numbers or texts of it."):
            values[:, roles.position(name)] = _read_column(frame[name], roles.categories.get(name))
    if roles.calendar:
        values[:, len(names) : roles.known_columns.stop] = calendar_features(
            None if times is None else times.dates, roles.calendar
        )
    labels_of_columns = [*map(str, names), *(["calendar"] * 2 * len(roles.calendar)), *map(str, roles.static)]
    check_no_infinity(values, labels_of_columns)
    return Rows(values, groups, labels, None if times is None else times.numbers), times


def sort_rows(rows: Rows, kind: str | None) -> Rows:
    """The rows by group, then by time; ValueError if a time occurs twice in a group."""
    order = sorted_order(rows.groups, rows.times)
    check_no_duplicate(rows, order, kind)
    return rows if order is None else rows.take(order)


def with_static_values(rows: Rows, roles: Roles) -> Rows:
    """The sorted rows with their group's values of static columns where those are missing, as in rows of `asfreq`.

    Raises
    ------
    ValueError
        If a static column has several values within a group.
    """
    values = rows.values
    for name in roles.static:
        position = roles.position(name)
        column = pd.Series(values[:, position])
        column = column.where(column >= 0) if name in roles.categories else column  # -1 is none, or none of fit
        first = column.groupby(rows.groups).transform("first")
        changes = column.notna() & (column != first)
        if changes.any():
            label = rows.labels[rows.groups[int(changes.to_numpy().argmax())]]
            raise ValueError(
                f"static column {name!r}{of_group(label)} changes, but a static column has one value a group. Name it "
                "in known= if it is known in advance, else leave it a past covariate."
            )
        filled = (column.isna() & first.notna()).to_numpy()
        if filled.any():
            values = values.copy() if values is rows.values else values
            values[filled, position] = first[filled]
    return rows if values is rows.values else Rows(values, rows.groups, rows.labels, rows.times)


def bounds_of_runs(rows: Rows, frequency: Frequency) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and end of each stretch of sorted rows of one group without a gap."""
    starts = first_rows_of_runs(rows.groups, None if rows.times is None else frequency.is_gap(rows.times))
    return starts, np.append(starts[1:], len(rows.groups))


def cut_at_one_time(rows: Rows, stops: NDArray, own: NDArray, share: float, horizon: int) -> NDArray[np.int64]:
    """The first row of each group from the time on at which so large a share of all rows begins, the stop if none is.

    Parameters
    ----------
    rows : Rows
        Sorted.
    stops, own : ndarray of int of shape (n_groups,)
        Ends of the rows that count, and where each group would be cut by itself: as it is where few of them have both
        rows before that time and rows after it.
    share : float
    horizon : int
        How many rows there are to be behind the cut, of one of the groups at least.
    """
    assert rows.times is not None
    starts = rows.bounds()[0]
    is_long = stops - starts > horizon
    if not is_long.any():
        return own
    counts = np.arange(len(rows.groups)) < stops[rows.groups]
    times, n_rows = np.unique(rows.times[counts], return_counts=True)
    n_from_there = n_rows[::-1].cumsum()[::-1]
    cut = times[np.abs(n_from_there - share * n_from_there[0]).argmin()]
    cut = min(cut, rows.times[stops[is_long] - horizon].max())
    cuts = starts + np.bincount(rows.groups[counts & (rows.times < cut)], minlength=len(starts))
    tell = cuts - starts > horizon
    is_enough = (stops - cuts)[tell].max(initial=0) >= horizon
    return cuts if is_enough and 2 * (stops - cuts)[tell].sum() > share * n_from_there[0] else own


def calendar_features(dates: pd.DatetimeIndex | None, calendar: Sequence[str]) -> NDArray[np.float64]:
    """Sine and cosine of each feature, (n_rows, 2 * n_features), so that its end is close to its beginning."""
    if dates is None:
        raise ValueError(
            f"calendar is {list(calendar)}, but the data have no timestamps. Name the column of timestamps with time=, "
            "or leave calendar empty."
        )
    features = np.empty((len(dates), 2 * len(calendar)))
    for i, name in enumerate(calendar):
        count, cycle = CALENDAR[name]
        angle = 2 * np.pi * np.asarray(count(dates)) / cycle
        features[:, 2 * i], features[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return features


def rows_after(rows: Rows, horizon: int, roles: Roles, frequency: Frequency, future: pd.DataFrame | None) -> Rows:
    """The `horizon` rows after the last one of each group of sorted rows; targets and past covariates are NaN."""
    last = rows.bounds()[1] - 1
    groups = np.repeat(rows.groups[last], horizon)
    times = None if rows.times is None else frequency.after(rows.times[last], horizon, rows).ravel()
    values = np.full((len(groups), roles.n_columns), np.nan, dtype=rows.values.dtype)
    if roles.known:
        first = roles.known_columns.start
        values[:, first : first + len(roles.known)] = _known_values(
            future, Rows(values, groups, rows.labels, times), horizon, roles, frequency
        )
    elif future is not None:
        raise ValueError("future is given, but the model has no known covariates. Leave future out, or name known=.")
    _put_calendar(values, times, roles, frequency)
    return Rows(values, groups, rows.labels, times)


def completed(rows: Rows, roles: Roles, frequency: Frequency) -> Rows:
    """The sorted rows with rows of NaN where few lack in their schedule, so that a day later is as many rows later."""
    if not frequency.rows_a_week:
        return rows
    gaps = bounds_of_runs(rows, frequency)[0]
    gaps = gaps[np.diff(rows.groups, prepend=-1)[gaps] == 0]
    return with_missing_rows(rows, gaps, roles, frequency, frequency.rows_a_week)[0] if len(gaps) else rows


def with_missing_rows(
    rows: Rows, gaps: NDArray, roles: Roles, frequency: Frequency, most: int
) -> tuple[Rows, NDArray[np.int64]]:
    """The sorted rows with those that lack before the rows `gaps`, as `asfreq` would add them, and where the given are.

    A gap that lacks more than `most` rows, or no whole number of them, stays.
    """
    assert rows.times is not None
    position = np.arange(len(rows.groups))
    few = np.split(gaps, range(_GAPS_AT_ONCE, len(gaps), _GAPS_AT_ONCE))
    found = [_missing_times(rows.times, part, frequency, most) for part in few]
    counts, time = (np.concatenate(part) for part in zip(*found, strict=True))
    if not len(time):
        return rows, position
    place = np.repeat(gaps, counts)
    values = np.full((len(place), roles.n_columns), np.nan, dtype=rows.values.dtype)
    values[:, roles.known_columns.stop :] = rows.values[place, roles.known_columns.stop :]  # static
    _put_calendar(values, time, roles, frequency)
    filled = Rows(
        np.insert(rows.values, place, values, axis=0),
        np.insert(rows.groups, place, rows.groups[place]),
        rows.labels,
        np.insert(rows.times, place, time),
    )
    return filled, position + np.searchsorted(place, position, side="right")


def _missing_times(times: NDArray, gaps: NDArray, frequency: Frequency, most: int) -> tuple[NDArray, NDArray]:
    """How many rows lack before each of the rows `gaps`, 0 for more than `most`, and the times of all of them."""
    if frequency.rows_a_week:
        return frequency.missing(times, gaps, most)
    coming = frequency.after(times[gaps - 1], most + 1)  # (n_gaps, most + 1)
    ends = np.isclose(frequency.keys(coming), frequency.keys(times[gaps])[:, None], 0, 1e-6)
    counts = ends.argmax(axis=1)
    return counts, coming[np.arange(most + 1) < counts[:, None]]


def _put_calendar(values: NDArray, times: NDArray | None, roles: Roles, frequency: Frequency) -> None:
    """Write the features of the times into their columns."""
    if not roles.calendar:
        return
    assert times is not None
    calendar = slice(roles.known_columns.stop - 2 * len(roles.calendar), roles.known_columns.stop)
    values[:, calendar] = calendar_features(frequency.dates(times), roles.calendar)


def _known_values(
    future: pd.DataFrame | None, expected: Rows, horizon: int, roles: Roles, frequency: Frequency
) -> NDArray:
    """The known covariates of the expected rows, found in the user's `future` by group and time."""
    if future is None:
        raise ValueError(
            f"The model knows {list(roles.known)} in advance. Pass them for the next {horizon} rows of each group as "
            "predict(future=...)."
        )
    future = as_pandas(future)
    if not isinstance(future, pd.DataFrame):
        raise TypeError(f"future is a {type(future).__name__}, but must be a DataFrame.")
    check_columns(future.columns, "future")
    future = with_numbers(future, [roles.time, *roles.group])
    needed = [*([] if roles.time is None else [roles.time]), *roles.group, *roles.known]
    absent = [name for name in needed if name not in future.columns]
    if absent:
        raise ValueError(
            f"future has no column {', '.join(map(repr, absent))}. It needs {needed} for each row to be forecast."
        )
    known_only = replace(roles, target=(), past=(), static=(), calendar=())
    has_times = expected.times is not None
    with reading("future"):
        given, times = read_history(future, known_only, str(expected.values.dtype), row_times=has_times)
    if has_times:
        check_same_kind(times, frequency.kind, "future")
    rows = _matching_rows(given, expected, horizon, frequency)
    values = given.values[rows]
    if np.isnan(values).any():
        row, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(
            f"future has no value of {roles.known[column]!r} in row {rows[row]}. Known covariates of the coming rows "
            "must be complete."
        )
    return values


def _matching_rows(given: Rows, expected: Rows, horizon: int, frequency: Frequency) -> NDArray[np.int64]:
    """For each expected row the row of `given` with its group and time."""
    codes = codes_of(expected.labels, given.labels)[expected.groups]
    if (codes < 0).any():
        check_types_of_groups(given.labels, expected.labels, "future")
        label = expected.labels[expected.groups[int((codes < 0).argmax())]]
        raise ValueError(
            f"future has no rows of group {readable_label(label)}. Pass {horizon} rows of each group. {SOME_GROUPS}"
        )
    if expected.times is None or given.times is None:
        _check_are_the_next(given, codes, horizon)
        step_given, step_expected = count_in_group(given.groups), count_in_group(expected.groups)
    else:
        step_given, step_expected = frequency.keys(given.times), frequency.keys(expected.times)
    found = pd.MultiIndex.from_arrays([given.groups, step_given])
    if not found.is_unique:
        raise ValueError("future has a row twice: the same group and time. Pass each row once.")
    rows = found.get_indexer(pd.MultiIndex.from_arrays([codes, step_expected]))
    if (rows < 0).any():
        first = int((rows < 0).argmax())
        label = expected.labels[expected.groups[first]]
        if expected.times is None:
            what = f"fewer than the {horizon} rows that are needed"
        else:
            what = f"no row at {format_time(expected.times[first], frequency.kind)}, which follows the history"
        where, hint = (f" for group {readable_label(label)}", f" {SOME_GROUPS}") if label else ("", "")
        raise ValueError(f"future has {what}{where}. Pass the {horizon} rows after the history's last one.{hint}")
    return rows


def _check_are_the_next(given: Rows, codes: NDArray, horizon: int) -> None:
    """ValueError where a group, of such codes, has more rows than are to come: no time tells which these are."""
    sizes = given.sizes()
    longer = codes[sizes[codes] > horizon]
    if len(longer):
        raise ValueError(
            f"future has {sizes[longer[0]]} rows{of_group(given.labels[longer[0]])}, but without times it must have "
            f"just the {horizon} that come next. Pass these alone."
        )


def check_spacing(rows: Rows, frequency: Frequency) -> None:
    """ValueError if sorted rows are closer to each other than those of fit."""
    step = frequency.shortest_step
    if rows.times is None or step is None:
        return
    same_group = rows.groups[1:] == rows.groups[:-1]
    closer = same_group & (np.diff(rows.times) < 0.99 * step)
    if closer.any():
        first = int(closer.argmax())
        earlier, later = (format_time(time, frequency.kind) for time in rows.times[first : first + 2])
        where = of_group(rows.labels[rows.groups[first]])
        raise ValueError(
            f"The rows at {earlier} and {later}{where} are closer to each other than those of fit. "
            f"Resample them to a spacing of {frequency.readable_step}, for example with df.resample, or fit again."
        )


def warn_of_rows_alone(rows: Rows, frequency: Frequency) -> None:
    """Tell of groups of sorted rows that are all farther from each other than those of fit."""
    if rows.times is None:
        return
    apart = groups_apart(rows.groups, ~frequency.is_gap(rows.times), 3)
    if len(apart):
        warn(
            f"No two rows{of_group(rows.labels[apart[0]])} are {frequency.readable_step} apart, the spacing of fit, so "
            f"that each stands alone between gaps{among_all(apart)}. Resample them to that spacing, for example with "
            "df.resample, or fit again.",
        )


def warn_of_other_moments(rows: Rows, frequency: Frequency) -> None:
    """Tell of groups without rows on days, or at moments of a schedule, on which others have some."""
    if rows.times is None or not frequency.tells_days or len(rows.labels) == 1:
        return
    moments, days = frequency.moments_of_week(rows.times)
    has = np.zeros((len(rows.labels), len(days)), dtype=bool)
    has[rows.groups, moments] = True
    lacks = has.any(axis=0) & ~has  # (n_groups, n_moments)
    starts, ends = rows.bounds()
    is_long = rows.times[ends - 1] - rows.times[starts] >= FEW_WEEKS
    many = len(days) / 10 if frequency.rows_a_week else ROWS_OF_DAYS / rows.sizes()
    without = np.flatnonzero(is_long & (lacks.sum(axis=1) >= np.maximum(many, 1)))
    if len(without):
        names = " and ".join(DAYS_OF_WEEK[day] for day in np.unique(days[lacks[without[0]]]))
        warn(
            f"There are no rows{of_group(rows.labels[without[0]])} on {names}, or at some of their hours"
            f"{among_all(without)}, but other groups have some then: they count as missing there, and forecasts fall "
            "on them. Fit series that differ in their days or hours apart from each other.",
        )


def warn_of_rows_off_schedule(rows: Rows, frequency: Frequency) -> None:
    """Tell of many rows at other moments of the week than those of fit."""
    if rows.times is None:
        return
    off = frequency.is_off_schedule(rows.times)
    if off.sum() > max(MOST_OFF_SCHEDULE * len(off), FEW_OFF_SCHEDULE):
        first = int(off.argmax())
        warn(
            f"{off.sum()} of {len(off)} rows are at moments of the week at which fit had none, the first at "
            f"{format_time(rows.times[first], frequency.kind)}. They are read like the others, but forecasts are of "
            "the moments of fit alone. Leave them out, or fit again.",
        )


def count_in_group(groups: NDArray) -> NDArray:
    return pd.Series(groups).groupby(groups).cumcount().to_numpy()


def _check_one_zone(times: Times) -> None:
    if times.kind == ZONED and pd.Index(times.original).infer_objects().dtype == object:
        raise ValueError(
            "The times have several time zones or offsets. Bring them to one, for example with pd.to_datetime(times, "
            "utc=True)."
        )


def _is_categorical(column: pd.Series) -> bool:
    kind = pd.api.types.infer_dtype(column) if column.dtype == object else ""
    if column.dtype.kind in "mMc" or kind in DATES or isinstance(column.dtype, (pd.PeriodDtype, pd.DatetimeTZDtype)):
        raise ValueError(
            f"Column {column.name!r} is {kind or column.dtype}, which is neither numbers nor categories. Name it with "
            "time= if it tells the times, or drop it."
        )
    return not is_numeric(column)


def _check_few_categories(categories: Mapping[Hashable, list], n_rows: int) -> None:
    for name, values in categories.items():
        if len(values) > max(n_rows // 2, MANY_CATEGORIES):
            raise ValueError(
                f"Column {name!r} has {len(values)} different values in {n_rows} rows, too many for a category. Drop "
                "it; or name it with time=, after pd.to_datetime, if it tells the times."
            )
        if len(values) >= MANY_DATES and all(map(looks_like_a_date, values)):
            raise ValueError(
                f"Column {name!r} has texts such as {values[0]!r}, which look like times. Name it with time=, after "
                "pd.to_datetime, or drop it."
            )


def _values_of(column: pd.Series) -> list:
    with reading(f"Column {column.name!r}", "Drop it, or make numbers or texts of it."):
        values = list(pd.unique(column.dropna()))
    try:
        return sorted(values)
    except TypeError:  # of several types
        return sorted(values, key=str)


def _read_column(column: pd.Series, categories: list | None) -> NDArray:
    """The numbers of a column, or the codes of its categories: -1 for one that fit has not seen."""
    if categories is not None:
        return category_codes(column, categories)
    if _is_categorical(column):
        raise ValueError(
            f"Column {column.name!r} is {column.dtype}, but it was numbers in fit. Pass numbers; for texts fit must "
            "have some."
        )
    return column.to_numpy(np.float64, na_value=np.nan)
