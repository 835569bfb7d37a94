"""The rows of a table as arrays: channels, groups and times."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._times import Times, format_time, gap_as_number, is_gap, is_time_index, read_times
from sklearn_rnn.sequences import count_within

_LIKE_A_DATE = re.compile(r"\d{4}[-/.]\d{1,2}(\D|$)|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(\D|$)")
# What pandas may find in columns of objects that are numbers.
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty")
LARGEST_ROUNDING = 0.01  # in standard deviations
AGAINST_ROUNDING = "Subtract a constant from it, or set dtype='float64'."
ENOUGH_TO_BE_NEAR = 12  # rows: fewer may be far from each other without anything being wrong
CHECKED_AT_ONCE = 65_536  # rows, so that looking for infinities needs no array as large as X


@dataclass(frozen=True)
class Rows:
    """Rows with their channels, their groups as codes in order of appearance, and their times if they have any."""

    values: NDArray[np.floating]  # (n_rows, n_channels)
    groups: NDArray[np.int64]  # (n_rows,)
    labels: list[tuple]  # of the groups
    times: NDArray | None  # (n_rows,)

    def take(self, rows: NDArray) -> Rows:
        times = None if self.times is None else self.times[rows]
        return Rows(self.values[rows], self.groups[rows], self.labels, times)

    def sizes(self) -> NDArray[np.int64]:
        """The number of rows of each group."""
        return np.array([len(self.groups)]) if len(self.labels) == 1 else np.bincount(self.groups)

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row of each group of sorted rows, and its end."""
        sizes = self.sizes()
        ends = np.cumsum(sizes)
        return ends - sizes, ends

    def ranks(self) -> NDArray[np.int64]:
        """The rank of each group by its label, for what must not depend on the order in which a table has them."""
        try:
            order = sorted(range(len(self.labels)), key=self.labels.__getitem__)
        except TypeError:  # of several types
            order = sorted(range(len(self.labels)), key=lambda i: [(type(x).__name__, str(x)) for x in self.labels[i]])
        return np.argsort(order)

    def clock(self) -> NDArray:
        """When each of the sorted rows was: its time, without times its position in its group."""
        return np.arange(len(self.groups)) - self.bounds()[0][self.groups] if self.times is None else self.times


def sorted_order(groups: NDArray, times: NDArray | None) -> NDArray[np.int64] | None:
    """The order that sorts rows by group, then by time; rows without times stay in the order given.

    Parameters
    ----------
    groups : ndarray of int of shape (n_rows,)
        The group of each row.
    times : ndarray of shape (n_rows,) or None
        The time of each row.

    Returns
    -------
    ndarray of int of shape (n_rows,) or None
        None if the rows are in order.
    """
    in_order = groups[1:] > groups[:-1]
    same_group = groups[1:] == groups[:-1]
    in_order |= same_group if times is None else same_group & (times[1:] >= times[:-1])
    if in_order.all():
        return None
    return np.argsort(groups, kind="stable") if times is None else np.lexsort((times, groups))


