"""The parameters that the estimators share: their allowed values and their documentation, each in one table."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import Any, TypeVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_rnn._optimizers import OPTIMIZERS, takes_the_settings
from sklearn_rnn._settings import SCHEDULES
from sklearn_rnn._skorch_callbacks import check_callbacks
from sklearn_rnn.nets.pooling import POOLINGS
from sklearn_rnn.nets.recurrent import CELLS

Class = TypeVar("Class", bound=type)

LARGEST_NET = 2**31  # recurrent weights: 8 GB of float32, and four times as much in training

CONSTRAINTS: dict[str, list[Any]] = {
    "cell": [StrOptions(set(CELLS))],
    "hidden_size": [Interval(Integral, 1, None, closed="left")],
    "n_layers": [Interval(Integral, 1, 1024, closed="both")],
    "bidirectional": ["boolean"],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "nonlinearity": [StrOptions({"tanh", "relu"})],
    "pooling": [StrOptions({*POOLINGS, "auto"})],
    "segment_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "n_channels": [Interval(Integral, 1, None, closed="left")],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "embedding_size": [Interval(Integral, 1, 65536, closed="both"), StrOptions({"auto"})],
    "per_step": ["boolean"],
    "optimizer": [StrOptions(set(OPTIMIZERS)), type],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "schedule": [StrOptions({*SCHEDULES, "plateau", "constant"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "average": ["boolean"],
    "warm_start": ["boolean"],
    "callbacks": [list, tuple, None],
    "checkpoint": [str, PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
    "device": [str],
    "dtype": [StrOptions({"float32", "float64"})],
    "precision": [StrOptions({"full", "bf16"})],
    "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
    "fused": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

_NETWORK = """\
cell : {"gru", "lstm", "rnn"}, default="gru"
        The recurrent cell. LSTM and GRU remember over hundreds of steps, the plain RNN over tens.
    hidden_size : int, default=64
        Features of the cell's state.
    n_layers : int, default=1
        Recurrent layers, each reading the states of the one below.
    bidirectional : bool, default=False
        Whether a second cell reads each sequence from its last step to its first.
    dropout : float in [0, 1), default=0.0
        Share of state features set to zero in training, between layers and before the output.
    nonlinearity : {"tanh", "relu"}, default="tanh"
        Of the "rnn" cell; "relu" is for that cell alone.
    pooling : {"last", "mean", "max", "attention", "concat", "auto"}, default="auto"
        How the states of all steps become one vector: the newest state, their mean or maximum, a mean with learned
        weights, or the first three beside each other (Howard and Ruder 2018). Steps of padding never take part. "auto"
        is "concat" in RNNClassifier, and "last" in RNNRegressor and with `per_step`.
    segment_size : int or "auto", default="auto"
        Steps that are folded into one input of the cell, counted from the end of each sequence. Long sequences train
        faster and better in segments, such as 24 for hourly data (Lin et al. 2023, SegRNN). "auto" takes as few as make
        at most 64 segments of the median length, so 1 for up to 64 steps; and always 1 with channels of categories,
        such as tokens, and with `per_step`.
    n_channels : int, default=1
        How many numbers make one step of a 2-D X; every other X says so by its shape.
    categorical_features : array-like of int, str or bool, "from_dtype" or None, default="from_dtype"
        Channels that hold codes of categories or tokens, by position, name or mask. Each code gets a learned vector;
        codes not seen in fit share a row of zeros. "from_dtype" takes the channels that SlidingWindow made from
        categorical columns and those of SequenceVectorizer.
    embedding_size : int or "auto", default="auto"
        Length of those vectors; "auto" takes 1.6 * n_codes ** 0.56, at most 64.
    per_step : bool, default=False
        Whether y has one target for every step, given as a list of arrays, as Sequences, or as an array padded with
        NaN; predictions come back in the same form."""

_OPTIMIZER = """\
optimizer : {"adamw", "adam", "nadam", "radam", "rmsprop", "sgd"} or torch optimizer class, default="adamw"
        The algorithm that changes the weights."""

_SCHEDULE = """\
schedule : {"one_cycle", "cosine", "plateau", "constant"}, default="one_cycle"
        The course of the learning rate over the training: up and down (Smith and Topin 2019), down, halved when the
        loss stalls, or constant, which is for callbacks that set it, too: the first two set it after each update.
    weight_decay : float, default=0.01
        Decoupled weight decay (Loshchilov and Hutter 2019), so that "adam" is "adamw". For "rmsprop" it is part of the
        gradient and does more: set it lower. A class decays as its own default says.
    gradient_clip : float or None, default=1.0
        The largest norm of the gradient; None does not limit it."""

_TRAINING = """\
{optimizer}
    learning_rate : float, default=0.005
        The largest step size of the schedule.
    {schedule}
    batch_size : int or "auto", default="auto"
        Sequences an update. "auto" takes a sixteenth of the training sequences as a power of two, from 16 to 128.
    max_epochs : int or "auto", default="auto"
        The longest training in passes over the data. "auto" takes as many as make 2,000 updates, from 10 to 200.
        Where nothing is held out of fewer than 1,000 samples, a regressor, and with `per_step` a classifier, too, ends
        after as many of these as cross-validation finds best: three trainings on two thirds of the samples each (in
        order, or at random as `validation_split` says). A regressor without `per_step` that goes on with `warm_start`,
        or is trained by several processes, takes at most 30.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out validation data, stop when its loss no longer improves, and return to the best epoch.
        "auto" does so from 1,000 samples on, or when `X_val` is given.
    validation_fraction : float in (0, 1), default=0.1
        Share of the samples held out."""

_MACHINE = """\
n_iter_no_change : int, default=10
        Epochs without improvement after which training stops. While the learning rate of "one_cycle" rises, those in
        which the training loss does not fall either (by 1 %) do not count.
    tol : float, default=1e-4
        How much the validation loss must fall to count as an improvement. Those of numbers are in units of
        standardised targets, in RNNForecaster in the units of its windows.
    average : bool, default=False, in RNNForecaster True
        Whether the net has the mean of its weights after every update, those after update t counted t times, instead of
        the last ones: less noise from the last batches. It is the mean that early stopping judges (Shamir and Zhang
        2013).
    warm_start : bool, default=False
        Whether `fit` goes on from the weights and scaling of the last fit. What the net and its loss were made by
        cannot change then, how it is trained can: its optimizer, learning rate or dropout.
    callbacks : list of skorch callbacks or None, default=None
        Called during training, as skorch documents them, but for its scoring ones. scikit-learn's own (from its version
        1.9 on, ScoringMonitor among them) are set with `set_callbacks`; each epoch is a task to them.
    checkpoint : str, path or None, default=None
        A file in which `fit` keeps the state of training, so that after the end of its process the same call goes on
        from there, to the same bits on a CPU. It is written in one step, removed when training ends, and kept when it
        is interrupted. One of another fit, with other parameters or data, is refused, so leave it None in a search. The
        state of `callbacks` is not in it.
    checkpoint_every : int, default=1
        Epochs from one writing of that file to the next.
    device : str, default="auto"
        "auto" takes cuda, then mps, then cpu; or "cpu", "cuda", "cuda:1", "mps".
    dtype : {"float32", "float64"}, default="float32"
        Precision of the net and of the data it is given.
    precision : {"full", "bf16"}, default="full"
        Precision of the recurrent layers. "bf16" rounds the factors and results of their products to bfloat16, which
        keeps 8 significant bits, by torch's autocast, on CUDA to float16, which keeps 11; everything else stays in
        `dtype`, which must be "float32". It is for CUDA devices that compute in bfloat16: CPUs with AVX512 do it too,
        by torch's own cells, and gain nothing. "full" is `dtype`, on CUDA as torch's own switches for TF32 say.
    n_threads : int or None, default=None
        Threads of the cells and of torch in fit and predict; None takes what is quickest for the size of the net.
    fused : bool, default=True
        Whether a CPU may run the cells compiled by numba, where it is installed (the extra "fast") and `hidden_size` is
        at most 256; results agree with those of torch's own modules to rounding.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, shuffling, dropout and held-out samples. The same int gives the same bits on a CPU,
        whatever `n_threads` is where the cells run compiled; torch's own cells round differently by it.
    verbose : int, default=0
        1 shows a bar with epochs, losses, the best epoch and the time left; where the output is no terminal or
        notebook, a line every half minute and one at the end. 2 prints a table, a line each epoch. The trainings of a
        cross-validation have a bar or lines each."""

_ATTRIBUTES = """\
net_ : skorch.NeuralNet
        The trained net; its torch module is `net_.module_`.
    n_features_in_ : int
        Columns of a 2-D X seen in fit, else channels.
    feature_names_in_ : ndarray of str
        Names of those, where X had any.
    segment_size_ : int
        Steps that are folded into one.
    pooling_ : str
        The pooling in use.
    n_steps_in_ : int
        Steps of the longest sequence seen in fit.
    n_iter_ : int
        Epochs trained.
    best_epoch_ : int
        The epoch whose weights the net has, counted from 1.
    history_ : DataFrame
        One row an epoch: epoch, train_loss, learning_rate, seconds, and valid_loss where samples were held out.
    device_ : str
        Where the net runs: the device it was trained on, the fastest one where a machine that loads it lacks that."""

_SECTIONS = {
    "network": _NETWORK,
    "training": _TRAINING,
    "optimizer": _OPTIMIZER,  # in the training
    "schedule": _SCHEDULE,
    "machine": _MACHINE,
    "attributes": _ATTRIBUTES,
}


def document_shared_parameters(cls: Class) -> Class:
    """Class decorator that fills {network}, {training} and the other sections into a docstring."""
    if cls.__doc__ is not None:
        for name, text in _SECTIONS.items():
            cls.__doc__ = cls.__doc__.replace("{" + name + "}", text)
    return cls


def check_net_and_training(estimator: Any) -> None:
    """What the table of single parameters cannot say, for every estimator."""
    optimizer = estimator.optimizer
    if isinstance(optimizer, type) and not takes_the_settings(optimizer):
        raise ValueError(
            f"optimizer is {optimizer.__name__}, but a class must be a torch optimizer that takes lr and weight_decay, "
            "and needs no more, for vectors as well as matrices. Choose one of "
            f"{', '.join(OPTIMIZERS)}, or such a class."
        )
    check_callbacks(estimator.callbacks or (), estimator.schedule)
    if estimator.precision == "bf16" and estimator.dtype == "float64":
        raise ValueError(
            "precision='bf16' rounds what dtype='float64' would keep. Set dtype='float32', or precision='full'."
        )
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[estimator.cell]
    n_weights = gates * int(estimator.n_layers) * int(estimator.hidden_size) ** 2
    if n_weights > LARGEST_NET:
        raise ValueError(
            f"hidden_size is {estimator.hidden_size} and n_layers is {estimator.n_layers}, which makes {n_weights:.1e} "
            f"recurrent weights, while {LARGEST_NET:.1e} are the most. Lower them."
        )


def check_net_on_sequences(estimator: Any) -> None:
    """The same for regressor and classifier alone."""
    if estimator.nonlinearity == "relu" and estimator.cell != "rnn":
        raise ValueError(
            f"nonlinearity='relu' is for cell='rnn' alone, but cell is {estimator.cell!r}. Leave "
            "nonlinearity at 'tanh' or choose cell='rnn'."
        )
    if estimator.per_step and (estimator.segment_size not in (1, "auto") or estimator.pooling not in ("last", "auto")):
        raise ValueError(
            f"per_step=True gives every step its own output, but segment_size is {estimator.segment_size} and pooling "
            f"is {estimator.pooling!r}, which join steps. Leave them at 'auto'."
        )
