"""ForecastDisplay: what was, what is forecast, what came."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sklearn_rnn._forecast_tables import STEP, coming_table
from sklearn_rnn._rows import Rows, as_names, as_pandas
from sklearn_rnn.plots._axes import (
    check_can_draw,
    check_columns,
    final_forecaster,
    format_times,
    ink,
    positions,
    quantile_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

HORIZONS_OF_HISTORY, LEAST_HISTORY = 4, 24  # rows that are drawn by default
MOST_PANELS, PANELS_A_ROW = 9, 3
COUNTED = "step (0 is the last row of the history)"
TITLE_WIDTH, MOST_LABELS_A_ROW = 40, 5  # in characters; of a legend
TICKS, TICKS_OF_MANY = 8, 5  # of one panel, and of each of several side by side


@dataclass(frozen=True)
class Panel:
    """One series in one target, indexed by time."""

    title: str
    target: Hashable
    forecast: pd.DataFrame
    history: pd.Series | None
    actual: pd.Series | None


class ForecastDisplay:
    """Forecasts behind their history, with intervals, and what came, if that is known: a panel of axes for many series.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as attributes.

    Parameters
    ----------
    forecast : DataFrame
        What :meth:`RNNForecaster.predict` gave: a column for each target, quantiles in columns such as `load_q0.9`.
    target : str or list
        The columns to draw.
    history, actual : DataFrame, default=None
        Tables with the targets before and during the forecast.
    time : str, default=None
        The column of times; None takes the index.
    group : str or list of str, default=None
        The columns that tell the series of a panel apart.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The forecast in the first axes.
    lines_ : list of matplotlib Line2D of length n_panels
        The forecast in each axes.
    history_lines_, actual_lines_ : list of matplotlib Line2D or None, of length n_panels
        What was before, and what came; None where it is not known.
    bands_ : list of dict, of length n_panels
        The intervals in each axes by their lower and upper quantile, such as (0.1, 0.9).
    ax_ : matplotlib Axes
        The first axes.
    axes_ : ndarray of matplotlib Axes of shape (n_panels,)
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_rnn import ForecastDisplay, RNNForecaster
    >>> times = pd.date_range("2024-01-01", periods=400, freq="h", name="time")
    >>> df = pd.DataFrame({"load": np.sin(np.arange(400) * np.pi / 12)}, index=times)
    >>> model = RNNForecaster("load", 12, quantiles=(0.1, 0.9), hidden_size=8, max_epochs=2, random_state=0)
    >>> display = ForecastDisplay.from_estimator(model.fit(df[:380]), actual=df[380:])
    >>> len(display.line_.get_ydata()), list(display.bands_[0])
    (12, [(0.1, 0.9)])
    """

    line_: Line2D
    lines_: list[Line2D]
    history_lines_: list[Line2D | None]
    actual_lines_: list[Line2D | None]
    bands_: list[dict[tuple[float, float], PolyCollection]]
    ax_: Axes
    axes_: Any
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        forecast: pd.DataFrame,
        target: Any,
        history: pd.DataFrame | None = None,
        actual: pd.DataFrame | None = None,
        time: Hashable | None = None,
        group: Any = None,
    ) -> None:
        self.forecast = forecast
        self.target = target
        self.history = history
        self.actual = actual
        self.time = time
        self.group = group

    def plot(
        self, ax: Any = None, *, groups: Sequence[Any] | None = None, n_history: int | None = None
    ) -> ForecastDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to draw, one for each group and target; None makes a new figure.
        groups : sequence, default=None
            The groups to draw, as values of the column `group`, or tuples of several. None takes the first ones, as
            many as make at most 9 panels.
        n_history : int, default=None
            How many rows of the history to draw, 0 for none. None takes four times the horizon, and at least 24.

        Returns
        -------
        ForecastDisplay
        """
        _check_drawing(type(self).__name__, ax, groups, n_history, as_names(self.group))
        panels, n_series = self._panels(groups, n_history)
        axes = _new_axes(panels) if ax is None else _as_axes(ax, len(panels))
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        self.lines_, self.history_lines_, self.actual_lines_, self.bands_ = [], [], [], []
        for panel, one in zip(panels, axes, strict=True):
            self._draw(panel, one, TICKS if len(panels) == 1 else TICKS_OF_MANY)
        self.line_ = self.lines_[0]
        handles, labels = _legend_of(axes)
        if ax is not None:
            self.ax_.legend(handles, labels)
            return self
        self.figure_.legend(
            handles, labels, loc="outside lower center", ncols=min(len(labels), MOST_LABELS_A_ROW), frameon=False
        )
        _label_outer(panels, axes)
        if len(panels) < n_series:
            self.figure_.suptitle(f"the first {len(panels)} of {n_series} series", fontsize="medium")
        return self

    def _draw(self, panel: Panel, ax: Axes, n_ticks: int) -> None:
        """One series; its history and what came have the colour of the labels, which is seen on any background."""
        observed = {"color": ink(ax), "linewidth": 1.2}
        self.history_lines_.append(_draw_line(ax, panel.history, None, label="history", **observed))
        self.actual_lines_.append(
            _draw_line(ax, panel.actual, panel.history, label="actual", linestyle="--", **observed)
        )
        forecast = panel.forecast[panel.target]
        line = _draw_line(ax, forecast, panel.history, label="forecast", linewidth=2)
        assert line is not None
        self.lines_.append(line)
        x, unit = positions(forecast.index)
        self.bands_.append(_draw_bands(ax, panel, x, line.get_color()))
        format_times(ax, forecast.index, n_ticks)
        name = COUNTED if forecast.index.name == STEP else str(forecast.index.name or "time")
        target = f"column {panel.target}" if isinstance(panel.target, int) else str(panel.target)
        ax.set(xlabel=f"{name} ({unit})" if unit else name, ylabel=target)
        if panel.title:
            ax.set_title(textwrap.fill(panel.title, TITLE_WIDTH), fontsize="medium")

    def _panels(self, groups: Sequence[Any] | None, n_history: int | None) -> tuple[list[Panel], int]:
        """What to draw, and of how many series."""
        targets, labels = as_names(self.target), self._labels(groups)
        series = [(label, target) for label in labels for target in targets]
        drawn = series if groups is not None else series[:MOST_PANELS]
        panels = [self._panel(label, target, n_history, len(targets) > 1) for label, target in drawn]
        if self.actual is not None and all(panel.actual is None for panel in panels):
            raise ValueError(
                "actual has no row at the times of the forecast. Pass the rows that follow those the forecast was made "
                "from."
            )
        return panels, len(series)

    def _labels(self, groups: Sequence[Any] | None) -> list[tuple]:
        """The groups to draw; one without a name where there are none."""
        names = as_names(self.group)
        if not names:
            return [()]
        there = list(self.forecast[names].drop_duplicates().itertuples(index=False, name=None))
        if groups is None:
            return there
        wanted = [label if label in there else (label,) for label in groups]
        absent = [label for label in wanted if label not in there]
        if absent or not wanted:
            raise ValueError(f"groups is {groups!r}, but the forecast has {there[:MOST_PANELS]}. Name groups of it.")
        return wanted

    def _panel(self, label: tuple, target: Hashable, n_history: int | None, many_targets: bool) -> Panel:
        forecast = self._part(self.forecast, label)
        history = actual = None
        if self.history is not None:
            history = self._part(self.history, label, before=True)[target]
            _check_comparable(history.index, forecast.index, "history")
            n_rows = max(HORIZONS_OF_HISTORY * len(forecast), LEAST_HISTORY) if n_history is None else n_history
            history = history[history.index < forecast.index[0]].tail(n_rows)
        if self.actual is not None:
            actual = self._part(self.actual, label)[target]
            _check_comparable(actual.index, forecast.index, "actual")
            actual = actual[actual.index.isin(forecast.index)]
        title = ", ".join([*map(str, label), *([str(target)] if many_targets else [])])
        return Panel(title, target, forecast, _unless_empty(history), _unless_empty(actual))

    def _part(self, table: pd.DataFrame, label: tuple, *, before: bool = False) -> pd.DataFrame:
        """The rows of a group by time, or by their count from the last row of the history."""
        for name, value in zip(as_names(self.group), label, strict=True):
            table = table[table[name] == value]
        if self.time is not None:
            return table.set_index(self.time).sort_index()
        if self.forecast.index.name != STEP or self.forecast.index.min() != 1:
            return table.sort_index()
        first = 1 - len(table) if before else 1
        return table.set_axis(pd.RangeIndex(first, first + len(table), name=STEP))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        future: pd.DataFrame | None = None,
        actual: Any = None,
        groups: Sequence[Any] | None = None,
        n_history: int | None = None,
        ax: Any = None,
    ) -> ForecastDisplay:
        """Forecast with a fitted forecaster and draw it.

        Parameters
        ----------
        estimator : RNNForecaster
            Fitted, or a fitted search over one.
        X, future
            As in :meth:`RNNForecaster.predict`. Without X the history is what the forecaster remembers from `fit`.
        actual : DataFrame or array-like of shape (n_rows, n_columns), default=None
            What came, with the columns of `fit`. Rows at other times than those of the forecast are left out.
        groups : sequence, default=None
            The groups to draw; None takes the first ones, as many as make at most 9 panels.
        n_history : int, default=None
            How many rows of the history to draw. None takes four times the horizon, and at least 24.
        ax : matplotlib Axes or array of them, default=None
            Where to draw, one for each group and target; None makes a new figure.

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError
            If it is no RNNForecaster, ax are no axes, or groups are no list.
        ValueError
            If n_history is no count, or groups are named where there are none, before there is any forecast; if X,
            future or actual lack a column; or a group is not there.
        """
        model = final_forecaster(estimator, cls.__name__)
        _check_drawing(cls.__name__, ax, groups, n_history, model._roles.group)
        actual = None if actual is None else model._as_frame(actual, reset=False)
        rows = model._rows_up_to(X)
        coming, forecasts = model._forecast_coming(rows, future)
        return cls.from_predictions(
            coming_table(coming, forecasts, model._roles, model._frequency, model.quantiles),
            list(model._roles.target),
            history=_history_table(model, rows),
            actual=actual,
            time=model._roles.time,
            group=list(model._roles.group),
            groups=groups,
            n_history=n_history,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        forecast: pd.DataFrame,
        target: Any,
        *,
        history: pd.DataFrame | None = None,
        actual: pd.DataFrame | None = None,
        time: Hashable | None = None,
        group: Any = None,
        groups: Sequence[Any] | None = None,
        n_history: int | None = None,
        ax: Any = None,
    ) -> ForecastDisplay:
        """Draw a forecast that is there, of any model.

        Parameters
        ----------
        forecast : DataFrame
            What :meth:`RNNForecaster.predict` gave, or a table with group, time and a column for each target. Columns
            such as `load_q0.9` are quantiles.
        target : str or list of str
            The columns to draw.
        history, actual : DataFrame, default=None
            Tables with group, time and the targets. Of the history, rows before the forecast are drawn, of what came,
            those at its times; so both may be the same table.
        time : str, default=None
            The column of times; None takes the index.
        group : str or list of str, default=None
            The columns that tell the series of a panel apart.
        groups, n_history, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        ValueError
            If target names no column, a table lacks one, which it names, a group is not there, or times are of two
            kinds.
        TypeError
            If the forecast is no table, ax are no axes, or groups are no list.
        """
        if not as_names(target):
            raise ValueError("target names no column. Name the column, or the columns, to draw.")
        forecast, history, actual = map(as_pandas, (forecast, history, actual))
        display = cls(forecast=forecast, target=target, history=history, actual=actual, time=time, group=group)
        for table, name in ((forecast, "forecast"), (history, "history"), (actual, "actual")):
            if table is not None or name == "forecast":
                check_columns(table, display._columns(), name, "a table with group, time and targets")
        if forecast.empty:
            raise ValueError("forecast has no rows. Pass the forecast of at least one.")
        return display.plot(ax, groups=groups, n_history=n_history)

    def _columns(self) -> list[Hashable]:
        return [*as_names(self.group), *([] if self.time is None else [self.time]), *as_names(self.target)]


