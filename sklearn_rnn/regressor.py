"""RNNRegressor: numbers from sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, check_array, check_consistent_length
from sklearn.utils._param_validation import StrOptions

from sklearn_rnn._estimator import RecurrentEstimator, random_split, rounded, tail_split
from sklearn_rnn._losses import REGRESSION_LOSSES, Criterion
from sklearn_rnn._parameters import CONSTRAINTS, document_shared_parameters
from sklearn_rnn._statistics import target_statistics
from sklearn_rnn.sequences import Sequences


@document_shared_parameters
class RNNRegressor(RegressorMixin, RecurrentEstimator):
    """Regression from sequences by a recurrent net: plain RNN, LSTM or GRU.

    Inputs and targets are standardised inside the net, so that neither needs a scaler around it. Sequences may have
    unequal lengths and missing values.

    Parameters
    ----------
    {network}
    loss : {"squared_error", "absolute_error", "huber", "poisson"}, default="squared_error"
        What training minimises, on standardised targets. "poisson" is for counts: y is not negative and the net gives
        the logarithm of its rate.
    {training}
    validation_split : {"tail", "random"}, default="tail"
        Which samples are held out: the last ones, as befits a time series, or any.
    {machine}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    RNNClassifier : Classes from sequences.
    SlidingWindow : Makes sequences out of the rows of a table.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Long short-term memory. Cho et al. (2014), Learning phrase representations using
    RNN encoder-decoder (GRU). Elman (1990), Finding structure in time (plain RNN).

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
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
        "validation_split": [StrOptions({"tail", "random"})],
    }

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden_size: int = 64,
        n_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        nonlinearity: str = "tanh",
        pooling: str = "last",
        segment_size: int = 1,
        n_channels: int = 1,
        loss: str = "squared_error",
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
        warm_start: bool = False,
        callbacks: list | None = None,
        device: str = "auto",
        dtype: str = "float32",
        n_threads: int | None = None,
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
        self.validation_split = validation_split
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.dtype = dtype
        self.n_threads = n_threads
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

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict targets.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As y was in fit.
        """
        outputs = self._predict_outputs(X)
        return outputs[:, 0] if self._y_is_1d else outputs

    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> NDArray[np.float64]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        targets = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if targets.ndim not in (1, 2):
            raise ValueError(f"y has shape {targets.shape}, but must be (n_samples,) or (n_samples, n_outputs).")
        check_consistent_length(sequences, targets)
        if self.loss == "poisson" and ((targets < 0).any() or not targets.any(axis=0).all()):
            raise ValueError(
                f"loss='poisson' is for counts, but y has a smallest value of {targets.min():g}. Pass y that is not "
                "negative and not all zero, or choose another loss."
            )
        if reset:
            self._y_is_1d = targets.ndim == 1
            self._n_outputs = targets.shape[1] if targets.ndim == 2 else 1
        targets = targets[:, None] if targets.ndim == 1 else targets
        if targets.shape[1] != self._n_outputs:
            raise ValueError(
                f"y has {targets.shape[1]} outputs, but {self._n_outputs} are expected. Pass as many as before."
            )
        return targets

    def _output_config(self, sequences: Sequences, targets: NDArray, weights: NDArray | None) -> dict[str, Any]:
        mean, scale = target_statistics(targets, weights)
        if self.loss == "poisson":
            mean, scale = np.zeros_like(mean), mean
        return {
            "n_outputs": targets.shape[1],
            "log_link": self.loss == "poisson",
            "output_mean": rounded(mean, self.dtype),
            "output_scale": rounded(scale, self.dtype),
        }

    def _make_criterion(self) -> Criterion:
        return Criterion(self.loss)

    def _split_validation(self, targets: Any, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
        n_held_out = self._n_held_out(len(targets))
        if self.validation_split == "tail":
            return tail_split(len(targets), n_held_out)
        return random_split(len(targets), n_held_out, random)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
