"""How training goes: bars, lines and tables for the user, tasks for scikit-learn's callbacks."""

import io
import pickle
import re

import numpy as np
import pytest
import tqdm.auto
import tqdm.notebook
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, SequenceVectorizer, SlidingWindow, _progress

TINY = {"hidden_size": 4, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu"}


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(60, 5))
    return X, X[:, -1] + 0.5 * X[:, -2]


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal

    def lines(self):
        """What stands there in the end: a carriage return begins its line anew."""
        return [line.split("\r")[-1].rstrip() for line in self.getvalue().removesuffix("\n").split("\n")]


@pytest.fixture
def shown(monkeypatch):
    """Calls a function and gives what it showed on a terminal or wrote to a log."""

    def show(function, *, terminal):
        screen = Screen(terminal)
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", screen)
            function()
        return screen

    return show


# For the user ---------------------------------------------------------------------------------------------------------


def numbers_in(text):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def test_a_terminal_shows_one_bar_with_the_losses_and_the_best_epoch(data, shown):
    model = RNNRegressor(**TINY, early_stopping=True, verbose=1)
    screen = shown(lambda: model.fit(*data), terminal=True)
    (line,) = screen.lines()
    assert line.startswith("epoch 3/3 |")
    last, best = model.history_.iloc[-1], model.history_["valid_loss"].min()
    assert numbers_in(line) == pytest.approx([last["train_loss"], last["valid_loss"], best], rel=1e-3)
    assert line.endswith(f"(epoch {model.best_epoch_})")
    assert "\r" in screen.getvalue()


def test_without_validation_data_the_bar_has_the_loss_alone(data, shown):
    (line,) = shown(lambda: RNNRegressor(**TINY, verbose=True).fit(*data), terminal=True).lines()
    assert len(numbers_in(line)) == 1
    assert "best" not in line


def test_a_bar_is_full_where_training_stopped_early(data, shown):
    options = {**TINY, "max_epochs": 50, "schedule": "constant"}  # no epochs that do not count
    model = RNNRegressor(**options, early_stopping=True, n_iter_no_change=1, tol=10.0, verbose=1)
    (line,) = shown(lambda: model.fit(*data), terminal=True).lines()
    assert model.n_iter_ == 2
    assert line.startswith("epoch 2/2 |")


def test_a_log_gets_whole_lines_one_at_the_end_of_a_quick_fit(data, shown):
    model = RNNRegressor(**TINY, early_stopping=True, verbose=1)
    screen = shown(lambda: model.fit(*data), terminal=False)
    assert re.fullmatch(r"3 epochs in 0 s: loss \S+, valid \S+, best \S+ \(epoch 3\)\n", screen.getvalue())


def test_a_log_gets_a_line_every_half_minute_of_a_slow_fit(data, shown, monkeypatch):
    clock = iter(range(0, 1000, 20))  # seconds: each epoch takes twenty
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock))
    model = RNNRegressor(**{**TINY, "max_epochs": 6}, verbose=1)
    lines = shown(lambda: model.fit(*data), terminal=False).lines()
    assert [line.split(":")[0] for line in lines] == ["epoch 2 of 6", "epoch 4 of 6", "6 epochs in 140 s"]
    assert [line.split("; ")[1] for line in lines[:2]] == ["at most 80 s left", "at most 40 s left"]


def test_progress_behind_a_checkpoint_counts_the_time_of_its_own_epochs(data, shown, monkeypatch, tmp_path):
    class StopAtFour(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise MemoryError

    model = RNNRegressor(
        **{**TINY, "max_epochs": 6}, early_stopping=True, checkpoint=tmp_path / "checkpoint", verbose=1
    )
    with pytest.raises(MemoryError):
        shown(lambda: clone(model).set_params(callbacks=[StopAtFour()]).fit(*data), terminal=False)
    clock = iter(range(0, 1000, 40))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock))
    lines = shown(lambda: model.fit(*data), terminal=False).lines()
    assert lines[0].startswith("epoch 4 of 6")
    assert lines[0].endswith("at most 80 s left")
    assert lines[-1].startswith("3 epochs in 160 s")
    best = model.history_["valid_loss"].idxmin() + 1
    assert lines[-1].endswith(f"(epoch {best})")


def test_a_bar_is_closed_when_training_fails(data, shown):
    def fail():
        with pytest.raises(ValueError, match="loss became"):
            RNNRegressor(**TINY, learning_rate=1e30, gradient_clip=None, optimizer="sgd", verbose=1).fit(*data)

    assert shown(fail, terminal=True).getvalue().endswith("\n")
    assert not tqdm.auto.tqdm._instances


