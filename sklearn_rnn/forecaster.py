"""RNNForecaster: the next rows of time series in tables."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_rnn._callbacks import FitTask
from sklearn_rnn._errors import unchanged_on_error
from sklearn_rnn._forecast_origins import OriginForecaster
from sklearn_rnn._forecast_tables import (
    backtest_table,
    check_names_of_groups,
    coming_table,
    forecast_columns,
    summarise,
)
from sklearn_rnn._panel import rows_after, sort_rows
from sklearn_rnn._parameters import CONSTRAINTS, document_shared_parameters
from sklearn_rnn._rows import Rows, joined, last_rows_of_groups, other_rows
from sklearn_rnn.nets.forecast import NORMALIZATIONS


@document_shared_parameters
class RNNForecaster(OriginForecaster):
    """Forecast the next rows of one or many time series from a table of their past, by a recurrent net.

    All `horizon` rows come out of one pass, none is fed back. The window before a row is normalised, folded into
    segments of `segment_size` rows and read by a GRU, LSTM or plain RNN; from its last state each segment of the
    horizon is decoded in parallel (SegRNN, Lin et al. 2023). Means and scales are those of the training rows and part
    of the net. Windows never cross a gap in time nor join two series, and missing targets are left out of the loss.

    Parameters
    ----------
    target : str, int or list of them
        The column or columns to forecast; column numbers for arrays.
    horizon : int
        How many rows to forecast, at least 1.
    n_steps : int or "auto", default="auto"
        The most rows of a window. "auto" takes 14 segments, fewer if that is more than a third of the longest series,
        of months a sixth, but two years where two thirds of it hold them, of years a tenth of all rows.
    time : str, default=None
        The column of times. None takes the index if it consists of times or numbers; otherwise, and in a panel whose
        index is of integers, rows follow each other in the order given.
    group : str or list of str, default=None
        The column or columns that tell the series of a panel apart.
    known : str or list of str, default=()
        Columns that are known in advance, such as holidays. `predict` needs them for the coming rows.
    static : str or list of str, default=()
        Columns with one value a group. Every column without a role is a past covariate. Columns that are no numbers
        are categories; those that are missing or not seen in `fit` count as none, in known columns such as the names of
        holidays, too.
    calendar : list of {"minute", "hour", "dayofweek", "day", "dayofyear", "month", "quarter"}, default=()
        Features of the timestamps to add as known columns, as sine and cosine.
    normalize : {"auto", "last", "scaled", "standard"} or None, default="auto"
        What is taken from each target's window and given back to its forecast: its last value, its last value and
        deviation, or its mean and deviation. "auto" takes "scaled" for several groups, which may differ in size, and
        "last" for one. What the deviation is not taken from is counted in that of the training rows, for one group not
        far above that within windows, in a panel in the median of the groups'; a window that stands still, in what
        series of its level usually have. None leaves the values as they are, so that a window without any value of the
        target is forecast by the covariates alone.
    segment_size : int or "auto", default="auto"
        Rows folded into one step of the cell. "auto" takes a day of hours, a week of days, a year of months and the
        like from the spacing of the times, at most 48; 8 if they do not tell, fewer in short series, but at least 4.
    shared : bool, default=True
        Whether each target is a series of its own, read with the same weights and a learned vector of the target;
        otherwise all are read together.
    quantiles : sequence of float in (0, 1), default=None
        Quantiles to forecast beside the median, which then is the point forecast. They never cross.
    conformal : bool, default=False
        Whether to set the distances of quantiles from the median, step by step, so that they cover their share of the
        held-out rows, the newest of which count most. Distances are counted in those that the net gives and in the
        deviation of the target in the newer half of its window: they follow a series that becomes calmer or wilder.
    blend : bool, default=True
        Whether to mix the net's forecast with that of a ridge regression on the target's window, on the known
        covariates of its last row and of the step ahead, and on how past covariates changed within its last segment
        where that helps with rows left out. Where training stops early, it is in the proportion that fits the held-out
        rows best, segment by segment of the horizon. With `known` covariates and 300 to 999 windows, at least six
        horizons of them, that proportion is cross-validated: three more trainings, on two thirds each, of half the
        epochs. Otherwise the net has a third, or less if it is worse on the rows of training; where it is far better on
        these, the proportion is cross-validated, too, for it may know them by heart; and it is alone where `quantiles`
        ask for the median of skewed targets.
    cell : {"gru", "lstm", "rnn"}, default="gru"
        The recurrent cell.
    hidden_size : int, default=128
        Features of the cell's state.
    n_layers : int, default=1
        Recurrent layers.
    dropout : float in [0, 1), default=0.3
        Share of state features set to zero in training, between layers and before the output.
    loss : {"squared_error", "absolute_error", "huber"}, default="huber"
        What training minimises, on targets in the units that `normalize` tells. With quantiles it is their pinball
        loss.
    {optimizer}
    learning_rate : float, default=0.002
        The largest step size of the schedule.
    {schedule}
    batch_size : int or "auto", default="auto"
        Windows an update. "auto" takes a sixteenth of them as a power of two, from 16 to 128.
    max_epochs : int or "auto", default="auto"
        The longest training in passes over the windows. "auto" takes as many as make 640 updates, from 4 to 100,
        or to 30 where training does not stop early with fewer than 1,000. A pass over more than 65,536 windows takes as
        many at random.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out the last rows, stop when their loss no longer improves, and return to the best epoch. "auto"
        does so from 1,000 windows on. They are those from one time on in a panel with dates, if most of its series run
        across it, in others the last rows of each series.
    validation_fraction : float in (0, 1), default=0.1
        Share of the rows that is held out, at least `horizon` rows of a series; `conformal` holds them out, too.
    {machine}

    Attributes
    ----------
    n_steps_, segment_size_ : int
        The sizes in use.
    normalize_ : str or None
        The normalization in use.
    season_ : int
        Rows of a season by the spacing of the times, 1 if it does not tell: what the seasonal naive forecast repeats.
    net_share_ : ndarray of shape (horizon,)
        The net's share in the forecast of each step ahead, see `blend`.
    skill_ : dict or None
        Mean absolute error on the held-out rows, in standard deviations of each target and group, of "model",
        "persistence" and "seasonal_naive", and "skill", by which share the model beats the better of both. None if no
        rows were held out.
    n_skipped_groups_ : int
        Groups too short to train on.
    n_features_in_, feature_names_in_
        Number and names of the columns of the table.
    net_, n_iter_, best_epoch_, history_, device_
        As in :class:`RNNRegressor`.

    References
    ----------
    Lin et al. (2023), SegRNN: segment recurrent neural network for long-term time series forecasting. Litterman
    (1986), Forecasting with Bayesian vector autoregressions: five years of experience. Breiman (1996), Stacked
    regressions. Timmermann (2006), Forecast combinations. Lei et al. (2018), Distribution-free predictive inference for
    regression. Barber et al. (2023), Conformal prediction beyond exchangeability.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_rnn import RNNForecaster
    >>> times = pd.date_range("2024-01-01", periods=400, freq="h", name="time")
    >>> df = pd.DataFrame({"load": np.sin(np.arange(400) * np.pi / 12)}, index=times)
    >>> model = RNNForecaster("load", horizon=3, hidden_size=16, random_state=0).fit(df)
    >>> model.predict().index[0]
    Timestamp('2024-01-17 16:00:00')
    >>> model.n_steps_, model.segment_size_
    (120, 24)
    """

    _parameter_constraints = {
        **CONSTRAINTS,
        "target": [Hashable, list],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "n_steps": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "time": [Hashable, None],
        "group": [Hashable, list, None],
        "known": [Hashable, list],
        "static": [Hashable, list],
        "calendar": [str, list, tuple],
        "normalize": [StrOptions({"auto", *NORMALIZATIONS}), None],
        "shared": ["boolean"],
        "quantiles": ["array-like", None],
        "conformal": ["boolean"],
        "blend": ["boolean"],
        "loss": [StrOptions({"squared_error", "absolute_error", "huber"})],
    }

    def __init__(
        self,
        target: Any,
        horizon: int,
        *,
        n_steps: int | str = "auto",
        time: Hashable | None = None,
        group: Any = None,
        known: Any = (),
        static: Any = (),
        calendar: Sequence[str] = (),
        normalize: str | None = "auto",
        segment_size: int | str = "auto",
        shared: bool = True,
        quantiles: Sequence[float] | None = None,
        conformal: bool = False,
        blend: bool = True,
        cell: str = "gru",
        hidden_size: int = 128,
        n_layers: int = 1,
        dropout: float = 0.3,
        loss: str = "huber",
        optimizer: Any = "adamw",
        learning_rate: float = 0.002,
        schedule: str = "one_cycle",
        weight_decay: float = 0.01,
        gradient_clip: float | None = 1.0,
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        average: bool = True,
        warm_start: bool = False,
        callbacks: list | None = None,
        checkpoint: str | PathLike | None = None,
        checkpoint_every: int = 1,
        device: str = "auto",
        dtype: str = "float32",
        precision: str = "full",
        n_threads: int | None = None,
        fused: bool = True,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.target = target
        self.horizon = horizon
        self.n_steps = n_steps
        self.time = time
        self.group = group
        self.known = known
        self.static = static
        self.calendar = calendar
        self.normalize = normalize
        self.segment_size = segment_size
        self.shared = shared
        self.quantiles = quantiles
        self.conformal = conformal
        self.blend = blend
        self.cell = cell
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.average = average
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.dtype = dtype
        self.precision = precision
        self.n_threads = n_threads
        self.fused = fused
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: pd.DataFrame | ArrayLike, y: None = None) -> RNNForecaster:
        """Train on a table of the past.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns) or (n_rows,)
            One row for each time, or each group and time, in any order. NaN is a missing value. A table of another
            library, such as polars, is read by its `to_pandas`; it has no index, so name its times with `time`. One of
            dask is computed, and keeps its index.
        y : None
            Ignored: the targets are columns of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is unfit; the estimator is then as it was before the call.
        MemoryError
            If a GPU's memory is too small for half batches, too.
        """
        task = FitTask(self, X=X, y=y)
        with unchanged_on_error(self):
            device = self._device_of_one_process()
            frame = self._as_frame(X, reset=True)
            resume = self.warm_start and self.__sklearn_is_fitted__()
            rows = self._start_fit(frame, resume)
            self._remember(rows, resume)
            self._train(rows, resume, device, task)
            task.end()
        return self

    def predict(
        self, X: pd.DataFrame | ArrayLike | None = None, future: pd.DataFrame | None = None
    ) -> pd.DataFrame | NDArray[np.float64]:
        """Forecast the next `horizon` rows of each group.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns), default=None
            Recent rows with the columns of `fit`, of groups old and new: the rows after them are forecast. Those
            remembered from `fit` come before them where they are earlier. None forecasts the rows after those
            remembered.
        future : DataFrame, default=None
            The known covariates of the coming rows, with group and time.

        Returns
        -------
        DataFrame of shape (n_groups * horizon, n_columns), or ndarray of shape (horizon, n_columns) or (horizon,)
            Group, time, for each target its forecast and then its quantiles, such as `load_q0.9`. Times are in the
            index if they were there. An array of the same columns, without group and time, if `fit` had one; 1-D for a
            single column. NaN, with a warning, where the last `n_steps_` rows of a group have no value of the target to
            begin from.

        Raises
        ------
        ValueError
            If columns are absent, times are of another kind than in `fit`, or `future` lacks a row or a value.
        """
        coming, forecasts = self._forecast_coming(self._rows_up_to(X), future)
        if self._has_index:
            return coming_table(coming, forecasts, self._roles, self._frequency, self.quantiles)
        columns = forecast_columns(forecasts, self.quantiles)
        return columns[:, 0] if columns.shape[1] == 1 else columns

    def _forecast_coming(self, rows: Rows, future: pd.DataFrame | None) -> tuple[Rows, NDArray[np.float64]]:
        """The rows after those of each group, and their forecasts (n_groups, horizon, n_targets[, n_quantiles])."""
        history = self._bridged(last_rows_of_groups(rows, None, max(self.n_steps_, self.season_)))
        coming = rows_after(history, self.horizon, self._roles, self._frequency, future)
        windows = self._last_windows(history, sort_rows(joined(history, coming), self._frequency.kind))
        self._warn_of_short_windows(windows)
        forecasts = self._forecast(windows)
        self._warn_of_unknown(forecasts)
        return coming, forecasts

    def update(self, X: pd.DataFrame | ArrayLike) -> RNNForecaster:
        """Append rows to the remembered history, without training, so that `predict()` forecasts what follows them.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows that follow those of `fit` or of the last update, or rows of new groups. Late rows find their place by
            their times, and rows at times that are remembered replace them. Those that are older than what is
            remembered, the last `n_steps_` rows or a season of each group, change nothing; where all of a group are, a
            warning says so. Rows to be scored or backtested are so before they are appended: afterwards the history
            that led to them may be forgotten.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If columns are absent, or times are of another kind or closer than in `fit`. The history is then as it was.
        """
        self._check_is_as_fitted()
        with unchanged_on_error(self):  # where warnings are errors, too
            given = self._read_given(self._as_frame(X, reset=False))
            self._append(self._with_history(given, follow=True, choose=other_rows))
            self._warn_of_old_rows(given)
        return self

    def score(self, X: pd.DataFrame | ArrayLike, y: None = None) -> float:
        """One minus the mean absolute error over that of the seasonal naive forecast; 0 is no better than that.

        Every row with `horizon` rows after it, and the last remembered row before them, is an origin, if a window of
        a length as in training ends there that has a value of the target, and there is one to compare with. Missing
        rows are filled as in :meth:`predict`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows after those of `fit`, or any other rows with its columns, at least `horizon` of a group.
        y : None
            Ignored.

        Returns
        -------
        float
            At most 1. Errors are counted in standard deviations of each target and group, so that each has the same
            weight.

        Raises
        ------
        ValueError
            If no row can be forecast from or compared, columns are absent, or times are of another kind than in `fit`.
        """
        self._check_is_as_fitted()
        rows, _, first_rows, windows = self._origins(self._as_frame(X, reset=False), None, 1, after_fit=True)
        return self._skill_over_naive(rows, windows, first_rows)

    def backtest(
        self,
        X: pd.DataFrame | ArrayLike,
        *,
        n_origins: int | None = 10,
        stride: int | None = None,
        refit: bool = False,
    ) -> pd.DataFrame:
        """Forecast from past origins and set the forecasts beside what came.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows with the columns of `fit`. Rows remembered from `fit` come before them where they are earlier.
        n_origins : int or None, default=10
            The latest origins of each group; None takes all.
        stride : int, default=None
            Rows from one origin to the next; None takes `horizon`.
        refit : bool, default=False
            Whether to train anew for each origin on the rows of X up to its time. Otherwise the forecaster stays as it
            is, so pass rows that it was not trained on.

        Returns
        -------
        DataFrame of shape (n_origins * n_targets * horizon, n_columns)
            Group, target, origin, step, time, actual, forecast, quantiles such as `q0.9`, and scale, the mean absolute
            change over a season in the rows of `fit`, for groups that it has not seen in those before their first
            origin. Without times, origin and time count the rows of X from 0; -1 is the row before them. With `refit`
            the origins are the latest times in X, for all groups alike; without times, all groups end together. See
            :meth:`backtest_summary`.

        Raises
        ------
        ValueError
            If no row can be forecast from, or a column of the group has the name of another one of the result.
        """
        if refit:
            self._validate_params()
        else:
            self._check_is_as_fitted()
        stride = self.horizon if stride is None else stride
        for name, value in (("stride", stride), ("n_origins", 1 if n_origins is None else n_origins)):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} is {value!r}, but must be an integer of at least 1.")
        if refit:
            return self._backtest_with_refits(X, n_origins, stride)
        check_names_of_groups(self._roles, self.quantiles)
        rows, first_new, first_rows, windows = self._origins(self._as_frame(X, reset=False), n_origins, stride)
        forecasts = self._forecast(windows)
        origins = windows.ends - 1
        scales = self._scales(rows, first_rows, origins)[rows.groups[origins]]
        return backtest_table(
            rows, first_new, origins, self._actual(windows), forecasts, scales, self._roles, self._frequency,
            self.quantiles,
        )  # fmt: skip

    def backtest_summary(self, backtest: pd.DataFrame, by: Hashable | Sequence[Hashable] = "step") -> pd.DataFrame:
        """Summarise a backtest.

        Parameters
        ----------
        backtest : DataFrame
            What :meth:`backtest` gave.
        by : str or list of str, default="step"
            Columns whose values get a row each, such as "step", "target" or those of the group.

        Returns
        -------
        DataFrame
            MAE, RMSE, sMAPE in percent (0 where 0 was forecast and came), MASE (MAE over the mean absolute change over
            a season), and the coverage of the interval from the lowest to the highest quantile, if there are any.
        """
        return summarise(backtest, by, self.quantiles)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
