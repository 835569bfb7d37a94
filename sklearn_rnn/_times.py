"""Times of any kind as numbers, and the spacing at which a series is regular."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timezone, tzinfo
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._schedule import DAY, HOUR, find_schedule

INTEGERS, FLOATS = "integers", "floats"
TIMESTAMPS, ZONED, DURATIONS = "timestamps", "timestamps with a time zone", "durations"
NUMERIC = (INTEGERS, FLOATS)

# Least and greatest spacing, in days, of months, quarters and years: regular, though not even.
CALENDARS = [(28, 31), (89, 92), (365, 366)]
# Dates written as numbers, by their digits: how pandas reads them, and what it needs behind them.
WRITTEN_DATES = {6: [("%Y%m", ""), ("%G%V%u", "1")], 7: [("%Y%j", "")], 8: [("%Y%m%d", "")]}
WEEKEND, HOLIDAYS = 3, 2  # in days: none of them interrupts business days
BUSINESS_DAYS = WEEKEND + HOLIDAYS
LARGEST_SHARE_OF_GAPS = 0.1  # between the rows of a group that are taken for followers


@dataclass(frozen=True)
class Times:
    """Times as numbers that can be sorted and subtracted: nanoseconds, or the user's own numbers."""

    numbers: NDArray  # (n_rows,)
    kind: str  # one of the above
    dates: pd.DatetimeIndex | None  # of timestamps
    original: pd.Index | pd.Series  # as the user gave them


def read_times(times: pd.Index | pd.Series, name: str) -> Times:
    """Timestamps, periods, durations or numbers as :class:`Times`.

    Parameters
    ----------
    times : Index or Series of shape (n_rows,)
        The times in any order. Time zones may be mixed.
    name : str
        What to call them in an error.

    Returns
    -------
    Times

    Raises
    ------
    ValueError
        If a time is missing or infinite, or if they are no times, such as strings.
    """
    with reading(name, "Pass timestamps, periods, durations or numbers."):
        try:
            return Times(*_read_times(pd.Index(times), name), times)
        except (pd.errors.OutOfBoundsDatetime, pd.errors.OutOfBoundsTimedelta) as error:
            raise ValueError(
                f"{name} is out of reach: times are counted in nanoseconds, which end 292 years before and after 1970 "
                f"({error}). Pass numbers, such as years or days."
            ) from None


def _read_times(index: pd.Index, name: str) -> tuple[NDArray, str, pd.DatetimeIndex | None]:
    """Numbers, kind and dates."""
    missing = index.isna()
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(f"{name} has no value in row {row}, but every row needs its time. Drop these rows.")
    index = _as_time_index(index)
    if isinstance(index, pd.DatetimeIndex):
        return index.as_unit("ns").asi8, TIMESTAMPS if index.tz is None else ZONED, index
    if isinstance(index, pd.TimedeltaIndex):
        return index.as_unit("ns").asi8, DURATIONS, None
    if not pd.api.types.is_numeric_dtype(index) or index.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} is {index.dtype}, but a time must be a timestamp, a period, a duration or a number. Convert it "
            "first, strings for example with pd.to_datetime."
        )
    if index.dtype.kind == "f":
        numbers = index.to_numpy()
        if numbers.dtype in (np.float16, np.float32):
            numbers = numbers.astype(str)  # 0.1, which in float64 is another number
        numbers = numbers.astype(np.float64)
        if np.isinf(numbers).any():
            raise ValueError(f"{name} is infinite in row {int(np.isinf(numbers).argmax())}. Drop these rows.")
        return numbers, FLOATS, None
    if index.dtype.kind == "u" and index.max() >= 2**63:
        raise ValueError(f"{name} has {index.max()}, but integers end at 2**63 - 1. Count from a later start.")
    return index.to_numpy(dtype=np.int64), INTEGERS, None


def is_time_index(index: pd.Index) -> bool:
    """Whether an index tells when its rows were, rather than what they are called."""
    if isinstance(index, pd.PeriodIndex):
        return True
    return index.dtype.kind in "iufmM" or index.inferred_type in ("datetime", "date")


def _as_time_index(index: pd.Index) -> pd.Index:
    if index.dtype == object:
        index = index.infer_objects()
    if isinstance(index.dtype, pd.ArrowDtype) and index.dtype.kind in "mM":
        return pd.DatetimeIndex(index) if index.dtype.kind == "M" else pd.TimedeltaIndex(index)
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    if index.inferred_type in ("datetime", "date"):  # Python objects, or timestamps of several time zones
        return pd.DatetimeIndex(pd.to_datetime(index, utc=any(getattr(time, "tzinfo", None) for time in index)))
    return index


