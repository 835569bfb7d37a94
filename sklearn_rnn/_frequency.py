"""The spacing of a series: which times come next, how long its season is, what is a gap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._rows import Rows, spacings
from sklearn_rnn._schedule import DAY, HOUR, WeeklySchedule, find_schedule
from sklearn_rnn._times import (
    BUSINESS_DAYS,
    DURATIONS,
    FLOATS,
    INTEGERS,
    NUMERIC,
    TIMESTAMPS,
    ZONED,
    Times,
    default_max_gap,
    format_time,
    gap_as_number,
    is_gap,
    zone_name,
)
from sklearn_rnn.sequences import count_within

ROWS, NUMBERS, EVEN, DAYS = "rows", "numbers", "nanoseconds", "days"
WORKDAYS, MONTHS, MONTH_ENDS = "business days", "months", "month ends"
OFFSETS = "offsets"  # of pandas, by its alias
OF_CALENDAR = (MONTHS, MONTH_ENDS, OFFSETS)  # whose rows are parts of a year, or years, apart
SCHEDULE = "weekly schedule"  # by its moments

# Longest step of a calendar, in days, and the months that it stands for.
_MONTHS_OF_STEP = {31: 1, 92: 3, 366: 12}
WORKDAYS_A_WEEK, MONTHS_A_YEAR = 5, 12
SHORTEST_MONTH = 27  # days and some hours, where a clock is put forward
LONGEST_SEGMENT, SEGMENT_WITHOUT_SEASON = 48, 8


@dataclass(frozen=True)
class Frequency:
    """Spacing in plain values.

    `unit` is one of the units above, `count` how many of them are between two rows, or which offset or schedule, `kind`
    and `dtype` say what times look like to the user, `zone` and `period` are set for those that have one, `max_gap` is
    the longest step that is no gap, None for rows without times, `name` is that of the times, `days` are those of the
    month that series are on, each on one, or on the last of a month without it.
    """

    unit: str
    count: Any
    kind: str | None = None
    dtype: str = ""
    zone: str | None = None
    period: str | None = None
    max_gap: Any = None
    name: Any = None
    days: tuple[int, ...] = ()

    @property
    def season(self) -> int:
        """Rows after which the pattern repeats: a day, week or year; 1 if the spacing does not tell."""
        if self.unit == WORKDAYS:
            return WORKDAYS_A_WEEK
        if self.unit in (MONTHS, MONTH_ENDS):
            return MONTHS_A_YEAR // self.count if MONTHS_A_YEAR % self.count == 0 else 1
        if self.unit == SCHEDULE:
            return self._schedule.season
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
    def _schedule(self) -> WeeklySchedule:
        return WeeklySchedule(tuple(self.count))

    @property
    def tells_days(self) -> bool:
        """Whether series may differ in the days of the week that they have rows on."""
        return self.unit == SCHEDULE or (self.unit, self.count) in ((DAYS, 1), (EVEN, DAY))

    @property
    def has_dates(self) -> bool:
        return self.kind in (TIMESTAMPS, ZONED)

    @property
    def is_monthly(self) -> bool:
        return self.unit in OF_CALENDAR and self.season == MONTHS_A_YEAR

    @property
    def is_yearly(self) -> bool:
        """Whether rows are years apart, or months of which no year is made."""
        return self.unit in OF_CALENDAR and self.season == 1

    @property
    def segment_size(self) -> int:
        """The season, or its largest divisor that makes a segment of moderate length."""
        season = self.season
        if season == 1:
            return SEGMENT_WITHOUT_SEASON
        size = max(size for size in range(1, LONGEST_SEGMENT + 1) if season % size == 0)
        if size < min(season, SEGMENT_WITHOUT_SEASON):  # 79 bars a day are two segments, though nothing divides them
            size = -(-season // -(-season // LONGEST_SEGMENT))
        return size

    @property
    def shortest_step(self) -> Any:
        """What lies at least between two rows of a series, None if that is not told."""
        if self.unit in (NUMBERS, EVEN):
            return self.count
        if self.unit == SCHEDULE:
            step = int(self._schedule.steps.min())
            return step - HOUR if self.zone and step > HOUR else step
        days = {DAYS: 1, WORKDAYS: 1, MONTHS: 28, MONTH_ENDS: 28}.get(self.unit)
        return None if days is None else days * int(self.count) * DAY - HOUR  # a clock may be put forward

    @property
    def rows_a_week(self) -> int:
        """Of a weekly schedule, of which so many rows, if they lack, become rows of NaN; 0 without one."""
        return len(self.count) if self.unit == SCHEDULE else 0

    @property
    def readable_step(self) -> str:
        """The spacing as a user would write it."""
        if self.unit in (NUMBERS, EVEN):
            return format_time(self.count, self.kind if self.kind in NUMERIC else DURATIONS)
        if self.unit == OFFSETS:
            return str(self.count)
        if self.unit == SCHEDULE:
            return format_time(self._schedule.steps.min(), DURATIONS)
        return f"{self.count} {self.unit.removesuffix('s') if self.count == 1 else self.unit}"

    def after(self, last: NDArray, n_steps: int, history: Rows | None = None) -> NDArray:
        """The next times after each of some times, as numbers, (n_times, n_steps).

        Where they are the last ones of series, sorted rows of these tell on which day of the month each is.
        """
        ahead = np.arange(1, n_steps + 1)
        if self.unit in (ROWS, NUMBERS, EVEN):
            return last[:, None] + self.count * ahead
        dates = self.dates(last)
        if self.unit in (OFFSETS, WORKDAYS):
            return self._after_by_offset(dates, n_steps)
        wall = dates.tz_localize(None).as_unit("ns")
        if self.unit == SCHEDULE:
            positions = self._schedule.positions(wall.asi8)[:, None] + ahead
            following = self._schedule.clock(positions).view("datetime64[ns]")
        elif self.unit == DAYS:
            following = wall.to_numpy()[:, None] + int(self.count) * ahead * np.timedelta64(DAY, "ns")
        else:
            following = self._months_after(wall, int(self.count) * ahead, history)
        return self._instants(following)

    def _instants(self, clock: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """The times at which the clock of the zone shows these."""
        if self.zone is None:
            return clock.view(np.int64)
        flat = pd.DatetimeIndex(clock.ravel())  # the first of an hour that comes twice, the next of one that lacks
        zoned = flat.tz_localize(self.zone, ambiguous=np.ones(len(flat), dtype=bool), nonexistent="shift_forward")
        return zoned.asi8.reshape(clock.shape)

    def is_gap(self, times: NDArray) -> NDArray[np.bool_]:
        """Where the step from one time to the next is longer than between the rows of a series, (n_rows - 1,)."""
        if self.unit == SCHEDULE:
            clock = self._clock(times)
            return self._schedule.n_between(clock[:-1], clock[1:]) > 0
        return is_gap(times, self.max_gap)

    def missing(self, times: NDArray, rows: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray]:
        """How many rows of a schedule lack before these of sorted rows, 0 for more than `most`, and their times."""
        earlier, later = self._clock(times[rows - 1]), self._clock(times[rows])
        counts = self._schedule.n_between(earlier, later)
        counts[counts > most] = 0
        ahead = 1 + count_within(counts)
        before = np.repeat(self._schedule.positions(earlier), counts)
        instants = self._instants(self._schedule.clock(before + ahead).view("datetime64[ns]"))
        of = np.repeat(np.arange(len(rows)), counts)
        is_before = instants < times[rows][of]  # a midnight that a clock skips is the hour after it, which has a row
        return np.bincount(of[is_before], minlength=len(rows)), instants[is_before]

    def is_off_schedule(self, times: NDArray) -> NDArray[np.bool_]:
        """Which times are no moments of the weekly schedule, if there is one."""
        if self.unit != SCHEDULE:
            return np.zeros(len(times), dtype=bool)
        return ~self._schedule.is_moment(self._clock(times))

    def moments_of_week(self, times: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which moment of the schedule, else which day of the week, each time is, and the day of each that there is."""
        if self.unit != SCHEDULE:
            return np.asarray(self.dates(times).day_of_week), np.arange(7)
        return self._schedule.positions(self._clock(times)) % len(self.count), np.array(self.count) // DAY

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
        for time in self.dates(unique):
            times = pd.date_range(time, periods=n_steps + 1, freq=offset)
            following.append(times[times > time][:n_steps].as_unit("ns").asi8)
        return np.stack(following)[position]

    def _months_after(
        self, last: pd.DatetimeIndex, counts: NDArray[np.int64], history: Rows | None
    ) -> NDArray[np.datetime64]:
        """The times so many months later, on the day of the month of the series, the last one of a shorter month."""
        month = last.to_numpy().astype("datetime64[M]")[:, None]
        day = last.day.to_numpy()
        for of_series in (31,) if self.unit == MONTH_ENDS else self.days:
            day = np.where(last.day == np.minimum(of_series, last.days_in_month), of_series, day)
        if history is not None and history.times is not None:
            dates, starts = self.dates(history.times), history.bounds()[0]
            days = dates.day.to_numpy()
            may_be_later = days == dates.days_in_month
            told = np.maximum.reduceat(np.where(may_be_later, 0, days), starts)
            day = np.where(told > 0, told, np.maximum(day, np.maximum.reduceat(days, starts)))
        later = (month + counts).astype("datetime64[D]")
        n_days = ((month + counts + 1).astype("datetime64[D]") - later).astype(np.int64)
        time_of_day = (last - last.normalize()).to_numpy()[:, None]
        return later + (np.minimum(day[:, None], n_days) - 1) + time_of_day

    def _clock(self, times: NDArray) -> NDArray[np.int64]:
        """Times as the clock of their zone shows them."""
        return self.dates(times).tz_localize(None).as_unit("ns").asi8

    def dates(self, numbers: NDArray) -> pd.DatetimeIndex:
        """Times as numbers, in the zone of the series."""
        dates = pd.DatetimeIndex(numbers, tz="UTC" if self.zone else None)
        return dates.tz_convert(self.zone) if self.zone else dates

    def as_index(self, numbers: NDArray) -> pd.Index:
        """Times of this frequency as the user had them."""
        if self.has_dates:
            dates = self.dates(numbers)
            index = dates.to_period(self.period) if self.period else dates.astype(self.dtype)
        elif self.kind == DURATIONS:
            index = pd.TimedeltaIndex(numbers).astype(self.dtype)
        else:
            index = pd.Index(numbers)
        return index.rename(self.name)


