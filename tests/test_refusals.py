"""What is refused, in which words, and rare forms of input that are taken."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_rnn import (
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    Sequences,
    SequenceVectorizer,
    SlidingWindow,
    WindowSplit,
    as_sequences,
    search_space,
)

TINY = {"hidden_size": 4, "max_epochs": 1, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
X = np.random.default_rng(0).normal(size=(24, 5))
Y = X[:, 0]
TIMES = pd.date_range("2024", periods=30, freq="h")
TABLE = pd.DataFrame({"load": np.sin(np.arange(30.0)), "wind": np.arange(30.0)}, index=TIMES)
LATER = pd.DataFrame({"wind": [1.0, 2.0]}, index=TIMES[-1] + pd.to_timedelta([1, 2], unit="h"))
CATEGORIES = Sequences(np.arange(24.0) % 3, np.arange(24), np.ones(24, int), categorical=[0])
MIXED = [1, "one"] * 15


class WithMomentum(torch.optim.SGD):
    def __init__(self, params, lr, weight_decay, momentum):
        super().__init__(params, lr=lr, weight_decay=weight_decay, momentum=momentum)


def regressor(y=Y, data=X, weights=None, **options):
    return RNNRegressor(**{**TINY, **options}).fit(data, y, weights)


def classifier(y=Y > 0, data=X, **options):
    return RNNClassifier(**{**TINY, **options}).fit(data, y)


def forecaster(table=TABLE, target="load", **options):
    return RNNForecaster(target, 2, **{**TINY, **options}).fit(table)


LABELS = np.eye(24, 3, dtype=int)
REFUSED = {
    "y of three dimensions": (lambda: regressor(np.ones((24, 2, 2))), "y .*dim 3"),
    "other outputs": (
        lambda: regressor(np.ones((24, 2)), warm_start=True).fit(X, np.ones((24, 3))),
        "y has 3 outputs, but 2 are expected",
    ),
    "anchor of a rate": (lambda: regressor(np.ones(24), loss="poisson", anchor=0), "anchor adds .* loss='poisson'"),
    "anchor of categories": (lambda: regressor(data=CATEGORIES, anchor=0), "anchor is 0, but that channel holds categ"),
    "quantiles by step": (lambda: regressor(X, loss="quantile", per_step=True), "cannot be used with per_step=True"),
    "one target for steps": (lambda: regressor(per_step=True), "per_step=True takes a target for every step"),
    "times as X": (lambda: regressor(data=pd.DataFrame({"a": TIMES[:24]})), "X has times .datetime64.*make numbers"),
    "times as y": (lambda: regressor(TIMES[:24]), "y has times"),
    "complex X": (lambda: regressor(data=pd.DataFrame(X * 1j)), "Complex data not supported: X has complex128"),
    "words as X": (lambda: regressor(data=[["a"] * 5] * 24), "X cannot be used: could not convert .* Pass Sequences"),
    "words as weights": (lambda: regressor(weights=["a"] * 24), "sample_weight cannot be used: could not convert"),
    "other channels of X_val": (
        lambda: RNNRegressor(**TINY).fit(X[:, :, None], Y, X_val=np.ones((2, 5, 2)), y_val=[0, 1]),
        "X_val has 2 channels, but X has 1",
    ),
    "targets of X_val": (
        lambda: RNNRegressor(**TINY).fit(X, Y, X_val=X, y_val=Y[:3]),
        "y_val cannot be used: Found inp",
    ),
    "weights for many labels": (lambda: classifier(LABELS, class_weight="balanced"), "class_weight is for one class"),
    "other labels": (
        lambda: classifier(LABELS, warm_start=True).fit(X, np.eye(24, 4, dtype=int)),
        "y has 4 labels, numbered from 0, but .* are .0, 1, 2.",
    ),
    "negative class weights": (lambda: classifier(class_weight={True: -1.0}), "class_weight is .* not negative"),
    "words as class weights": (lambda: classifier(class_weight={True: "a"}), "class_weight cannot be used"),
    "one class after several labels": (
        lambda: classifier(LABELS, warm_start=True).fit(X, LABELS[:, 0]),
        "y holds one class a sample, but a matrix of labels before",
    ),
    "several labels after one class": (
        lambda: classifier(warm_start=True).fit(X, LABELS),
        "y holds a matrix of labels, but one class a sample before",
    ),
    "a missing label to score": (lambda: classifier().score(X, [True, None] * 12), "y contains a missing label, first"),
    "a missing label of a step to score": (
        lambda: classifier(X > 0, per_step=True).score(X, np.where(np.arange(5) == 2, None, X > 0)),
        "Sample 0 has no target at its step 2",
    ),
    "a missing label of a last step": (
        lambda: classifier(X > 0, per_step=True).score(X, np.where(np.arange(5) == 4, None, X > 0)),
        "Sample 0 has 5 steps in X, but 4 targets in y",
    ),
    "one sequence as a table": (
        lambda: regressor(data=X[:, :, None].repeat(2, 2)).predict(X[0, :4].reshape(2, 2)),
        r"X has 1 channels, but .* with 2. .* wrap a single sequence \(n_steps, n_channels\) in a list",
    ),
    "classes of mixed types": (lambda: classifier(["a", None] * 12), "y contains a missing label, first in row 1"),
    "known classes of mixed types": (
        lambda: RNNClassifier(**TINY).partial_fit(X, ["a", "b"] * 12, classes=["a", None]),
        "classes cannot be used",
    ),
    "a huge net": (lambda: regressor(hidden_size=10**6), "hidden_size is 1000000 .* 3.0e.12 recurrent weights"),
    "an optimizer without rate": (
        lambda: regressor(optimizer=torch.optim.LBFGS),
        "optimizer is LBFGS, but a class must",
    ),
    "an optimizer that needs more": (
        lambda: regressor(optimizer=WithMomentum),
        "optimizer is WithMomentum, but .* needs no more",
    ),
    "an optimizer of matrices": (
        lambda: regressor(optimizer=torch.optim.Muon),
        "optimizer is Muon, but .* for vectors as well as matrices",
    ),
    "a class that is none": (lambda: regressor(optimizer=dict), "optimizer is dict, but a class must"),
    "no callback": (
        lambda: regressor(callbacks=[print]),
        "callbacks has <built-in function print>, which is no skorch",
    ),
    "hundreds of digits": (
        lambda: regressor(n_iter_no_change=10**400),
        "n_iter_no_change cannot be used: int too large",
    ),
    "a length of time": (lambda: regressor(batch_size=np.timedelta64(3, "h")), "batch_size is .* no length of time"),
    "a quantile twice": (lambda: forecaster(quantiles=[0.1, 0.1]), "quantiles is .* each may occur once"),
    "quantiles of texts": (lambda: forecaster(quantiles=["0.1"]), "quantiles is ..0.1.., but must be numbers"),
    "quantiles of words": (lambda: forecaster(quantiles=["low"]), "quantiles cannot be used: could not convert"),
    "columns of columns": (
        lambda: forecaster(pd.concat({"a": TABLE}, axis=1)),
        "X has a MultiIndex of columns. Give each column one name",
    ),
    "a name twice": (lambda: forecaster(TABLE.rename(columns={"wind": "load"})), "Column 'load' of X occurs twice"),
    "lists in cells": (lambda: forecaster(TABLE.assign(a=[[1]] * 30)), "Column 'a' cannot be used: unhashable"),
    "complex cells": (lambda: forecaster(TABLE * 1j, known="wind"), "target 'load' is complex128"),
    "words where numbers were": (
        lambda: forecaster().predict(TABLE.assign(wind="strong")),
        "Column 'wind' is .*, but it was numbers in fit",
    ),
    "a list as the future": (
        lambda: forecaster(known="wind").predict(future=[1, 2]),
        "future is a list, but must be a DataFrame",
    ),
    "infinity in the future": (
        lambda: forecaster(known="wind").predict(future=LATER.assign(wind=np.inf)),
        "future cannot be used: Column 'wind' has infinity, .* in row 0",
    ),
    "words in the future": (
        lambda: forecaster(known="wind").predict(future=LATER.assign(wind="strong")),
        "future cannot be used: Column 'wind' is .*, but it was numbers in fit",
    ),
    "more rows than are to come, without times": (
        lambda: forecaster(TABLE.reset_index(drop=True).to_numpy(), 0, known=1).predict(
            future=TABLE.set_axis([0, 1], axis=1)
        ),
        "future has 30 rows, but without times it must have just the 2 that come next",
    ),
    "an array of more columns": (
        lambda: forecaster(TABLE.to_numpy(), 0).predict(np.ones((30, 3))),
        "X has 3 columns, but 2 in fit. Arrays are read by position",
    ),
    "quantiles of one name": (
        lambda: forecaster(quantiles=[0.1, 0.1000000001]),
        "quantiles has two that are both called 'q0.1'",
    ),
    "dates as categories": (
        lambda: forecaster(TABLE.assign(day=TIMES.date)),
        "Column 'day' is date, which is neither numbers nor categories",
    ),
    "validation rows of other columns": (
        lambda: RNNRegressor(**TINY).fit(X, Y, X_val=X[:, :3], y_val=Y),
        r"X_val has shape .24, 3., but X has 5 columns",
    ),
    "validation lists of other columns": (
        lambda: RNNRegressor(**TINY).fit(X.tolist(), Y, X_val=X[:, :3].tolist(), y_val=Y),
        r"X_val has shape .24, 3., but X has 5 columns",
    ),
    "a class in validation alone": (
        lambda: RNNClassifier(**TINY).fit(X, ["a", "b"] * 12, X_val=X, y_val=["z"] * 24),
        "y_val cannot be used: y has the class 'z', which is not among the model's classes .'a', 'b'.: those of y in",
    ),
    "no backtest": (lambda: forecaster().backtest_summary(TABLE), "backtest must be the DataFrame"),
    "a summary by nothing": (lambda: summary_by([]), "by is .*, but must name columns of the backtest"),
    "a summary by lists": (lambda: summary_by([[]]), "by is .*, but must name columns of the backtest"),
    "half an origin": (lambda: forecaster().backtest(TABLE, n_origins=1.5), "n_origins is 1.5, but must be an integer"),
    "a future too short": (
        lambda: forecaster(TABLE.reset_index(drop=True).to_numpy(), 0, known=[1]).predict(
            future=pd.DataFrame({1: [1.0]})
        ),
        "future has fewer than the 2 rows that are needed",
    ),
    "a channel that is not there": (lambda: Sequences(np.ones((3, 1)), [0], [3], categorical=[1]), "categorical is .1"),
    "no channels": (lambda: as_sequences(X, n_channels=0), "n_channels is 0, but must be at least 1"),
    "a type of words": (lambda: as_sequences(X, dtype="str"), "dtype is 'str', but must be float32 or float64"),
    "times in a list": (lambda: as_sequences([TIMES.to_numpy(), TIMES[:3].to_numpy()]), "Sample 0 of X has times"),
    "a table of texts": (
        lambda: SequenceVectorizer().fit_transform(pd.DataFrame({"words": ["a b", "c"]})),
        r"raw_documents is a table with the columns \['words'\]. Pass the one with the texts as a Series",
    ),
    "a text that is none": (
        lambda: SequenceVectorizer().fit(5),
        "raw_documents cannot be used: .* Pass a list of texts",
    ),
    "a broken pattern": (
        lambda: SequenceVectorizer(token_pattern="(").fit(["a"]),
        "raw_documents cannot .*token_pattern",
    ),
    "an array of codes": (
        lambda: SequenceVectorizer().fit(["a"]).inverse_transform(np.ones((1, 2, 1))),
        "but must be Sequences of one channel",
    ),
    "codes of no token": (
        lambda: SequenceVectorizer().fit(["a"]).inverse_transform(as_sequences([[7.0, 0.5]])),
        "X has codes that stand for no token: there are those from 0 to 1",
    ),
    "no sequence to predict": (lambda: regressor().predict(CATEGORIES[:0]), "X is empty. Pass at least one sequence"),
    "no step to predict": (
        lambda: regressor(X, X[:, :, None], per_step=True).predict(CATEGORIES[:0]),
        "X is empty. Pass at least one sequence",
    ),
    "no sequence to stop by": (
        lambda: RNNRegressor(**TINY).fit(CATEGORIES, Y, X_val=CATEGORIES[:0], y_val=[]),
        "X_val is empty",
    ),
    "a text as a table": (lambda: forecaster().predict("abc"), "X is 'abc', but must be a table"),
    "no value of the target": (lambda: forecaster(TABLE.assign(load=np.nan)), "target has no value in any row"),
    "no target": (lambda: forecaster(target=[]), "target names no column. Name the column"),
    "counts that are all zero": (lambda: regressor(np.zeros(24), loss="poisson"), "learns a rate, but y is 0 in all"),
    "a class to search over": (lambda: search_space(RNNRegressor), "the class RNNRegressor. Pass an instance: RNNRegr"),
    "times beyond int64": (
        lambda: SlidingWindow(2).fit(TABLE.set_index(pd.Index(np.arange(30, dtype="uint64") + np.uint64(2**63 - 2)))),
        "has 9223372036854775835, but integers end at",
    ),
    "padding as integers": (lambda: np.asarray(as_sequences([[1.0], [1.0, 2.0]]), dtype=int), "int64 has no NaN for"),
    "no rows to forecast": (lambda: forecaster().predict(TABLE[:0]), "X has no rows. Pass at least one"),
    "no rows to refit on": (lambda: forecaster().backtest(TABLE[:0], refit=True), "X has no rows. Pass at least one"),
    "a static column of one series": (
        lambda: forecaster(static="wind"),
        "static column 'wind' changes, but a static column has one value",
    ),
    "words as quantiles after fit": (
        lambda: forecaster(quantiles=[0.1]).set_params(quantiles="abc").predict(),
        "quantiles cannot be used: could not convert",
    ),
    "nothing to split": (lambda: next(WindowSplit(2).split(None)), "X cannot be used: Expected sequence"),
    "a group of lists": (lambda: SlidingWindow(2, group=[[]]).fit(TABLE), r"X has no column \[\]"),
}


def summary_by(names):
    model = forecaster()
    return model.backtest_summary(model.backtest(TABLE, n_origins=1), by=names)


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_the_reason_and_what_to_do(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_parameter_that_is_unknown_is_refused_by_name():
    for estimator in (RNNRegressor(), RNNClassifier(), RNNForecaster("load", 2), SlidingWindow(), SequenceVectorizer()):
        with pytest.raises(ValueError, match="Invalid parameter 'hiden_size'"):
            estimator.set_params(hiden_size=3)
        with pytest.raises(TypeError, match="hiden_size"):
            type(estimator)(**{**estimator.get_params(), "hiden_size": 3})


# Rare forms that are taken --------------------------------------------------------------------------------------------


def test_names_of_an_earlier_fit_are_forgotten():
    named = Sequences(np.ones((24, 2)), np.arange(24), np.ones(24, int), channel_names=["a", "b"])
    model = RNNRegressor(**TINY).fit(named, Y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert not hasattr(model.fit(X[:, :, None], Y), "feature_names_in_")


def test_one_number_weighs_every_sample():
    np.testing.assert_array_equal(regressor(weights=3.0).predict(X), regressor(weights=np.ones(24)).predict(X))


def test_a_callback_may_have_a_name_or_be_a_class():
    class Count(Callback):
        n_epochs = 0

        def on_epoch_end(self, net, **kwargs):
            type(self).n_epochs += 1

    for callback in (("counter", Count()), Count, ("counter", Count)):
        regressor(callbacks=[callback])
    assert Count.n_epochs == 3


def test_steps_with_integer_classes_come_as_a_dense_array():
    labels = (X > 0).astype(int)
    model = classifier(labels, per_step=True)
    assert model.predict(X).shape == labels.shape
    assert model.predict([X[0, :3], X[1]]).shape == (2, 5)
    assert model.score(X, labels, np.linspace(1, 2, 24)) > 0


@pytest.mark.parametrize("split", ["tail", "random", "stratified"])
def test_a_classifier_holds_out_as_it_is_told(split):
    model = classifier(early_stopping=True, validation_split=split, validation_fraction=0.5)
    assert np.isfinite(model.history_["valid_loss"]).all()


def test_the_anchor_is_the_newest_value_that_is_there():
    data = np.stack([X, X], axis=2)
    data[:, -2, 0] = 100 * np.arange(24)
    data[:, -1, 0] = np.nan
    data[3, -2:, 0] = np.nan
    data[4, :, 0] = np.nan
    expected = data[:, -2, 0].copy()
    expected[3], expected[4] = data[3, -3, 0], np.nanmean(data[:, :, 0])
    model = regressor(expected, data, anchor=0)
    np.testing.assert_allclose(model.predict(data), expected, rtol=1e-5, atol=1e-3)


def test_masked_rows_of_sequences_are_missing():
    rows = np.ma.masked_array(np.arange(4.0), [False, True, False, False])
    made = Sequences(rows, [0], [4])
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made[0].ravel(), [0, np.nan, 2, 3])


def test_a_series_is_a_table_of_one_column():
    forecast = forecaster(TABLE["load"]).predict()
    np.testing.assert_array_equal(forecast["load"], forecaster(TABLE[["load"]]).predict()["load"])


def test_the_known_future_of_rows_without_times_is_in_their_order():
    rows = TABLE.reset_index(drop=True).assign(shop=["a", "b"] * 15)
    model = forecaster(rows, known="wind", group="shop")
    future = pd.DataFrame({"shop": ["b", "b", "a", "a"], "wind": [3.0, 4.0, 1.0, 2.0]})
    sorted_future = future.sort_values("wind")
    pd.testing.assert_frame_equal(model.predict(future=future), model.predict(future=sorted_future))
    other = model.predict(future=future.assign(wind=[1.0, 2.0, 3.0, 4.0]))
    assert (other["load"] != model.predict(future=future)["load"]).all()


def test_categories_may_be_of_several_types():
    model = forecaster(TABLE.assign(kind=pd.Series(MIXED, dtype=object, index=TIMES)))
    assert np.isfinite(model.predict()["load"]).all()


def test_the_vectorizers_channel_has_a_name():
    assert SequenceVectorizer().fit(["a b"]).get_feature_names_out().tolist() == ["token"]


def test_a_clone_has_the_parameters_and_nothing_else():
    model = regressor(checkpoint=None, checkpoint_every=3)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert vars(copy) == model.get_params()


def test_what_the_memory_does_not_hold_is_no_matter_of_types():
    class Large:
        ndim = 3

        def __array__(self, dtype=None, copy=None):
            raise MemoryError("Unable to allocate 3.64 TiB")

    with pytest.raises(MemoryError, match="TiB"):
        regressor().predict(Large())