def zone_name(zone: tzinfo) -> str:
    """A name by which pandas knows the time zone again.

    Raises
    ------
    ValueError
        If it has none.
    """
    path, offset = getattr(zone, "_filename", None), zone.utcoffset(None)  # dateutil's have a path
    names = [str(zone)]
    names += [f"dateutil/{path.partition('zoneinfo/')[2] or path}"] if path else []
    names += [str(timezone(offset))] if offset is not None else []
    for name in names:
        with suppress(Exception):  # each kind of zone has errors of its own
            if pd.Timestamp(0, tz=name).tzinfo is not None:
                return name
    raise ValueError(
        f"The times are in {zone!r}, which has no name. Bring them to a time zone that has one, for example with "
        "tz_convert('UTC')."
    )


def format_time(number: Any, kind: str | None) -> str:
    """One time of :class:`Times` as a user would write it."""
    if kind in (TIMESTAMPS, ZONED):
        return str(pd.Timestamp(number, tz="UTC" if kind == ZONED else None))
    return str(pd.Timedelta(number)) if kind == DURATIONS else str(number)


def check_same_kind(times: Times | None, fitted: str | None, name: str) -> None:
    """Raise a ValueError if times are of another kind than those of fit."""
    kind = None if times is None else times.kind
    if kind == fitted or (kind in NUMERIC and fitted in NUMERIC):
        return
    raise ValueError(
        f"The times of {name} are {kind or 'missing'}, but fit had {fitted or 'none'}. Pass the same kind of times."
    )


def is_gap(times: NDArray, max_gap: float) -> NDArray[np.bool_]:
    """Where the step from one time to the next is longer than `max_gap`, of shape (n_rows - 1,)."""
    return np.diff(times) > max_gap + _rounding_error(times)


def _rounding_error(times: NDArray) -> float:
    """By how much the difference of two of these times may be off: 0.3 - 0.2 is more than 0.1."""
    return 0 if times.dtype.kind == "i" or times.size == 0 else 8 * float(np.spacing(np.abs(times).max()))


def read_max_gap(max_gap: Any, kind: str | None) -> Any:
    """The user's `max_gap` as the number, or for times of a clock the Timedelta, that it stands for.

    Raises
    ------
    ValueError
        If it does not fit the kind of the times.
    """
    is_number = isinstance(max_gap, Real) and not isinstance(max_gap, np.timedelta64)
    if kind is None:
        raise ValueError(
            f"max_gap is {max_gap!r}, but X has no times: its rows follow each other without gaps. Pass a DataFrame "
            "with a time index or name its time column, or set max_gap to None."
        )
    if kind in NUMERIC:
        if not is_number:
            raise ValueError(f"max_gap is {max_gap!r}, but the times are {kind}. Set max_gap to a number.")
        return max_gap
    try:
        gap = pd.NaT if is_number else pd.Timedelta(max_gap)
    except ValueError:
        gap = pd.NaT
    if gap is pd.NaT or not gap > pd.Timedelta(0):
        raise ValueError(
            f"max_gap is {max_gap!r}, but the times are {kind}. Set max_gap to a positive length of time such as "
            "'1h' or pd.Timedelta(days=1)."
        )
    return gap


def with_clock_changes(max_gap: Any, kind: str, spacings: NDArray) -> Any:
    """The `max_gap` of whole local days, which the end of a summer time makes an hour longer."""
    if kind != ZONED or spacings.size == 0:
        return max_gap
    return max_gap + pd.Timedelta(_without_clock_changes(spacings)[1])


def gap_as_number(max_gap: Any) -> Any:
    """A `max_gap` in the unit of :class:`Times`."""
    return max_gap.as_unit("ns").value if isinstance(max_gap, pd.Timedelta) else max_gap


def default_max_gap(times: Times, spacings: NDArray) -> Any:
    """The longest step between two rows of an unbroken series.

    Parameters
    ----------
    times : Times
        The times of the series.
    spacings : ndarray of shape (n_spacings,)
        The positive steps from each row to the next one of its group.

    Returns
    -------
    int, float, Timedelta or None
        1 for integers; the spacing of an even series; for months, quarters, years, business days and other days of the
        week the longest that their calendar has; None, with a warning, for an irregular series.

    Raises
    ------
    ValueError
        If numbers are dates such as 20240131, which 20240201 follows.
    """
    if times.kind in NUMERIC:
        _check_no_written_dates(times.numbers)
    if times.kind == INTEGERS:
        if spacings.size and spacings.min() > 1:
            _warn_that_every_row_is_alone(int(spacings.min()))
        return 1
    if spacings.size == 0:
        return None
    if times.kind in NUMERIC:
        return _even_step(spacings, times.kind, _rounding_error(times.numbers))
    slack = 0
    if times.kind == ZONED:
        spacings, slack = _without_clock_changes(spacings)
    step = _calendar_step(spacings) if times.kind != DURATIONS else None
    if step is None and times.dates is not None and spacings.min() >= DAY:
        schedule = find_schedule(times.dates, spacings)
        if schedule is not None and schedule.is_daily:
            step = int(schedule.steps.max()) + HOLIDAYS * DAY
    if step is None:
        step = _even_step(spacings, times.kind)
        if step == DAY and times.dates is not None and _skips_weekends(times.dates, spacings):
            step = BUSINESS_DAYS * DAY
    return None if step is None else pd.Timedelta(int(step) + slack)


