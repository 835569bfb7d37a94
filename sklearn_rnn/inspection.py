"""What a model looks at: the importance of channels and of lags."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import Parameter, signature
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, _safe_indexing, check_consistent_length, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._pipelines import best_model
from sklearn_rnn._sequence_reader import SequenceReader
from sklearn_rnn.sequences import Sequences, as_sequences, is_table

MOST_BLOCKS = 12  # of lags, where the user does not say how long they are
WAYS = ("channel", "lag", "both")  # to look at a model
LARGEST_COPY = 2**26  # numbers, a quarter of a GB in float32


@validate_params(
    {
        "model": [HasMethods(["fit", "predict"])],
        "by": [StrOptions(set(WAYS))],
        "scoring": [str, callable, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "block_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_samples": [
            Interval(Integral, 2, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
            StrOptions({"auto"}),
        ],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def channel_importance(
    model: Any,
    X: Any,
    y: Any,
    *,
    by: str = "channel",
    scoring: Any = None,
    n_repeats: int = 5,
    block_size: int | str = "auto",
    sample_weight: ArrayLike | None = None,
    max_samples: int | float | str = "auto",
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Permutation importance of the channels of sequences, of their lags, or of both.

    The importance of a channel is by how much the score of a fitted model falls when the samples exchange their values
    of that channel, so that it tells nothing about the target any more, but looks as before. A channel goes over with
    all its steps in order; a block of lags with all its channels.

    Sequences of unequal length are counted from their ends: lag 0 is the last step. A sample gets a lag only from
    another one that has it: the samples stand in a random circle, each takes over from the next, and where that one is
    too short, from the one behind it. Lags that a single sample has stay as they are.

    Parameters
    ----------
    model : estimator
        Fitted, on sequences: RNNRegressor, RNNClassifier, or another one that takes Sequences; or a Pipeline that ends
        in one, then what its last step is given is permuted; or a search over either, whose best one counts.
    X : Sequences, array-like or DataFrame
        What `model.predict` takes. It is never changed.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    by : {"channel", "lag", "both"}, default="channel"
        What is exchanged at a time: a channel, a block of lags, or a block of lags of a channel.
    scoring : str, callable or None, default=None
        As in scikit-learn; None is the model's own `score`, of a search its `scoring`.
    n_repeats : int, default=5
        How many times each is exchanged, in other orders.
    block_size : int or "auto", default="auto"
        How many lags are exchanged together. "auto" takes as few whole segments (`segment_size_` of the model) as make
        at most 12 blocks.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights for the score.
    max_samples : int, float in (0, 1] or "auto", default="auto"
        How many samples to draw, without replacement, or which share of them. Exchanged windows share no rows, so they
        need a dense copy, one for each job at a time. "auto" takes all samples unless that copy would have more than
        2 ** 26 numbers (256 MB in float32), else as many as it can hold.
    n_jobs : int or None, default=None
        How many jobs run at a time, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Decides samples and orders. All channels and lags are exchanged in the same orders.

    Returns
    -------
    Bunch
        importances : ndarray of shape (n_channels, n_repeats), (n_blocks, n_repeats) or \
(n_channels, n_blocks, n_repeats)
            By how much the score fell.
        importances_mean, importances_std : ndarray of shape (n_channels,), (n_blocks,) or (n_channels, n_blocks)
            Their means and standard deviations over the repeats.
        channels : list of str of length n_channels
            Names of the channels, "channel 0" and so on where they have none.
        lags : ndarray of int of shape (n_blocks, 2)
            The first and the last lag of each block, the newest block first.
        by : str
            As given.
        score : float
            The score before anything was exchanged.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError, TypeError
        If a parameter is out of range or what reaches the last step are no sequences.

    References
    ----------
    Breiman (2001), Random forests. Fisher, Rudin and Dominici (2019), All models are wrong, but many are useful.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor, channel_importance
    >>> X = np.random.default_rng(0).normal(size=(300, 6, 2))
    >>> y = X[:, -3, 1]  # channel 1, two steps before the last
    >>> model = RNNRegressor(hidden_size=16, max_epochs=30, random_state=0).fit(X, y)
    >>> result = channel_importance(model, X, y, by="both", random_state=0)
    >>> channel, block = np.unravel_index(result.importances_mean.argmax(), result.importances_mean.shape)
    >>> result.channels[channel], result.lags[block].tolist()
    ('channel 1', [2, 2])
    """
    last, sequences, own_scoring = _reach_last_step(model, X)
    check_consistent_length(sequences, y, sample_weight)
    scorer = _checked_scorer(last, own_scoring if scoring is None else scoring, sequences, sample_weight)
    if len(sequences) < 2:
        raise ValueError("X has 1 sample, but there must be another one to exchange its values with. Pass more.")
    random = check_random_state(random_state)
    rows = _draw_samples(sequences, max_samples, random)
    if rows is not None:
        sequences, y, sample_weight = sequences[rows], _take(y, rows), _take(sample_weight, rows)
    sequences = sequences.with_own_rows()
    blocks = _blocks(sequences.shape[1], block_size, getattr(last, "segment_size_", 1))
    units = _units(by, sequences, blocks)
    score = partial(_score, last, scorer, y, sample_weight)
    before = score(sequences)
    orders = [random.permutation(len(sequences)) for _ in range(n_repeats)]
    after = Parallel(n_jobs=n_jobs)(
        delayed(_score_exchanged)(score, sequences, order, *unit) for unit in units for order in orders
    )
    shape = (sequences.n_channels, len(blocks)) if by == "both" else (len(units),)
    importances = before - np.reshape(after, (*shape, n_repeats))
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=-1),
        importances_std=importances.std(axis=-1),
        channels=list(sequences.channel_names or (f"channel {i}" for i in range(sequences.n_channels))),
        lags=np.array([(block[0], block[-1]) for block in blocks]),
        by=by,
        score=before,
    )


