"""Models in files: what comes back, what is said of what cannot, and that no file is left half written."""

import io
import json
import os
import pickle
import sys
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import sklearn
import skorch.callbacks
import torch
from freeze_models import FOLDER, MODELS, TEXTS, forecast, hourly, make_forecaster, make_search, make_texts, sales
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 makes the search importable
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_pinball_loss
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, KFold, RandomizedSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Sequences, SlidingWindow, WindowSplit, load, save
from sklearn_rnn._plain_values import Packer

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
# What a file has beside the weights: names, parameters, history.
REST_OF_A_FILE = 8_192  # bytes
GENERATOR = np.random.RandomState(3)  # noqa: NPY002 scikit-learn takes it as random_state


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def copied(file):
    """A function that saves a model and loads it again."""

    def save_and_load(model):
        save(model, file)
        return load(file)

    return save_and_load


def windows(n_samples=60):
    values = np.random.default_rng(0).normal(size=(n_samples + 5, 2)).astype(np.float32)
    return Sequences(values, np.arange(n_samples), np.full(n_samples, 6))


def assert_same(a, b):
    """Every attribute, to the last bit and with its type."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(key) for key in a] == [type(key) for key in b]
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for first, second in zip(a, b, strict=True):
            assert_same(first, second)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        if a.dtype == object:
            assert_same(a.tolist(), b.tolist())
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b))
    elif isinstance(a, np.random.RandomState):
        assert_same(a.get_state(), b.get_state())
    elif hasattr(a, "dist"):
        assert (a.dist.name, a.args, a.kwds) == (b.dist.name, b.args, b.kwds)
    elif type(a).__name__ == "MethodMetadataRequest" and sklearn.__version__.startswith("1.6."):
        assert_same((a.method, a.requests), (b.method, b.requests))  # there a file gives the owner another name
    elif type(a).__module__.startswith("sklearn") and hasattr(a, "__dict__"):
        assert_same(a.__getstate__(), b.__getstate__())
    else:
        assert a is b or a == b or (a != a and b != b)


# What comes back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "squared_error", "cell": "lstm", "bidirectional": True, "n_layers": 2},
        {"loss": "absolute_error", "cell": "rnn", "pooling": "attention", "dtype": "float64"},
        {"loss": "huber", "segment_size": 2, "anchor": 1, "random_state": GENERATOR},
        {"loss": "quantile", "quantiles": (0.1, 0.5, 0.9), "early_stopping": True},
        {"loss": "poisson", "categorical_features": [1], "embedding_size": 2},
    ],
    ids=lambda options: options["loss"],
)
def test_a_regressor_comes_back_to_the_last_bit(copied, options):
    X, y = windows(), np.arange(60.0) % 7
    if options["loss"] == "poisson":
        X.values[:, 1] = np.arange(65) % 3
        X.values[::9, 0] = np.nan
    model = RNNRegressor(**{**TINY, **options}).fit(X, y)
    again = copied(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    if options["loss"] == "quantile":
        np.testing.assert_array_equal(again.predict_quantiles(X), model.predict_quantiles(X))
    assert_same(again, model)
    pd.testing.assert_frame_equal(again.history_, model.history_)
    assert (again.n_iter_, again.best_epoch_, again.device_) == (model.n_iter_, model.best_epoch_, model.device_)


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (np.array(["low", "high", "mid"])[np.arange(60) % 3], {"label_smoothing": 0.1}),
        (np.array(["low", "high"], dtype=object)[np.arange(60) % 2], {"class_weight": "balanced"}),
        (np.arange(60) % 4 == 0, {"class_weight": {False: 1.0, True: 3.0}}),
        (np.eye(3, dtype=int)[np.arange(60) % 3], {}),
        ([np.array(["in", "out"])[(np.arange(6) + i) % 2] for i in range(60)], {"per_step": True}),
    ],
    ids=["strings", "objects", "booleans", "multilabel", "per step"],
)
def test_a_classifier_comes_back_to_the_last_bit(copied, y, options):
    X = windows()
    model = RNNClassifier(**TINY, **options).fit(X, y)
    again = copied(model)
    assert_same(again.predict(X), model.predict(X))
    assert_same(again.predict_proba(X), model.predict_proba(X))
    assert_same(again, model)


def test_targets_by_step_and_several_outputs_come_back(copied):
    X = windows()
    per_step = RNNRegressor(**TINY, per_step=True).fit(X, Sequences(X.values, X.starts, X.lengths))
    assert_same(copied(per_step).predict(X), per_step.predict(X))
    several = RNNRegressor(**TINY).fit(X, np.asarray(X)[:, -1])
    np.testing.assert_array_equal(copied(several).predict(X), several.predict(X))


def daily(index, **columns):
    return pd.DataFrame({"load": np.sin(np.arange(len(index)) / 3), **columns}, index=index)


@pytest.mark.parametrize(
    "X",
    [
        daily(pd.date_range("2024-03-20", periods=60, freq="h", tz="Europe/Berlin")),
        daily(pd.date_range("2024-03-01", periods=60, freq="D", tz="Europe/Berlin", name="day")),
        daily(pd.period_range("2020-01", periods=60, freq="M")),
        daily(pd.bdate_range("2024-01-01", periods=60), size=pd.cut(np.arange(60) % 5, [-1, 2, 5])),
        daily(pd.timedelta_range("0s", periods=60, freq="90s")),
        daily(np.arange(60) * 0.5, due=pd.Categorical(pd.to_datetime(["2024-01-05", "2025-01-05"] * 30))),
        np.sin(np.arange(60.0)),
    ],
    ids=["hours in a zone", "days in a zone", "periods", "business days", "durations", "numbers", "array"],
)
def test_a_forecaster_of_any_times_comes_back(copied, X):
    target = 0 if isinstance(X, np.ndarray) else "load"
    model = RNNForecaster(target, 3, **TINY, n_steps=6).fit(X)
    again = copied(model)
    assert_same(again, model)
    assert_same(np.asarray(again.predict()), np.asarray(model.predict()))
    assert getattr(again.predict(), "index", None) is None or again.predict().index.equals(model.predict().index)


def test_a_forecaster_of_a_panel_comes_back_with_all_it_remembers(copied):
    model = make_forecaster()
    again = copied(model)
    assert_same(again, model)
    np.testing.assert_array_equal(forecast(again), forecast(model))
    new = sales(43).groupby("shop").tail(3)
    assert again.backtest(new).equals(model.backtest(new))
    again.update(new)
    assert again._last_times.max() > model._last_times.max()


def test_groups_of_several_columns_come_back(copied):
    df = sales().assign(since=pd.Timestamp("2020-02-01"), number=sales()["shop"].str.len(), day=date(2020, 1, 1))
    model = RNNForecaster("sold", 3, time="date", group=["shop", "since", "number", "day"], **TINY).fit(
        df.drop(columns=["kind", "holiday"])
    )
    again = copied(model)
    assert again.predict().equals(model.predict())
    assert_same(again._last_labels, model._last_labels)


def test_a_pipeline_remembers_the_rows_before_new_ones(copied):
    X = hourly()
    window = SlidingWindow(6, max_gap=pd.Timedelta("3h"), context="always")
    model = make_pipeline(window, RNNRegressor(**TINY)).fit(X[:40], X["load"][:40])
    again = copied(model)
    np.testing.assert_array_equal(again.predict(X[40:]), model.predict(X[40:]))
    assert len(again[0].transform(X[40:])[0]) == 6
    assert_same(again, model)


def test_texts_come_back(copied):
    model = make_texts()
    again = copied(model)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert_same(again, model)


def test_a_grid_search_comes_back_with_its_results(copied):
    search = make_search()
    again = copied(search)
    assert_same(again, search)
    assert again.scorer_._estimator is again.estimator  # what was one object is one again
    np.testing.assert_array_equal(again.predict(hourly()), search.predict(hourly()))
    assert again.score(hourly(), hourly()["wind"]) == search.score(hourly(), hourly()["wind"])


@pytest.mark.parametrize("kind", [RandomizedSearchCV, HalvingRandomSearchCV])
def test_a_search_over_distributions_comes_back_and_can_go_on(copied, kind):
    X = hourly()
    space = {
        "slidingwindow__n_steps": stats.randint(2, 5),
        "slidingwindow__max_gap": [pd.Timedelta("2h"), np.timedelta64(3, "h"), timedelta(hours=4)],
        "rnnregressor__learning_rate": stats.loguniform(1e-3, 0.1, loc=0.0),
        "rnnregressor__quantiles": [(0.1, 0.5), (0.5, 0.9)],
    }
    model = make_pipeline(SlidingWindow(), RNNRegressor(**TINY, loss="quantile"))
    scoring = make_scorer(mean_pinball_loss, alpha=0.5, greater_is_better=False)
    options = {"n_iter": 2} if kind is RandomizedSearchCV else {"n_candidates": 2, "min_resources": 20}
    search = kind(model, space, cv=TimeSeriesSplit(2), scoring=scoring, random_state=0, **options).fit(X, X["wind"])
    again = copied(search)
    assert_same(again, search)
    np.testing.assert_array_equal(again.fit(X, X["wind"]).predict(X), search.fit(X, X["wind"]).predict(X))


def rnn(**options):
    return RNNRegressor(**TINY, **options)


TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc")).assign(
    kind=np.array(["x", "y"], dtype=object)[np.arange(60) % 2]
)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(
            ColumnTransformer(
                [("code", OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude="number"))],
                remainder=SplineTransformer(3, extrapolation="constant"),
            ),
            rnn(),
        ),
        make_pipeline(FunctionTransformer(np.square), StandardScaler(), rnn()),
        StackingRegressor([("rnn", rnn()), ("ridge", Ridge())], cv=2),
        VotingRegressor([("rnn", rnn()), ("search", GridSearchCV(Ridge(), {"alpha": np.logspace(-2, 0, 2)}))]),
        TransformedTargetRegressor(rnn(), func=np.log1p, inverse_func=np.expm1),
        CalibratedClassifierCV(RNNClassifier(**TINY), cv=2),
        GridSearchCV(
            rnn(), {"n_layers": range(1, 3)}, cv=KFold(2), scoring=["r2", "neg_mean_absolute_error"], refit="r2"
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_of_scikit_learn_around_a_net_come_back(copied, model):
    X = TABLE if "columntransformer" in getattr(model, "named_steps", ()) else TABLE[list("abc")]
    model.fit(X, (np.arange(60) % 3).clip(max=1))
    np.testing.assert_array_equal(copied(model).predict(X), model.predict(X))


def test_metadata_requests_come_back(copied):
    X, y, weights = windows(), np.arange(60.0), np.ones(60)
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            rnn().set_fit_request(sample_weight=True).set_score_request(sample_weight=False), {}, cv=2
        )
        again = copied(search)
        np.testing.assert_array_equal(
            again.fit(X, y, sample_weight=weights).predict(X), search.fit(X, y, sample_weight=weights).predict(X)
        )


def test_an_unfitted_model_stays_unfitted(copied):
    model = make_pipeline(SlidingWindow(5), rnn(loss="quantile", quantiles=[0.2, 0.5]))
    again = copied(model)
    assert_same(again, model)
    assert not again[-1].__sklearn_is_fitted__()
    assert not hasattr(again[-1], "net_")
    assert not hasattr(again[-1], "history_")


def test_a_loaded_model_goes_on_as_an_unpickled_one(copied):
    X, y = windows(), np.arange(60.0)
    model = rnn(warm_start=True).fit(X, y)
    loaded, unpickled = copied(model), pickle.loads(pickle.dumps(model))
    for one in (loaded, unpickled):
        one.fit(X, y)
        one.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict(X), unpickled.predict(X))
    assert loaded.n_iter_ == len(loaded.history_) == 5
    np.testing.assert_array_equal(copied(loaded).predict(X), loaded.predict(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(copied(loaded))).predict(X), loaded.predict(X))
    np.testing.assert_array_equal(clone(loaded).fit(X, y).predict(X), clone(model).fit(X, y).predict(X))


def test_a_file_can_be_copied_without_use_of_its_net(file, copied):
    model = rnn().fit(windows(), np.arange(60.0))
    np.testing.assert_array_equal(copied(copied(model)).predict(windows()), model.predict(windows()))


@pytest.mark.parametrize("options", [{}, {"hidden_size": 256, "cell": "lstm"}])
def test_a_file_is_about_as_large_as_the_weights(file, options):
    model = RNNRegressor(**{**TINY, **options}).fit(windows(), np.arange(60.0))
    save(model, file)
    weights = sum(4 * weight.numel() for weight in model.net_.module_.parameters())
    assert file.stat().st_size <= weights + REST_OF_A_FILE


plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.datetimes() | some.dates(),
    lambda values: (
        some.lists(values)
        | some.tuples(values, values)
        | some.dictionaries(some.none() | some.booleans() | some.text() | some.tuples(some.text()), values)
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=50)
@given(plain)
def test_plain_values_come_back_as_they_were(value):
    packed = Packer().pack([value], "model")
    kind, arguments = packed.__reduce__()
    assert_same(kind(*arguments), [value])


@pytest.mark.parametrize(
    "value",
    [
        {1, 2, 5},
        frozenset("a"),
        range(3, 9, 2),
        slice(None, 4),
        pd.Timestamp("2024-01-01 00:00:00.123456789", tz="Asia/Tokyo"),
        pd.Timestamp("1500-01-01").as_unit("s"),
        pd.Timestamp("2024-03-31 02:30+02:00"),
        pd.Timestamp("2024-10-27 03:30", tz="dateutil/Europe/Berlin"),
        pd.Timedelta(1, "ns"),
        pd.Period("2024-01-05", "W-FRI"),
        pd.Interval(pd.Timestamp("2024-01-01"), pd.Timestamp("2025-01-01"), closed="left"),
        pd.NaT,
        pd.NA,
        pd.offsets.Hour(2),
        np.float32(0.1),
        np.True_,
        np.datetime64("2024-01-05", "D"),
        np.timedelta64(5, "h"),
        np.dtype("M8[ns]"),
        {1: "number", "1": "text", False: "falsehood", None: "nothing", ("a", 1): "pair", 0.5: "half"},
    ],
    ids=repr,
)
def test_values_of_other_kinds_come_back_as_they_were(value):
    kind, arguments = Packer().pack(value, "model").__reduce__()
    again = kind(*arguments)
    assert type(again) is type(value)
    assert repr(again) == repr(value)
    assert value is pd.NA or value is pd.NaT or again == value


# Files of other releases ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("frozen", sorted(FOLDER.glob("*/*.skops")), ids=lambda path: f"{path.parent.name} {path.stem}")
def test_files_of_every_release_load_and_predict_what_they_did(frozen):
    expected = json.loads((frozen.parent / "predictions.json").read_text(encoding="utf-8"))[frozen.stem]
    _, predict = MODELS[frozen.stem]
    model = load(frozen)
    np.testing.assert_allclose(predict(model), expected, rtol=1e-4, atol=1e-6)
    assert repr(clone(model)) == repr(model)


def test_the_first_release_has_its_files():
    assert {path.stem for path in (FOLDER / "0.1.0").glob("*.skops")} == set(MODELS)


# What cannot be saved -------------------------------------------------------------------------------------------------


class Custom(BaseEstimator):
    """A class that a reader of the file need not have."""


class Slow(torch.optim.SGD):
    pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (FunctionTransformer(lambda X: X), r"model\.func \(test_persistence\.<lambda>\)"),
        (FunctionTransformer(os.system), r"model\.func \(\w+\.system\)"),
        (rnn(optimizer=Slow), r"model\.optimizer \(test_persistence\.Slow\).* an optimizer to its name"),
        (
            make_pipeline(rnn(callbacks=[skorch.callbacks.EpochTimer()])),
            r"model\.steps\[0\]\[1\]\.callbacks\[0\] \(skorch",
        ),
        (GridSearchCV(Custom(), {"a": [1]}), r"model\.estimator \(test_persistence\.Custom\)"),
        (GridSearchCV(Ridge(), {"a": [Custom()]}), r"model\.param_grid\['a'\]\[0\] \(test_persistence\.Custom\)"),
        (GridSearchCV(Ridge(), {}, cv=iter([])), r"model\.cv \(builtins\.list_iterator\)"),
        (GridSearchCV(Ridge(), {}, scoring=max), r"model\.scoring \(builtins\.max\)"),
        (DecisionTreeRegressor().fit(TABLE[["a"]], TABLE["b"]), r"model\.tree_ \(sklearn\.tree\._tree\.Tree\)"),
        (SlidingWindow(max_gap=datetime(2024, 1, 1, tzinfo=pd.Timestamp.now("UTC").tz)), r"max_gap \(datetime"),
        (RandomizedSearchCV(Ridge(), {"a": stats.rv_histogram(np.histogram([1, 2]))()}), r"rv_continuous_frozen"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_what_a_file_cannot_hold_is_named_before_it_is_touched(file, model, message):
    file.write_bytes(b"an earlier file")
    with pytest.raises(ValueError, match=message):
        save(model, file)
    assert file.read_bytes() == b"an earlier file"
    assert os.listdir(file.parent) == [file.name]


def test_a_callback_of_scikit_learn_is_named(file):
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has no callbacks before 1.9")
    with pytest.raises(ValueError, match=r"_skl_callbacks\[0\].*set_callbacks\(\) drops"):
        save(rnn().set_callbacks(callback.ScoringMonitor(scoring="r2")), file)


def test_a_path_is_a_plain_value(copied, tmp_path):
    assert copied(rnn(checkpoint=tmp_path / "fit.checkpoint")).checkpoint == tmp_path / "fit.checkpoint"


def test_all_that_is_unfit_is_named_at_once(file):
    with pytest.raises(ValueError, match=r"(?s)callbacks\[0\].*optimizer"):
        save(rnn(optimizer=Slow, callbacks=[print]), file)


def test_a_model_without_its_callbacks_can_be_saved(copied):
    X, y = windows(), np.arange(60.0)
    model = rnn(callbacks=[skorch.callbacks.EpochTimer()], optimizer=torch.optim.SGD).fit(X, y)
    with pytest.raises(ValueError, match=r"callbacks\[0\].*model\.optimizer \(torch\.optim\.sgd\.SGD\)"):
        copied(model)
    model.set_params(callbacks=None, optimizer="sgd")
    np.testing.assert_array_equal(copied(model).predict(X), model.predict(X))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", torch.optim.Adam])
def test_a_callback_that_holds_the_optimizer_is_pickled_as_it_was_before_training(optimizer):
    X, y = windows(), np.arange(60.0)
    scheduler = skorch.callbacks.LRScheduler("StepLR", step_size=1)
    callbacks = [("rate", scheduler), skorch.callbacks.EpochTimer()]
    model = rnn(optimizer=optimizer, schedule="constant", callbacks=callbacks).fit(X, y)
    assert hasattr(scheduler, "lr_scheduler_")
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert not hasattr(loaded.callbacks[0][1], "lr_scheduler_")
    np.testing.assert_array_equal(loaded.fit(X, y).predict(X), model.predict(X))
    assert hasattr(scheduler, "lr_scheduler_")


@pytest.mark.parametrize("model", [RNNRegressor, {"a": rnn()}, WindowSplit(), None], ids=str)
def test_only_estimators_are_saved(file, model):
    with pytest.raises(TypeError, match="must be an estimator, a Pipeline or a search"):
        save(model, file)


# Paths and writing ----------------------------------------------------------------------------------------------------


def test_a_path_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere'. Make it first"):
        save(rnn(), tmp_path / "nowhere" / "model.skops")
    with pytest.raises(IsADirectoryError, match="is a folder. Add a name"):
        save(rnn(), tmp_path)
    for path in (io.BytesIO(), 3, b"model.skops"):
        with pytest.raises(TypeError, match="must be a str or a path"):
            save(rnn(), path)
        with pytest.raises(TypeError, match="must be a str or a path"):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.skops")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_pipe_is_left_where_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # an existing file is replaced, and so would be a device
    with pytest.raises(OSError, match="pipe', which is a device or a pipe. Choose the path of a file"):
        save(rnn(), tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("before", [None, b"an earlier file"])
def test_a_failure_while_saving_leaves_the_old_file_and_no_other(file, monkeypatch, step, error, before):
    if before:
        file.write_bytes(before)

    def fail(*args):
        assert len(os.listdir(file.parent)) == (2 if before else 1)  # the new file is there, beside the old one
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        save(rnn(), file)
    assert os.listdir(file.parent) == ([file.name] if before else [])
    assert not before or file.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of posix")
def test_permissions_and_links_stay(file):
    save(rnn(), file)
    plain_file = file.with_name("plain")
    plain_file.touch()
    assert file.stat().st_mode == plain_file.stat().st_mode  # as any new file
    file.chmod(0o640)
    link = file.with_name("link.skops")
    link.symlink_to(file)
    save(rnn(), link)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640


def test_without_skops_the_extra_is_named(file, monkeypatch):
    save(rnn(), file)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    for call in (lambda: save(rnn(), file), lambda: load(file)):
        with pytest.raises(ImportError, match="pip install skops"):
            call()


def test_a_parameter_that_a_file_cannot_hold_can_be_set_to_another_form(tmp_path):
    pytest.importorskip("skops", reason='the extra "safe" is not installed')
    X = np.random.default_rng(0).integers(0, 3, size=(20, 4, 2)).astype(float)
    model = RNNRegressor(**TINY, categorical_features=pd.Index([1])).fit(X, X[:, -1, 0])
    with pytest.raises(ValueError, match="categorical_features"):
        save(model, tmp_path / "model.skops")
    save(model.set_params(categorical_features=[1]), tmp_path / "model.skops")
    load(tmp_path / "model.skops").set_params(warm_start=True).fit(X, X[:, -1, 0])
