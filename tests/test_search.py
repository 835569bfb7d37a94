"""search_space: names, ranges, and that every draw from it is a model that trains."""

import re
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, SlidingWindow, WindowSplit, search_space

TINY = {"hidden_size": 4, "max_epochs": 1, "random_state": 0, "n_threads": 1, "device": "cpu"}
PAGE = Path(__file__).parents[1] / "docs" / "searching.rst"


def series(n_rows=90):
    X = pd.DataFrame({"load": np.sin(np.arange(n_rows))})
    return X, X["load"].to_numpy()


def drawn(space, n=8):
    return ParameterSampler(space, n, random_state=0)


def test_names_have_the_prefixes_of_the_steps_and_come_in_the_order_to_search():
    pipeline = make_pipeline(SlidingWindow(8), RNNRegressor())
    of_regressor = "learning_rate hidden_size segment_size dropout pooling cell bidirectional n_layers weight_decay"
    of_classifier = "segment_size bidirectional pooling dropout learning_rate hidden_size cell n_layers weight_decay"
    names = ["slidingwindow__n_steps", *(f"rnnregressor__{name}" for name in of_regressor.split())]
    assert list(search_space(pipeline)) == names
    assert list(search_space(RNNClassifier())) == of_classifier.split()
    around = TransformedTargetRegressor(regressor=pipeline)
    assert list(search_space(around)) == [f"regressor__{name}" for name in names]
    for model in (pipeline, around, RNNClassifier(), RNNForecaster("load", 3)):
        assert set(search_space(model)) <= set(model.get_params())


def test_ranges_lie_around_the_models_own_settings():
    space = search_space(make_pipeline(SlidingWindow(10), RNNRegressor(hidden_size=20, learning_rate=0.1)))
    assert space["slidingwindow__n_steps"] == [5, 10, 20]
    assert space["rnnregressor__hidden_size"] == [5, 10, 20, 40]
    np.testing.assert_allclose(space["rnnregressor__learning_rate"].support(), (0.01, 0.5))
    rates = space["rnnregressor__learning_rate"].rvs(2000, random_state=0)
    assert np.median(rates) == pytest.approx(np.sqrt(0.01 * 0.5), rel=0.1)  # even on a logarithmic scale
    assert search_space(RNNForecaster("load", 24))["n_steps"] == ["auto", 48, 96, 192]
    assert search_space(RNNForecaster("load", 2, n_steps=30))["n_steps"] == [15, 30, 60]


def test_each_space_is_its_callers_own():
    search_space(RNNRegressor())["pooling"].clear()
    assert "attention" in search_space(RNNClassifier())["pooling"]


def test_what_a_model_cannot_have_is_left_out():
    assert {"segment_size", "pooling"}.isdisjoint(search_space(RNNRegressor(per_step=True)))
    assert "cell" not in search_space(RNNRegressor(cell="rnn", nonlinearity="relu"))
    assert search_space(RNNClassifier(segment_size=10))["segment_size"] == [1, 5, 10]


def test_every_draw_is_a_model_that_trains():
    X, y = series()
    windows = np.lib.stride_tricks.sliding_window_view(y, 6)
    for model, arguments in (
        (make_pipeline(SlidingWindow(4), RNNRegressor(**TINY)), (X, y)),
        (RNNClassifier(**TINY), (windows, windows[:, -1] > 0)),
        (RNNRegressor(per_step=True, **TINY), (windows, windows)),
        (RNNForecaster("load", 3, **TINY), (X,)),
    ):
        for parameters in drawn(search_space(model)):
            clone(model).set_params(**parameters).fit(*arguments)


def test_a_random_search_runs_on_it():
    X, y = series()
    model = make_pipeline(SlidingWindow(4), RNNRegressor(**TINY))
    search = RandomizedSearchCV(model, search_space(model), n_iter=3, cv=WindowSplit(2), random_state=0)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_a_model_without_a_net_is_refused():
    for model in (Ridge(), make_pipeline(Ridge()), "gru"):
        with pytest.raises(TypeError, match="but search_space knows RNNRegressor"):
            search_space(model)


def test_a_model_whose_parameters_are_unfit_is_refused():
    with pytest.raises(ValueError, match="The 'learning_rate' parameter of RNNRegressor must be a float"):
        search_space(make_pipeline(SlidingWindow(4), RNNRegressor(learning_rate="fast")))


def blocks_of_the_page():
    indented = r"\.\. code-block:: python\n\n((?:(?: {4}[^\n]*)?\n)+)"
    return [textwrap.dedent(block) for block in re.findall(indented, PAGE.read_text(encoding="utf-8"))]


def run_small(code, names):
    """A block of the page, with fewer trials and a smaller net."""
    small = code.replace("n_iter=30", "n_iter=2").replace("n_trials=30", "n_trials=3").replace("=45", "=15")
    small = small.replace("RNNRegressor(random_state=0)", "RNNRegressor(hidden_size=4, max_epochs=1, random_state=0)")
    exec(compile(small, str(PAGE), "exec"), names)
    return names["search"]


def test_the_pages_searches_run():
    X, y = series(240)
    names = {}
    random, halving = blocks_of_the_page()[:2]
    search = run_small(random, names)
    assert search.fit(X, y).best_params_.keys() == names["space"].keys()
    assert isinstance(names["space"]["rnnregressor__learning_rate"], type(loguniform(1, 2)))
    search = run_small(halving, names).fit(X, y)
    assert search.n_resources_ == [5, 15]


def test_the_pages_recipe_for_optuna_runs():
    pytest.importorskip("optuna_integration")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    X, y = series(240)
    names = {}
    model, _, recipe = blocks_of_the_page()[:3]
    run_small(model, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)  # of Optuna's own modules
        search = run_small(recipe, names).fit(X, y)
    assert search.n_trials_ == 3
    assert search.best_params_.keys() == search_space(names["model"]).keys()
    rate = names["as_optuna"](loguniform(1e-3, 1e-2))
    assert (rate.low, rate.high, rate.log) == (1e-3, 1e-2, True)


def test_estimators_in_lists_are_found():
    models = [("a", RNNRegressor()), ("b", Ridge())]
    names = [f"a__{name}" for name in search_space(RNNRegressor())]
    for around in (VotingRegressor(models), StackingRegressor(models)):
        assert list(search_space(around)) == names
        assert set(names) <= set(around.get_params())


def test_parameters_that_cannot_be_together_are_refused():
    for model in (RNNForecaster("a", 1, quantiles=[2.0]), RNNRegressor(precision="bf16", dtype="float64")):
        with pytest.raises(ValueError, match="quantiles is|precision='bf16'"):
            search_space(model)
