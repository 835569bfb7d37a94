"""RNNClassifier: classes from sequences."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import (
    Tags,
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    compute_class_weight,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sklearn_rnn._distributed import gathered, summed
from sklearn_rnn._errors import reading, unchanged_on_error
from sklearn_rnn._estimator import RecurrentEstimator
from sklearn_rnn._losses import Criterion
from sklearn_rnn._net_estimator import EARLY_STOPPING_SAMPLES
from sklearn_rnn._parameters import CONSTRAINTS, document_shared_parameters
from sklearn_rnn._targets import form_of, read_step_labels, with_values
from sklearn_rnn._validation import on_host
from sklearn_rnn.sequences import Sequences

# Chosen by cross-validation on training sets of 36 to 270 sequences (docs/figures/accuracy.rst).
FOR_FEW_SEQUENCES = {"label_smoothing": 0.1, "input_noise": 0.2}


@document_shared_parameters
class RNNClassifier(ClassifierMixin, RecurrentEstimator):
    """Classification of sequences by a recurrent net: plain RNN, LSTM or GRU.

    Inputs are standardised inside the net. Sequences may have unequal lengths and missing values. y may also be a
    binary matrix (n_samples, n_labels), several labels a sample (multilabel), or have a label for every step.

    Parameters
    ----------
    {network}
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; "balanced" weighs each inversely to its frequency.
    label_smoothing : float in [0, 1) or "auto", default="auto"
        Share of each label's probability that is spread over all classes, as often as they are in training, so that
        probabilities stay right on average (Szegedy et al. 2016). "auto" takes 0.1 where fewer than 1,000 sequences
        with one class each are trained on, which a net would learn by heart, and else 0.
    input_noise : float or "auto", default="auto"
        Standard deviation of the normal noise that is added in training to each number of X, anew each time it is read,
        in standard deviations of its channel (Bishop 1995). "auto" takes 0.2 where label_smoothing would take 0.1.
    {training}
    validation_split : {"stratified", "tail", "random"}, default="stratified"
        Which samples are held out: the same share of each class, the last ones, or any. Labels by step and several
        labels a sample are not stratified.
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
    RNN encoder-decoder (GRU). Elman (1990), Finding structure in time (plain RNN). Szegedy et al. (2016), Rethinking
    the Inception architecture for computer vision (label smoothing). Bishop (1995), Training with noise is equivalent
    to Tikhonov regularization.

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
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "input_noise": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "validation_split": [StrOptions({"stratified", "tail", "random"})],
    }

    classes_: NDArray
    _of_the_net = (*RecurrentEstimator._of_the_net, "class_weight", "label_smoothing", "input_noise")

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
        class_weight: Mapping | str | None = None,
        label_smoothing: float | str = "auto",
        input_noise: float | str = "auto",
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.input_noise = input_noise
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
            As in :meth:`fit`. The first call fixes the scaling of X, so let it be typical, and what "auto" means.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed in the first call where y lacks some.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            if classes is not None:
                self._set_classes(classes)
            self._fit_one_pass(X, y, sample_weight, knows_targets=classes is not None)
        return self

    def _set_classes(self, classes: ArrayLike) -> None:
        """Know all classes from the beginning; ValueError if the net was made for others."""
        with reading("classes", "Pass all classes, all of one type."):
            given = np.unique(column_or_1d(classes))
            if not len(given) or pd.isna(given).any():
                raise ValueError(f"classes is {given.tolist()}, but must have classes, and none of them missing.")
            if self.__sklearn_is_fitted__() and not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"classes is {given.tolist()}, but was {self.classes_.tolist()} before. Pass the same."
                )
        self.classes_ = given

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class, or of each label where a sample may have several.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; with `per_step` in the form of y, a vector for each step.
        """
        return self._predict(X, self._as_probabilities)

    def _as_probabilities(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Those of outputs (n, n_classes), or of the labels that a sample may have, (n, n_labels)."""
        return expit(outputs) if self._is_multilabel else softmax(outputs, axis=1)

    def predict(self, X: Any) -> Any:
        """Predict the most probable class, or the labels that are more probable than not.

        Parameters
        ----------
        X : Sequences or array-like
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            With `per_step` in the form of y: a class for each step.
        """
        return self._predict(X, self._as_labels)

    def _as_labels(self, outputs: NDArray[np.float64]) -> NDArray:
        """The classes of outputs (n, n_classes), or the labels that a sample has, (n, n_labels)."""
        return (outputs > 0).astype(int) if self._is_multilabel else self.classes_[outputs.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy, over all steps where there is a class for each.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        float
        """
        labels, outputs, weights = self._compared(X, y, sample_weight)
        with reading("y"):
            _check_no_label_missing(labels)
            labels = check_array(labels, accept_sparse=True) if self._is_multilabel else labels
            return accuracy_score(labels, self._as_labels(outputs), sample_weight=weights)

    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> Any:
        self._check_has_y(y)
        y = y.toarray() if issparse(y) else on_host(y)
        labels, layout = read_step_labels(y, sequences) if self.per_step else (y, None)
        _check_no_label_missing(labels)
        check_classification_targets(labels)
        is_multilabel = layout is None and type_of_target(labels) == "multilabel-indicator"
        if reset or not hasattr(self, "_is_multilabel"):
            self._is_multilabel, self._y_form = is_multilabel, form_of(y)
        if is_multilabel != self._is_multilabel:
            now, before = [
                ("one class a sample", "a matrix of labels")[kind] for kind in (is_multilabel, self._is_multilabel)
            ]
            raise ValueError(f"y holds {now}, but {before} before. Pass the same, or fit anew with warm_start=False.")
        if self._is_multilabel:
            return self._check_labels_matrix(labels, sequences, reset)
        labels = column_or_1d(labels, warn=layout is None)
        if layout is None:
            check_consistent_length(sequences, labels)
        if reset:
            self.classes_ = np.unique(np.concatenate(gathered(np.unique(labels))))
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[codes] != labels
        if unknown.any():
            raise ValueError(
                f"y has the class {labels[unknown][:1].tolist()[0]!r}, which is not among the model's classes "
                f"{self.classes_.tolist()}: those of y in fit, or named in the first call of partial_fit. Leave it "
                "out, or fit anew with it."
            )
        targets = codes[:, None].astype(np.float64)
        return targets if layout is None else with_values(layout, targets)

    def _check_labels_matrix(self, y: Any, sequences: Sequences, reset: bool) -> NDArray[np.float64]:
        matrix = check_array(y, dtype=np.float64, input_name="y")
        check_consistent_length(sequences, matrix)
        others = matrix[(matrix != 0) & (matrix != 1)]
        if len(others):
            raise ValueError(
                f"y is a matrix of labels and has the value {others[0]:g}, but each must be 0 or 1. Pass for example "
                f"y == {matrix.max():g}."
            )
        if self.class_weight is not None:
            raise ValueError("class_weight is for one class a sample, but y is a matrix of labels. Use sample_weight.")
        if reset:
            self.classes_ = np.arange(matrix.shape[1])
        if not np.array_equal(np.arange(matrix.shape[1]), self.classes_):
            raise ValueError(
                f"y has {matrix.shape[1]} labels, numbered from 0, but the classes known before are "
                f"{self.classes_.tolist()}. Pass as many labels, or fit anew."
            )
        return matrix

    def _pooling(self) -> str:
        return "concat" if self.pooling == "auto" and not self.per_step else super()._pooling()

    def _output_config(self, sequences: Sequences, targets: Any, weights: NDArray | None) -> dict[str, Any]:
        return {"n_outputs": len(self.classes_), "input_noise": self._regularisation("input_noise", targets)}

    def _make_criterion(self, targets: Any, weights: NDArray | None) -> Criterion:
        smoothing = self._regularisation("label_smoothing", targets)
        if self._is_multilabel:
            share = np.ones(len(targets)) if weights is None else weights
            prior = summed(share @ targets) / summed(share.sum())
            return Criterion("binary_cross_entropy", label_smoothing=smoothing, prior=prior.tolist())
        codes, shares = self._codes_and_shares(targets, weights)
        counts = summed(np.bincount(codes, shares, minlength=len(self.classes_)))
        factors = self._class_weights(counts)
        counts = counts * (1.0 if factors is None else factors)
        return Criterion(
            "cross_entropy",
            label_smoothing=smoothing,
            prior=(counts / counts.sum()).tolist(),
            class_weights=None if factors is None else factors.tolist(),
        )

    def _codes_and_shares(self, targets: Any, weights: NDArray | None) -> tuple[NDArray[np.int64], NDArray | None]:
        """The class of each target, and how much each counts, None for all alike."""
        if not self.per_step:
            return targets[:, 0].astype(int), weights
        return targets.values[:, 0].astype(int), targets.used_rows(weights)  # of the table that others share, too

    def _regularisation(self, name: str, targets: Any) -> float:
        """The parameter's value, "auto" resolved."""
        value = getattr(self, name)
        if value != "auto":
            return float(value)
        few = summed(len(targets)) < EARLY_STOPPING_SAMPLES and not self.per_step and not self._is_multilabel
        return FOR_FEW_SEQUENCES[name] if few else 0.0

    def _class_weights(self, counts: NDArray) -> NDArray[np.float64] | None:
        """A factor for each class, 1 on average over the training targets, of which there are so many of each class."""
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":  # scikit-learn counts weights from 1.7 on
            factors = 1 / np.where(counts > 0, counts, counts[counts > 0].mean())
        else:
            with reading("class_weight", "Pass a number for each class, or 'balanced'."):
                factors = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        mean = (factors * counts).sum() / counts.sum()
        if not np.isfinite(factors).all() or factors.min() < 0 or not mean > 0:
            raise ValueError(
                f"class_weight is {self.class_weight!r}, but weights must be finite, not negative and not all zero."
            )
        return factors / mean

    def _classes_to_share(self, targets: Any) -> NDArray | None:
        return None if self.per_step or self._is_multilabel else targets[:, 0]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _check_no_label_missing(labels: Any) -> None:
    """ValueError that names the first row without."""
    as_array = np.asarray(labels.data if issparse(labels) else labels)
    missing = np.zeros(as_array.shape, dtype=bool)
    if isinstance(labels, np.ma.MaskedArray):
        missing |= np.ma.getmaskarray(labels)
    if as_array.dtype == object and as_array.ndim:
        missing |= pd.isna(as_array)
    if missing.any():
        row = int(np.argwhere(missing)[0][0])
        raise ValueError(f"y contains a missing label, first in row {row}. Drop such rows from X and y.")
    assert_all_finite(as_array, input_name="y")
