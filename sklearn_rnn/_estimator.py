"""What regressor and classifier share: the path from X and y to a trained net and back, validation data, tags."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_rnn._batches import SequenceDataset
from sklearn_rnn._blend import LeftOut, blend, held_out_samples
from sklearn_rnn._callbacks import FitTask
from sklearn_rnn._device import computing, device_for_fit, torch_threads, usual_modes
from sklearn_rnn._distributed import check_alike, gathered, n_processes, rank, summed
from sklearn_rnn._errors import reading, unchanged_on_error
from sklearn_rnn._losses import Criterion
from sklearn_rnn._net_estimator import EARLY_STOPPING_SAMPLES, NetEstimator
from sklearn_rnn._parameters import check_net_on_sequences
from sklearn_rnn._prediction import predict_net
from sklearn_rnn._randomness import begin_at, is_random, seeded
from sklearn_rnn._sequence_reader import FORMS, SequenceReader
from sklearn_rnn._statistics import channel_statistics, check_units
from sklearn_rnn._targets import flat_steps, in_form, place_in_rows, with_values
from sklearn_rnn._training import cross_validated_epochs, fit_net
from sklearn_rnn._validation import (
    check_segment_size,
    check_weights,
    on_host,
    random_split,
    stratified_split,
    tail_split,
    used_codes,
)
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.sequences import Sequences, is_ragged

N_PARTS = 3  # of few samples, each left out once, to find how many epochs are best
MOST_SEGMENTS = 64  # of a sequence, unless the user says how many steps make one
Samples = tuple[Sequences, Any, NDArray | None]  # with their targets and weights


class RecurrentEstimator(SequenceReader):
    """Base of RNNRegressor and RNNClassifier, which say what targets, outputs and losses are."""

    _parameter_constraints: dict[str, list[Any]]
    _of_the_net = (
        *NetEstimator._of_the_net,
        *("bidirectional", "nonlinearity", "pooling", "segment_size", "per_step"),
        *("categorical_features", "embedding_size"),
    )
    n_steps_in_: int
    _y_form: str

    def _validate_params(self) -> None:
        super()._validate_params()
        check_net_on_sequences(self)

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
            (n_samples, n_steps, n_channels); list, or array or Series of objects or lists, of arrays of shape
            (n_steps_i, n_channels) or (n_steps_i,). Steps at the head or tail of a dense sequence that are all NaN are
            padding. Nested lists, if all are of one length, are the array that they make.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or labels of steps
            Numbers, of RNNClassifier classes. With `per_step` a list of arrays of shape (n_steps_i,) or
            (n_steps_i, n_outputs), Sequences, or an array of shape (n_samples, n_steps[, n_outputs]), padded as X.
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

    def _fit_one_pass(self, X: Any, y: Any, sample_weight: ArrayLike | None, *, knows_targets: bool = False) -> None:
        with unchanged_on_error(self):
            self._validate_params()
            resume = self.__sklearn_is_fitted__()
            self._train(
                X,
                y,
                sample_weight,
                (None, None),
                resume=resume,
                one_pass=True,
                knows_targets=resume or knows_targets,
                task=FitTask(None),  # of which nobody is told
            )

    @usual_modes()
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
        task: FitTask,
    ) -> None:
        if resume:
            self._check_goes_on()
        device = device_for_fit(self.device, self.precision)
        train, held_out = self._read_samples(X, y, sample_weight, validation, resume, knows_targets)
        seed = self._draw_seed(one_pass)
        stop_early = not one_pass and self._stops_early(summed(len(train[0])), held_out is not None)
        if held_out is None and stop_early:
            train_rows, valid_rows = self._split_validation(*train[:2], np.random.RandomState(seed))
            train, held_out = chosen_samples(train_rows, *train), chosen_samples(valid_rows, *train)
        is_new = not (one_pass or resume)
        parts = self._parts_for_epochs(train[0], seed) if held_out is None and is_new else []
        is_watched = stop_early or bool(parts)
        settings = self._settings(len(train[0]), stop_early, device, one_pass, is_watched=is_watched)
        with ExitStack() as randomness:
            randomness.enter_context(seeded(seed, device))
            module, criterion, optimizer_state = self._start(*train, resume)
            if not is_random(module):
                randomness.close()  # so that fits in other threads need not wait
            elif rank():
                begin_at(seed + rank(), device)  # noise of its own for each process's rows
            data = self._make_dataset(module, *train, device)
            valid = None if held_out is None else self._make_dataset(module, *held_out, device, beside=data)
            self._remember_length(train[0], resume)
            with computing(self.n_threads, module.recurrent, device):
                left_out = []
                if parts:
                    best, outputs = cross_validated_epochs(module, criterion, data, parts, settings=settings, seed=seed)
                    settings = replace(settings, n_epochs=best)
                    left_out = [LeftOut(data.take(parts[i]), of_part) for i, of_part in enumerate(outputs)]
                task.begin(settings.n_epochs, partial(self._fitted_so_far, device=device, resume=resume))
                net, best_epoch = fit_net(
                    module, criterion, data, valid, settings=settings, seed=seed, optimizer_state=optimizer_state,
                    observers=[task],
                )  # fmt: skip
                if not resume and self._is_blended():
                    if valid is not None:
                        left_out = [held_out_samples(module, valid)]
                    blend(module, criterion, data, left_out, longest=self.n_steps_in_, of_train=valid is None)
        self._store_training(net, best_epoch, device, resume)

    def _read_samples(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        validation: tuple[Any, Any],
        resume: bool,
        knows_targets: bool,
    ) -> tuple[Samples, Samples | None]:
        """The samples to learn from, and those held out if the user gave any."""
        sequences = self._check_X(X, self.dtype, reset=not resume)
        self._warn_of_rounding(X, sequences)
        check_alike(channels=sequences.n_channels, sample_weight=sample_weight is None, X_val=validation[0] is None)
        with reading("y", "Pass one target for each sample, or for each step with per_step=True."):
            targets = self._check_y(y, sequences, reset=not knows_targets)
        weights = check_weights(sample_weight, len(targets), together=True)
        if weights is not None and not weights.all():
            sequences, targets, weights = chosen_samples(np.flatnonzero(weights), sequences, targets, weights)
        if self.segment_size != "auto":
            check_segment_size(self.segment_size, sequences)
        held_out = self._check_validation(validation, X, sequences)
        return self._learnable((sequences, targets, weights), held_out, resume)

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
            pooling=self._pooling(),
            segment_size=self._segment_size(sequences, bool(len(categorical))),
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

    def _segment_size(self, sequences: Sequences, has_categories: bool) -> int:
        if self.segment_size != "auto":
            return int(self.segment_size)
        if self.per_step or has_categories:
            return 1
        return max(gathered(-(-int(np.median(sequences.lengths)) // MOST_SEGMENTS)))

    def _pooling(self) -> str:
        return "last" if self.pooling == "auto" else str(self.pooling)

    @property
    def segment_size_(self) -> int:
        return self.net_.module_.segment_size

    @property
    def pooling_(self) -> str:
        return self.net_.module_.pool.kind

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

    def _predict(self, X: Any, convert: Callable[[NDArray[np.float64]], NDArray]) -> Any:
        """Predictions from outputs (n, n_outputs[, n_quantiles]) in the units of y: one a sample, or one a step.

        Those of steps have the form of y; for a dense X they stand where its steps do.
        """
        check_is_fitted(self)
        sequences = self._check_X(X, self._net_dtype, reset=False)
        outputs = self._outputs_of(sequences)
        if not self.net_.module_.per_step:  # whatever the parameter says since fit
            return convert(outputs)
        place = None if isinstance(X, Sequences) or is_ragged(X) else place_in_rows(sequences)
        return in_form(convert(outputs.values), outputs, self._y_form, place)

    def _compared(self, X: Any, y: Any, sample_weight: ArrayLike | None) -> tuple[Any, NDArray, NDArray | None]:
        """Targets, outputs and weights for a score, one after the other where there is a target a step."""
        check_is_fitted(self)
        sequences = self._check_X(X, self._net_dtype, reset=False)
        weights = check_weights(sample_weight, len(sequences))
        self._check_has_y(y)
        y = on_host(y)
        per_step = self.net_.module_.per_step  # whatever the parameter says since fit
        with reading("y"):
            if per_step:
                y = flat_steps(y, sequences)
            else:
                check_consistent_length(sequences, y)
        outputs = self._outputs_of(sequences)
        if per_step:
            outputs = outputs.values[outputs.rows_by_step()]
            weights = None if weights is None else np.repeat(weights, sequences.lengths)
        return y, outputs, weights

    def _check_has_y(self, y: Any) -> None:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")

    def _outputs_of(self, sequences: Sequences) -> Any:
        module = self.net_.module_
        with computing(self.n_threads, module.recurrent, self.device_):
            return predict_net(module, sequences, self.device_)

    # What the subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def _check_y(self, y: Any, sequences: Sequences, reset: bool) -> Any:
        """y as float64 of shape (n_samples, n_targets), with `per_step` as Sequences of such rows."""

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

    def _is_blended(self) -> bool:
        """Whether a ridge regression is mixed in where samples are left out."""
        return False

    def _cross_validates_epochs(self) -> bool:
        """Whether parts of few samples tell how many epochs are best."""
        return bool(self.per_step)

    def _parts_for_epochs(self, sequences: Sequences, seed: int) -> list[torch.Tensor]:
        """The parts of the samples that are to tell how many epochs are best; none where they are not asked."""
        n_samples = len(sequences)
        is_free = self.max_epochs == "auto" and self._cross_validates_epochs()
        if not is_free or not N_PARTS <= n_samples < EARLY_STOPPING_SAMPLES or n_processes() > 1:
            return []
        in_order = self.validation_split == "tail"
        rows = sequences.order_in_time() if in_order else np.random.RandomState(seed).permutation(n_samples)
        return list(torch.from_numpy(rows).tensor_split(N_PARTS))

    # Validation data --------------------------------------------------------------------------------------------------

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

    def _stops_early(self, n_samples: int, has_validation: bool) -> bool:
        if self.early_stopping == "auto":
            return has_validation or n_samples >= EARLY_STOPPING_SAMPLES
        if self.early_stopping and n_samples < 2 and not has_validation:
            raise ValueError(
                f"early_stopping=True holds out samples for validation, but there is {n_samples} sample. Pass more, or "
                "X_val and y_val, or set early_stopping=False."
            )
        return self.early_stopping

    def _split_validation(
        self, sequences: Sequences, targets: Any, random: np.random.RandomState
    ) -> tuple[NDArray, NDArray]:
        """Rows to train on and rows held out."""
        n_samples = len(targets)
        n_held_out = min(max(round(self.validation_fraction * n_samples), 1), n_samples - 1)
        if self.validation_split == "tail":
            return tail_split(sequences.order_in_time(), n_held_out)
        classes = None if self.validation_split == "random" else self._classes_to_share(targets)
        if classes is None:
            return random_split(n_samples, n_held_out, random)
        return stratified_split(classes, n_held_out, random)

    def _classes_to_share(self, targets: Any) -> NDArray | None:
        """The class of each sample, where the held-out samples are to have the same share of each."""
        return None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def chosen_samples(rows: NDArray, sequences: Sequences, targets: Any, weights: NDArray | None) -> Samples:
    return sequences[rows], targets[rows], None if weights is None else weights[rows]


def rounded(numbers: NDArray[np.float64], dtype: str) -> list[float]:
    """The numbers as the net's type holds them, so that scaling and unscaling agree to the last bit."""
    return numbers.astype(dtype).astype(np.float64).tolist()