def exchanged(sequences: Sequences, order: NDArray[np.int64], channels: slice, lags: range) -> Sequences:
    """Sequences in which each sample has some channels of some lags from the next sample in a circle that has the lag.

    Parameters
    ----------
    sequences : Sequences
        Each over rows of its own.
    order : ndarray of int of shape (n_samples,)
        The samples as they stand in the circle.
    channels : slice
    lags : range
        Steps before the last one.
    """
    values = sequences.values.copy()
    last = sequences.ends - 1
    for lag in lags:
        rows = last[order[sequences.lengths[order] > lag]] - lag
        values[rows, channels] = sequences.values[np.roll(rows, -1), channels]
    return sequences.over(values)


def _checked_scorer(last: Any, scoring: Any, sequences: Sequences, sample_weight: ArrayLike | None) -> Callable:
    """What scores the model; ValueError if it cannot with such targets or weights."""
    is_ragged = not (sequences.lengths == sequences.shape[1]).all()
    if isinstance(scoring, str) and getattr(last, "per_step", False) and is_ragged:
        raise ValueError(
            f"scoring is {scoring!r}, but scikit-learn's metrics know no targets by step of unequal length. Leave it "
            "None for the model's own score, or pass a function of model, X and y."
        )
    scorer: Callable = check_scoring(last, scoring=scoring)
    parameters = signature(scorer).parameters.values()
    takes_weights = any(one.name == "sample_weight" or one.kind == Parameter.VAR_KEYWORD for one in parameters)
    if sample_weight is not None and not takes_weights:
        raise ValueError(
            f"sample_weight is given, but scoring is {scoring!r:.100}, which takes none. Leave it out, or let the "
            "function have an argument sample_weight."
        )
    return scorer


def _score(last: Any, scorer: Any, y: Any, sample_weight: Any, sequences: Sequences) -> float:
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    return float(scorer(last, sequences, y, **weights))


def _score_exchanged(
    score: Callable[[Sequences], float], sequences: Sequences, order: NDArray, channels: slice, lags: range
) -> float:
    return score(exchanged(sequences, order, channels, lags))


def _reach_last_step(model: Any, X: Any) -> tuple[Any, Sequences, Any]:
    """The fitted estimator at the end of a model, the sequences that it is given, and what a search scores by."""
    check_is_fitted(model)
    best = best_model(model)
    if best is not None:
        scorer = model.scorer_.get(model.refit) if isinstance(model.scorer_, dict) else model.scorer_
        return *_reach_last_step(best, X)[:2], scorer
    if isinstance(model, Pipeline):
        return _reach_last_step(model.steps[-1][1], model[:-1].transform(X) if len(model) > 1 else X)
    if isinstance(model, SequenceReader):
        return model, model._check_X(X, model._net_dtype, reset=False), None
    n_channels = getattr(model, "n_channels", None)
    if n_channels is None and is_table(X):
        raise TypeError(
            f"{type(model).__name__} is given a {type(X).__name__}, but channel_importance permutes sequences. Pass "
            "Sequences or a model on them; for tables there is sklearn.inspection.permutation_importance."
        )
    return model, as_sequences(X, n_channels=n_channels or 1, dtype=getattr(model, "dtype", np.float32)), None


def _draw_samples(sequences: Sequences, max_samples: Any, random: np.random.RandomState) -> NDArray | None:
    """The samples to look at, in order; None for all."""
    n_samples = len(sequences)
    if isinstance(max_samples, str):
        numbers_a_sample = sequences.lengths.mean() * sequences.n_channels
        n_drawn = int(LARGEST_COPY / numbers_a_sample)
    else:
        n_drawn = int(max_samples) if isinstance(max_samples, Integral) else round(max_samples * n_samples)
    if n_drawn >= n_samples:
        return None
    return np.sort(random.choice(n_samples, size=max(n_drawn, 2), replace=False))


def _take(values: Any, rows: NDArray) -> Any:
    return None if values is None else _safe_indexing(values, rows)


def _blocks(longest: int, block_size: int | str, segment_size: int) -> list[range]:
    """The lags of each block, the newest first."""
    if isinstance(block_size, str):
        block_size = segment_size * -(-longest // (segment_size * MOST_BLOCKS))
    return [range(first, min(first + block_size, longest)) for first in range(0, longest, block_size)]


def _units(by: str, sequences: Sequences, blocks: list[range]) -> list[tuple[slice, range]]:
    """What is exchanged at a time: channels and lags."""
    channels = [slice(channel, channel + 1) for channel in range(sequences.n_channels)]
    if by == "channel":
        return [(channel, range(sequences.shape[1])) for channel in channels]
    if by == "lag":
        return [(slice(None), block) for block in blocks]
    return [(channel, block) for channel in channels for block in blocks]
