"""Forecasts as tables: the coming rows, the long table of a backtest, and its summary."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._frequency import Frequency
from sklearn_rnn._panel import Roles
from sklearn_rnn._rows import Rows

MEDIAN = 0.5
STEP = "step"  # the index of a table without times


def column_names(roles: Roles, quantiles: Sequence[float] | None) -> list[Hashable]:
    """The forecast of each target, then its quantiles, target by target."""
    names: list[Hashable] = []
    for target in roles.target:
        names += [target, *(f"{target}_q{quantile:g}" for quantile in quantiles or ())]
    return names


def forecast_columns(forecasts: NDArray, quantiles: Sequence[float] | None) -> NDArray:
    """(n, horizon, n_targets[, all quantiles]) as (n * horizon, n_targets * (1 + quantiles)): the median leads."""
    if quantiles is None:
        return forecasts.reshape(-1, forecasts.shape[2])
    levels = all_quantiles(quantiles)
    chosen = [levels.index(MEDIAN), *(levels.index(quantile) for quantile in quantiles)]
    return forecasts[..., chosen].reshape(len(forecasts) * forecasts.shape[1], -1)


def all_quantiles(quantiles: Sequence[float] | None) -> list[float]:
    """The quantiles that the net gives: those asked for and the median, sorted; none for a point forecast."""
    return [] if quantiles is None else sorted({*map(float, quantiles), MEDIAN})


def coming_table(
    coming: Rows, forecasts: NDArray, roles: Roles, frequency: Frequency, quantiles: Sequence[float] | None
) -> pd.DataFrame:
    """One row for each coming row: group, time, forecasts; times in the index if that is where they were."""
    table = pd.DataFrame(forecast_columns(forecasts, quantiles), columns=column_names(roles, quantiles))
    if coming.times is None:
        counts = pd.Series(coming.groups).groupby(coming.groups).cumcount() + 1
        table.index = pd.Index(counts, name=STEP)
    elif roles.time is None:
        table.index = frequency.as_index(coming.times)
    else:
        table.insert(0, roles.time, frequency.as_index(coming.times))
    for i, name in enumerate(roles.group):
        table.insert(i, name, _label_column(coming, i))
    return table


def backtest_table(
    rows: Rows,
    origins: NDArray[np.int64],
    actual: NDArray,
    forecasts: NDArray,
    scales: NDArray,
    roles: Roles,
    frequency: Frequency,
    quantiles: Sequence[float] | None,
) -> pd.DataFrame:
    """One row for each origin, target and step; `scales` is of shape (n_origins, n_targets)."""
    n_origins, horizon, n_targets = actual.shape
    n_repeats = horizon * n_targets
    columns: dict[Hashable, object] = {}
    for i, name in enumerate(roles.group):
        labels = np.array([label[i] for label in rows.labels], dtype=object)
        columns[name] = pd.Series(np.repeat(labels[rows.groups[origins]], n_repeats)).infer_objects()
    columns["target"] = np.tile(np.repeat(np.array([str(name) for name in roles.target]), horizon), n_origins)
    position = np.repeat(origins, n_repeats)
    step = np.tile(np.arange(1, horizon + 1), n_origins * n_targets)
    if rows.times is None:
        first = np.flatnonzero(np.append(True, rows.groups[1:] != rows.groups[:-1]))
        in_group = position - first[rows.groups[position]]
        columns["origin"], columns["step"], columns["time"] = in_group, step, in_group + step
    else:
        columns["origin"] = frequency.as_index(rows.times[position])
        columns["step"] = step
        columns["time"] = frequency.as_index(rows.times[position + step])
    columns["actual"] = actual.transpose(0, 2, 1).ravel()
    by_target = np.moveaxis(forecasts, 2, 1)  # (n_origins, n_targets, horizon[, all quantiles])
    if quantiles is None:
        columns["forecast"] = by_target.ravel()
    else:
        levels = all_quantiles(quantiles)
        columns["forecast"] = by_target[..., levels.index(MEDIAN)].ravel()
        for quantile in quantiles:
            columns[f"q{quantile:g}"] = by_target[..., levels.index(quantile)].ravel()
    columns["scale"] = np.repeat(scales.ravel(), horizon)
    return pd.DataFrame(columns)


def summarise(
    backtest: pd.DataFrame, by: Hashable | Sequence[Hashable], quantiles: Sequence[float] | None
) -> pd.DataFrame:
    """Errors over the rows of a backtest whose actual value is there, for each value of the columns `by`."""
    names = list(by) if isinstance(by, (list, tuple)) else [by]
    if not isinstance(backtest, pd.DataFrame) or not {"actual", "forecast", "scale"} <= set(backtest.columns):
        raise TypeError("backtest must be the DataFrame that the method backtest gave.")
    absent = [name for name in names if not isinstance(name, Hashable) or name not in backtest.columns]
    if absent or not names:
        raise ValueError(f"by is {by!r}, but must name columns of the backtest: {list(backtest.columns)}.")
    rows = backtest.dropna(subset=["actual"])
    error = rows["forecast"] - rows["actual"]
    size = (rows["forecast"].abs() + rows["actual"].abs()) / 2
    measures = pd.DataFrame(
        {
            "MAE": error.abs(),
            "RMSE": error**2,
            "sMAPE": 100 * error.abs() / size.where(size > 0),
            "MASE": error.abs() / rows["scale"],
        },
        index=rows.index,
    )
    if quantiles is not None and len(quantiles) > 1:
        lowest, highest = f"q{min(quantiles):g}", f"q{max(quantiles):g}"
        measures["coverage"] = ((rows["actual"] >= rows[lowest]) & (rows["actual"] <= rows[highest])).astype(float)
    summary = measures.groupby([rows[name] for name in names], sort=False).mean()
    summary["RMSE"] **= 0.5
    return summary


def _label_column(rows: Rows, i: int) -> Any:
    labels = pd.Series([label[i] for label in rows.labels])
    return labels.iloc[rows.groups].to_numpy()
