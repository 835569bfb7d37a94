"""Where to look for good parameters: ready spaces for scikit-learn's searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy.stats import loguniform, uniform
from sklearn.base import BaseEstimator

from sklearn_rnn.classifier import RNNClassifier
from sklearn_rnn.forecaster import RNNForecaster
from sklearn_rnn.nets.forecast import NORMALIZATIONS
from sklearn_rnn.nets.pooling import POOLINGS
from sklearn_rnn.nets.recurrent import CELLS
from sklearn_rnn.regressor import RNNRegressor
from sklearn_rnn.windows import SlidingWindow

# What to search over, the most worthwhile first.
ORDERS: dict[type[BaseEstimator], tuple[str, ...]] = {
    SlidingWindow: ("n_steps",),
    RNNRegressor: (
        *("learning_rate", "hidden_size", "segment_size", "dropout", "pooling", "cell", "bidirectional", "n_layers"),
        "weight_decay",
    ),
    RNNClassifier: (
        *("segment_size", "bidirectional", "pooling", "dropout", "learning_rate", "hidden_size", "cell", "n_layers"),
        "weight_decay",
    ),
    RNNForecaster: (
        *("n_steps", "segment_size", "normalize", "learning_rate", "hidden_size", "dropout", "cell", "n_layers"),
        "weight_decay",
    ),
}
LEAST_WINDOW = 12  # rows, of a forecaster that is to look further back than its horizon


def search_space(model: BaseEstimator) -> dict[str, Any]:
    """The parameters of a model that are worth a search, with ranges around its own settings.

    The result is what `RandomizedSearchCV` and `HalvingRandomSearchCV` take as `param_distributions`. Its order is that
    in which to search: with few trials take the first ones alone. Some numbers range around what the model has, so
    that a model that was set up by hand is refined: the learning rate from a tenth to five times, the features of the
    state from a quarter to twice, the window from a half to twice. The others have one range for all models: dropout
    up to 0.5, one or two layers, a weight decay from 0.001 to 1.

    Parameters
    ----------
    model : estimator
        RNNRegressor, RNNClassifier or RNNForecaster; or a Pipeline or another estimator around them, then the names
        have the prefixes of the steps. A SlidingWindow in it adds its `n_steps`.

    Returns
    -------
    dict of str to list or scipy distribution
        Epochs, batch size and early stopping are not among them: their defaults follow the data, and epochs are a
        resource for `HalvingRandomSearchCV`.

    Raises
    ------
    TypeError
        If there is no estimator of this package in the model.
    ValueError
        If a parameter of one is out of range.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_rnn import RNNRegressor, SlidingWindow, search_space
    >>> space = search_space(make_pipeline(SlidingWindow(n_steps=24), RNNRegressor()))
    >>> list(space)[:4]
    ['slidingwindow__n_steps', 'rnnregressor__learning_rate', 'rnnregressor__hidden_size', 'rnnregressor__segment_size']
    >>> space["slidingwindow__n_steps"], space["rnnregressor__hidden_size"]
    ([12, 24, 48], [16, 32, 64, 128])
    >>> [float(end) for end in space["rnnregressor__learning_rate"].support()]
    [0.0005, 0.025]
    """
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}. Pass an instance: {model.__name__}().")
    parts = {"": model}
    if hasattr(model, "get_params"):
        parts |= {f"{name}__": part for name, part in model.get_params().items()}
    space: dict[str, Any] = {}
    for prefix, part in parts.items():
        space |= _space_of(part, prefix)
    if not space:
        raise TypeError(
            f"model is a {type(model).__name__}, but search_space knows RNNRegressor, RNNClassifier, RNNForecaster and "
            "SlidingWindow. Pass one of them, or a Pipeline that has one."
        )
    return space


def _space_of(model: Any, prefix: str) -> dict[str, Any]:
    """The space of an estimator of this package, none of any other thing."""
    for kind, order in ORDERS.items():
        if isinstance(model, kind):
            model._validate_params()
            choices = {name: RANGES[name](model) for name in order}
            return {prefix + name: values for name, values in choices.items() if values is not None}
    return {}


def _windows(model: Any) -> list[Any]:
    if isinstance(model.n_steps, str):
        base = max(model.horizon, LEAST_WINDOW)
        return [model.n_steps, 2 * base, 4 * base, 8 * base]
    return sorted({max(model.n_steps // 2, 1), model.n_steps, 2 * model.n_steps})


def _segments(model: Any) -> list[Any] | None:
    """At most 4 steps, 12 in a forecaster, or what the model has. Shorter sequences need a narrower choice."""
    if getattr(model, "per_step", False):
        return None
    if isinstance(model.segment_size, str):
        return [model.segment_size, *((1, 4, 12) if isinstance(model, RNNForecaster) else (1, 2))]
    return [1, 2, 4] if model.segment_size == 1 else sorted({1, model.segment_size // 2, model.segment_size})


def _cells(model: Any) -> list[str] | None:
    return None if getattr(model, "nonlinearity", "tanh") == "relu" else list(CELLS)  # relu is for the plain RNN


# The values of each parameter, by the model's own settings; None where it has no choice.
RANGES: dict[str, Callable[[Any], Any]] = {
    "n_steps": _windows,
    "segment_size": _segments,
    "learning_rate": lambda model: loguniform(model.learning_rate / 10, 5 * model.learning_rate),
    "hidden_size": lambda model: sorted({max(int(model.hidden_size * factor), 1) for factor in (0.25, 0.5, 1, 2)}),
    "dropout": lambda model: uniform(0, 0.5),
    "pooling": lambda model: None if model.per_step else list(POOLINGS),
    "bidirectional": lambda model: [False, True],
    "normalize": lambda model: [*NORMALIZATIONS, None],
    "cell": _cells,
    "n_layers": lambda model: [1, 2],
    "weight_decay": lambda model: loguniform(1e-3, 1),
}
