"""RNNClassifier: classes from sequences."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from sklearn_rnn._estimator import RecurrentEstimator, random_split, tail_split
from sklearn_rnn._losses import Criterion
from sklearn_rnn._parameters import CONSTRAINTS, document_shared_parameters
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.sequences import Sequences


@document_shared_parameters
class RNNClassifier(ClassifierMixin, RecurrentEstimator):
    """Classification of sequences by a recurrent net: plain RNN, LSTM or GRU.

    Inputs are standardised inside the net. Sequences may have unequal lengths and missing values.

    Parameters
    ----------
    {network}
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; "balanced" weighs each inversely to its frequency.
    label_smoothing : float in [0, 1), default=0.0
        Share of each label's probability that is spread over all classes (Szegedy et al. 2016).
    {training}
    validation_split : {"stratified", "tail", "random"}, default="stratified"
        Which samples are held out: the same share of each class, the last ones, or any.
    {machine}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes seen in fit.
    {attributes}

    See Also
    --------
    RNNRegressor : Numbers from sequences.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Long short-term memory. Cho et al. (2014), Learning phrase representations using
    RNN encoder-decoder (GRU). Elman (1990), Finding structure in time (plain RNN).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_rnn import RNNClassifier
    >>> X, y = load_digits(return_X_y=True)  # 8 x 8 images, read as 8 rows of 8 pixels
    >>> model = RNNClassifier(n_channels=8, hidden_size=32, max_epochs=5, random_state=0).fit(X[:1000], y[:1000])
    >>> bool(model.score(X[1000:], y[1000:]) > 0.8)
    True
    """

    _parameter_constraints = {
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "validation_split": [StrOptions({"stratified", "tail", "random"})],
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
        class_weight: Mapping | str | None = None,
        label_smoothing: float = 0.0,
        optimizer: Any = "adamw",
        learning_rate: float = 0.005,
        schedule: str = "one_cycle",
        weight_decay: float = 0.01,
        gradient_clip: float | None = 1.0,
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        validation_split: str = "stratified",
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
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

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> RNNClassifier:
        """Train for one epoch at a constant learning rate, from the weights and scaling of earlier calls.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`. The first call fixes the scaling of X, so let it be typical.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed in the first call where y lacks some.

        Returns
        -------
        self
        """
        self._fit_one_pass(X, y, sample_weight, classes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return softmax(self._predict_outputs(X), axis=1)

    def predict(self, X: Any) -> NDArray:
        """Predict the most probable class.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        most_probable = self._predict_outputs(X).argmax(axis=1)
        return self.classes_[most_probable]

    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> NDArray[np.float64]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        assert_all_finite(np.asarray(y), input_name="y")
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(sequences, labels)
        if reset:
            self.classes_ = np.unique(labels)
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[codes] != labels
        if unknown.any():
            raise ValueError(
                f"y has the class {labels[unknown][0]!r}, which is not among the model's classes {list(self.classes_)}. "
                "Name all classes in the first call, or fit anew with warm_start=False."
            )
        return codes[:, None].astype(np.float64)

    def _check_weights(self, sample_weight: ArrayLike | None, targets: NDArray) -> NDArray[np.float64] | None:
        weights = super()._check_weights(sample_weight, targets)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, self.classes_[targets[:, 0].astype(int)])
        return by_class if weights is None else weights * by_class

    def _output_config(self, sequences: Sequences, targets: NDArray, weights: NDArray | None) -> dict[str, Any]:
        return {"n_outputs": len(self.classes_)}

    def _make_criterion(self) -> Criterion:
        return Criterion("cross_entropy", label_smoothing=self.label_smoothing)

    def _scale_targets(self, module: RecurrentNet, targets: NDArray, device: str) -> torch.Tensor:
        return torch.from_numpy(targets[:, 0].astype(np.int64))[:, None]

    def _split_validation(self, targets: Any, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
        n_held_out = self._n_held_out(len(targets))
        if self.validation_split == "tail":
            return tail_split(len(targets), n_held_out)
        if self.validation_split == "random":
            return random_split(len(targets), n_held_out, random)
        return stratified_split(targets[:, 0], n_held_out, random)


def stratified_split(codes: NDArray, n_held_out: int, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
    """Hold out the same share of each class, as evenly as whole samples allow; a class of any size will do."""
    order = random.permutation(len(codes))
    by_class = order[np.argsort(codes[order], kind="stable")]
    # Every (n / n_held_out)-th sample in the order of classes: systematic sampling keeps the shares.
    position = ((np.arange(n_held_out) + random.uniform()) * len(codes) / n_held_out).astype(int)
    held_out = np.zeros(len(codes), dtype=bool)
    held_out[by_class[position]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
