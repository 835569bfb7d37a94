"""Weekly schedules: series with rows at the same moments of every week, such as opening hours or three days a week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR = 3_600_000_000_000  # in nanoseconds, as all times here
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
MONDAY = 4 * DAY  # the first one, counted as all times are from the beginning of 1970
FEWEST_DAYS, MOST_MOMENTS = 14, 7 * 24 * 60
MOST_OF_THE_WEEK = 0.9  # else what lacks is taken for missing
MOST_TO_BE_ALIKE = 1.05  # of the moments
LEAST_SHARE_OF_ROWS = 0.8  # of the moments, from the first row on to the last one


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

    def clock(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The times of the clock at positions."""
        week, moment = np.divmod(positions, len(self.moments))
        return MONDAY + week * WEEK + np.array(self.moments)[moment]


def find_schedule(dates: pd.DatetimeIndex, steps: NDArray) -> WeeklySchedule | None:
    """The weekly schedule of one or several series, None if they have none.

    They have one if there are rows at some moments of the week alone, which leave a part of it free, and if few rows
    lack there. Every hour is no schedule, and neither is every hour but one.

    Parameters
    ----------
    dates : DatetimeIndex
        Of all rows, in any order.
    steps : ndarray
        From each row to the next one of its series.
    """
    if not len(steps) or steps.min() == steps.max():
        return None
    clock = np.unique(dates.tz_localize(None).as_unit("ns").asi8)
    moments = _of_like_days(np.unique((clock - MONDAY) % WEEK))
    if len(moments) > MOST_MOMENTS:
        return None
    schedule = WeeklySchedule(tuple(moments.tolist()))
    first, last = schedule.positions(clock[[0, -1]])
    is_part_of_week = schedule.steps.min() * len(moments) <= MOST_OF_THE_WEEK * WEEK
    is_full = len(clock) >= LEAST_SHARE_OF_ROWS * (last - first + 1)
    is_long = clock[-1] // DAY - clock[0] // DAY + 1 >= FEWEST_DAYS
    return schedule if is_part_of_week and is_full and is_long else None


def _of_like_days(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """The moments with the few that days lack to have all the same hours, if they are few."""
    days, hours = np.unique(moments // DAY), np.unique(moments % DAY)
    n_all = len(days) * len(hours)
    return np.add.outer(days * DAY, hours).ravel() if n_all <= MOST_TO_BE_ALIKE * len(moments) else moments