def _check_drawing(display: str, ax: Any, groups: Any, n_history: Any, group: Sequence[Hashable]) -> None:
    """What can be told of a drawing before there is a forecast."""
    check_can_draw(display, ax, several=True)
    if n_history is not None and (not isinstance(n_history, Integral) or n_history < 0):
        raise ValueError(f"n_history is {n_history!r}, but must be an integer that is not negative, or None.")
    if groups is not None and (isinstance(groups, str) or not isinstance(groups, Iterable)):
        raise TypeError(f"groups is {groups!r}, but must be a list of groups, or None for the first ones.")
    if groups is not None and not group:
        raise ValueError(f"groups is {groups!r}, but no column is named as group. Leave groups out.")


def _history_table(model: Any, rows: Rows) -> pd.DataFrame:
    """The rows that the forecast follows, as a table like that of the forecast."""
    targets = rows.values[:, None, : model._roles.n_targets]  # (n_rows, 1, n_targets): a horizon of one row
    return coming_table(rows, targets, model._roles, model._frequency, None)


def _draw_line(ax: Axes, values: pd.Series | None, before: pd.Series | None, **style: Any) -> Line2D | None:
    """A line, and a thin one that joins it to the last value before it."""
    if values is None:
        return None
    x = positions(values.index)[0]
    (line,) = ax.plot(x, values, marker="o" if len(values) == 1 else "", **style)
    if before is not None:
        start = positions(before.index)[0][-1:]
        color = line.get_color()
        ax.plot([*start, *x[:1]], [before.iloc[-1], values.iloc[0]], line.get_linestyle(), color=color, linewidth=1)
    return line


