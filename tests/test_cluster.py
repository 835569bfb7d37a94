"""Searches over a cluster that loses a worker, and forecasts of a table in parts."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_rnn import RNNForecaster, RNNRegressor, Sequences, SlidingWindow

distributed = pytest.importorskip("dask.distributed")
dataframe = pytest.importorskip("dask.dataframe")

TINY = {"hidden_size": 8, "max_epochs": 1, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
SERIES = np.random.default_rng(0).normal(size=207).cumsum()
X = Sequences(SERIES, np.arange(200), np.full(200, 8))  # windows that share their rows
Y = SERIES[7:] - SERIES[5:-2]
FOLDS = list(KFold(3).split(Y))


@pytest.fixture(scope="module")
def client():
    """Two workers; as the guide says, the data stay on both."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.amm.stop()
        yield client


def searched():
    grid = {"hidden_size": [4, 8], "learning_rate": [0.001, 0.01]}
    return GridSearchCV(RNNRegressor(**TINY), grid, cv=FOLDS).fit(X, Y)


def kill_one_that_works(client, processes):
    """Kill a worker that has work; its process."""
    while not (busy := [address for address, tasks in client.processing().items() if tasks]):
        time.sleep(0.01)
    os.kill(processes[busy[0]], signal.SIGKILL)
    return processes[busy[0]]


def test_a_search_that_loses_a_worker_finds_what_a_serial_one_finds(client):
    serial = searched()
    processes = client.run(os.getpid)
    with ThreadPoolExecutor(1) as pool, parallel_config("dask", scatter=[X, Y, *chain(*FOLDS)]):
        killed = pool.submit(kill_one_that_works, client, processes)
        over_cluster = searched()
    client.wait_for_workers(2, timeout=30)
    assert killed.result() not in client.run(os.getpid).values()
    assert over_cluster.best_params_ == serial.best_params_
    for name in ("mean_test_score", *(f"split{fold}_test_score" for fold in range(3))):
        np.testing.assert_array_equal(over_cluster.cv_results_[name], serial.cv_results_[name])
    np.testing.assert_array_equal(over_cluster.predict(X), serial.predict(X))


def test_scattered_data_are_sent_once_and_not_with_every_fit(client, monkeypatch):
    pickled = []
    state = Sequences.__getstate__
    monkeypatch.setattr(Sequences, "__getstate__", lambda self: pickled.append(len(self)) or state(self))
    client.scatter([X], broadcast=True)
    once = len(pickled)  # to be sent, and before that to be named by its content
    with parallel_config("dask", scatter=[X, Y, *chain(*FOLDS)]):
        searched()
    assert len(pickled) == 2 * once
    with parallel_config("dask"):
        searched()
    assert len(pickled) - 2 * once >= 12  # the count would show it


# Forecasts of a table in parts ----------------------------------------------------------------------------------------


def stores(n_stores=6, n_days=80):
    days = np.arange(n_days)
    rng = np.random.default_rng(0)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "date": pd.date_range("2024-01-01", periods=n_days),
                    "store": f"store {i}",
                    "sales": 10 * (i + 1) + np.sin(days * 2 * np.pi / 7) + 0.1 * rng.normal(size=n_days),
                }
            )
            for i in range(n_stores)
        ],
        ignore_index=True,
    )


def test_parts_of_a_parquet_table_are_forecast_as_the_whole_table(tmp_path):
    df = stores()
    model = RNNForecaster("sales", 5, time="date", group="store", quantiles=(0.1, 0.9), **TINY).fit(df)
    recent = df.groupby("store").tail(model.n_steps_)
    for part, names in enumerate(np.split(df["store"].unique(), 3)):
        recent[recent["store"].isin(names)].to_parquet(tmp_path / f"{part}.parquet")
    table = dataframe.read_parquet(tmp_path, split_row_groups=False)
    assert table.npartitions == 3
    meta = model.predict(table.partitions[0].compute())[:0]
    forecasts = table.map_partitions(model.predict, meta=meta).compute()
    pd.testing.assert_frame_equal(forecasts.reset_index(drop=True), model.predict(df), rtol=1e-5)


def test_a_table_of_dask_is_read_as_the_one_of_pandas():
    df = stores()
    table = dataframe.from_pandas(df, npartitions=3)
    model = RNNForecaster("sales", 5, time="date", group="store", **TINY)
    expected = model.fit(df).predict(df)
    pd.testing.assert_frame_equal(model.fit(table).predict(table), expected)
    single = RNNForecaster("sales", 5, **TINY)
    pd.testing.assert_frame_equal(single.fit(table["sales"]).predict(), single.fit(df["sales"]).predict())
    window = SlidingWindow(3, time="date", group="store")
    columns = ["date", "store", "sales"]
    assert np.array_equal(window.fit_transform(table[columns]), window.fit_transform(df[columns]), equal_nan=True)
