"""BacktestDisplay: the error by how far ahead a forecast looks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from sklearn_rnn._forecast_tables import BACKTEST_COLUMNS, backtest_columns, check_by, summarise
from sklearn_rnn._rows import as_names
from sklearn_rnn.plots._axes import (
    check_can_draw,
    check_columns,
    final_forecaster,
    format_duration,
    ink,
    one_axes,
    quantile_of,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

METRICS = {
    "MAE": "mean absolute error",
    "RMSE": "root mean squared error",
    "sMAPE": "sMAPE (%)",
    "MASE": "mean absolute scaled error",
    "coverage": "coverage of the interval",
}
WITH_UNIT = {"MAE", "RMSE"}
FEW_STEPS = 24  # that can bear a marker each
N_COLOURS, LINE_STYLES = 10, ("-", "--", ":", "-.")  # the next style after as many lines as have colours
MOST_LABELS_INSIDE = 8  # of the axes, beside which longer legends stand


class BacktestDisplay:
    """Error of the forecasts of a backtest by step ahead.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`; with the same `ax` again it draws another model
    beside the first one. All parameters are stored as attributes.

    Parameters
    ----------
    backtest : DataFrame
        What :meth:`RNNForecaster.backtest` gave.
    metric : {"MAE", "RMSE", "sMAPE", "MASE", "coverage"}, default="MAE"
        The measure, as in :meth:`RNNForecaster.backtest_summary`.
    by : str or list of str, default=None
        Columns whose values get a line each, such as the group; None gives one line, or one a target.
    name : str, default=None
        Stands before the labels, to tell several models apart.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The first line.
    lines_ : list of matplotlib Line2D
    reference_ : matplotlib Line2D or None
        For MASE the level of the seasonal naive forecast, for coverage that of the quantiles.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_rnn import BacktestDisplay, RNNForecaster
    >>> times = pd.date_range("2024-01-01", periods=400, freq="h", name="time")
    >>> df = pd.DataFrame({"load": np.sin(np.arange(400) * np.pi / 12)}, index=times)
    >>> model = RNNForecaster("load", horizon=3, hidden_size=8, max_epochs=2, random_state=0).fit(df[:300])
    >>> display = BacktestDisplay.from_estimator(model, df[300:], name="GRU")
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('steps ahead (1 step = 1 hour)', 'mean absolute error of load')
    >>> other = RNNForecaster("load", horizon=3, cell="rnn", hidden_size=8, max_epochs=2, random_state=0).fit(df[:300])
    >>> display = BacktestDisplay.from_estimator(other, df[300:], name="RNN", ax=display.ax_)
    """

    line_: Line2D
    lines_: list[Line2D]
    reference_: Line2D | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(self, *, backtest: pd.DataFrame, metric: str = "MAE", by: Any = None, name: str | None = None) -> None:
        self.backtest = backtest
        self.metric = metric
        self.by = by
        self.name = name

    def plot(self, ax: Axes | None = None) -> BacktestDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        BacktestDisplay
        """
        by: list[Any] = list(dict.fromkeys(as_names(self.by)))
        targets = self.backtest["target"].unique()
        if not by and len(targets) > 1:
            by = ["target"]
        errors = self._errors(by)
        ax = one_axes(self, ax)
        marker = "o" if self.backtest["step"].nunique() <= FEW_STEPS else ""
        self.lines_ = []
        keys = [errors.index.get_level_values(name) for name in by]
        lines: Any = errors.groupby(keys, sort=False) if by else [((), errors)]
        for values, line in lines:
            style = LINE_STYLES[len(ax.lines) // N_COLOURS % len(LINE_STYLES)]
            label = ", ".join([*([] if self.name is None else [self.name]), *map(str, values)])
            steps = line.index.get_level_values("step")
            self.lines_ += ax.plot(steps, line, style, marker=marker, markersize=4, label=label or None)
        self.line_ = self.lines_[0]
        self.reference_ = self._draw_reference(ax)
        whole_numbers(ax)
        length = _step_length(self.backtest)
        of_what = f" of {targets[0]}" if self.metric in WITH_UNIT and len(targets) == 1 else ""
        ax.set_xlabel("steps ahead" + (f" (1 step = {length})" if length else ""))
        ax.set_ylabel(METRICS[self.metric] + of_what)
        n_labels = len(ax.get_legend_handles_labels()[1])
        if n_labels > MOST_LABELS_INSIDE:
            ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
        elif n_labels:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _errors(self, by: list[Hashable]) -> pd.Series:
        """The measure for each value of `by` and each step."""
        _check_choice(self.metric, self.by, self.backtest.columns)
        if self.backtest.empty:
            raise ValueError("backtest has no rows. Pass that of at least one origin.")
        return summarise(self.backtest, [*by, "step"], _quantiles(self.backtest.columns))[self.metric]

    def _draw_reference(self, ax: Axes) -> Line2D | None:
        """What a measure is to be held against, once in an Axes."""
        levels = _quantiles(self.backtest.columns)
        if self.metric == "MASE":
            level, label = 1.0, "seasonal naive, in the past"
        elif self.metric == "coverage":
            level = max(levels) - min(levels)
            label = f"intended: {level:g}"
        else:
            return None
        if label in ax.get_legend_handles_labels()[1]:
            return None
        return ax.axhline(level, color=ink(ax), linewidth=1, linestyle="--", label=label)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_origins: int | None = 10,
        stride: int | None = None,
        metric: str = "MAE",
        by: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> BacktestDisplay:
        """Backtest a fitted forecaster and draw its errors.

        Parameters
        ----------
        estimator : RNNForecaster
            Fitted, or a fitted search over one. To train anew for each origin, give the table of
            `backtest(X, refit=True)` to :meth:`from_predictions`.
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows that it was not trained on.
        n_origins, stride
            As in :meth:`RNNForecaster.backtest`.
        metric, by, name
            As in the class.
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        BacktestDisplay

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError
            If it is no RNNForecaster, or ax are no axes.
        ValueError
            If there is no such metric, or no such column; the backtest is not made then.
        """
        model = final_forecaster(estimator, cls.__name__)
        check_can_draw(cls.__name__, ax)
        model._check_is_as_fitted()
        _check_choice(metric, by, backtest_columns(model._roles, model.quantiles))
        backtest = model.backtest(X, n_origins=n_origins, stride=stride)
        return cls(backtest=backtest, metric=metric, by=by, name=name).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        backtest: pd.DataFrame,
        *,
        metric: str = "MAE",
        by: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> BacktestDisplay:
        """Draw the errors of a backtest that is there.

        Parameters
        ----------
        backtest : DataFrame
            What :meth:`RNNForecaster.backtest` gave, or a table with its columns.
        metric, by, name
            As in the class.
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        BacktestDisplay

        Raises
        ------
        TypeError
            If the backtest is no table, or ax are no axes.
        ValueError
            If it has no rows or lacks a column, which it names, or if there is no such metric.
        """
        check_columns(backtest, BACKTEST_COLUMNS, "backtest", "what RNNForecaster.backtest gave")
        return cls(backtest=backtest, metric=metric, by=by, name=name).plot(ax)


def _check_choice(metric: Any, by: Any, columns: Iterable[Hashable]) -> None:
    """ValueError unless a backtest with these columns tells that."""
    if metric not in list(METRICS):  # which can be asked for what has no hash
        raise ValueError(f"metric is {metric!r}, but must be one of {', '.join(METRICS)}.")
    there, wanted = list(columns), as_names(by)
    if "step" in wanted:
        raise ValueError(f"by is {by!r}, but each line goes over the steps already. Leave 'step' out.")
    if wanted:
        check_by(by, there)
    n_quantiles = len(_quantiles(there))
    if metric == "coverage" and n_quantiles < 2:
        raise ValueError(
            "metric='coverage' counts values between the lowest and the highest quantile, but the backtest has "
            f"{n_quantiles} quantiles. Set quantiles of RNNForecaster, or choose another metric."
        )


def _quantiles(columns: Iterable[Hashable]) -> list[float]:
    """The levels of the columns such as q0.9."""
    levels = (quantile_of(name, "q") for name in columns)
    return [level for level in levels if level is not None]


def _step_length(backtest: pd.DataFrame) -> str:
    """How long a step is, where all are equally long."""
    first = backtest[backtest["step"] == 1]
    lengths = (first["time"] - first["origin"]).unique()
    if len(lengths) != 1 or not isinstance(lengths[0], pd.Timedelta):
        return ""
    return format_duration(lengths[0])
