"""What the displays share: axes, times as positions on an axis."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._pipelines import final_estimator
from sklearn_rnn.forecaster import RNNForecaster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DURATION_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def final_forecaster(estimator: Any, display: str) -> Any:
    """The fitted RNNForecaster in an estimator; TypeError if there is another one."""
    model = final_estimator(estimator)
    if not isinstance(model, RNNForecaster):
        raise TypeError(
            f"estimator is a {type(model).__name__}, but {display}.from_estimator takes an RNNForecaster. Pass one, or "
            "a table to from_predictions."
        )
    return model


def one_axes(display: Any, ax: Axes | None, least_height: float = 0.0) -> Axes:
    """The user's axes, or those of a new figure of at least some height in inches."""
    check_can_draw(type(display).__name__, ax)
    if ax is not None:
        return ax
    import matplotlib.pyplot as pyplot

    width, height = pyplot.rcParams["figure.figsize"]
    return pyplot.subplots(figsize=(width, max(height, least_height)), layout="constrained")[1]


def check_can_draw(display: str, ax: Any, *, several: bool = False) -> None:
    """ImportError without matplotlib, TypeError unless ax is something to draw in, or None: before any work."""
    try:
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError(
            f"{display} draws with matplotlib, which is not installed. Install it with pip install matplotlib."
        ) from error
    axes = [] if ax is None else np.asarray(ax, dtype=object).ravel() if several else [ax]
    for one in axes:
        if not isinstance(one, Axes):
            raise TypeError(
                f"ax is {one!r:.100}, but must be axes of matplotlib, such as plt.subplots() gives, or None."
            )


def whole_numbers(ax: Axes) -> None:
    """Ticks of the x-axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def ink(ax: Axes) -> Any:
    """The colour that labels have, which is seen on any background."""
    return ax.xaxis.label.get_color()


def check_columns(table: Any, needed: Iterable[Hashable], name: str, what: str) -> None:
    """TypeError unless a table is a DataFrame, ValueError that names the columns that lack."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} is a {type(table).__name__}, but must be a DataFrame: {what}.")
    absent = [column for column in needed if column not in table.columns]
    if absent:
        raise ValueError(
            f"{name} has no column {', '.join(map(repr, absent))}. Its columns are {list(table.columns)}. Pass {what}."
        )


def quantile_of(column: Any, prefix: str) -> float | None:
    """The level of a column that has a quantile, such as q0.9 with the prefix q."""
    try:
        level = float(column.removeprefix(prefix)) if isinstance(column, str) and column.startswith(prefix) else 0.0
    except ValueError:  # another column, such as y_quality beside y
        return None
    return level if 0 < level < 1 else None


def positions(times: pd.Index) -> tuple[NDArray, str]:
    """Where times stand on an axis, and the unit to write in brackets behind its name, if there is one."""
    if isinstance(times, pd.PeriodIndex):
        times = times.to_timestamp()
    if isinstance(times, pd.DatetimeIndex):
        return (times if times.tz is None else times.tz_convert("UTC").tz_localize(None)).to_numpy(), ""
    if isinstance(times, pd.TimedeltaIndex):
        seconds = times.total_seconds().to_numpy()
        unit = next((unit for unit, size in DURATION_UNITS.items() if np.abs(seconds).max() >= 2 * size), "seconds")
        return seconds / DURATION_UNITS[unit], unit
    return times.to_numpy(), ""


def format_duration(duration: pd.Timedelta) -> str:
    """A length of time in the largest unit that it is whole in, such as "1 hour" or "30 minutes"."""
    seconds = duration.total_seconds()
    for unit, size in DURATION_UNITS.items():
        if seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit.removesuffix('s') if count == 1 else unit}"
    return f"{seconds:g} seconds"


def format_times(ax: Axes, times: pd.Index, n_ticks: int) -> None:
    """Dates as short as they can be told, in their own time zone; whole numbers where times are counted."""
    if isinstance(times, (pd.DatetimeIndex, pd.PeriodIndex)):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        zone = getattr(times, "tz", None)
        locator = AutoDateLocator(tz=zone, minticks=3, maxticks=n_ticks)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    elif times.dtype.kind in "iu":
        whole_numbers(ax)
