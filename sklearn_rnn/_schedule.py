"""Weekly schedules: series with rows at the same moments of every week, such as opening hours or three days a week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR = 3_600_000_000_000  # in nanoseconds, as all times here
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
MONDAY = 4 * DAY  # the first one, counted as all times are from the beginning of 1970
MOST_MOMENTS = 7 * 24 * 60  # one a minute
NEARLY_ALL, MOST = 0.97, 0.5  # of the times at usual moments; of the weeks with a row at one, of the steps between rows
SOME_WEEKS = 0.2  # have a row at an hour that is usual on most other days
MOST_OF_THE_WEEK = 0.9  # else what lacks is taken for missing
LEAST_SHARE_OF_ROWS = 0.8  # of the moments, from the first row on to the last one
SHORT_STEP, FEWEST_DAYS, FEWEST_DAYS_OF_SHORT_STEPS = 3 * HOUR, 28, 14
CLOCKS_CHANGE = 4 * HOUR  # of a day, before it, if they do


@dataclass(frozen=True)
class WeeklySchedule:
    """The moments of the week at which there are rows, sorted, in nanoseconds of the clock from Monday on.

    The moments of all weeks, one after the other, have positions; that of the first Monday of 1970 is 0.
    """

    moments: tuple[int, ...]

    @property
    def steps(self) -> NDArray[np.int64]:
        """From each moment to the next one."""
        return np.diff(self.moments, append=self.moments[0] + WEEK)

    @property
    def is_daily(self) -> bool:
        """Whether days have one row at most, at the same hour."""
        return not (self.steps % DAY).any()

    @property
    def season(self) -> int:
        """Rows after which the pattern repeats: those of a day, or of a week where days have one or differ."""
        day, time_of_day = np.divmod(self.moments, DAY)
        hours = [time_of_day[day == one].tolist() for one in np.unique(day)]
        are_alike = all(of_day == hours[0] for of_day in hours)
        return len(hours[0]) if are_alike and len(hours[0]) > 1 else len(self.moments)

    def positions(self, clock: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of times of the clock, or of the last moment before one that is none."""
        week, moment = np.divmod(clock - MONDAY, WEEK)
        return week * len(self.moments) + np.searchsorted(self.moments, moment, side="right") - 1

    def is_moment(self, clock: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether times of the clock are moments of the schedule."""
        return np.isin((clock - MONDAY) % WEEK, self.moments)

    def n_between(self, earlier: NDArray[np.int64], later: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many moments lie between times of the clock and other ones."""
        return self.positions(later) - self.positions(earlier) - self.is_moment(later)

    def clock(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The times of the clock at positions."""
        week, moment = np.divmod(positions, len(self.moments))
        return MONDAY + week * WEEK + np.array(self.moments)[moment]


def find_schedule(dates: pd.DatetimeIndex, steps: NDArray) -> WeeklySchedule | None:
    """The weekly schedule of one or several series, None if they have none.

    They have one if nearly all rows are at moments that most weeks have, or that lack in many but lie between open
    hours, if these leave a part of the week free, if few rows lack there, and if most rows of a series follow each
    other at the steps between them. Every hour is no schedule, and neither is every hour but one, nor are few days, or
    hours that a change of the clock may skip.

    Parameters
    ----------
    dates : DatetimeIndex
        Of all rows, in any order.
    steps : ndarray
        From each row to the next one of its series.
    """
    if not len(steps) or steps.min() == steps.max():
        return None
    clock = dates.tz_localize(None).as_unit("ns").asi8
    if len(np.unique((clock[: 2 * MOST_MOMENTS] - MONDAY) % WEEK)) > MOST_MOMENTS:
        return None
    clock = np.unique(clock)
    moments, counts = np.unique((clock - MONDAY) % WEEK, return_counts=True)
    n_weeks = (clock[-1] - clock[0]) / WEEK
    is_usual = counts >= MOST * n_weeks
    is_usual |= (counts >= SOME_WEEKS * n_weeks) & _is_open(moments, is_usual)
    if not 0 < is_usual.sum() <= MOST_MOMENTS or counts[is_usual].sum() < NEARLY_ALL * len(clock):
        return None
    schedule = WeeklySchedule(tuple(moments[is_usual].tolist()))
    shortest, n_moments = schedule.steps.min(), len(schedule.moments)
    first, last = schedule.positions(clock[[0, -1]])
    n_days = clock[-1] // DAY - clock[0] // DAY + 1
    is_told = (
        shortest * n_moments <= MOST_OF_THE_WEEK * WEEK
        and len(clock) >= LEAST_SHARE_OF_ROWS * (last - first + 1)
        and np.isin(steps, schedule.steps).mean() > MOST  # else series have hours of their own
        and n_days >= (FEWEST_DAYS if shortest > SHORT_STEP else FEWEST_DAYS_OF_SHORT_STEPS)
        and (dates.tz is None or schedule.is_daily or min(moment % DAY for moment in schedule.moments) >= CLOCKS_CHANGE)
    )
    return schedule if is_told else None


def _is_open(moments: NDArray[np.int64], is_usual: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether moments of the week lie between usual ones of their day, at an hour that is usual on most days."""
    day, time = np.divmod(moments, DAY)
    first, last = np.full(7, DAY), np.zeros(7, dtype=np.int64)
    np.minimum.at(first, day[is_usual], time[is_usual])
    np.maximum.at(last, day[is_usual], time[is_usual])
    _, of_time = np.unique(time, return_inverse=True)
    n_days = np.bincount(of_time, weights=is_usual)[of_time]
    return (first[day] < time) & (time < last[day]) & (n_days > MOST * len(np.unique(day[is_usual])))