def _check_no_written_dates(numbers: NDArray) -> None:
    unique = np.unique(numbers)
    if not unique.size or unique[0] < 1900_01 or unique[-1] > 2100_12_31 or (unique != np.rint(unique)).any():
        return
    texts = pd.Series(unique.astype(np.int64)).astype(str)
    first, last = str(texts.iat[0]), str(texts.iat[-1])
    n_above = 6 if len(first) == 8 else 4  # digits of the year, or of year and month
    if len(first) != len(last) or first[:n_above] == last[:n_above] or len(np.unique(np.diff(unique))) == 1:
        return
    for form, behind in WRITTEN_DATES[len(first)]:
        if pd.to_datetime(texts + behind, format=form, errors="coerce").notna().all():
            converted = "times.astype(int).astype(str)" + (f" + {behind!r}" if behind else "")
            raise ValueError(
                f"The times are numbers that read as dates, for example {first}, but numbers count steps: after {last} "
                f"would come {int(last) + 1}. Convert them, for example with pd.to_datetime({converted}, "
                f"format={form!r})."
            )


def _without_clock_changes(spacings: NDArray) -> tuple[NDArray, int]:
    """Steps of whole local days without the hour by which a summer time changes them, and that hour."""
    days = np.rint(spacings / DAY).astype(np.int64)
    if days.min() < 1 or (np.abs(spacings - days * DAY) > HOUR).any():
        return spacings, 0
    return days * DAY, HOUR


def _calendar_step(spacings: NDArray) -> int | None:
    for shortest, longest in CALENDARS:
        fewest_steps = -(-spacings // (longest * DAY))
        whole = fewest_steps <= spacings // (shortest * DAY)
        if whole.all() and (fewest_steps == 1).mean() >= 0.5:
            return longest * DAY
    return None


def _skips_weekends(dates: pd.DatetimeIndex, spacings: NDArray) -> bool:
    return bool(spacings.max() >= WEEKEND * DAY and (dates.day_of_week < 5).all())


def _even_step(spacings: NDArray, kind: str, rounding_error: float = 0) -> Any:
    """The smallest step if all are multiples of it and none is more frequent, else None with a warning."""
    smallest = spacings.min()
    steps = spacings / smallest
    whole = np.rint(steps)
    steps = np.where(np.abs(steps - whole) * smallest <= rounding_error * whole, whole, steps)
    sizes, counts = np.unique(steps, return_counts=True)
    if (sizes == np.rint(sizes)).all() and counts[0] == counts.max():
        return smallest.item()
    commonest = sizes[counts.argmax()]
    n_irregular = int(counts[sizes % commonest != 0].sum())
    spacing = format_time(spacings[steps == commonest][0], DURATIONS if kind not in NUMERIC else kind)
    warn(
        f"The times are irregular: {n_irregular} of {len(spacings)} spacings are no multiple of {spacing}, the most "
        "common one. Windows therefore cross gaps of any length. Set max_gap to cut them at longer gaps.",
    )
    return None


def _warn_that_every_row_is_alone(smallest: int) -> None:
    warn(
        f"Every window has a single row: the smallest spacing of the integer times is {smallest}, and integer times "
        f"more than 1 apart are a gap. Set max_gap={smallest} if that is one step, or name the time column "
        "with time= if the index counts the rows of several groups.",
    )


def warn_of_counted_groups(spacings: NDArray) -> None:
    """Tell where an index of integers, which counts the rows of all groups, cuts the windows of each."""
    if spacings.size == 0 or spacings.min() > 1:  # default_max_gap warns of that
        return
    share_of_gaps = (spacings > 1).mean()
    if share_of_gaps > LARGEST_SHARE_OF_GAPS:
        warn(
            f"The index of X is of integers and counts as times: {share_of_gaps:.0%} of the steps within a group are "
            "gaps, at which windows end. If the rows of a group follow each other, count them for each group, for "
            "example X.index = X.groupby(group).cumcount(); or name the column of times with time=.",
        )