def test_verbose_2_prints_a_table(data, shown):
    model = RNNRegressor(**TINY, early_stopping=True, verbose=2)
    lines = shown(lambda: model.fit(*data), terminal=True).lines()
    assert lines[0].split() == ["epoch", "learning_rate", "train_loss", "valid_loss", "dur"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]


def test_in_a_notebook_the_bar_is_a_widget_whatever_the_stream(shown, monkeypatch):
    class Widget(tqdm.notebook.tqdm):
        """Without what only a notebook has."""

        def __init__(self, *args, **kwargs):
            pass

        def close(self):
            pass

    monkeypatch.setattr(tqdm.auto, "tqdm", Widget)
    made = []
    shown(lambda: made.append(_progress.show_progress(3)), terminal=False)
    assert isinstance(made[0], _progress.Bar)


def test_a_forecaster_says_its_skill_below_the_bar(shown):
    series = np.sin(np.arange(80.0))
    model = RNNForecaster(0, 2, early_stopping=True, verbose=1, **TINY)
    lines = shown(lambda: model.fit(series), terminal=True).lines()
    assert [line.split()[0] for line in lines] == ["epoch", "Validation"]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("kind", ["regressor", "forecaster"])
def test_the_trainings_of_a_cross_validation_are_shown_by_name(kind, terminal, shown):
    series, options = np.sin(np.arange(320.0)), {**TINY, "verbose": 1}
    if kind == "regressor":
        model = RNNRegressor(**{**options, "max_epochs": "auto"})
        lines = shown(lambda: model.fit(series.reshape(40, 8), series[:40]), terminal=terminal).lines()
    else:
        model = RNNForecaster(0, 2, n_steps=8, known=[1], **options)
        lines = shown(lambda: model.fit(np.column_stack([series, series])), terminal=terminal).lines()
    names = [f"trial {i} of 3: " for i in (1, 2, 3)]
    assert [line.startswith(name) for line, name in zip(lines, [*names, "trial"], strict=True)] == [True] * 3 + [False]
    assert all(re.search(r"loss \d", line) for line in lines)


# For scikit-learn's callbacks -----------------------------------------------------------------------------------------


class Recorder:
    """A callback that writes down what it is told; it wants to stop after some epochs."""

    def __init__(self, stop_after=None):
        self.told, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.told.append(("setup", context.task_name, context.max_subtasks))

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.task_name, context.max_subtasks))

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", context.task_name, context.max_subtasks))

    def on_fit_task_end(self, estimator, context):
        self.told.append(("end", context.task_name, context.task_id))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


class Keeper(Recorder):
    """Keeps the data and the fitted estimators of each task."""

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.told.append((context.task_name, X, y, metadata, fitted_estimator))


def supports_callbacks():
    return hasattr(RNNRegressor(), "set_callbacks")


callbacks = pytest.mark.skipif(not supports_callbacks(), reason="scikit-learn has callbacks from 1.9 on")


@callbacks
def test_a_fit_is_a_task_and_its_epochs_are_tasks_in_it(data):
    recorder = Recorder()
    model = RNNRegressor(**TINY).set_callbacks(recorder).fit(*data)
    epochs = [told for i in range(3) for told in (("begin", "epoch", 0), ("end", "epoch", i))]
    begin, end = [("setup", "fit", None), ("begin", "fit", 3)], [("end", "fit", 0), ("teardown", "fit", 3)]
    assert recorder.told == [*begin, *epochs, *end]
    assert {name for name in vars(model) if "callback" in name} == {"callbacks", "_skl_callbacks"}


@callbacks
@pytest.mark.parametrize("estimator", [SlidingWindow(2), SequenceVectorizer()])
def test_a_transformer_is_one_task(estimator):
    recorder = Recorder()
    X = ["a b", "c"] if isinstance(estimator, SequenceVectorizer) else np.ones((4, 1))
    clone(estimator).set_callbacks(recorder).fit(X)
    assert [told[0] for told in recorder.told] == ["setup", "begin", "end", "teardown"]


@callbacks
def test_each_epoch_has_a_fitted_estimator_as_if_training_had_ended_there(data):
    X, y = data
    keeper = Keeper()
    options = {**TINY, "schedule": "constant"}
    model = RNNRegressor(**options).set_callbacks(keeper).fit(X, y, sample_weight=np.ones(60))
    names, Xs, ys, metadata, fitted = zip(*[told for told in keeper.told if len(told) == 5], strict=True)
    assert names == ("epoch", "epoch", "epoch", "fit")
    assert all(seen is X for seen in Xs)
    assert all(seen is y for seen in ys)
    assert all(list(seen) == ["sample_weight"] for seen in metadata)
    for n_epochs, estimator in zip((1, 2, 3, 3), fitted, strict=True):
        alone = RNNRegressor(**{**options, "max_epochs": n_epochs}).fit(X, y, sample_weight=np.ones(60))
        np.testing.assert_array_equal(estimator.predict(X), alone.predict(X))
        assert estimator.n_iter_ == estimator.best_epoch_ == n_epochs
    np.testing.assert_array_equal(model.predict(X), fitted[-1].predict(X))


