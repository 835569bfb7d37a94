"""Bad input ends in an error of ours that names the argument, and changes nothing.

`pytest -m slow tests/test_hostile.py` tries 11,900 cases; `make test` tries 350.
"""

import dis
import io
import json
import pickle
import re
import signal
import warnings
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import hostile
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from hostile import N, changes, damages, forgeries, frames, good_X, good_y, inputs, labels, things, weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sklearn_rnn
from sklearn_rnn import (
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    Sequences,
    SequenceVectorizer,
    SlidingWindow,
    WindowSplit,
    as_sequences,
    load,
    save,
)
from sklearn_rnn.persistence import HEADER, _with_header

pytestmark = pytest.mark.filterwarnings("ignore")  # of what makes the input; `attempt` looks at those of the package
QUICK, SLOW = 50, 1_700  # cases of each of the seven tests below

OURS = [str(Path(module.__file__).parent) for module in (sklearn_rnn, sklearn)]
FOREIGN = [str(Path(module.__file__).parent) for module in (torch, np, pd, scipy.sparse)]
TINY = {"hidden_size": 3, "max_epochs": 1, "device": "cpu", "n_threads": 1, "fused": False, "random_state": 0}

# What is asked of each call -------------------------------------------------------------------------------------------


def attempt(call, given, names, also=()):
    """The result of a call, or the error that refused it in our words; a failed assertion for anything else.

    Errors of the types `also` need no words of ours.
    """
    before = fingerprint(given)
    generators = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 global generators must not move
    with warnings.catch_warnings(record=True) as caught, time_limit(30):
        warnings.simplefilter("always")
        try:
            result, error = call(), None
        except (ValueError, TypeError, *also) as raised:
            result, error = None, raised
    if error is not None and not isinstance(error, also):
        assert_ours(error, names)
    for warning in caught:
        assert issubclass(warning.category, UserWarning), f"a warning for nobody: {warning}"
        assert not warning.filename.startswith(tuple(FOREIGN)), f"a foreign warning: {warning}"
    assert fingerprint(given) == before, "the input was changed"
    assert torch.equal(generators[0], torch.get_rng_state())
    assert np.array_equal(generators[1], np.random.get_state()[1])  # noqa: NPY002 as above
    return result, error