def _draw_bands(ax: Axes, panel: Panel, x: Any, color: Any) -> dict[tuple[float, float], PolyCollection]:
    """Each pair of quantiles around the middle as a band, the widest first; those without a partner as a line."""
    levels = {name: quantile_of(name, f"{panel.target}_q") for name in panel.forecast.columns}
    columns = {level: panel.forecast[name] for name, level in levels.items() if level is not None}
    bands: dict[tuple[float, float], PolyCollection] = {}
    for low in sorted(level for level in columns if level < 0.5):
        high = next((level for level in columns if np.isclose(level, 1 - low)), None)
        if high is not None:
            style: dict[str, Any] = {"color": color, "alpha": 0.25 + 0.15 * len(bands)}
            style["linewidth"] = 8 if len(x) == 1 else 0  # one step has no width but that of its edge
            label = f"{100 * (high - low):.3g} % interval"
            bands[low, high] = ax.fill_between(x, columns[low], columns[high], label=label, **style)
    for level in sorted(set(columns) - {level for band in bands for level in band} - {0.5}):
        ax.plot(x, columns[level], ":", color=color, label=f"quantile {level:g}")
    return bands


def _check_comparable(times: pd.Index, of_forecast: pd.Index, name: str) -> None:
    """ValueError if times of another kind tell no rows before the forecast, or at its times."""
    try:
        _ = times < of_forecast[0]
    except TypeError:
        raise ValueError(
            f"The times of {name} are {times.dtype}, but those of the forecast {of_forecast.dtype}, which cannot be "
            "compared. Bring them to one kind, timestamps for example with tz_localize."
        ) from None


