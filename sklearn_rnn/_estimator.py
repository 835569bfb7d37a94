"""What the estimators share: validation, the path from X and y to a trained net and back, tags, pickling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from sklearn_rnn._batches import SequenceDataset
from sklearn_rnn._callbacks import FitTask
from sklearn_rnn._device import device_for_fit, limited_threads, seeded, torch_threads
from sklearn_rnn._distributed import check_alike, gathered, rank, summed
from sklearn_rnn._errors import reading, unchanged_on_error, warn
from sklearn_rnn._losses import Criterion
from sklearn_rnn._net_estimator import EARLY_STOPPING_SAMPLES, NetEstimator
from sklearn_rnn._parameters import check_shared_parameters
from sklearn_rnn._prediction import predict_net
from sklearn_rnn._rows import AGAINST_ROUNDING, CHECKED_AT_ONCE, warn_of_rounding
from sklearn_rnn._statistics import channel_statistics, check_units
from sklearn_rnn._targets import in_form, with_values
from sklearn_rnn._training import fit_net, is_random
from sklearn_rnn._validation import (
    channel_positions,
    check_codes_exact,
    check_segment_size,
    check_usable,
    check_weights,
    plain_data,
    used_codes,
)
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.sequences import Sequences, as_sequences, is_ragged, is_table

FORMS = (
    "Pass Sequences, numbers of shape (n_samples, n_steps * n_channels) or (n_samples, n_steps, n_channels), or a list "
    "of arrays of shape (n_steps, n_channels)."
)

Samples = tuple[Sequences, Any, NDArray | None]  # with their targets and weights


class RecurrentEstimator(NetEstimator):
    """Base of RNNRegressor and RNNClassifier, which say what targets, outputs and losses are."""

    _parameter_constraints: dict[str, list[Any]]
    _of_the_net = (
        *NetEstimator._of_the_net,
        *("bidirectional", "nonlinearity", "pooling", "segment_size", "per_step"),
        *("categorical_features", "embedding_size"),
    )
    n_steps_in_: int
    classes_: NDArray
    _y_form: str
    feature_names_in_: NDArray

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> RecurrentEstimator:
        """Train the net.

        Parameters
        ----------
        X : Sequences or array-like
            Sequences, in any of these forms: ``Sequences``; array or DataFrame of shape
            (n_samples, n_steps * n_channels), each row one sequence read step by step; array of shape
            (n_samples, n_steps, n_channels); list or object array of arrays of shape (n_steps_i, n_channels) or
            (n_steps_i,). Steps at the head or tail of a dense sequence that are all NaN are padding. Nested lists, if
            all are of one length, are the array that they make.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, none negative and not all zero.
        X_val, y_val : like X and y, default=None
            Validation data for early stopping, in place of a share of X and y.

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
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        task = FitTask(self, X=X, y=y, metadata=metadata)
        with unchanged_on_error(self):
            resume = self.warm_start and self.__sklearn_is_fitted__()
            self._train(X, y, sample_weight, (X_val, y_val), resume=resume, knows_targets=resume, task=task)
            task.end()
        return self

    def _fit_one_pass(self, X: Any, y: Any, sample_weight: ArrayLike | None, classes: ArrayLike | None = None) -> None:
        with unchanged_on_error(self):
            self._validate_params()
            resume = self.__sklearn_is_fitted__()
            if classes is not None:
                with reading("classes", "Pass all classes, all of one type."):
                    classes = np.unique(column_or_1d(classes))
                    if resume and not np.array_equal(classes, self.classes_):
                        raise ValueError(
                            f"classes is {classes.tolist()}, but was {self.classes_.tolist()} before. Pass the same."
                        )
                self.classes_ = classes
            knows_targets = resume or classes is not None
            self._train(X, y, sample_weight, (None, None), resume=resume, one_pass=True, knows_targets=knows_targets)

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        validation: tuple[Any, Any],
        *,
        resume: bool,
        knows_targets: bool,
        one_pass: bool = False,
        task: FitTask | None = None,
    ) -> None:
        check_shared_parameters(self)
        if resume:
            self._check_goes_on()
        device = device_for_fit(self.device, self.precision)
        sequences = self._check_X(X, self.dtype, reset=not resume)
        self._warn_of_rounding(X, sequences)
        check_alike(channels=sequences.n_channels, sample_weight=sample_weight is None, X_val=validation[0] is None)
        with reading("y", "Pass one target for each sample, or for each step with per_step=True."):
            targets = self._check_y(y, sequences, reset=not knows_targets)
        weights = check_weights(sample_weight, len(targets), together=True)
        if weights is not None and not weights.all():
            sequences, targets, weights = chosen_samples(np.flatnonzero(weights), sequences, targets, weights)
        check_segment_size(self.segment_size, sequences)
        held_out = self._check_validation(validation, X, sequences)
        (sequences, targets, weights), held_out = self._learnable((sequences, targets, weights), held_out, resume)
        seed = self._draw_seed(one_pass)
        stop_early = not one_pass and self._stops_early(summed(len(sequences)), held_out is not None)
        if held_out is None and stop_early:
            train_rows, valid_rows = self._split_validation(targets, np.random.RandomState(seed))
            held_out = chosen_samples(valid_rows, sequences, targets, weights)
            sequences, targets, weights = chosen_samples(train_rows, sequences, targets, weights)
        settings = self._settings(len(sequences), stop_early, device, one_pass)
        with ExitStack() as randomness:
            randomness.enter_context(seeded(seed, device))
            module, criterion, optimizer_state = self._start(sequences, targets, weights, resume)
            if not is_random(module):
                randomness.close()  # so that fits in other threads need not wait
            elif rank():
                torch.manual_seed(seed + rank())  # noise of its own for each process's rows
            train = self._make_dataset(module, sequences, targets, weights, device)
            valid = None if held_out is None else self._make_dataset(module, *held_out, device, beside=train)
            self._remember_length(sequences, resume)
            if task is not None:
                task.begin(settings.max_epochs, partial(self._fitted_so_far, device=device, resume=resume))
            with limited_threads(self.n_threads, module.recurrent, device):
                net, best_epoch = fit_net(
                    module,
                    criterion,
                    train,
                    valid,
                    settings=settings,
                    seed=seed,
                    optimizer_state=optimizer_state,
                    observers=[] if task is None else [task],
                )
        self._store_training(net, best_epoch, device, resume)

    @torch_threads(1)  # the threads of a decomposition would change bits, and hang in a process that is forked later
    def _start(
        self, sequences: Sequences, targets: Any, weights: NDArray | None, resume: bool
    ) -> tuple[RecurrentNet, Criterion, dict | None]:
        """The module and criterion that training begins with: new ones, or copies of those of the last fit."""
        if resume:
            module, criterion, state = self._continued()
            self._renew_units(module, sequences, targets, weights)
            return module, criterion, state
        mean, scale, missing = channel_statistics(sequences, weights)
        check_units(mean, scale, "X")
        categorical = self._categorical_channels(sequences)
        missing[categorical] = False
        dtype = getattr(torch, self.dtype)
        module = RecurrentNet(
            sequences.n_channels,
            cell=str(self.cell),
            hidden_size=int(self.hidden_size),
            n_layers=int(self.n_layers),
            bidirectional=bool(self.bidirectional),
            nonlinearity=str(self.nonlinearity),
            **self._ways_to_compute(),
            pooling=str(self.pooling),
            segment_size=int(self.segment_size),
            input_mean=rounded(mean, self.dtype),
            input_scale=rounded(scale, self.dtype),
            missing=np.flatnonzero(missing).tolist(),
            categories={channel: used_codes(sequences, channel) for channel in categorical},
            embedding_size=self.embedding_size if self.embedding_size == "auto" else int(self.embedding_size),
            per_step=bool(self.per_step),
            dtype=dtype,
            **self._output_config(sequences, targets, weights),
        )
        return module, self._make_criterion(targets, weights).to(dtype), None

    def _make_dataset(
        self,
        module: RecurrentNet,
        sequences: Sequences,
        targets: Any,
        weights: NDArray | None,
        device: str,
        beside: SequenceDataset | None = None,
    ) -> SequenceDataset:
        dtype = getattr(torch, self.dtype)
        values = self._in_net_units(targets.values if self.per_step else targets, module)
        scaled: torch.Tensor | SequenceDataset
        if self.per_step:
            scaled = SequenceDataset(with_values(targets, values.astype(self.dtype)), device=device)
        else:
            scaled = torch.from_numpy(np.require(values, requirements="W")).to(dtype)
        # Weights with mean 1 make the loss of a batch an estimate of the weighted loss.
        mean_weight = None if weights is None else summed(weights.sum()) / summed(len(weights))
        relative = None if weights is None else torch.from_numpy(weights / mean_weight).to(dtype)
        return SequenceDataset(sequences, scaled, relative, device=device, beside=beside)

    def _remember_length(self, sequences: Sequences, resume: bool) -> None:
        longest = max(gathered(sequences.shape[1]))
        self.n_steps_in_ = max(longest, self.n_steps_in_) if resume else longest

    def _predicts_steps(self) -> bool:
        """Whether the net has an output for each step, whatever `per_step` says since fit."""
        check_is_fitted(self)
        return self.net_.module_.per_step

    def _predict_outputs(self, X: Any) -> Any:
        """Outputs of the net in the units of y, float64: (n_samples, n_outputs) or what predict_net says."""
        check_is_fitted(self)
        return self._outputs_of(self._check_X(X, self._net_dtype, reset=False))

    def _outputs_of(self, sequences: Sequences) -> Any:
        module = self.net_.module_
        with limited_threads(self.n_threads, module.recurrent, self.device_):
            return predict_net(module, sequences, self.device_)

    def _predict_steps(self, X: Any, predict: Callable[[NDArray[np.float64]], NDArray]) -> Any:
        """Predictions from the outputs of each step, in the form of y; for a dense X where its steps stand."""
        sequences = self._check_X(X, self._net_dtype, reset=False)
        outputs, place = self._outputs_of(sequences), None
        if not (isinstance(X, Sequences) or is_ragged(X)):
            width = len(sequences.values) // len(sequences)
            place = width, sequences.starts - width * np.arange(len(sequences))
        return in_form(predict(outputs.values), outputs, self._y_form, place)

    # What the subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> Any:
        """y as float64 of shape (n_samples, n_targets)."""

    def _learnable(self, train: Samples, held_out: Samples | None, resume: bool) -> tuple[Samples, Samples | None]:
        """Those from which the net can learn."""
        return train, held_out

    def _in_net_units(self, values: NDArray[np.float64], module: RecurrentNet) -> NDArray[np.float64]:
        """Targets as the loss compares them with the net's raw outputs."""
        return values

    def _renew_units(self, module: RecurrentNet, sequences: Sequences, targets: Any, weights: NDArray | None) -> None:
        """Change the units of outputs of which all earlier targets told nothing."""

    @abstractmethod
    def _output_config(self, sequences: Sequences, targets: Any, weights: NDArray | None) -> dict[str, Any]:
        """The arguments of RecurrentNet that depend on the targets, n_outputs among them."""

    @abstractmethod
    def _make_criterion(self, targets: Any, weights: NDArray | None) -> Criterion:
        """The loss."""

    @abstractmethod
    def _split_validation(self, targets: Any, random: np.random.RandomState) -> tuple[NDArray, NDArray]:
        """Rows to train on and rows held out."""

    # Validation -------------------------------------------------------------------------------------------------------

    def _check_X(self, X: Any, dtype: str, *, reset: bool) -> Sequences:
        with reading("X", FORMS):
            return self._read_X(X, dtype, reset)

    def _read_X(self, X: Any, dtype: str, reset: bool) -> Sequences:
        if isinstance(X, (list, tuple)) and not is_ragged(X):
            X = self._read_lists(X, reset)
        if not is_table(X):
            sequences = as_sequences(X, dtype=dtype)
            self._check_channels(sequences, reset)
            check_usable(sequences, "X")
            return sequences
        if reset and isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.PeriodIndex)):
            warn(
                "X is a table with a time index, and each of its rows is read as one sequence of its columns. If its "
                f"rows are the steps, put SlidingWindow before {type(self).__name__} in a Pipeline.",
            )
        X = plain_data(X, "X")
        table = validate_data(self, X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan")
        sequences = as_sequences(table, n_channels=int(self.n_channels), dtype=dtype)
        if not reset:
            self._check_net_channels(
                sequences,
                "Each row of a table is one sequence; wrap a single sequence (n_steps, n_channels) in a list.",
            )
        return sequences

    def _warn_of_rounding(self, X: Any, sequences: Sequences) -> None:
        """Tell of channels of which the net's type keeps little, by some of the samples."""
        if self.dtype == "float64" or str(getattr(X, "dtype", "")) == "float32":
            return
        if not isinstance(X, Sequences):
            some = slice(None, None, len(sequences) * sequences.shape[1] // CHECKED_AT_ONCE + 1)
            if is_ragged(X):
                X = list(X)[some]
            else:
                X = X.iloc[some] if hasattr(X, "iloc") else np.asarray(plain_data(X, "X"))[some]
                X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", allow_nd=True)
            X = as_sequences(X, n_channels=sequences.n_channels, dtype=np.float64)
        names = sequences.channel_names or [f"channel {i}" for i in range(sequences.n_channels)]
        warn_of_rounding(X.values, range(len(names)), self.dtype, AGAINST_ROUNDING, names)

    def _read_lists(self, X: list | tuple, reset: bool) -> Any:
        """Lists of one length, as an array if they are sequences: of steps, or of numbers if fit had such."""
        if not X:
            raise ValueError("X is empty. Pass at least one sequence.")
        array = np.asarray(X)
        if array.ndim == 2 and not reset and self.n_features_in_ == self.net_.module_.config["n_channels"] == 1:
            return array[:, :, None]
        return array if array.ndim == 3 else X

    def _check_channels(self, sequences: Sequences, reset: bool) -> None:
        names = sequences.channel_names
        if reset:
            self.n_features_in_ = sequences.n_channels
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            if names is not None:
                self.feature_names_in_ = np.asarray(names, dtype=object)
            return
        self._check_net_channels(sequences)
        fitted = getattr(self, "feature_names_in_", None)
        if names is not None and fitted is not None and len(fitted) == len(names) and tuple(fitted) != names:
            raise ValueError(
                f"X has the channels {', '.join(names)}, but the model was fitted with {', '.join(map(str, fitted))}. "
                "Pass the same columns in the same order."
            )

    def _check_net_channels(self, sequences: Sequences, hint: str = "Pass the same channels.") -> None:
        expected = self.net_.module_.config["n_channels"]
        if sequences.n_channels != expected:
            names = getattr(self, "feature_names_in_", ())
            which = f" ({', '.join(map(str, names))})" if len(names) == expected else ""
            raise ValueError(
                f"X has {sequences.n_channels} channels, but the model was fitted with {expected}{which}. {hint}"
            )

    def _categorical_channels(self, sequences: Sequences) -> list[int]:
        """Positions of the channels that hold codes, their codes checked."""
        chosen = self.categorical_features
        if chosen is None or (isinstance(chosen, str) and chosen == "from_dtype"):
            channels = list(sequences.categorical) if chosen is not None else []
        else:
            with reading("categorical_features", "Pass positions, names or a mask of channels."):
                channels = channel_positions(np.asarray(chosen), sequences, "categorical_features")
        if self.dtype == "float32":
            check_codes_exact(sequences, channels)
        return channels

    def _check_validation(self, validation: tuple[Any, Any], X: Any, sequences: Sequences) -> Samples | None:
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            given, lacking = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} is given without {lacking}. Pass both, or neither.")
        if X_val is None:
            return None
        with reading("X_val", FORMS):
            held_out = self._check_X_val(X_val, X, sequences)
        with reading("y_val"):
            return held_out, self._check_y(y_val, held_out, reset=False), None

    def _check_X_val(self, X_val: Any, X: Any, sequences: Sequences) -> Sequences:
        X_val = plain_data(X_val, "X_val")
        is_rows = isinstance(X, Sequences) and isinstance(X_val, np.ndarray) and X_val.ndim == 2
        if is_rows or (hasattr(X_val, "columns") and not is_table(X)):
            raise ValueError(
                f"X_val is a table, but X is {type(X).__name__}. Pass both in one form; behind SlidingWindow in a "
                "Pipeline, make Pipeline(..., transform_input=['X_val']) with metadata routing, or pass windows."
            )
        if hasattr(X_val, "columns"):
            X_val = validate_data(self, X_val, reset=False, dtype=self.dtype, ensure_all_finite="allow-nan")
        held_out = as_sequences(X_val, n_channels=int(self.n_channels), dtype=self.dtype)
        if held_out.n_channels != sequences.n_channels:
            raise ValueError(
                f"X_val has {held_out.n_channels} channels, but X has {sequences.n_channels}. Pass the same channels."
            )
        names, of_X = held_out.channel_names, sequences.channel_names
        if names is not None and of_X is not None and names != of_X:
            raise ValueError(
                f"X_val has the channels {', '.join(names)}, but X has {', '.join(of_X)}. Pass the same columns in the "
                "same order."
            )
        check_usable(held_out, "X_val")
        return held_out

    def _stops_early(self, n_samples: int, has_validation: bool) -> bool:
        if self.early_stopping == "auto":
            return has_validation or n_samples >= self._fewest_to_stop_early()
        if self.early_stopping and n_samples < 2 and not has_validation:
            raise ValueError(
                f"early_stopping=True holds out samples for validation, but there is {n_samples} sample. Pass more, or "
                "X_val and y_val, or set early_stopping=False."
            )
        return self.early_stopping

    def _fewest_to_stop_early(self) -> int:
        """From how many samples on early_stopping="auto" is."""
        return EARLY_STOPPING_SAMPLES

    def _n_held_out(self, n_samples: int) -> int:
        return min(max(round(self.validation_fraction * n_samples), 1), n_samples - 1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def chosen_samples(rows: NDArray, sequences: Sequences, targets: Any, weights: NDArray | None) -> Samples:
    return sequences[rows], targets[rows], None if weights is None else weights[rows]


def rounded(numbers: NDArray[np.float64], dtype: str) -> list[float]:
    """The numbers as the net's type holds them, so that scaling and unscaling agree to the last bit."""
    return numbers.astype(dtype).astype(np.float64).tolist()
