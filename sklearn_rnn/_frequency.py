"""The spacing of a series: which times come next, how long its season is, what is a gap."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._times import (
    BUSINESS_DAYS,
    DAY,
    DURATIONS,
    FLOATS,
    HOUR,
    INTEGERS,
    NUMERIC,
    TIMESTAMPS,
    ZONED,
    Times,
    default_max_gap,
    format_time,
    gap_as_number,
    zone_name,
)

ROWS, NUMBERS, EVEN, DAYS = "rows", "numbers", "nanoseconds", "days"
WORKDAYS, MONTHS, MONTH_ENDS = "business days", "months", "month ends"
OFFSETS = "offsets"  # of pandas, by its alias

# Longest step of a calendar, in days, and the months that it stands for.
_MONTHS_OF_STEP = {31: 1, 92: 3, 366: 12}
# Seasons of the spacings that have one, in rows.
_CALENDAR_SEASONS = {(WORKDAYS, 1): 5, (MONTHS, 1): 12, (MONTH_ENDS, 1): 12, (MONTHS, 3): 4, (MONTH_ENDS, 3): 4}
LONGEST_SEGMENT, SEGMENT_WITHOUT_SEASON = 48, 8


@dataclass(frozen=True)
class Frequency:
    """Spacing in plain values.

    `unit` is one of the units above, `count` how many of them are between two rows, `kind` and `dtype` say what times
    look like to the user, `zone` and `period` are set for those that have one, `max_gap` is the longest step that is
    no gap, None for rows without times, `name` is that of the times, `day` the day of the month, where that is one.
    """

    unit: str
    count: Any
    kind: str | None = None
    dtype: str = ""
    zone: str | None = None
    period: str | None = None
    max_gap: Any = None
    name: Any = None
    day: int | None = None

    @property
    def season(self) -> int:
        """Rows after which the pattern repeats: a day, week or year; 1 if the spacing does not tell."""
        if (self.unit, self.count) in _CALENDAR_SEASONS:
            return _CALENDAR_SEASONS[self.unit, self.count]
        if self.unit == OFFSETS:
            year = pd.date_range("2000-01-01", "2000-12-31", freq=self.count)
            return max(len(year), 1)
        if self.unit == DAYS or (self.unit == EVEN and self.count % DAY == 0):
            days = self.count if self.unit == DAYS else self.count // DAY
            return {1: 7, 7: 52}.get(int(days), 1)
        if self.unit != EVEN:
            return 1
        cycle = DAY if self.count >= HOUR // 12 else HOUR
        return int(cycle // self.count) if cycle % self.count == 0 else 1

    @property
    def segment_size(self) -> int:
        """The season, or its largest divisor that makes a segment of moderate length."""
        if self.season == 1:
            return SEGMENT_WITHOUT_SEASON
        return max(size for size in range(1, LONGEST_SEGMENT + 1) if self.season % size == 0)

    @property
    def shortest_step(self) -> Any:
        """What lies at least between two rows of a series, None if that is not told."""
        if self.unit in (NUMBERS, EVEN):
            return self.count
        days = {DAYS: 1, WORKDAYS: 1, MONTHS: 28, MONTH_ENDS: 28}.get(self.unit)
        return None if days is None else days * int(self.count) * DAY - HOUR  # a clock may be put forward

    @property
    def readable_step(self) -> str:
        """The spacing as a user would write it."""
        if self.unit in (NUMBERS, EVEN):
            return format_time(self.count, self.kind if self.kind in NUMERIC else DURATIONS)
        if self.unit == OFFSETS:
            return str(self.count)
        return f"{self.count} {self.unit.removesuffix('s') if self.count == 1 else self.unit}"

    def after(self, last: NDArray, n_steps: int) -> NDArray:
        """The next times after each of some times, as numbers, (n_times, n_steps)."""
        if self.unit in (ROWS, NUMBERS, EVEN):
            return last[:, None] + self.count * np.arange(1, n_steps + 1)
        dates = self._as_dates(last)
        if self.unit in (OFFSETS, WORKDAYS):
            return self._after_by_offset(dates, n_steps)
        wall = dates.tz_localize(None).as_unit("ns")
        counts = int(self.count) * np.arange(1, n_steps + 1)
        if self.unit == DAYS:
            following = wall.to_numpy()[:, None] + counts * np.timedelta64(DAY, "ns")
        else:
            following = self._months_after(wall, counts)
        if self.zone is None:
            return following.view(np.int64)
        flat = pd.DatetimeIndex(following.ravel())  # the first of an hour that comes twice, the next of one that lacks
        zoned = flat.tz_localize(self.zone, ambiguous=np.ones(len(flat), dtype=bool), nonexistent="shift_forward")
        return zoned.asi8.reshape(following.shape)

    def keys(self, times: NDArray) -> NDArray:
        """Numbers that are the same for the same times: fractions count in whole steps, for they are rounded."""
        if self.unit != NUMBERS or (times.dtype.kind == "i" and isinstance(self.count, int)):
            return times
        steps = times / self.count
        whole = np.rint(steps)
        return np.where(np.abs(steps - whole) < 0.01, whole, steps)

    def _after_by_offset(self, last: pd.DatetimeIndex, n_steps: int) -> NDArray[np.int64]:
        offset = self.count if self.unit == OFFSETS else pd.offsets.BusinessDay(int(self.count))
        unique, position = np.unique(last.asi8, return_inverse=True)
        following = []
        for time in self._as_dates(unique):
            times = pd.date_range(time, periods=n_steps + 1, freq=offset)
            following.append(times[times > time][:n_steps].as_unit("ns").asi8)
        return np.stack(following)[position]

    def _months_after(self, last: pd.DatetimeIndex, counts: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """The times so many months later, on the day of the month of the series, the last one of a shorter month."""
        month = last.to_numpy().astype("datetime64[M]")[:, None]
        of_all = 31 if self.unit == MONTH_ENDS else self.day
        usual = last.day.to_numpy() if of_all is None else np.full(len(last), of_all)
        is_usual = last.day == np.minimum(usual, last.days_in_month)  # another series may be on another day
        day = np.where(is_usual, usual, last.day)[:, None]
        later = (month + counts).astype("datetime64[D]")
        n_days = ((month + counts + 1).astype("datetime64[D]") - later).astype(np.int64)
        time_of_day = (last - last.normalize()).to_numpy()[:, None]
        return later + (np.minimum(day, n_days) - 1) + time_of_day

    def _as_dates(self, numbers: NDArray) -> pd.DatetimeIndex:
        dates = pd.DatetimeIndex(numbers, tz="UTC" if self.zone else None)
        return dates.tz_convert(self.zone) if self.zone else dates

    def as_index(self, numbers: NDArray) -> pd.Index:
        """Times of this frequency as the user had them."""
        if self.kind in (TIMESTAMPS, ZONED):
            dates = self._as_dates(numbers)
            index = dates.to_period(self.period) if self.period else dates.astype(self.dtype)
        elif self.kind == DURATIONS:
            index = pd.TimedeltaIndex(numbers).astype(self.dtype)
        else:
            index = pd.Index(numbers)
        return index.rename(self.name)


def find_frequency(times: Times | None, spacings: NDArray, original: pd.Index | pd.Series | None = None) -> Frequency:
    """The spacing of a series.

    Parameters
    ----------
    times : Times or None
        None for rows that follow each other.
    spacings : ndarray of shape (n_spacings,)
        The positive steps from each row to the next one of its group.
    original : Index or Series, default=None
        The times as the user gave them.

    Raises
    ------
    ValueError
        If the times are irregular.
    """
    if times is None:
        return Frequency(ROWS, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gap = gap_as_number(default_max_gap(times, spacings))
    name = getattr(original, "name", None)
    offset = _offset_of(times) if gap is None else None
    uneven = times.kind == INTEGERS and len(spacings) > 0 and (spacings % spacings.min()).any()
    if uneven or (gap is None and offset is None):
        raise ValueError(
            "The times are irregular, so that it cannot be told which times come next. Resample them to even steps, "
            "for example with df.asfreq, which leaves missing rows as NaN, or number the rows and name the column of "
            "numbers with time=."
        )
    step = spacings.min().item()
    if times.kind in NUMERIC:
        if times.kind == FLOATS:  # the mean step is rounded least
            step = float(spacings.sum() / np.rint(spacings / step).sum())
        return Frequency(NUMBERS, step, times.kind, max_gap=step, name=name)
    if times.dates is None:
        return Frequency(EVEN, step, times.kind, str(getattr(original, "dtype", "")), max_gap=gap, name=name)
    unit: str
    count: Any
    if offset is None:
        unit, count = _calendar_unit(times, spacings, gap)
    else:
        unit, count, gap = OFFSETS, offset, spacings.max().item()
    zone = None if times.dates.tz is None else zone_name(times.dates.tz)
    dtype = getattr(original, "dtype", None)
    period = str(dtype).removeprefix("period[").removesuffix("]") if isinstance(dtype, pd.PeriodDtype) else None
    return Frequency(
        unit,
        count,
        times.kind,
        str(times.dates.dtype) if zone is None else f"datetime64[{times.dates.unit}, {zone}]",
        zone,
        period,
        max_gap=gap,
        name=name,
        day=_day_of_month(times.dates) if unit == MONTHS else None,
    )


def _offset_of(times: Times) -> str | None:
    """The alias of pandas for a calendar that the times follow without a gap, such as "BME" or "2MS"."""
    if times.dates is None:
        return None
    dates = times.dates.unique().sort_values()
    if len(dates) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may become an offset
        alias = pd.infer_freq(dates)
    return getattr(alias, "freqstr", alias)


def _day_of_month(dates: pd.DatetimeIndex) -> int | None:
    """The day on which all times are that are not on the last day of a month without it."""
    day = int(dates.day.max())
    return day if (dates.day == np.minimum(day, dates.days_in_month)).all() else None


def _calendar_unit(times: Times, spacings: NDArray, gap: int) -> tuple[str, int]:
    dates = times.dates
    assert dates is not None
    step = int(spacings.min())
    slack = HOUR if times.kind == ZONED and step > 22 * HOUR and (gap - HOUR) % DAY == 0 else 0
    n_days = (gap - slack) / DAY
    if n_days in _MONTHS_OF_STEP and step >= 27 * DAY:
        if dates.is_month_end.all():
            return MONTH_ENDS, _MONTHS_OF_STEP[int(n_days)]
        days = np.rint(spacings / DAY)
        if dates.day.nunique() == 1 or (days % days.min()).any():  # else a gap in steps of 28 days
            return MONTHS, _MONTHS_OF_STEP[int(n_days)]
    if n_days == BUSINESS_DAYS and step < 2 * DAY:
        return WORKDAYS, 1
    if slack:
        return DAYS, round(step / DAY)
    return EVEN, step