def assert_ours(error, names):
    """The error was raised by a `raise` of this package or of scikit-learn, and names an argument."""
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    where = f"{code.co_filename}:{frame.tb_lineno}"
    assert code.co_filename.startswith(tuple(OURS)), f"raised in {where}: {type(error).__name__}: {error}"
    is_raise = code.co_code[frame.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    assert is_raise, f"not raised by us in {where}: {type(error).__name__}: {error}"
    if code.co_filename.startswith(OURS[0]):
        words = "|".join(map(re.escape, names))
        assert re.search(rf"(^|\W)({words})(\W|$)", str(error)), f"names no argument in {where}: {error}"


class Hang(BaseException):
    """No error that any code would handle."""


@contextmanager
def time_limit(seconds):
    def stop(*_):
        raise Hang(f"a call took more than {seconds} s of work")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fingerprint(value):
    """A value that differs after any change."""
    if value is np.ma.masked:
        return "masked"
    if isinstance(value, np.ma.MaskedArray):
        return "masked", fingerprint(value.data), fingerprint(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        content = [fingerprint(item) for item in np.asarray(value).flat] if value.dtype.hasobject else value.tobytes()
        return type(value), str(value.dtype), value.shape, value.flags.writeable, content
    if isinstance(value, pd.DataFrame):
        columns = [fingerprint(value.iloc[:, i]) for i in range(value.shape[1])]
        return "frame", fingerprint(value.columns), columns
    if isinstance(value, pd.Series):
        return "series", fingerprint(value.index), repr(value.name), str(value.dtype), [repr(item) for item in value]
    if isinstance(value, (pd.Index, pd.api.extensions.ExtensionArray)):
        return type(value), str(value.dtype), [repr(item) for item in value]
    if scipy.sparse.issparse(value):
        return type(value), fingerprint(value.toarray())
    if isinstance(value, torch.Tensor):
        return "tensor", value.requires_grad, fingerprint(value.detach().numpy())
    if isinstance(value, Sequences):
        return "sequences", fingerprint(vars(value))
    if isinstance(value, dict):
        return [(fingerprint(key), fingerprint(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [fingerprint(item) for item in value]
    return type(value), repr(value)


def state_of(estimator):
    return {name: id(value) for name, value in vars(estimator).items()}


NAMES_OF_X = ["X", "Sample", "Sequence", "column", "Column", "channels", "time", "group", "index", "times", "data"]


def attempt_fit(model, parameters, call, given, names, also=()):
    """Fit with changed parameters: they stay, and where it is refused so does everything else."""
    _, error = attempt(lambda: model.set_params(**parameters), parameters, [*parameters, "parameter"])
    assert error is None
    before, state = fingerprint(model.get_params(deep=False)), state_of(model)
    names = [*names, *model.get_params(deep=False)]
    _, error = attempt(call, given, names, also)
    assert fingerprint(model.get_params(deep=False)) == before, "a parameter was changed"
    if error is not None:
        assert state_of(model) == state, "a refused fit left something behind"
    return error


def many(test):
    """Run a test of one drawn case for few cases, or for many in the slow lane."""

    def run(n_cases):
        options = {"max_examples": n_cases, "deadline": None, "database": None, "derandomize": n_cases == QUICK}
        settings(**options, suppress_health_check=list(HealthCheck))(given(st.data())(test))()

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return pytest.mark.parametrize("n_cases", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])(run)


# RNNRegressor, RNNClassifier ------------------------------------------------------------------------------------------

_FITTED = {}


def fitted(kind):
    """A fitted estimator from its pickle, so that each case has its own."""
    if kind not in _FITTED:
        model = {
            "regressor": lambda: RNNRegressor(**TINY).fit(good_X(), good_y()),
            "classifier": lambda: RNNClassifier(**TINY).fit(good_X(), good_y()),
            "forecaster": lambda: RNNForecaster("a", 2, **TINY).fit(good_table()),
        }[kind]()
        _FITTED[kind] = pickle.dumps(model), fingerprint(forecast_or_prediction(model))
    model = pickle.loads(_FITTED[kind][0])
    model.net_  # noqa: B018 made on first use
    return model


def forecast_or_prediction(model):
    return model.predict() if isinstance(model, RNNForecaster) else model.predict(good_X())


def good_table():
    times = pd.date_range("2024-01-01", periods=2 * N, freq="h")
    return pd.DataFrame({"a": np.sin(np.arange(2.0 * N))}, index=times)


PLAUSIBLE = {
    "cell": ["rnn", "lstm", "gru"],
    "hidden_size": [1, 2, np.int64(3), True, 10**6, 10**18],
    "n_layers": [1, 2, np.int32(2), 10**5],
    "bidirectional": [True, np.bool_(True)],
    "pooling": ["auto", "last", "mean", "max", "attention", "concat"],
    "segment_size": [2, 3, np.int64(2), 10**18],
    "n_channels": [2, 3, 6, np.int64(2), 10**18],
    "categorical_features": [
        [0],
        [-1],
        [True],
        ["a"],
        [5],
        [0.0],
        "from_dtype",
        None,
        [10**30],
        [[0]],
        [0, "a"],
        [True] * 6,
    ],
    "embedding_size": [1, 2, np.int64(2), 10**12],
    "per_step": [True],
    "loss": ["squared_error", "absolute_error", "huber", "quantile", "poisson"],
    "quantiles": [
        [0.5],
        (0.1, 0.5, 0.9),
        np.array([0.1, 0.5]),
        ["a"],
        [[0.1], [0.5]],
        [0.5, np.nan],
        [None, 0.5],
        [0.5, 10**400],
    ],
    "anchor": [0, -1, 5, "a", np.int64(0), 10**30],
    "class_weight": [
        "balanced",
        {0: 1.0, 1: 2.0, 2: 3},
        {0: -1},
        {0: np.nan},
        {0: "a"},
        {0: None, 1: 0},
        {5: 1},
        {0: 0, 1: 0, 2: 0},
    ],
    "label_smoothing": [0.1],
    "optimizer": ["sgd", "rmsprop", "radam", torch.optim.Adagrad, torch.optim.LBFGS, torch.optim.SparseAdam],
    "learning_rate": [1e-3, 1e3, 1e30, 1e300, np.inf, np.float32(0.01), 10**400],
    "schedule": ["one_cycle", "cosine", "plateau", "constant"],
    "weight_decay": [0, 1e30, np.inf],
    "gradient_clip": [None, 1e-30, 1e30, np.inf],
    "batch_size": ["auto", 1, 5, np.int64(4), 10**30],
    "max_epochs": [1, 2, np.int64(1), True],
    "early_stopping": [True, False, np.bool_(True)],
    "validation_fraction": [0.01, 0.99, np.float32(0.5)],
    "validation_split": ["tail", "random", "stratified"],
    "n_iter_no_change": [1, 10**30],
    "tol": [0, np.inf, 1e300],
    "warm_start": [True],
    "callbacks": [[], [1], [len], [None], ["a"], [object()], ("a",)],
    "checkpoint": ["", ".", "no/such/folder/file", "a\x00b"],
    "checkpoint_every": [2, np.int64(1), 10**30],
    "device": ["cpu", "auto", "cuda", "cuda:7", "mps", "", "cpu:0"],
    "dtype": ["float32", "float64"],
    "precision": ["full", "bf16"],
    "n_threads": [1, 2, np.int64(1), 10**6, 10**18],
    "random_state": [1, 2**32 - 1, 2**32, -1, np.random.RandomState(0)],
    "verbose": [0],
    "nonlinearity": ["tanh", "relu"],
    "dropout": [0.5, np.float32(0.1)],
}


def is_mere_mistake(name, value):
    """Not the wish for an endless training, a printed table or a file."""
    if name == "max_epochs":
        return not isinstance(value, (int, np.integer)) or value <= 3
    if name == "verbose":
        return value is None or isinstance(value, (str, bytes))
    return name != "checkpoint" or not isinstance(value, str) or value in PLAUSIBLE["checkpoint"]


def parameters_of(model, *favoured, plausible):
    names = [*model.get_params(deep=False), *favoured]
    return changes(names, hostile.VALUES, plausible).map(
        lambda chosen: {name: value for name, value in chosen.items() if is_mere_mistake(name, value)}
    )


def examine_recurrent(data, kind):
    model = fitted(kind) if data.draw(st.booleans()) else type(fitted(kind))(**TINY)
    was_fitted = hasattr(model, "net_")
    is_good = data.draw(st.sampled_from(["X", "y", "both", "neither"]))
    X = good_X() if is_good in ("X", "both") else data.draw(inputs())
    y = good_y() if is_good in ("y", "both") else data.draw(labels(N))
    sample_weight = data.draw(weights(N)) if data.draw(st.integers(0, 3)) == 0 else None
    options = {}
    if data.draw(st.integers(0, 7)) == 0:
        options = {"X_val": data.draw(inputs()), "y_val": data.draw(labels(N))}
    parameters = data.draw(parameters_of(model, plausible=PLAUSIBLE)) if data.draw(st.integers(0, 2)) else {}
    names = [*NAMES_OF_X, "y", "sample_weight", "X_val", "y_val", "classes", "class_weight"]
    if data.draw(st.integers(0, 4)) == 0:
        call = partial(model.partial_fit, X, y, sample_weight=sample_weight)
    else:
        call = partial(model.fit, X, y, sample_weight, **options)
    earlier = model.get_params(deep=False)
    error = attempt_fit(model, parameters, call, (X, y, sample_weight, options), names)
    if error is not None:
        if was_fitted:
            model.set_params(**earlier)
            assert fingerprint(model.predict(good_X())) == _FITTED[kind][1], "an earlier fit was damaged"
        return
    if hasattr(X, "__len__"):
        again, error = attempt(lambda: model.predict(X), X, names)
        assert error is None, f"predict refuses what fit took: {error}"
        assert len(again) == len(X) if not isinstance(X, dict) else True
        flat = again if not isinstance(again, list) else np.concatenate(again)
        if isinstance(flat, np.ndarray) and flat.dtype.kind == "f" and not model.per_step and kind == "regressor":
            assert np.isfinite(flat).all(), "predictions are not finite"
    other, others = data.draw(inputs()), data.draw(labels(N))
    method = data.draw(st.sampled_from(["predict", "score", "predict_proba", "predict_quantiles"]))
    if hasattr(model, method):
        call = getattr(model, method)
        arguments = (other, others, data.draw(weights(N))) if method == "score" else (other,)
        attempt(lambda: call(*arguments), arguments, [*names, *model.get_params()])


@many
def test_regressors_refuse_or_succeed(data):
    examine_recurrent(data, "regressor")


@many
def test_classifiers_refuse_or_succeed(data):
    examine_recurrent(data, "classifier")


# RNNForecaster --------------------------------------------------------------------------------------------------------

COLUMN_NAMES = ["a", "b", "c", "d", "e", 0, 1, 2, 1.0, ("x", "y"), np.nan, "target", "", None]
FORECASTER = {
    "target": [*COLUMN_NAMES, ["a"], ["a", "b"], ["a", "a"], [], [[]], ["a", None], ("a", "b"), {"a"}],
    "horizon": [1, 2, 3, np.int64(2), True, 10**18],
    "n_steps": ["auto", 1, 2, 3, np.int64(2), 10**18, 10**30],
    "time": [None, "b", "c", 1, ["b"], ("x", "y")],
    "group": [None, "b", "c", ["b"], ["b", "c"], 1, (), [], [[]], {"b"}],
    "known": [(), "b", ["b", "c"], "zzz", [None], [[]], {"b": 1}, ["b", "b"], 5],
    "static": [(), "b", ["c"], "zzz", [np.nan]],
    "calendar": [(), "hour", ["hour", "month"], ["noon"], [1], "", [None], [[]]],
    "normalize": ["auto", "scaled", "last", "standard", None],
    "segment_size": ["auto", 1, 2, 10**18, np.int64(2)],
    "shared": [True, False],
    "quantiles": [None, (0.1, 0.9), [0.5], ["a"], [[0.5]], [0.5, 0.5], [1], [np.nan], [None], (), [10**400]],
    "conformal": [True, False],
    "loss": ["huber", "absolute_error"],
}


def examine_forecaster(data):
    model = fitted("forecaster") if data.draw(st.booleans()) else RNNForecaster("a", 2, **TINY)
    was_fitted = hasattr(model, "net_")
    X = data.draw(st.one_of(frames(), frames((2 * N,)), things([(2 * N,), (2 * N, 2), (2, 3)]), st.just(good_table())))
    plausible = {**PLAUSIBLE, **FORECASTER}
    chosen = data.draw(parameters_of(model, *FORECASTER, *FORECASTER, plausible=plausible))
    earlier = model.get_params(deep=False)
    words = [*NAMES_OF_X, "rows", "future"]
    error = attempt_fit(model, chosen, lambda: model.fit(X), X, words)
    words += list(model.get_params())
    if error is not None:
        if not was_fitted:
            return
        model.set_params(**earlier)
        assert fingerprint(model.predict()) == _FITTED["forecaster"][1], "an earlier fit was damaged"
    other = data.draw(st.one_of(frames(), things([(N, 2), (N,)]), st.just(X), st.just(good_table())))
    future = data.draw(st.one_of(st.none(), frames((2, 2, 4)), things([(2, 1)])))
    before = fingerprint(vars(model).get("_last_values"))
    call = data.draw(
        st.sampled_from(
            [
                lambda: model.predict(),
                lambda: model.predict(other),
                lambda: model.predict(other, future),
                lambda: model.predict(future=future),
                lambda: model.score(other),
                lambda: model.backtest(other),
                lambda: model.backtest(other, n_origins=data.draw(st.sampled_from([None, 1, "a", 0, -1, 1.5, np.nan]))),
                lambda: model.backtest(other, stride=data.draw(st.sampled_from([None, 1, "a", 0, -1, 1.5, np.nan]))),
                lambda: model.backtest_summary(
                    model.backtest(other), by=data.draw(st.sampled_from(["step", "no", 3, None, []]))
                ),
            ]
        )
    )
    attempt(call, (other, future), [*words, "n_origins", "stride", "by"])
    assert fingerprint(vars(model).get("_last_values")) == before
    state = state_of(model)
    _, error = attempt(lambda: model.update(other), other, words)
    if error is not None:
        assert state_of(model) == state, "a refused update left something behind"
    attempt(lambda: model.predict(), None, words)


@many
def test_forecasters_refuse_or_succeed(data):
    examine_forecaster(data)


# Transformers, splits, containers -------------------------------------------------------------------------------------

WINDOWS = {
    "n_steps": [1, 2, 3, np.int64(2), True, 10**18, 10**30],
    "time": [None, "b", "c", 0, 1, "zzz"],
    "group": [None, "b", ["b"], ["b", "c"], (), [], "zzz", [[]], [None]],
    "max_gap": [None, 1, 2.5, "1h", "2D", "1 fortnight", "", "-1h", "NaT", np.timedelta64("NaT"), 10**30, "99999999D"],
    "context": ["auto", "always", "never"],
    "flatten": [True, False],
}


@many
def test_sliding_windows_refuse_or_succeed(data):
    window = SlidingWindow(n_steps=2)
    X = data.draw(st.one_of(frames(), frames(), things([(N, 2), (N,), (N, 1, 1), (1, 1)])))
    chosen = data.draw(changes(list(WINDOWS), hostile.VALUES, WINDOWS))
    words = [*NAMES_OF_X, *WINDOWS]
    y = data.draw(labels(N))
    if attempt_fit(window, chosen, lambda: window.fit(X, y), (X, y), words) is not None:
        return
    made, error = attempt(lambda: window.transform(X), X, words)
    if error is None and isinstance(X, (np.ndarray, pd.DataFrame)):
        assert len(made) == len(X)
    other = data.draw(st.one_of(frames(), things([(N, 2), (N,)])))
    state = state_of(window)
    attempt(lambda: window.transform(other), other, words)
    assert state_of(window) == state
    attempt(lambda: window.fit_transform(X), X, words)
    if window.flatten:
        names = data.draw(st.sampled_from([None, ["a"], "a", 5, ["a", "b"], [1, 2], [None], X]))
        attempt(lambda: window.get_feature_names_out(names), None, [*words, "input_features"])


SPLITS = {
    "n_splits": [1, 2, 3, np.int64(2), 10**18, 10**30],
    "n_steps": [1, 2, 10**30],
    "horizon": [0, 1, 2, 10**30],
    "test_size": [None, 1, 2, 10**30],
    "time": [None, "a", "b", 0, "zzz"],
    "purge": ["targets", "windows"],
}
TEXTS = [
    ["To be", "or not", "to be"] * 4,
    [],
    [""],
    ["", " "],
    ["a", None],
    ["a", np.nan],
    ["a", 5],
    ["a", b"\xff\xfe"],
    [b"abc", b"caf\xc3\xa9"],
    "one text",
    b"bytes",
    None,
    5,
    [["a", "b"]],
    [("a",)],
    {"a": 1},
    {"a", "b"},
    np.array(["a", "b c"]),
    np.array([["a"], ["b"]]),
    np.array("a"),
    np.array(["a", None], dtype=object),
    pd.Series(["a", "b"], index=[5, 7]),
    pd.Series(["a", None], dtype="string"),
    pd.DataFrame({"a": ["x y"]}),
    ["\ud800 lone surrogate"],
    ["\x00", "a\x00b"],
    ["\N{PILE OF POO} " * 50],
    ["x" * 10_000],
    [pd.NA],
    [float],
    range(3),
]
VECTORIZER = {
    "input": ["content", "file", "filename"],
    "encoding": ["utf-8", "ascii", "nonsense", "", "utf-16", 5],
    "decode_error": ["strict", "ignore", "replace"],
    "strip_accents": [None, "ascii", "unicode", str.upper, len],
    "lowercase": [True, False],
    "preprocessor": [None, str.upper, len, repr],
    "tokenizer": [None, str.split, len, list],
    "stop_words": [None, "english", "klingon", ["a"], [], [1], [None], "a"],
    "token_pattern": [r"\w+", "(", "", "(a)(b)", ".", None, "[", "(?u)(a)"],
    "ngram_range": [
        (1, 1),
        (1, 2),
        (2, 1),
        (0, 0),
        (-1, 1),
        ("a", "b"),
        (1,),
        (1, 2, 3),
        (1.5, 2),
        (None, None),
        [1, 2],
        (1, 10**9),
    ],
    "analyzer": ["word", "char", "char_wb", str.split, len, list],
    "max_df": [1.0, 0.5, 1, 0.0, 10**9],
    "min_df": [1, 2, 0.5, 1.0, 10**9],
    "max_features": [None, 1, 10**9],
    "vocabulary": [
        None,
        {},
        [],
        ["a", "b"],
        ["a", "a"],
        {"a": 0, "b": 2},
        {"a": 0, "b": 0},
        {"a": "x"},
        {1: 0},
        [1, 2],
        {"a"},
        "ab",
        5,
        [None],
        [[]],
    ],
    "max_length": [None, 1, 2, np.int64(3), 10**30],
}


@many
def test_texts_refuse_or_succeed(data):
    vectorizer = SequenceVectorizer()
    texts = st.one_of(st.sampled_from(TEXTS), st.lists(st.text(max_size=8), max_size=3), things([(3,), (3, 2)]))
    given_texts = data.draw(texts)
    chosen = data.draw(changes(list(VECTORIZER), hostile.VALUES, VECTORIZER))
    words = ["raw_documents", "Document", "texts", *VECTORIZER]
    absent = (OSError,)  # of a file that is not there
    if attempt_fit(vectorizer, chosen, lambda: vectorizer.fit(given_texts), given_texts, words, absent) is not None:
        return
    made, error = attempt(lambda: vectorizer.transform(given_texts), given_texts, words, absent)
    if error is None:
        attempt(lambda: vectorizer.inverse_transform(made), made, ["X"])
    other = data.draw(texts)
    attempt(lambda: vectorizer.transform(other), other, words, absent)
    junk = data.draw(st.one_of(things([(3, 2), (3,), (2, 3, 1)]), hostile.sequences()))
    attempt(lambda: vectorizer.inverse_transform(junk), junk, ["X", "Sample"])


KEYS = [
    0,
    -1,
    99,
    None,
    ...,
    "a",
    1.5,
    [0, 1],
    [True],
    [0.5],
    [],
    slice(1),
    slice("a"),
    np.array([99]),
    (0, 0),
    (slice(3), 0),
]


@many
def test_containers_and_splits_refuse_or_succeed(data):
    if data.draw(st.booleans()):
        examine_split(data)
        return
    if data.draw(st.booleans()):
        X = data.draw(inputs())
        options = data.draw(changes(["n_channels", "dtype"], hostile.VALUES, {"dtype": [np.float64, int, "f8", "x"]}))
        made, error = attempt(lambda: as_sequences(X, **options), X, [*NAMES_OF_X, "n_channels", "dtype"])
    else:
        given_parts = [
            data.draw(things([(N, 2), (N,), (2, 2, 2)])),
            data.draw(st.one_of(things([(3,), (3, 1)]), st.just([0, 1, 2]))),
            data.draw(st.one_of(things([(3,)]), st.just([1, 2, 3]), st.just(3))),
        ]
        names = ["align", "channel_names", "categorical"]
        plausible = {"channel_names": [["a", "b"], "ab", ["a"], [1, 2]], "categorical": [[0], [1], [-1], ["a"], 0]}
        options = data.draw(changes(names, hostile.VALUES, plausible))
        words = ["values", "starts", "lengths", "Sequence", *names]
        made, error = attempt(lambda: Sequences(*given_parts, **options), given_parts, words)
    if error is None:
        assert np.asarray(made).shape == made.shape
        key = data.draw(st.sampled_from(KEYS))
        attempt(lambda: made[key], made, ["Sequences"], (IndexError, TypeError))
        repr(made)


def examine_split(data):
    split = WindowSplit(2)
    split_parameters = data.draw(changes(list(SPLITS), hostile.VALUES, SPLITS))
    vars(split).update(split_parameters)
    X = data.draw(st.one_of(frames(), inputs()))
    y, groups = data.draw(labels(N)), data.draw(st.one_of(st.none(), st.none(), labels(N)))
    folds, error = attempt(
        lambda: list(split.split(X, y, groups)), (X, y, groups), [*SPLITS, *NAMES_OF_X, "y", "groups"]
    )
    if error is None:
        assert all(set(train).isdisjoint(test) for train, test in folds)


# Files ----------------------------------------------------------------------------------------------------------------


@many
def test_files_refuse_or_succeed(data):
    """A damaged file is refused or loads as what it was; a forged one, with a true digest, loads or is refused."""
    kind = data.draw(st.sampled_from(["regressor", "forecaster"]))
    is_forged = data.draw(st.booleans())
    content = forged(saved(kind), data) if is_forged else data.draw(damages(saved(kind)))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.skops"
        file.write_bytes(content)
        loaded, error = attempt(lambda: load(file), file, [str(file)])
    if error is None and not is_forged:
        assert fingerprint(forecast_or_prediction(loaded)) == _FITTED[kind][1]


@cache
def saved(kind):
    """The file of a fitted estimator."""
    with TemporaryDirectory() as folder:
        save(fitted(kind), f"{folder}/model.skops")
        return Path(f"{folder}/model.skops").read_bytes()


def forged(content, data):
    """The file with changed members, whose digest is that of the change."""
    with ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != HEADER}
    if data.draw(st.integers(0, 3)):
        members["schema.json"] = json.dumps(data.draw(forgeries(json.loads(members["schema.json"])))).encode()
    else:
        name = data.draw(st.sampled_from(sorted(members)))
        members[name] = data.draw(damages(members[name]))
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return _with_header(buffer.getvalue())