def first_rows_of_runs(groups: NDArray, gaps: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Where the sorted rows change their group or leave a gap, which there may be before each row but the first."""
    breaks = groups[1:] != groups[:-1]
    if gaps is not None:
        breaks |= gaps
    return np.concatenate([[0], np.flatnonzero(breaks) + 1])


def spacings(rows: Rows, order: NDArray | None) -> NDArray:
    """The steps in time from each row to the next one of its group, given the order that sorts them."""
    groups, times = _in_order(rows, order)
    return np.diff(times)[groups[1:] == groups[:-1]]


def _in_order(rows: Rows, order: NDArray | None) -> tuple[NDArray, NDArray]:
    """Groups and times of the rows, given the order that sorts them."""
    assert rows.times is not None
    return (rows.groups, rows.times) if order is None else (rows.groups[order], rows.times[order])


def last_rows_of_groups(rows: Rows, order: NDArray | None, n_rows: int) -> Rows:
    """A copy of the last `n_rows` rows of each group, given the order that sorts them."""
    starts, ends = rows.bounds()
    starts = np.maximum(starts, ends - n_rows)
    last = np.repeat(starts, ends - starts) + count_within(ends - starts)
    return rows.take(last if order is None else order[last])


def earlier_rows(context: Rows, rows: Rows) -> Rows:
    """The remembered rows that are earlier than all new rows of their group, with the new rows' group codes."""
    codes = _codes_among(rows, context)
    earlier = codes >= 0
    if rows.times is not None and context.times is not None:
        earlier &= context.times < _first_times(rows)[codes]
    return _chosen(context, rows, codes, earlier)


def _first_times(rows: Rows) -> NDArray:
    """The earliest time of each group."""
    assert rows.times is not None
    first = np.full(len(rows.labels), rows.times.max())
    np.minimum.at(first, rows.groups, rows.times)
    return first


def other_rows(context: Rows, rows: Rows) -> Rows:
    """The remembered rows of the new rows' groups at times that these do not have, with their group codes."""
    codes = _codes_among(rows, context)
    kept = codes >= 0
    if rows.times is not None and context.times is not None:
        new = pd.MultiIndex.from_arrays([rows.groups, rows.times])
        kept &= ~pd.MultiIndex.from_arrays([codes, context.times]).isin(new)
    return _chosen(context, rows, codes, kept)


def codes_of(labels: list[tuple], among: list[tuple]) -> NDArray[np.int64]:
    """The position of each label among others, -1 if they lack it."""
    code_of = {label: code for code, label in enumerate(among)}
    return np.array([code_of.get(label, -1) for label in labels])


def _codes_among(rows: Rows, context: Rows) -> NDArray[np.int64]:
    """For each remembered row its group's code among the new rows, -1 if they lack it."""
    codes = codes_of(context.labels, rows.labels)
    if (codes >= 0).sum() < len(rows.labels):
        check_types_of_groups(rows.labels, context.labels, "X")
    return codes[context.groups]


def check_types_of_groups(labels: list[tuple], remembered: list[tuple], name: str) -> None:
    """ValueError if a group is new only because its label is of another type than in fit, such as '1' for 1."""
    texts, known = {tuple(map(str, label)): label for label in remembered}, set(remembered)
    for label in (label for label in labels if label not in known):
        before = texts.get(tuple(map(str, label)))
        if before is not None:
            given, fitted = next((new, old) for new, old in zip(label, before, strict=True) if new != old)
            raise ValueError(
                f"Group {readable_label(label)} of {name} was {readable_label(before)} in fit. Make "
                f"{type(fitted).__name__} of {type(given).__name__}, for example with astype, so that it counts as the "
                "same group."
            )


def _chosen(context: Rows, rows: Rows, codes: NDArray, chosen: NDArray) -> Rows:
    """Some of the remembered rows, with the codes and labels of the new rows' groups."""
    some = context.take(np.flatnonzero(chosen))
    return Rows(some.values, codes[chosen], rows.labels, None if rows.times is None else some.times)


def without_gap_before(rows: Rows, context: Rows, max_gap: float) -> Rows:
    """The remembered rows at times at which no gap parts them from the new rows."""
    if context.times is None or rows.times is None:
        return context
    last = np.full(len(rows.labels), context.times.min())
    np.maximum.at(last, context.groups, context.times)
    moves = np.maximum(_first_times(rows) - max_gap - last, 0)  # (n_groups,)
    return Rows(context.values, context.groups, context.labels, context.times + moves[context.groups])


def joined(context: Rows, rows: Rows) -> Rows:
    """The remembered rows, then the new ones, in the type of these."""
    return Rows(
        np.concatenate([context.values.astype(rows.values.dtype, copy=False), rows.values]),
        np.concatenate([context.groups, rows.groups]),
        rows.labels,
        None if rows.times is None or context.times is None else np.concatenate([context.times, rows.times]),
    )


def rows_of_array(values: NDArray[np.float32]) -> Rows:
    """The rows of one series that follow each other."""
    check_no_infinity(values)
    return Rows(values, *one_group(len(values)), None)


def categories_of(X: pd.DataFrame, channels: list[int]) -> dict[int, list]:
    """The categories of each categorical channel, by its position among the columns."""
    columns = {position: X.iloc[:, position] for position in channels}
    return {
        position: list(column.cat.categories)
        for position, column in columns.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }


def rows_of_frame(
    X: pd.DataFrame, time: Hashable | None, group: Sequence[Hashable], categories: dict[int, list]
) -> tuple[Rows, Times | None]:
    """The rows of a DataFrame, and its times: those of a column, or of an index of times or numbers.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_columns)
        All columns but those named are channels.
    time : hashable or None
        The column of times.
    group : sequence of hashable
        The columns that tell several series apart.
    categories : dict of int to list
        The categories of categorical channels, which become codes; NaN where a category is missing or another one.

    Returns
    -------
    rows : Rows
    times : Times or None
        None if rows follow each other in the order given.

    Raises
    ------
    ValueError
        If there are no rows or no channels, a channel is no number or infinite, or a time or group is missing.
    """
    channels = channel_positions(X, time, group)
    if len(X) == 0 or not channels:
        raise ValueError(
            f"Found array with {len(X)} sample(s) and {len(channels)} feature(s) besides time and group, while a "
            "minimum of 1 is required of each."
        )
    X = with_numbers(X, [time, *group])
    times = times_of_frame(X, time)
    values = _read_channels(X, channels, categories)
    check_no_infinity(values, [str(X.columns[position]) for position in channels])
    groups, labels = read_groups(X, group) if group else one_group(len(X))
    return Rows(values, groups, labels, None if times is None else times.numbers), times


def channel_positions(X: pd.DataFrame, time: Hashable | None, group: Sequence[Hashable]) -> list[int]:
    """Where among the columns the channels are."""
    return [position for position, name in enumerate(X.columns) if name != time and name not in group]


def with_numbers(frame: pd.DataFrame, others: Sequence[Hashable | None]) -> pd.DataFrame:
    """The table with numbers for columns of objects, but `others`, that hold nothing else, or None among them."""
    objects = [i for i, dtype in enumerate(frame.dtypes) if dtype == "object" and frame.columns[i] not in others]
    if not objects:
        return frame
    frame = frame.copy(deep=False)
    for position in objects:
        column = frame.iloc[:, position]
        if pd.api.types.infer_dtype(column, skipna=True) in NUMBERS:
            frame.isetitem(position, column.where(column.notna(), np.nan).to_numpy(np.float64))
    return frame


def as_pandas(X: Any) -> Any:
    """A table of another library, such as polars, as a DataFrame whose index tells no times; all else as it is.

    One of dask has pandas' index, and keeps it.
    """
    if hasattr(X, "compute") and hasattr(X, "npartitions") and hasattr(X, "index"):
        X = X.compute()
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X
    if hasattr(X, "collect_schema") and not hasattr(X, "to_pandas"):
        raise TypeError("a LazyFrame of polars has no rows yet. Pass what its collect() gives.")
    if not (hasattr(X, "to_pandas") and hasattr(X, "columns")):
        return X
    with reading("X", "Cast its columns to types that pandas has."):
        frame = X.to_pandas()
    return frame.set_axis(np.full(len(frame), "", dtype=object))


def as_names(group: Any) -> list[Hashable]:
    """A name, several or none as a list of names."""
    if group is None:
        return []
    return list(group) if isinstance(group, (list, tuple)) else [group]


def check_has_columns(X: Any, time: Hashable | None, group: Sequence[Hashable]) -> None:
    """Raise a ValueError unless X is a DataFrame with the named columns, if any are named."""
    named = [*group] if time is None else [time, *group]
    if not named:
        return
    if not isinstance(X, pd.DataFrame):
        raise ValueError(
            f"X is a {type(X).__name__}, but only a DataFrame has the columns {named}. Pass one, or name no columns."
        )
    absent = [name for name in named if not _is_among(name, X.columns)]
    if absent:
        advice = " Call X.reset_index() first." if any(name in X.index.names for name in absent) else ""
        raise ValueError(f"X has no column {', '.join(map(repr, absent))}. Its columns are {list(X.columns)}.{advice}")


def _is_among(name: Any, columns: pd.Index) -> bool:
    return isinstance(name, Hashable) and name in columns


def readable_label(label: tuple) -> str:
    """Of a group, as a user would write it."""
    return repr(label[0]) if len(label) == 1 else repr(label)


def of_group(label: tuple) -> str:
    """ " of group 'a'", nothing where there is one series."""
    return f" of group {readable_label(label)}" if label else ""


def check_no_duplicate(rows: Rows, order: NDArray | None, kind: str | None) -> None:
    """Raise a ValueError that names the first time that occurs twice in a group."""
    if rows.times is None:
        return
    groups, times = _in_order(rows, order)
    same = (groups[1:] == groups[:-1]) & (times[1:] == times[:-1])
    if not same.any():
        return
    first = int(same.argmax())
    label = rows.labels[groups[first]]
    raise ValueError(
        f"Time {format_time(times[first], kind)}{of_group(label)} occurs more than once, but each row of a series "
        "needs its own time. Drop or average such rows, name the column that tells the series apart with group=, or "
        "call reset_index(drop=True) if the index is no time."
    )


def warn_of_windows_of_one_row(rows: Rows, order: NDArray | None, max_gap: Any) -> None:
    """Tell of groups of which no two rows are within `max_gap`, a number or Timedelta, of each other."""
    if max_gap is None:
        return
    groups, times = _in_order(rows, order)
    apart = groups_apart(groups, ~is_gap(times, gap_as_number(max_gap)), ENOUGH_TO_BE_NEAR)
    if len(apart):
        warn(
            f"No two rows{of_group(rows.labels[apart[0]])} are within max_gap, {max_gap}, of each other, so that each "
            f"window is of a single row{among_all(apart)}. Set a larger max_gap, or bring all series to one spacing.",
        )


def groups_apart(groups: NDArray, is_near: NDArray, n_rows: int) -> NDArray[np.int64]:
    """The groups of `n_rows` or more sorted rows of which none is near the one before it."""
    followed = groups[1:][is_near & (groups[1:] == groups[:-1])]
    return np.setdiff1d(np.flatnonzero(np.bincount(groups) >= n_rows), followed)


def among_all(groups: NDArray) -> str:
    """How many groups there are besides the one that a message names."""
    return f", as in {len(groups)} groups in all" if len(groups) > 1 else ""


def warn_of_rounding(
    X: pd.DataFrame | NDArray,
    columns: Sequence[int],
    dtype: str,
    advice: str,
    *,
    names: Sequence[str] | None = None,
    series: Rows | None = None,
) -> None:
    """Tell of columns that vary little around a large number, so that rows of this type keep little of it.

    Parameters
    ----------
    names : sequence of str, default=None
        What the columns of an array are called; None takes their positions.
    series : Rows, default=None
        The same rows in their groups, within each of which a column may vary little, too.
    """
    rows = slice(None, None, len(X) // CHECKED_AT_ONCE + 1)
    groupings: list[tuple[NDArray, list]] = [(np.zeros(len(X), dtype=np.int64)[rows], [()])]
    if series is not None and len(series.labels) > 1:
        groupings.append((series.groups[rows], series.labels))
    for position in columns:
        # No DataFrame of a whole array: pandas would copy it.
        if isinstance(X, pd.DataFrame):
            column = X.iloc[rows, position]
        else:
            column = pd.Series(X[rows, position], name=position if names is None else names[position])
        if str(column.dtype) != dtype and dtype != "float64":
            _warn_of_rounding_in(column, dtype, advice, groupings)


def _warn_of_rounding_in(column: pd.Series, dtype: str, advice: str, groupings: list[tuple[NDArray, list]]) -> None:
    """Warn of the first group, of the first grouping that has one; each is the codes of the rows and their labels."""
    numbers = column.to_numpy(np.float64, na_value=np.nan)
    present = ~np.isnan(numbers)
    numbers = numbers[present]
    with np.errstate(all="ignore"):
        losses = np.abs(numbers.astype(dtype) - numbers)
    for codes, labels in groupings:
        groups, lost = codes[present], np.zeros(len(labels))
        with np.errstate(all="ignore"):
            np.maximum.at(lost, groups, losses)
            counts = np.bincount(groups, minlength=len(labels))
            means = np.bincount(groups, numbers, len(labels)) / counts
            deviations = np.sqrt(np.bincount(groups, np.square(numbers - means[groups]), len(labels)) / counts)
            varies = deviations > 1e-12 * np.abs(means)  # by more than the rounding of float64
            loses = np.isfinite(lost) & (lost > LARGEST_ROUNDING * deviations)
        for group in np.flatnonzero(varies & loses)[:1]:
            warn(
                f"Column {column.name!r}{of_group(labels[group])} varies by {deviations[group]:.3g} around "
                f"{means[group]:.3g}, of which {dtype} loses up to {lost[group]:.2g} by rounding. {advice}",
            )
            return


def check_no_infinity(values: NDArray, names: Sequence[str] | None = None) -> None:
    """Raise a ValueError that names the first infinite number."""
    for begin in range(0, len(values), CHECKED_AT_ONCE):
        infinite = np.isinf(values[begin : begin + CHECKED_AT_ONCE])
        if infinite.any():
            row, channel = np.argwhere(infinite)[0]
            name = channel if names is None else repr(names[channel])
            raise ValueError(
                f"Column {name} has infinity, or a number too large for {values.dtype}, in row {begin + row}. Replace "
                "it; NaN marks a missing value."
            )


def _read_channels(X: pd.DataFrame, channels: list[int], categories: dict[int, list]) -> NDArray[np.float32]:
    if len(channels) == X.shape[1] and (X.dtypes == np.float32).all():
        return np.ascontiguousarray(X.to_numpy())  # no copy: the table may be a mapped file
    values = np.empty((len(X), len(channels)), dtype=np.float32)
    for j, position in enumerate(channels):
        column = X.iloc[:, position]
        if position in categories:
            with reading(f"Column {column.name!r}"):
                codes = category_codes(column, categories[position])
            values[:, j] = np.where(codes < 0, np.nan, codes)
            continue
        if column.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {column.name!r} is {column.dtype}.")
        if not is_numeric(column):
            raise ValueError(
                f"Column {column.name!r} is {column.dtype}, but channels must be numbers. Name it with time= or "
                "group= if it is one; else make it a category by astype('category'), encode it as numbers, or drop it."
            )
        is_extension = not isinstance(column.dtype, np.dtype)
        with reading(f"Column {column.name!r}", "Pass numbers."):
            values[:, j] = column.to_numpy(np.float32, na_value=np.nan) if is_extension else column.to_numpy()
    return values


def category_codes(column: pd.Series, categories: Sequence[Any]) -> NDArray[np.intp]:
    """The position of each value among the categories of fit, -1 for a missing or another one.

    Raises
    ------
    ValueError
        If a value is another one only by its type, such as "1" for 1.
    """
    values = pd.Index(column.astype(object), dtype=object)
    codes = pd.Index(categories, dtype=object).get_indexer(values)
    others = values[codes < 0].dropna().unique()
    written = {text: known for known in categories for text in _texts(known)} if len(others) else {}
    for value in others:
        known = next((written[text] for text in _texts(value) if text in written), value)
        if isinstance(value, str) != isinstance(known, str):
            raise ValueError(
                f"Column {column.name!r} has {value!r}, which was {known!r} in fit. Make {type(known).__name__} of "
                f"{type(value).__name__}, for example with astype, so that it counts as the same category."
            )
    return codes


def _texts(value: Any) -> list[str]:
    """How a value may be written: 1 as "1" and "1.0"."""
    as_float = float(value) if isinstance(value, Real) else 0.5
    return [str(value), f"{as_float:.0f}", str(as_float)] if as_float.is_integer() else [str(value)]


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers or booleans, of Arrow, too, which pandas does not count."""
    return pd.api.types.is_numeric_dtype(column) or column.dtype.kind == "b"


def looks_like_a_date(text: Any) -> bool:
    return isinstance(text, str) and _LIKE_A_DATE.match(text) is not None


def read_groups(X: pd.DataFrame, group: Sequence[Hashable]) -> tuple[NDArray[np.int64], list[tuple]]:
    """Codes of shape (n_rows,) in order of appearance, and the label of each code."""
    with reading("group", "Name columns of numbers or texts."):
        return _read_groups(X, group)


def _read_groups(X: pd.DataFrame, group: Sequence[Hashable]) -> tuple[NDArray[np.int64], list[tuple]]:
    missing = X[list(group)].isna().to_numpy().any(axis=1)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"group {list(group)} has no value in row {row}, but every row needs its group. Fill or drop it."
        )
    codes = np.asarray(X.groupby(list(group), sort=False, observed=True).ngroup(), dtype=np.int64)
    _, first_rows = np.unique(codes, return_index=True)
    return codes, list(X[list(group)].iloc[first_rows].itertuples(index=False, name=None))


def one_group(n_rows: int) -> tuple[NDArray[np.int64], list[tuple]]:
    return np.broadcast_to(np.int64(0), n_rows), [()]  # takes no memory


def times_of_frame(X: pd.DataFrame, time: Hashable | None) -> Times | None:
    if time is not None:
        return read_times(X[time], f"time {time!r}")
    if isinstance(X.index, pd.MultiIndex):
        raise ValueError(
            f"X has a MultiIndex {list(X.index.names)}. Call X.reset_index() and name its columns with time= and "
            "group=."
        )
    if is_time_index(X.index):
        return read_times(X.index, "The index of X")
    if len(X) and looks_like_a_date(X.index[0]):
        warn(
            f"The index of X holds texts such as {X.index[0]!r}, which tell no times: the rows count as following each "
            "other. If they are times, convert them with X.index = pd.to_datetime(X.index).",
        )
    return None