def find_frequency(times: Times | None, rows: Rows) -> Frequency:
    """The spacing of one or several series.

    Parameters
    ----------
    times : Times or None
        None for rows that follow each other.
    rows : Rows
        Those at the times, sorted.

    Raises
    ------
    ValueError
        If the times are irregular.
    """
    if times is None:
        return Frequency(ROWS, 1)
    steps = spacings(rows, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gap = gap_as_number(default_max_gap(times, steps))
    name, dtype = times.original.name, times.original.dtype
    unit: str
    count: Any
    unit, count, days = EVEN, None, ()
    if times.dates is not None and len(steps):
        unit, count, gap, days = _calendar_unit(times.dates.tz, rows, steps, gap)
    uneven = times.kind == INTEGERS and len(steps) > 0 and (steps % steps.min()).any()
    if uneven or gap is None:
        raise ValueError(
            "The times are irregular, so that it cannot be told which times come next. Resample them to even steps, "
            "for example with df.asfreq, which leaves missing rows as NaN, or number the rows and name the column of "
            "numbers with time=."
        )
    step = steps.min().item()
    if times.kind in NUMERIC:
        if times.kind == FLOATS:  # the mean step is rounded least
            step = float(steps.sum() / np.rint(steps / step).sum())
        return Frequency(NUMBERS, step, times.kind, max_gap=step, name=name)
    if times.dates is None:
        return Frequency(EVEN, step, times.kind, str(dtype), max_gap=gap, name=name)
    zone = None if times.dates.tz is None else zone_name(times.dates.tz)
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
        days=days,
    )