@callbacks
def test_estimators_of_every_kind_can_predict_after_each_epoch(data):
    X, y = data
    for model, arguments in (
        (RNNClassifier(**TINY, early_stopping=True), (X, y > 0)),
        (RNNRegressor(**TINY, warm_start=True).fit(X, y), (X, y)),
        (RNNForecaster(0, 2, quantiles=(0.1, 0.9), conformal=True, **TINY), (np.sin(np.arange(80.0)),)),
    ):
        keeper = Keeper()
        model.set_callbacks(keeper).fit(*arguments)
        fitted = [told[-1] for told in keeper.told if told[0] == "epoch"]
        assert len(fitted) == 3
        for estimator in fitted:
            X_new = None if isinstance(model, RNNForecaster) else X
            assert np.isfinite(estimator.predict(X_new)).all()


@callbacks
def test_a_callback_can_end_training_and_does_not_change_it(data):
    stopped = RNNRegressor(**TINY).set_callbacks(Recorder(stop_after=2)).fit(*data)
    assert stopped.n_iter_ == 2
    watched, alone = (RNNRegressor(**TINY, dropout=0.5) for _ in range(2))
    watched.set_callbacks(Keeper()).fit(*data)
    np.testing.assert_array_equal(watched.predict(data[0]), alone.fit(*data).predict(data[0]))


@callbacks
def test_a_failing_fit_tears_down_and_leaves_nothing(data):
    recorder = Recorder()
    model = RNNRegressor(**TINY).set_callbacks(recorder)
    before = set(vars(model))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(data[0], data[1][:5])
    assert [told[0] for told in recorder.told] == ["setup", "teardown"]
    assert set(vars(model)) == before
    with pytest.raises(ValueError, match="loss became"):
        model.set_params(learning_rate=1e30, gradient_clip=None, optimizer="sgd").fit(*data)
    assert recorder.told[-1][0] == "teardown"
    assert set(vars(model)) == before


@callbacks
def test_clones_share_callbacks_and_pickles_keep_them(data):
    recorder = Recorder()
    model = RNNRegressor(**TINY).set_callbacks(recorder)
    clone(model).fit(*data)
    assert len(recorder.told) == 10
    copied = pickle.loads(pickle.dumps(model.fit(*data)))
    assert len(recorder.told) == 20
    np.testing.assert_array_equal(copied.fit(*data).predict(data[0]), model.predict(data[0]))
    assert len(recorder.told) == 20  # the copy has its own


@callbacks
def test_scikit_learns_monitor_scores_each_epoch(data):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=["r2", "neg_mean_absolute_error"])
    model = RNNRegressor(**TINY).set_callbacks(monitor).fit(*data)
    log = monitor.get_logs().data_as_pandas
    assert log["task_name"].tolist() == ["fit", "epoch", "epoch", "epoch"]
    assert log["r2"].iloc[[0, -1]].tolist() == [model.score(*data)] * 2
    assert log["r2"].nunique() == 3


@callbacks
def test_a_search_over_a_pipeline_passes_its_callbacks_on():
    X = np.random.default_rng(0).normal(size=(40, 2))
    recorder = Recorder()
    recorder.max_propagation_depth = None  # which makes it one that is passed on
    search = GridSearchCV(
        make_pipeline(SlidingWindow(2), RNNRegressor(**TINY)), {"rnnregressor__cell": ["rnn", "gru"]}, cv=KFold(2)
    )
    search.set_callbacks(recorder).fit(X, X[:, 0])
    epochs = [told for told in recorder.told if told[:2] == ("begin", "epoch")]
    assert len(epochs) == 5 * 3  # two candidates on two folds, and the best one again


@callbacks
def test_scikit_learns_bars_show_a_search(shown):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    X = np.random.default_rng(0).normal(size=(40, 2))
    search = GridSearchCV(
        make_pipeline(SlidingWindow(2), RNNRegressor(**TINY)), {"rnnregressor__cell": ["rnn", "gru"]}, cv=KFold(2)
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    lines = shown(lambda: search.fit(X, X[:, 0]), terminal=False).lines()
    assert sum("RNNRegressor - fit" in line and "100%" in line for line in lines) == 5
    assert sum("SlidingWindow - fit" in line and "100%" in line for line in lines) == 5