def _unless_empty(values: pd.Series | None) -> pd.Series | None:
    return None if values is None or values.empty else values


def _as_axes(ax: Any, n_panels: int) -> Any:
    """The user's axes as an array; ValueError unless there is one for each panel."""
    axes = np.ravel(ax)
    if len(axes) < n_panels:
        raise ValueError(
            f"ax has {len(axes)} axes, but there are {n_panels} series to draw, each group and target in its own. Pass "
            "as many axes, choose fewer with groups=, or leave ax out."
        )
    return axes[:n_panels]


def _legend_of(axes: Sequence[Axes]) -> tuple[list, list]:
    """Handles and labels of all that is drawn in some of the axes, those of the fullest first."""
    legends = sorted((one.get_legend_handles_labels() for one in axes), key=lambda legend: -len(legend[1]))
    handles: dict[str, Any] = {}
    for legend in legends:
        for handle, label in zip(*legend, strict=True):
            handles.setdefault(label, handle)
    return list(handles.values()), list(handles)


def _new_axes(panels: list[Panel]) -> Any:
    """Axes of a new figure, side by side; with one axis of times where all forecasts are of the same times."""
    import matplotlib.pyplot as pyplot

    n_columns = _panels_a_row(len(panels))
    n_rows = -(-len(panels) // n_columns)
    same_times = all(panel.forecast.index.equals(panels[0].forecast.index) for panel in panels)
    size = (8, 4.5) if len(panels) == 1 else (4 * n_columns, 0.6 + 2.4 * n_rows)
    _, grid = pyplot.subplots(n_rows, n_columns, sharex=same_times, squeeze=False, figsize=size, layout="constrained")
    axes = grid.ravel()
    for unused in axes[len(panels) :]:
        unused.remove()
    return axes[: len(panels)]


def _panels_a_row(n_panels: int) -> int:
    return 2 if n_panels == 4 else min(n_panels, PANELS_A_ROW)


def _label_outer(panels: list[Panel], axes: Any) -> None:
    """Names of axes only at the left and below the last panel of a column, where the ticks are labelled, too."""
    n_columns = _panels_a_row(len(panels))
    for i, ax in enumerate(axes):
        if i + n_columns >= len(axes):
            ax.tick_params(labelbottom=True)
        else:
            ax.set_xlabel("")
        if i % n_columns or len({panel.target for panel in panels}) > 1:
            ax.set_ylabel("")
