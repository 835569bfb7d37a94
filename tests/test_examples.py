"""The examples run as they stand and show what they say."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def run(script, *arguments, cwd):
    command = [sys.executable, "-W", "error", EXAMPLES / script, *map(str, arguments)]
    without_windows = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(command, cwd=cwd, env=without_windows, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def number_after(label, output):
    return float(re.search(rf"^{re.escape(label)} +(-?[0-9.]+)", output, flags=re.MULTILINE).group(1))


@pytest.fixture(scope="module")
def forecast():
    """The script as a module, to see its functions and its errors without a new process."""
    spec = importlib.util.spec_from_file_location("forecast", EXAMPLES / "forecast.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hourly_load(n_hours):
    hours = pd.date_range("2025-03-01", periods=n_hours, freq="h")
    noise = np.random.default_rng(0).normal(scale=0.1, size=n_hours)
    load = 50 + 10 * np.sin(2 * np.pi * hours.hour / 24) + noise
    return pd.DataFrame({"hour": hours.strftime("%Y-%m-%d %H:%M"), "store": "north", "load": load})


def test_forecast_beats_the_naive_forecasts_of_the_sea_temperature(tmp_path):
    output = run("forecast.py", cwd=tmp_path)
    naive = [number_after(name, output) for name in ("last value", "one season before", "mean of the season")]
    assert number_after("RNNRegressor", output) < min(naive)
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    following = pd.read_csv(tmp_path / "forecast.csv", index_col=0)
    assert list(following.index) == ["2011-01-01"]
    assert 21 < following["temperature"].iloc[0] < 27  # Januaries from 1950 to 2010


def test_forecast_continues_the_users_own_table(tmp_path):
    table = hourly_load(400)
    table[:-3].sample(frac=1, random_state=0).to_csv(tmp_path / "data.csv", index=False)
    output = run("forecast.py", "data.csv", "--target", "load", "--horizon", 3, "--n-steps", 8, cwd=tmp_path)
    assert "Columns that are not numeric are left out: store" in output
    assert number_after("RNNRegressor", output) < number_after("last value", output) / 5
    following = pd.read_csv(tmp_path / "forecast.csv", index_col="hour", parse_dates=True)
    assert list(following.index.strftime("%Y-%m-%d %H:%M")) == list(table["hour"][-3:])
    np.testing.assert_allclose(following["load"], table["load"][-3:], atol=1.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--target", "load"], "there is no file nowhere.csv"),
        (["data.csv", "--target", "lod"], "data.csv has no column 'lod', only hour, store, load"),
        (["data.csv", "--target", "load", "--time", "date"], "data.csv has no column 'date'"),
        (["data.csv", "--target", "load", "--time", "store"], "column 'store' of data.csv does not read as times"),
        (["data.csv", "--target", "store"], "column 'store' of data.csv is not numeric, its first value is 'north'"),
        (["data.csv", "--target", "load"], r"at least \d+ rows, but there are 100. Pass more rows"),
    ],
)
def test_forecast_says_what_is_wrong_with_the_users_input(forecast, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    hourly_load(100).to_csv("data.csv", index=False)
    monkeypatch.setattr(sys, "argv", ["forecast.py", *arguments])
    with pytest.raises(SystemExit, match=message):
        forecast.main()


def test_forecast_takes_one_time_for_one_row(forecast, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.concat([hourly_load(100)] * 2).to_csv("data.csv", index=False)
    monkeypatch.setattr(sys, "argv", ["forecast.py", "data.csv", "--target", "load"])
    with pytest.raises(SystemExit, match="must have one time per row, but row 102 has 2025-03-01 00:00:00"):
        forecast.main()


def test_the_shortest_table_that_forecast_accepts_is_long_enough(forecast, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x": np.arange(200.0) % 7}).to_csv("data.csv", index=False)
    command = ["forecast.py", "data.csv", "--target", "x", "--n-steps", "6", "--horizon", "2"]
    monkeypatch.setattr(sys, "argv", command)
    needed = next(n for n in range(1, 200) if accepted(forecast, n))
    X = pd.DataFrame({"x": np.arange(float(needed))})
    train = slice(0, int(0.8 * (needed - 2)) - 2)
    search = forecast.rivals([6], 2, train)["Ridge"].set_params(n_jobs=None, error_score="raise")
    search.fit(X[train], X["x"][train])


def accepted(forecast, n_rows):
    try:
        forecast.check_length(np.zeros(n_rows), [6], 2)
    except SystemExit:
        return False
    return True


@pytest.mark.parametrize("horizon", [1, 6, 7, 8, 30])
def test_naive_forecasts_know_only_the_past(forecast, horizon):
    season, n_rows, n_train = 7, 100, 60
    series = pd.Series(np.random.default_rng(0).normal(size=n_rows))
    naive = forecast.naive_forecasts(series, horizon, season, n_train)
    for row in range(season, n_rows):
        times = [time for time in range(row + 1) if (row + horizon - time) % season == 0]
        assert naive["one season before"][row] == series[times[-1]]
        of_training = [series[time] for time in range(n_train) if (row + horizon - time) % season == 0]
        assert naive["mean of the season"][row] == pytest.approx(np.mean(of_training))


def test_first_regression_reads_off_the_half_life(tmp_path):
    output = run("first_regression.py", cwd=tmp_path)
    of_model = number_after("mean absolute error of the half-life, in steps:", output)
    assert of_model < number_after("always guessing the mean:", output) / 3


def test_digits_are_read_both_ways_as_well_as_by_logistic_regression(tmp_path):
    output = run("digits.py", cwd=tmp_path)
    assert number_after("GRU, both ways", output) > number_after("logistic regression", output) - 0.01


def test_gates_solve_the_adding_problem_and_a_plain_rnn_does_not(tmp_path):
    output = run("adding_problem.py", cwd=tmp_path)
    of_mean = number_after("mean", output)
    assert number_after("rnn", output) > 0.9 * of_mean
    assert number_after("lstm", output) < 0.1 * of_mean
    assert number_after("gru", output) < 0.1 * of_mean


def test_grid_search_finds_a_window_and_a_cell_that_beat_persistence(tmp_path):
    output = run("grid_search.py", cwd=tmp_path)
    table = re.findall(r"^(6|12|24) +([0-9.]+) +([0-9.]+) +([0-9.]+)$", output, flags=re.MULTILINE)
    assert [row[0] for row in table] == ["6", "12", "24"]
    best = min(float(error) for row in table for error in row[1:])
    assert best < number_after("this year's number as the forecast:", output)


def test_the_first_forecast_beats_the_year_before(tmp_path):
    output = run("first_forecast.py", cwd=tmp_path)
    assert number_after("mean absolute error:", output) < number_after("the year before:", output) * 0.6


def test_the_pictures_of_windows_tell_what_context_does(tmp_path):
    output = run("windows_and_folds.py", cwd=tmp_path)
    assert "after training: [4 4]" in output
    assert "without context: [1 2]" in output


def test_a_model_comes_back_from_its_file_with_the_same_bits(tmp_path):
    assert "the same bits: True" in run("saving_and_serving.py", cwd=tmp_path)


def test_sentiment_needs_the_order_of_words(tmp_path):
    output = run("sentiment.py", cwd=tmp_path)
    of_bag = number_after("bag of words, logistic regression   accuracy", output)
    assert number_after("GRU                                 accuracy", output) > of_bag + 0.2


def test_motions_are_told_apart(tmp_path):
    assert number_after("accuracy:", run("motion.py", cwd=tmp_path)) > 0.8


def test_spoken_digits_are_recognised(tmp_path):
    assert number_after("accuracy on 80 recordings:", run("spoken_digits.py", cwd=tmp_path)) > 0.95


def test_the_language_model_learns_more_than_the_frequency_of_letters(tmp_path):
    output = run("language_model.py", "--epochs", 12, "--length", 30, cwd=tmp_path)
    before, after = map(float, re.search(r"([0-9.]+) by frequency alone, ([0-9.]+) after", output).groups())
    assert after < before - 0.3
    assert len(output.split("\n", 2)[2].rstrip("\n")) >= 20


def test_the_panel_forecast_beats_the_week_before(tmp_path):
    output = run("panel_forecast.py", cwd=tmp_path)
    errors = re.search(r"Mean absolute error ([0-9.]+); the week before, repeated: ([0-9.]+)\.\n", output)
    of_model, of_naive = map(float, errors.groups())
    assert of_model < of_naive