def _calendar_unit(zone: Any, rows: Rows, steps: NDArray, gap: int | None) -> tuple[str, Any, int | None, tuple]:
    """Unit and count of series at dates, the longest step that is no gap, and the days of the month that they are on.

    `gap` is that longest step where it is known already; it is None where the dates are irregular.
    """
    assert rows.times is not None
    step = int(steps.min())
    slack = HOUR if zone and step > 22 * HOUR and (gap is None or (gap - HOUR) % DAY == 0) else 0
    n_days = None if gap is None else (gap - slack) / DAY
    is_months, months = step >= SHORTEST_MONTH * DAY, 0
    local = pd.DatetimeIndex(rows.times, tz="UTC").tz_convert(zone)  # None is the clock itself
    if is_months and (gap is None or n_days in _MONTHS_OF_STEP):
        wall = local.tz_localize(None)
        months, days = _months_between(wall, rows), _days_of_month(wall, rows)
        if months and days:
            unit = MONTH_ENDS if bool(wall.is_month_end.all()) else MONTHS
            return unit, months, months * 31 * DAY + slack if gap is None else gap, days
    schedule = find_schedule(local, steps)
    if schedule is not None:
        return SCHEDULE, schedule.moments, int(schedule.steps.max()), ()
    if gap is None:
        offset, longest = _offset_of([local[start:end] for start, end in zip(*rows.bounds(), strict=True)], months)
        return OFFSETS, offset, longest, ()
    if is_months and n_days in _MONTHS_OF_STEP:
        in_days = np.rint(steps / DAY)
        if (in_days % in_days.min()).any():  # else a gap in steps of 28 days
            return MONTHS, _MONTHS_OF_STEP[int(n_days)], gap, ()
    if n_days == BUSINESS_DAYS and step < 2 * DAY:  # too few for a schedule, or at unlike hours
        return WORKDAYS, 1, gap, ()
    if slack:
        return DAYS, round(step / DAY), gap, ()
    return EVEN, step, gap, ()


