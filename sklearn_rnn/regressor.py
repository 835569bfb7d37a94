"""RNNRegressor: numbers from sequences."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array, check_consistent_length
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_rnn._anchors import last_values, less_anchor, where_anchored
from sklearn_rnn._errors import reading
from sklearn_rnn._estimator import RecurrentEstimator, Samples, chosen_samples, rounded
from sklearn_rnn._losses import REGRESSION_LOSSES, Criterion
from sklearn_rnn._parameters import CONSTRAINTS, document_shared_parameters
from sklearn_rnn._statistics import check_units, is_scale_of_constant_target, robust_statistics, target_statistics
from sklearn_rnn._targets import form_of, read_step_labels, with_values
from sklearn_rnn._validation import MEDIAN, channel_positions, plain_data, read_quantiles
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.sequences import Sequences

BLENDED = ("squared_error", "absolute_error", "huber")  # losses that a regression's mean is near the best of


def _predicts_quantiles(estimator: Any) -> bool:
    if "_levels" in vars(estimator):
        has_quantiles, loss = estimator._levels is not None, "was another one in fit"
    else:
        has_quantiles, loss = estimator.loss == "quantile", f"is {estimator.loss!r}"
    if not has_quantiles:
        raise AttributeError(f"predict_quantiles needs loss='quantile', but loss {loss}.")
    return True


@document_shared_parameters
class RNNRegressor(RegressorMixin, RecurrentEstimator):
    """Regression from sequences by a recurrent net: plain RNN, LSTM or GRU.

    Inputs and targets are standardised inside the net, so that neither needs a scaler around it. Sequences may have
    unequal lengths and missing values.

    Parameters
    ----------
    {network}
    loss : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}, default="squared_error"
        What training minimises, on standardised targets: by mean and standard deviation for the squared error, by
        median and distance of the outer deciles for those that outliers hardly move. "poisson" is for counts: y is not
        negative and the net gives the logarithm of its rate. "quantile" is the pinball loss of `quantiles`.
    quantiles : sequence of float in (0, 1) or None, default=None
        For loss="quantile": increasing levels with 0.5 among them, which `predict` gives; None is (0.1, 0.5, 0.9).
        One net gives all, and they never cross.
    anchor : int, str or None, default=None
        A channel, by position or name, whose last value the net adds to its output, so that it learns the change. With
        the target's own history as a channel this makes a forecast at least as good as persistence easy to learn. A
        missing value counts as the one before it. Before the first one stands the channel's mean, and what has none
        takes no part in training.
    blend : bool, default=True
        Whether to mix the net's predictions with those of a ridge regression on the numeric channels of the last steps,
        as many as make 512 numbers. It is in the proportion that fits the samples left out best: those that are held
        out, or, with fewer than 1,000, each of the parts that tell the number of epochs (see `max_epochs`). Where
        nothing is left out, as with fewer samples and `max_epochs` a number, where steps have no numbers or more than
        512, with `per_step`, "poisson" and "quantile", and where training began with `partial_fit`, the net is alone.
        The regression sees no value farther than ten deviations from the mean.
    {training}
    validation_split : {"tail", "random"}, default="tail"
        Which samples are held out: the last ones, as befits a time series, or any. Of what SlidingWindow makes of a
        table with times, the last ones are those of the last times, however its rows are sorted.
    {machine}

    Attributes
    ----------
    {attributes}
    net_share_ : ndarray of shape (n_outputs,)
        The net's share in each prediction as the first fit found it, see `blend`. Training that goes on changes the net
        beside the regression.

    See Also
    --------
    RNNClassifier : Classes from sequences.
    SlidingWindow : Makes sequences out of the rows of a table.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Long short-term memory. Cho et al. (2014), Learning phrase representations using
    RNN encoder-decoder (GRU). Elman (1990), Finding structure in time (plain RNN). Breiman (1996), Stacked regressions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 10))
    >>> y = X[:, -1] + X[:, -3]
    >>> model = RNNRegressor(hidden_size=16, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _parameter_constraints = {
        **CONSTRAINTS,
        "loss": [StrOptions({*REGRESSION_LOSSES, "quantile"})],
        "quantiles": ["array-like", None],
        "anchor": [Integral, str, None],
        "blend": ["boolean"],
        "validation_split": [StrOptions({"tail", "random"})],
    }

    _of_the_net = (*RecurrentEstimator._of_the_net, "loss", "quantiles", "anchor", "blend")

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden_size: int = 64,
        n_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        nonlinearity: str = "tanh",
        pooling: str = "auto",
        segment_size: int | str = "auto",
        n_channels: int = 1,
        categorical_features: Any = "from_dtype",
        embedding_size: int | str = "auto",
        per_step: bool = False,
        loss: str = "squared_error",
        quantiles: Sequence[float] | None = None,
        anchor: int | str | None = None,
        blend: bool = True,
        optimizer: Any = "adamw",
        learning_rate: float = 0.005,
        schedule: str = "one_cycle",
        weight_decay: float = 0.01,
        gradient_clip: float | None = 1.0,
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        validation_split: str = "tail",
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        average: bool = False,
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
        self.cell = cell
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.nonlinearity = nonlinearity
        self.pooling = pooling
        self.segment_size = segment_size
        self.n_channels = n_channels
        self.categorical_features = categorical_features
        self.embedding_size = embedding_size
        self.per_step = per_step
        self.loss = loss
        self.quantiles = quantiles
        self.anchor = anchor
        self.blend = blend
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_split = validation_split
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

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> RNNRegressor:
        """Train for one epoch at a constant learning rate, from the weights and scaling of earlier calls.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`. The first call fixes the scaling, so let it be typical.

        Returns
        -------
        self
        """
        self._fit_one_pass(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        """Predict targets; the median where the loss is "quantile".

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As y was in fit, in the first one with `warm_start`; with `per_step` the form of y: Sequences, list of
            arrays or array padded with NaN.
        """
        return self._predict(X, self._as_y)

    def _as_y(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The medians of outputs (n, n_outputs[, n_quantiles]), 1-D if y was."""
        values = outputs if self._levels is None else outputs[..., self._levels.index(MEDIAN)]
        return values[:, 0] if self._y_is_flat else values

    @available_if(_predicts_quantiles)
    def predict_quantiles(self, X: Any) -> NDArray[np.float64]:
        """Predict the quantiles.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs, n_quantiles)
            Increasing along the last axis.
        """
        return self._predict(X, np.asarray)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination of the predictions, over all steps where there is a target a step.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        float
        """
        y, outputs, weights = self._compared(X, y, sample_weight)
        with reading("y"):
            return r2_score(plain_data(y, "y"), self._as_y(outputs), sample_weight=weights)

    def _validate_params(self) -> None:
        super()._validate_params()
        check_quantiles(self.loss, self.quantiles, self.per_step)
        if isinstance(self.anchor, (bool, np.bool_)):
            raise TypeError(f"anchor is {self.anchor}, but must be the position or name of a channel, or None.")
        if self.loss == "poisson" and self.anchor is not None:
            raise ValueError(
                "anchor adds to the prediction, but loss='poisson' predicts a logarithm. Drop one of them."
            )

    def _learns_few_by_heart(self) -> bool:
        return not self.per_step

    def _cross_validates_epochs(self) -> bool:
        return True

    def _is_blended(self) -> bool:
        return self.blend and self.loss in BLENDED and not self.per_step

    @property
    def net_share_(self) -> NDArray[np.float64]:
        config = self.net_.module_.config
        return np.ones(config["n_outputs"]) if config.get("share") is None else np.array(config["share"])

    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> Any:
        self._check_has_y(y)
        if reset:
            self._levels = check_quantiles(self.loss, self.quantiles, self.per_step)
        y = plain_data(y, "y")
        labels, layout = read_step_labels(y, sequences) if self.per_step else (y, None)
        targets = check_array(labels, ensure_2d=False, dtype=np.float64, ensure_all_finite="allow-nan", input_name="y")
        unknown = np.isnan(targets.reshape(len(targets), -1)).any(axis=1)
        if unknown.any():
            where = "" if self.per_step else f", first in row {int(unknown.argmax())}"
            raise ValueError(
                f"Input y contains NaN{where}. Leave out the rows whose target is not known: of y.shift(-3) the last "
                "three, as in X[:-3] and y[:-3]."
            )
        if targets.ndim not in (1, 2):
            raise ValueError(f"y has shape {targets.shape}, but must be (n_samples,) or (n_samples, n_outputs).")
        if not self.per_step:
            check_consistent_length(sequences, targets)
        if self.loss == "poisson" and (targets < 0).any():
            raise ValueError(
                f"loss='poisson' is for counts, but y has a smallest value of {targets.min():g}. Pass y that is not "
                "negative, or choose another loss."
            )
        n_outputs = targets.shape[1] if targets.ndim == 2 else 1
        if reset:
            self._y_is_flat, self._n_outputs, self._y_form = targets.ndim == 1, n_outputs, form_of(y)
        if n_outputs != self._n_outputs:
            raise ValueError(f"y has {n_outputs} outputs, but {self._n_outputs} are expected. Pass as many as before.")
        targets = targets[:, None] if targets.ndim == 1 else targets
        return targets if layout is None else with_values(layout, targets)

    def _learnable(self, train: Samples, held_out: Samples | None, resume: bool) -> tuple[Samples, Samples | None]:
        if self.anchor is None:
            return train, held_out
        channel = self.net_.module_.anchor if resume else self._anchor_channel(train[0])
        train = self._anchored(*train, channel, "X")
        return train, None if held_out is None else self._anchored(*held_out, channel, "X_val")

    def _anchored(
        self, sequences: Sequences, targets: Any, weights: NDArray | None, channel: int, name: str
    ) -> Samples:
        """The samples that have a value of the channel, their targets by step NaN before it."""
        anchored = ~np.isnan(last_values(sequences, channel))
        if not anchored.any():
            raise ValueError(
                f"anchor is {self.anchor!r}, but that channel is missing in all samples of {name}. Pass some that have "
                "a value of it, or name another channel."
            )
        if not anchored.all():
            sequences, targets, weights = chosen_samples(np.flatnonzero(anchored), sequences, targets, weights)
        return sequences, where_anchored(targets, sequences, channel) if self.per_step else targets, weights

    def _output_config(self, sequences: Sequences, targets: Any, weights: NDArray | None) -> dict[str, Any]:
        anchor = None if self.anchor is None else self._anchor_channel(sequences)
        if self.per_step:
            steps = targets if anchor is None else less_anchor(targets, sequences, anchor)
            targets, weights = steps.values, steps.used_rows(weights)
        elif anchor is not None:
            targets = targets - last_values(sequences, anchor)[:, None]
        units = target_statistics if self.loss in ("squared_error", "poisson") else robust_statistics
        mean, scale = units(targets, weights)
        if self.loss == "poisson":
            if not mean.all():
                which = f" in column {int((mean == 0).argmax())}" if len(mean) > 1 else ""
                raise ValueError(
                    f"loss='poisson' learns a rate, but y is 0 in all samples to train on{which}. Pass some that are "
                    "not, or choose another loss."
                )
            mean, scale = np.zeros_like(mean), mean
        check_units(mean, scale, "y")
        return {
            "n_outputs": self._n_outputs,
            "n_quantiles": len(self._levels or ()),
            "anchor": anchor,
            "log_link": self.loss == "poisson",
            "output_mean": mean.tolist(),
            "output_scale": rounded(scale, self.dtype),
        }

    def _renew_units(self, module: RecurrentNet, sequences: Sequences, targets: Any, weights: NDArray | None) -> None:
        mean, scale = (units.numpy() for units in module.output_units())
        constant = is_scale_of_constant_target(mean, scale)
        if constant.any():
            config = self._output_config(sequences, targets, weights)
            new_mean, new_scale = np.array(config["output_mean"]), np.array(config["output_scale"])
            differs = is_scale_of_constant_target(new_mean, new_scale) & (np.abs(new_mean - mean) > scale)
            new_scale = np.where(differs, np.abs(new_mean - mean) / 2, new_scale)  # the deviation of two values
            new_mean = np.where(differs, (new_mean + mean) / 2, new_mean)
            module.set_output_units(
                np.where(constant, new_mean, mean).tolist(), np.where(constant, new_scale, scale).tolist()
            )

    def _in_net_units(self, values: NDArray[np.float64], module: RecurrentNet) -> NDArray[np.float64]:
        mean, scale = (units.numpy() for units in module.output_units())
        return (values - mean) / scale

    def _anchor_channel(self, sequences: Sequences) -> int:
        (channel,) = channel_positions(np.asarray([self.anchor]), sequences, "anchor")
        if channel in self._categorical_channels(sequences):
            raise ValueError(f"anchor is {self.anchor!r}, but that channel holds categories. Name a numeric channel.")
        return channel

    def _make_criterion(self, targets: Any, weights: NDArray | None) -> Criterion:
        return Criterion(
            self.loss, quantiles=self._levels or (), skip_missing=self.per_step and self.anchor is not None
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def check_quantiles(loss: str, quantiles: Sequence[float] | None, per_step: bool) -> tuple[float, ...] | None:
    """The levels that a net is to predict, None for a loss without."""
    if loss != "quantile":
        if quantiles is not None:
            raise ValueError(
                f"quantiles are for loss='quantile', but loss is {loss!r}. Set that loss, or drop quantiles."
            )
        return None
    if per_step:
        raise ValueError("loss='quantile' cannot be used with per_step=True. Choose another loss.")
    levels = (0.1, 0.5, 0.9) if quantiles is None else tuple(read_quantiles(quantiles))
    increasing = all(low < high for low, high in zip(levels, levels[1:], strict=False))
    if not increasing or MEDIAN not in levels:
        raise ValueError(f"quantiles is {levels}, but must increase and contain {MEDIAN}, which predict gives.")
    return levels
