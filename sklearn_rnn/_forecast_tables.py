"""Forecasts as tables: the coming rows, the long table of a backtest, and its summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_rnn._frequency import Frequency
from sklearn_rnn._panel import Roles
from sklearn_rnn._rows import Rows, as_names, is_numeric
from sklearn_rnn._validation import MEDIAN, read_quantiles

STEP = "step"  # the index of a table without times
BACKTEST_COLUMNS = ("target", "origin", STEP, "time", "actual", "forecast", "scale")  # besides groups and quantiles


def column_names(roles: Roles, quantiles: Sequence[float] | None) -> list[Hashable]:
    """The forecast of each target, then its quantiles, target by target."""
    names: list[Hashable] = []
    for target in roles.target:
        names += [target, *(f"{target}_{name}" for name in _quantile_names(quantiles))]
    return names


def check_column_names(roles: Roles, quantiles: Sequence[float] | None) -> None:
    """ValueError if two columns of a table of forecasts would have one name."""
    names = pd.Index([*([] if roles.time is None else [roles.time]), *roles.group, *column_names(roles, quantiles)])
    twice = [name for name, count in Counter(_quantile_names(quantiles)).items() if count > 1]
    if twice:
        raise ValueError(
            f"quantiles has two that are both called {twice[0]!r}, by their first six digits. Drop one of them."
        )
    if not names.is_unique:
        raise ValueError(
            f"Forecasts would have two columns with the name {names[names.duplicated()][0]!r}: a column of X has the "
            "name of a quantile's. Rename it."
        )


def forecast_columns(forecasts: NDArray, quantiles: Sequence[float] | None) -> NDArray:
    """(n, horizon, n_targets[, all quantiles]) as (n * horizon, n_targets * (1 + quantiles)): the median leads."""
    if quantiles is None:
        return forecasts.reshape(-1, forecasts.shape[2])
    median, chosen = positions_among_all(quantiles)
    return forecasts[..., [median, *chosen]].reshape(len(forecasts) * forecasts.shape[1], -1)


def all_quantiles(quantiles: Sequence[float] | None) -> list[float]:
    """The quantiles that the net gives: those asked for and the median, sorted; none for a point forecast."""
    return [] if quantiles is None else sorted({*read_quantiles(quantiles), MEDIAN})


def positions_among_all(quantiles: Sequence[float]) -> tuple[int, list[int]]:
    """Where the median and the quantiles asked for stand among those that the net gives."""
    levels = all_quantiles(quantiles)
    return levels.index(MEDIAN), [levels.index(quantile) for quantile in read_quantiles(quantiles)]


def coming_table(
    coming: Rows, forecasts: NDArray, roles: Roles, frequency: Frequency, quantiles: Sequence[float] | None
) -> pd.DataFrame:
    """One row for each coming row: group, time, forecasts; times in the index if that is where they were."""
    table = pd.DataFrame(forecast_columns(forecasts, quantiles), columns=column_names(roles, quantiles))
    if coming.times is None:
        table.index = pd.Index(coming.clock() + 1, name=STEP)
    elif roles.time is None:
        table.index = frequency.as_index(coming.times)
    else:
        table.insert(0, roles.time, frequency.as_index(coming.times))
    for i, name in enumerate(roles.group):
        table.insert(i, name, _label_column(coming, i, slice(None)).to_numpy())
    return table


def backtest_table(
    rows: Rows,
    first_new: NDArray[np.int64],
    origins: NDArray[np.int64],
    actual: NDArray,
    forecasts: NDArray,
    scales: NDArray,
    roles: Roles,
    frequency: Frequency,
    quantiles: Sequence[float] | None,
) -> pd.DataFrame:
    """One row for each origin, target and step.

    Parameters
    ----------
    rows : Rows
        Sorted.
    first_new : ndarray of int of shape (n_groups,)
        From which row on each group's rows are the user's, which are counted from 0 where there are no times.
    origins : ndarray of int of shape (n_origins,)
    actual, forecasts : ndarray of shape (n_origins, horizon, n_targets[, all quantiles])
    scales : ndarray of shape (n_origins, n_targets)
    """
    n_origins, horizon, n_targets = actual.shape
    n_repeats = horizon * n_targets
    columns: dict[Hashable, object] = {}
    for i, name in enumerate(roles.group):
        columns[name] = _label_column(rows, i, np.repeat(origins, n_repeats))
    of_target = np.tile(np.repeat(np.arange(n_targets), horizon), n_origins)
    columns["target"] = pd.Series(roles.target)[of_target].to_numpy()
    position = np.repeat(origins, n_repeats)
    step = np.tile(np.arange(1, horizon + 1), n_origins * n_targets)
    if rows.times is None:
        in_group = position - first_new[rows.groups[position]]
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
        median, chosen = positions_among_all(quantiles)
        columns["forecast"] = by_target[..., median].ravel()
        for name, one in zip(_quantile_names(quantiles), chosen, strict=True):
            columns[name] = by_target[..., one].ravel()
    columns["scale"] = np.repeat(scales.ravel(), horizon)
    return pd.DataFrame(columns)


def backtest_columns(roles: Roles, quantiles: Sequence[float] | None) -> list[Hashable]:
    """All columns of a backtest."""
    return [*roles.group, *BACKTEST_COLUMNS, *_quantile_names(quantiles)]


def check_names_of_groups(roles: Roles, quantiles: Sequence[float] | None) -> None:
    """ValueError if a column of the group has a name that :func:`backtest_table` gives to another column."""
    columns = backtest_columns(roles, quantiles)
    for name in roles.group:
        if columns.count(name) > 1:
            raise ValueError(
                f"The group column {name!r} has the name of another column of a backtest. Rename it, and fit again."
            )


def _quantile_names(quantiles: Sequence[float] | None) -> list[str]:
    return [f"q{quantile:g}" for quantile in (() if quantiles is None else quantiles)]


def summarise(
    backtest: pd.DataFrame, by: Hashable | Sequence[Hashable], quantiles: Sequence[float] | None
) -> pd.DataFrame:
    """Errors over the rows of a backtest whose actual value is there, for each value of the columns `by`.

    NaN where none is.
    """
    if not isinstance(backtest, pd.DataFrame) or not {"actual", "forecast", "scale"} <= set(backtest.columns):
        raise TypeError("backtest must be the DataFrame that the method backtest gave.")
    names = check_by(by, list(backtest.columns))
    for name in backtest.columns.intersection(["actual", "forecast", "scale"]):
        if not is_numeric(backtest[name]):
            raise ValueError(f"Column {name!r} of backtest is {backtest[name].dtype}, but must be numbers.")
    error = backtest["forecast"] - backtest["actual"]
    size = (backtest["forecast"].abs() + backtest["actual"].abs()) / 2
    measures = pd.DataFrame(
        {
            "MAE": error.abs(),
            "RMSE": error**2,
            "sMAPE": 100 * error.abs() / size.where(size != 0, 1.0),  # 0 where 0 was forecast and came
            "MASE": error.abs() / backtest["scale"],
        },
        index=backtest.index,
    )
    if quantiles is not None and len(quantiles) > 1:
        lowest, highest = _quantile_names([min(quantiles), max(quantiles)])
        if not {lowest, highest} <= set(backtest.columns):
            raise ValueError(
                f"backtest has no columns {lowest} and {highest}, the model's outermost quantiles. Pass a backtest of "
                "this model."
            )
        covered = (backtest["actual"] >= backtest[lowest]) & (backtest["actual"] <= backtest[highest])
        measures["coverage"] = covered.astype(float).where(error.notna())
    summary = measures.groupby([backtest[name] for name in names], sort=False).mean()
    summary["RMSE"] **= 0.5
    return summary


def check_by(by: Any, columns: list[Hashable]) -> list[Hashable]:
    """The columns of a backtest to group by; ValueError unless there are any, all of them columns that it has."""
    names = as_names(by)
    if not names or any(not isinstance(name, Hashable) or name not in columns for name in names):
        raise ValueError(f"by is {by!r}, but must name columns of the backtest: {columns}.")
    return names


def _label_column(rows: Rows, i: int, chosen: NDArray | slice) -> pd.Series:
    """The `i`-th label of the group of each chosen row."""
    labels = pd.Series([label[i] for label in rows.labels])  # which may be tuples
    return labels.iloc[rows.groups[chosen]].reset_index(drop=True)