def _months_between(wall: pd.DatetimeIndex, rows: Rows) -> int:
    """The months from each row of a group to the next one, 0 where that is no number of which all are multiples."""
    months = (12 * wall.year + wall.month).to_numpy()
    steps = spacings(replace(rows, times=months), None)
    fewest = int(steps.min())
    is_usual = fewest > 0 and not (steps % fewest).any() and (steps == fewest).mean() >= 0.5
    return fewest if is_usual else 0


def _days_of_month(wall: pd.DatetimeIndex, rows: Rows) -> tuple[int, ...]:
    """The days of the month that groups are on, none unless each is on one, or on the last of a month without it."""
    day = np.asarray(wall.day)
    of_groups = np.maximum.reduceat(day, rows.bounds()[0])
    is_on_it = day == np.minimum(of_groups[rows.groups], wall.days_in_month)
    return tuple(np.unique(of_groups).tolist()) if is_on_it.all() else ()


def _offset_of(series: Sequence[pd.DatetimeIndex], months: int) -> tuple[str | None, int | None]:
    """The alias of pandas for the calendar that all series follow, such as "BME", and the longest step of its dates.

    `months` is as :func:`_months_between` says.
    """
    together = pd.DatetimeIndex(series[0].append(list(series[1:]))).unique().sort_values()
    aliases = dict.fromkeys(alias for alias in (_alias_of(one) for one in [together, *series]) if alias)
    counted = [f"{months}BME", f"{months}BMS"] if months else []
    unknown_to_pandas = ["SME", "SMS", f"LWOM-{together[0].day_name()[:3].upper()}"]
    for alias in [*aliases, *counted, *unknown_to_pandas]:
        longest = [step for step in (_longest_step(one, alias) for one in series) if step is not None]
        if len(longest) == len(series):
            return alias, max(longest)
    return None, None


def _alias_of(dates: pd.DatetimeIndex) -> str | None:
    """What pandas finds in dates without a gap."""
    if len(dates) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may become an offset
        alias = pd.infer_freq(dates)
    return getattr(alias, "freqstr", alias)


def _longest_step(dates: pd.DatetimeIndex, alias: str) -> int | None:
    """The longest step of the calendar between its first date and the last one.

    None unless it has all of them, and most follow each other.
    """
    calendar = pd.date_range(dates[0], dates[-1], freq=alias)
    position = calendar.get_indexer(dates)
    if (position < 0).any() or 2 * (np.diff(position) == 1).sum() < len(dates) - 1:
        return None
    return int(np.diff(calendar.as_unit("ns").asi8).max(initial=0))
