"""Models as ONNX, for programs without Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

import sklearn_rnn
from sklearn_rnn._files import check_target, write_whole
from sklearn_rnn._forecast_tables import positions_among_all
from sklearn_rnn._onnx import GraphBuilder, forecast_net, recurrent_net, valid_steps
from sklearn_rnn._panel import CALENDAR, Roles
from sklearn_rnn._pipelines import opened
from sklearn_rnn._validation import MEDIAN
from sklearn_rnn.classifier import RNNClassifier
from sklearn_rnn.forecaster import RNNForecaster
from sklearn_rnn.regressor import RNNRegressor
from sklearn_rnn.text import SequenceVectorizer
from sklearn_rnn.windows import SlidingWindow

if TYPE_CHECKING:
    from sklearn_rnn._onnx.graph import ModelProto

# The steps of each scaler: an operator and a number a column, None where the scaler's options leave it out.
SCALERS: dict[type, Callable[[Any], list[tuple[str, Any]]]] = {
    StandardScaler: lambda scaler: [("Sub", scaler.mean_ if scaler.with_mean else None), ("Div", scaler.scale_)],
    MinMaxScaler: lambda scaler: [
        ("Mul", scaler.scale_),
        ("Add", scaler.min_),
        *_clipping(scaler, scaler.feature_range),
    ],
    MaxAbsScaler: lambda scaler: [("Div", scaler.scale_), *_clipping(scaler, (-1.0, 1.0))],
    RobustScaler: lambda scaler: [("Sub", scaler.center_), ("Div", scaler.scale_)],
}
# What leaves a column as it is.
NEUTRAL = {"Sub": 0.0, "Add": 0.0, "Mul": 1.0, "Div": 1.0, "Max": -np.inf, "Min": np.inf}
DESCRIPTIONS = {
    "lengths": "Steps of each sequence, from 1 to the number of steps of X.",
    "known": "Known columns of the rows after each window, in the order of the metadata's `known`.",
    "prediction": "As predict gives it; NaN behind the end of a sequence.",
    "quantiles": "Predicted quantiles, of the levels in the metadata's `quantiles`.",
    "label": "The most probable class; without meaning behind the end of a sequence.",
    "probabilities": "Probabilities in the order of the metadata's `classes`; NaN behind the end of a sequence.",
    "forecast": "The next rows of the metadata's `targets`.",
}
X_DESCRIPTION = (
    "Sequences that begin at step 0; what stands behind their lengths has no effect. NaN is a missing value. The last "
    "axis is in the order of the metadata's `channels`; `categories` lists the values of the codes 0, 1 and so on."
)


def to_onnx(model: Any, path: str | os.PathLike | None = None) -> ModelProto:
    """Export a fitted model to ONNX, the scaling of its inputs and outputs inside.

    Sequences go in, predictions come out, equal to those of `predict` to rounding. The graph is free in the number of
    sequences and of steps. Its inputs are

    - ``X`` of shape (batch, steps, n_channels): sequences that begin at step 0, whatever stands behind their end. Of
      the net's type; float64 where scalers of a Pipeline are inside, which compute so. A forecaster's columns are its
      targets, past, known, calendar and static columns. Categories are codes.
    - ``lengths`` of shape (batch,), int64: the steps of each sequence.
    - ``known`` of shape (batch, horizon, n_known), for a forecaster with known or calendar columns: those of the coming
      rows.

    and its outputs, float64 as in `predict`, are

    - RNNRegressor: ``prediction``, and ``quantiles`` (batch, n_outputs, n_quantiles) for that loss;
    - RNNClassifier: ``label``, a class or a row of zeros and ones, and ``probabilities`` (batch, n_classes);
    - RNNForecaster: ``forecast`` (batch, horizon, n_targets), and ``quantiles`` (batch, horizon, n_targets,
      n_quantiles), conformal calibration included.

    With `per_step` all have steps behind the batch; behind a sequence's end are NaN, and labels without meaning.

    The metadata of the model tell those who only have the file how to use it, lists and dicts as JSON: ``estimator``,
    ``n_steps`` (of the longest sequence in training, or a forecaster's `n_steps_`), ``channels`` (names),
    ``categories`` (by channel the values in the order of their codes), ``tokens``, ``classes``, ``quantiles``,
    ``targets``, ``known``. The package's version is the `producer_version`.

    Parameters
    ----------
    model : RNNRegressor, RNNClassifier, RNNForecaster, Pipeline or search
        A fitted model, a Pipeline that ends in one, or a search such as GridSearchCV over them, whose best estimator is
        taken. Of a Pipeline, StandardScaler, MinMaxScaler, MaxAbsScaler and RobustScaler become part of the graph.
        SlidingWindow and SequenceVectorizer stay outside: X then are the windows of rows as they were before all
        scaling, or codes of tokens. Scalers without SlidingWindow scale each step by its own, so X then has the steps
        of `fit`; a row with padding at its head, whose steps would be scaled as others, has no equal in the graph.
    path : str or path-like, default=None
        Where the model is also written; a crash leaves what was there before.

    Returns
    -------
    onnx.ModelProto
        For ``onnxruntime.InferenceSession(model.SerializeToString())`` and other runtimes.

    Raises
    ------
    ImportError
        If onnx is not installed.
    NotFittedError
        If the model or a step is not fitted.
    TypeError, ValueError
        If `model` is of another type, or a Pipeline has a step that cannot be exported.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> from sklearn_rnn import RNNRegressor, to_onnx
    >>> X = np.random.default_rng(0).normal(size=(50, 12, 2)).astype("float32")
    >>> model = RNNRegressor(hidden_size=8, max_epochs=2, random_state=0).fit(X, X[:, -1, 0])
    >>> session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString())
    >>> lengths = np.full(50, 12)
    >>> (prediction,) = session.run(None, {"X": X, "lengths": lengths})
    >>> np.allclose(prediction, model.predict(X), atol=1e-5)
    True
    """
    target = None if path is None else check_target(path, "model.onnx")
    steps, estimator = open_model(model)
    check_is_fitted(estimator)
    scalers, source = sort_steps(steps)
    net = estimator.net_.module_
    op = GraphBuilder(net.output_scale.cpu().numpy().dtype)
    values = add_inputs(op, scalers, source, estimator)
    if isinstance(estimator, RNNForecaster):
        add_forecast(op, estimator, net, values)
    else:
        outputs = recurrent_net(op, net, values, "lengths")
        axes: list[int | str] = ["batch", "steps"] if net.per_step else ["batch"]
        add_outputs = add_prediction if isinstance(estimator, RNNRegressor) else add_classes
        add_outputs(op, estimator, outputs, axes)
    metadata = {**describe_channels(scalers, source, estimator), **describe_estimator(estimator)}
    texts = {name: text if isinstance(text, str) else json.dumps(text, default=str) for name, text in metadata.items()}
    exported = op.model(type(estimator).__name__, "sklearn_rnn", sklearn_rnn.__version__, texts)
    if target is not None:
        write_whole(target, exported.SerializeToString())
    return exported


# Steps of a Pipeline --------------------------------------------------------------------------------------------------


def open_model(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """The named steps before the estimator, Pipelines and searches opened, and the estimator."""
    *steps, (_, estimator) = list(opened(model)) or [("", model)]
    if not isinstance(estimator, (RNNRegressor, RNNClassifier, RNNForecaster)):
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else f"a {type(estimator).__name__}"
        hint = ""
        if isinstance(estimator, TransformedTargetRegressor):
            hint = " Export its regressor_, and undo the transformation of y behind the exported model."
        raise TypeError(
            f"model is, or ends in, {what}, but must be a fitted RNNRegressor, RNNClassifier or RNNForecaster, a "
            f"Pipeline that ends in one, or a fitted search over them.{hint}"
        )
    return steps, estimator


def sort_steps(steps: list[tuple[str, Any]]) -> tuple[list[Any], Any]:
    """The scalers, and what makes the sequences behind them or None; ValueError names a step that is neither."""
    scalers: list[Any] = []
    source = None
    for name, step in steps:
        if type(step) in SCALERS and source is None:
            scalers.append(step)
        elif type(step) in (SlidingWindow, SequenceVectorizer) and source is None and not getattr(step, "flatten", 0):
            source = step
        else:
            detail = " behind the windows" if source is not None else ""
            detail += " with flatten=True" if getattr(step, "flatten", False) else ""
            raise ValueError(
                f"Step {name!r} of the Pipeline, a {type(step).__name__}{detail}, cannot be exported. What can be are "
                f"{', '.join(kind.__name__ for kind in SCALERS)}, and SlidingWindow or SequenceVectorizer behind them. "
                "Do other steps outside the Pipeline, before the exported model."
            )
        check_is_fitted(step)
    return scalers, source


def columns_of_channels(source: Any, estimator: Any) -> NDArray[np.int64]:
    """Which column of the scaled table is in each channel, -1 for none: (n_channels,), or (n_steps, n_channels)."""
    if isinstance(estimator, RNNForecaster):
        roles = estimator._roles
        names = list(getattr(estimator, "feature_names_in_", range(estimator.n_features_in_)))
        columns = np.full(roles.n_columns, -1)
        for name in [*roles.target, *roles.past, *roles.known, *roles.static]:
            columns[roles.position(name)] = names.index(name)
        return columns
    if source is not None:
        return np.array(source._channels)
    return np.arange(estimator.n_features_in_).reshape(-1, estimator.net_.module_.config["n_channels"])


def scale(op: GraphBuilder, scaler: Any, values: str, columns: NDArray) -> str:
    for operator, numbers in SCALERS[type(scaler)](scaler):
        if numbers is not None:
            by_channel = np.append(np.asarray(numbers, np.float64), NEUTRAL[operator])[columns]
            values = getattr(op, operator)(values, by_channel)
    return values


def _clipping(scaler: Any, bounds: tuple[float, float]) -> list[tuple[str, Any]]:
    if not getattr(scaler, "clip", False):  # MaxAbsScaler has it since scikit-learn 1.7
        return []
    low, high = (np.full(scaler.n_features_in_, bound) for bound in bounds)
    return [("Max", low), ("Min", high)]


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def add_inputs(op: GraphBuilder, scalers: list[Any], source: Any, estimator: Any) -> str:
    """Declare X and lengths; what the net reads of X."""
    is_forecaster = isinstance(estimator, RNNForecaster)
    n_channels = estimator._roles.n_columns if is_forecaster else estimator.net_.module_.config["n_channels"]
    columns = columns_of_channels(source, estimator) if scalers else np.arange(n_channels)
    n_steps = len(columns) if columns.ndim == 2 else "steps"
    dtype = np.float64 if scalers else op.dtype
    values = op.input("X", dtype, ["batch", n_steps, n_channels], X_DESCRIPTION)
    op.input("lengths", np.int64, ["batch"], DESCRIPTIONS["lengths"])
    for scaler in scalers:
        values = scale(op, scaler, values, columns)
    return op.cast(values, op.dtype) if scalers else values


def add_output(op: GraphBuilder, name: str, value: str, shape: Sequence[int | str], dtype: DTypeLike = float) -> None:
    if np.dtype(dtype) == np.float64 and "steps" in shape:
        valid = valid_steps(op, value, "lengths")
        value = op.Where(op.Unsqueeze(valid, [2]) if len(shape) == 3 else valid, value, np.array(np.nan))
    op.output(name, value, dtype, shape, DESCRIPTIONS[name])


def add_prediction(op: GraphBuilder, estimator: RNNRegressor, outputs: str, axes: list[int | str]) -> None:
    levels = estimator._levels
    middle = outputs if levels is None else op.Gather(outputs, levels.index(MEDIAN), axis=-1)
    if estimator._y_is_flat:
        add_output(op, "prediction", op.Squeeze(middle, [-1]), axes)
    else:
        add_output(op, "prediction", middle, [*axes, estimator._n_outputs])
    if levels is not None:
        add_output(op, "quantiles", outputs, [*axes, estimator._n_outputs, len(levels)])


def add_classes(op: GraphBuilder, estimator: RNNClassifier, logits: str, axes: list[int | str]) -> None:
    n_classes = len(estimator.classes_)
    if estimator._is_multilabel:
        label = op.cast(op.Greater(logits, np.array(0.0)), np.int64)
        add_output(op, "label", label, [*axes, n_classes], np.int64)
        add_output(op, "probabilities", op.Sigmoid(logits), [*axes, n_classes])
        return
    classes = estimator.classes_
    of_times = classes.dtype.kind in "mM"  # which are numbers in a list
    if of_times or not all(isinstance(label, (bool, int, float, str, bytes)) for label in classes.tolist()):
        raise TypeError(
            f"The classes are of type {type(classes[0]).__name__}, but ONNX has numbers and texts. Fit with y as texts."
        )
    kind = {"b": bool, "i": np.int64, "u": np.int64, "f": np.float64}.get(classes.dtype.kind, object)
    label = op.Gather(classes.astype(kind), op.ArgMax(logits, axis=-1, keepdims=0), axis=0)
    op.output("label", label, kind, axes, DESCRIPTIONS["label"])
    add_output(op, "probabilities", op.Softmax(logits, axis=-1), [*axes, n_classes])


def add_forecast(op: GraphBuilder, estimator: RNNForecaster, net: Any, values: str) -> None:
    estimator._check_is_as_fitted()
    roles, known = estimator._roles, ""
    if roles.n_known:
        known = op.input("known", op.dtype, ["batch", net.horizon, roles.n_known], DESCRIPTIONS["known"])
    forecasts = forecast_net(op, net, values, "lengths", known)
    shape = ["batch", net.horizon, net.n_targets]
    if estimator.quantiles is None:
        add_output(op, "forecast", forecasts, shape)
        return
    median, chosen = positions_among_all(estimator.quantiles)
    add_output(op, "forecast", op.Gather(forecasts, median, axis=-1), shape)
    add_output(op, "quantiles", op.Gather(forecasts, chosen, axis=-1), [*shape, len(chosen)])


# Metadata -------------------------------------------------------------------------------------------------------------


def describe_channels(scalers: list[Any], source: Any, estimator: Any) -> dict[str, Any]:
    """The order of the channels and the meaning of their codes, where they are known."""
    if isinstance(estimator, RNNForecaster):
        return describe_roles(estimator._roles)
    about: dict[str, Any] = {}
    names = getattr(estimator, "feature_names_in_", np.empty(0))
    if scalers and source is not None and not len(names):  # a scaler that gives arrays keeps the names for itself
        names = getattr(scalers[0], "feature_names_in_", names)
        names = names[source._channels] if len(names) else names
    if len(names) == estimator.net_.module_.config["n_channels"]:
        about["channels"] = list(map(str, names))
    if isinstance(source, SequenceVectorizer):
        about["tokens"] = source.tokens_.tolist()
    if isinstance(source, SlidingWindow) and source._categories:
        positions = {column: channel for channel, column in enumerate(source._channels)}
        about["categories"] = {names[positions[column]]: values for column, values in source._categories.items()}
    return about


def describe_estimator(estimator: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"estimator": type(estimator).__name__}
    if isinstance(estimator, RNNForecaster):
        quantiles, about["n_steps"] = estimator.quantiles, estimator.n_steps_
    else:
        quantiles, about["n_steps"] = getattr(estimator, "_levels", None), estimator.n_steps_in_
    if isinstance(estimator, RNNClassifier):
        about["classes"] = estimator.classes_.tolist()
    if quantiles is not None:
        about["quantiles"] = list(map(float, quantiles))
    return about


def describe_roles(roles: Roles) -> dict[str, Any]:
    """The columns of a forecaster; those of the calendar are named by their formula."""
    cycles = [f"2 * pi * {name} / {CALENDAR[name][1]}" for name in roles.calendar]
    calendar = [f"{wave}({angle})" for angle in cycles for wave in ("sin", "cos")]
    known = [*map(str, roles.known), *calendar]
    about: dict[str, Any] = {
        "targets": list(map(str, roles.target)),
        "channels": [*map(str, [*roles.target, *roles.past]), *known, *map(str, roles.static)],
    }
    if known:
        about["known"] = known
    if roles.categories:
        about["categories"] = {str(name): values for name, values in roles.categories.items()}
    return about
