"""What is peculiar to GPUs, their memory and several jobs on them; a CPU tests it by faults that are injected."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Sequences, _batches, _device, _training, load, save
from sklearn_rnn._batches import SequenceDataset
from sklearn_rnn._device import device_for_fit, has_room
from sklearn_rnn._forecast_data import ForecastDataset
from sklearn_rnn._training import SequenceNet
from sklearn_rnn.nets import ForecastNet, recurrent

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 12)), RNG.normal(size=60)
TINY = {"hidden_size": 4, "dropout": 0.0, "max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
REGRESSOR, FORECASTER = RNNRegressor(**TINY), RNNForecaster(0, 2, **TINY)
CASES = {"RNNRegressor": (REGRESSOR, (X, Y)), "RNNForecaster": (FORECASTER, (X,))}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


@pytest.fixture
def memory_for(monkeypatch):
    """Call it with a number of sequences: steps with larger batches will fail, from some step on, as on a full GPU."""
    step = SequenceNet.train_step_single

    def limit(largest, first_step=0):
        steps = itertools.count()

        def limited(net, batch, **options):
            if next(steps) >= first_step and len(batch[0][0]) > largest:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return step(net, batch, **options)

        monkeypatch.setattr(SequenceNet, "train_step_single", limited)

    return limit


@pytest.mark.parametrize("first_step", [0, 5], ids=["first epoch", "second epoch"])
@pytest.mark.parametrize("case", CASES)
def test_too_little_memory_halves_the_batch_once_with_a_warning(case, first_step, memory_for):
    model, data = CASES[case]
    expected = clone(model).set_params(batch_size=8).fit(*data)
    memory_for(8, first_step)
    with pytest.warns(UserWarning, match=r"too small for batches of 16 sequences.*anew with batch_size=8") as caught:
        halved = clone(model).fit(*data)
    assert len(caught) == 1
    assert halved.get_params()["batch_size"] == 16
    assert halved.history_["train_loss"].tolist() == expected.history_["train_loss"].tolist()
    np.testing.assert_array_equal(halved.predict(X), expected.predict(X))


@pytest.mark.parametrize("case", CASES)
def test_a_warm_start_begins_anew_where_it_began(case, memory_for):
    model, data = CASES[case]
    expected = clone(model).set_params(warm_start=True).fit(*data)
    halved = clone(model).set_params(warm_start=True).fit(*data)
    expected.set_params(batch_size=8).fit(*data)
    memory_for(8)
    with pytest.warns(UserWarning, match="anew with batch_size=8"):
        halved.fit(*data)
    np.testing.assert_array_equal(halved.predict(X), expected.predict(X))


@pytest.mark.parametrize("case", CASES)
def test_too_little_memory_for_half_batches_is_an_error_that_says_what_to_do(case, memory_for):
    model, data = CASES[case]
    fitted = clone(model).fit(*data)
    before = fitted.predict(X)
    memory_for(7)
    with pytest.warns(UserWarning, match="anew"), pytest.raises(MemoryError, match=r"batches of 8 .*Lower batch_size"):
        fitted.fit(*data)
    np.testing.assert_array_equal(fitted.predict(X), before)


@pytest.mark.parametrize("parameters", [{"batch_size": 1}, {"checkpoint": "training.pt"}], ids=str)
def test_nothing_is_halved_that_counts_on_whole_batches(parameters, memory_for, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory_for(0)
    with pytest.raises(MemoryError, match="Lower batch_size"):
        clone(REGRESSOR).set_params(**parameters).fit(X, Y)


def test_rows_stay_on_the_host_that_would_take_more_than_half_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 4_000))
    assert has_room("cuda:0", 500)
    assert not has_room("cuda:0", 501)
    assert has_room("cpu", 10**15)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    assert has_room("cuda:0", 700)  # what torch keeps of earlier fits is free
    assert not has_room("cuda:0", 701)


@pytest.mark.parametrize("case", CASES)
def test_too_little_memory_for_a_prediction_is_told(case, monkeypatch):
    def full(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model, data = CASES[case]
    model = clone(model).fit(*data)
    monkeypatch.setattr(type(model.net_.module_), "forward", full)
    with pytest.raises(MemoryError, match="The memory of cpu is too small. Pass fewer or shorter sequences"):
        model.predict(X)


# The device "meta" stands in for a GPU: it knows where numbers are, not which.
WINDOWS = Sequences(np.arange(40.0, dtype=np.float32).reshape(20, 2), np.arange(10), np.full(10, 5))
UNEQUAL = Sequences(WINDOWS.values, WINDOWS.starts, np.arange(1, 11))


@pytest.mark.parametrize("sequences", [WINDOWS, UNEQUAL], ids=["windows", "unequal"])
def test_batches_of_rows_on_the_host_are_moved_to_the_device(sequences, monkeypatch):
    part = slice(2, 6)
    resident = SequenceDataset(sequences, device="meta")
    assert resident.values.device.type == "meta"
    monkeypatch.setattr(_batches, "has_room", lambda device, n_bytes: False)
    streaming = SequenceDataset(sequences, device="meta")
    assert streaming.values.device.type == "cpu"
    for given, expected in zip(streaming.gather(part), resident.gather(part), strict=True):
        assert (given is None) == (expected is None)
        if given is not None:
            assert (given.device, given.shape, given.dtype) == (expected.device, expected.shape, expected.dtype)
    net = ForecastNet(1, 2, 4, n_past=1, mean=[0.0] * 2, scale=[1.0] * 2).to("meta")
    forecasts = ForecastDataset(sequences[:8], 2, 1, slice(1, 2), net.units, device="meta")
    (values, _, known), (targets, _) = forecasts.batch(slice(3))
    assert {part.device.type for part in (values, known, targets)} == {"meta"}
    assert known.shape == (3, 2, 1)
    assert targets.shape == (3, 2)


def test_rows_to_train_on_and_held_out_rows_are_moved_once():
    train = SequenceDataset(WINDOWS[:6], device="meta")
    assert SequenceDataset(WINDOWS[6:], device="meta", beside=train).values is train.values
    others = Sequences(WINDOWS.values.copy(), WINDOWS.starts, WINDOWS.lengths)
    assert SequenceDataset(others, device="meta", beside=train).values is not train.values


def test_jobs_take_turns_on_several_gpus(monkeypatch):
    monkeypatch.setattr(_device, "available_devices", lambda: ["cuda:0", "cuda:1", "cpu"])
    jobs = Parallel(n_jobs=2, backend="threading")

    def devices(asked):
        return jobs(delayed(device_for_fit)(asked, "full") for _ in range(6))

    for asked in ("auto", "cuda"):
        assert sorted(devices(asked)) == 3 * ["cuda:0"] + 3 * ["cuda:1"]
        assert device_for_fit(asked, "full") == "cuda:0"  # alone
    assert set(devices("cuda:1")) == {"cuda:1"}
    assert set(devices("cpu")) == {"cpu"}


def test_jobs_that_share_one_gpu_are_warned(monkeypatch):
    monkeypatch.setattr(_device, "available_devices", lambda: ["cuda:0", "cpu"])
    assert device_for_fit("auto", "full") == "cuda:0"  # alone: no warning

    def warned(asked):
        with pytest.warns(UserWarning, match="the only GPU.*Set n_jobs=1"):
            return device_for_fit(asked, "full")

    assert Parallel(n_jobs=2, backend="threading")([delayed(warned)("auto")]) == ["cuda:0"]


@pytest.mark.usefixtures("bf16_cpu")
@pytest.mark.parametrize("case", CASES)
def test_a_model_of_bf16_predicts_in_full_where_a_device_lacks_it_and_is_not_trained_there(case, monkeypatch):
    model, data = CASES[case]
    alone = {"blend": False} if hasattr(model, "blend") else {}  # a net without a share rounds nothing
    model = clone(model).set_params(precision="bf16", max_epochs=4, **alone).fit(*data)
    full = clone(model).set_params(precision="full").fit(*data)
    np.testing.assert_allclose(model.predict(X), full.predict(X), rtol=0, atol=0.05)
    full.net_.module_.load_state_dict(model.net_.module_.state_dict())
    rounded, expected = model.predict(X), full.predict(X)
    assert (rounded != expected).any()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), rounded)
    for module in (recurrent, _device):
        monkeypatch.setattr(module, "has_bf16", lambda device: False)
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-5)  # torch's cells, not compiled ones
    with pytest.raises(
        ValueError, match="'bf16', but cpu does not compute in bfloat16. Set precision='full' or another"
    ):
        model.fit(*data)
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_scaled_by_powers_of_two_where_float16_would_lose_them(case, monkeypatch):
    model, data = CASES[case]
    expected = clone(model).set_params(fused=False).fit(*data)
    losses = []
    scaled = _training.scaled_backward
    monkeypatch.setattr(recurrent.RecurrentLayers, "runs_in_half", lambda layers, device: True)
    monkeypatch.setattr(_training, "scaled_backward", lambda *call: (losses.append(call[1]), scaled(*call)))
    model = clone(model).set_params(fused=False).fit(*data)
    assert min(losses) > 1
    for name, weight in expected.net_.module_.state_dict().items():
        assert torch.equal(model.net_.module_.state_dict()[name], weight), name


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_have_bf16_from_capability_8_on(capability, has, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert recurrent.has_bf16(torch.device("cuda:0")) is has
    assert not recurrent.has_bf16(torch.device("mps"))


@pytest.mark.parametrize("case", CASES)
def test_a_cpu_on_which_torchs_cells_fail_in_bf16_is_refused(case, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")

    model, data = CASES[case]
    monkeypatch.setattr(torch.nn.LSTM, "forward", failing)
    recurrent.cpu_has_bf16.cache_clear()
    try:
        with pytest.raises(ValueError, match="precision is 'bf16', but cpu does not compute in bfloat16"):
            clone(model).set_params(precision="bf16").fit(*data)
    finally:
        recurrent.cpu_has_bf16.cache_clear()


@pytest.mark.parametrize("case", CASES)
def test_bf16_is_refused_with_float64(case):
    model, data = CASES[case]
    with pytest.raises(ValueError, match="precision='bf16' rounds what dtype='float64' would keep"):
        clone(model).set_params(precision="bf16", dtype="float64").fit(*data)


@needs_gpu
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_learns_in_bf16(case):
    model, data = CASES[case]
    full = clone(model).set_params(device="cuda").fit(*data)
    rounded = clone(model).set_params(device="cuda", precision="bf16").fit(*data)
    assert (rounded.predict(X) != full.predict(X)).any()
    np.testing.assert_allclose(rounded.predict(X), full.predict(X), rtol=0, atol=0.1)


@needs_gpu
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_learns_what_a_cpu_learns(case, streams, monkeypatch, tmp_path):
    model, data = CASES[case]
    on_cpu = clone(model).set_params(dtype="float64").fit(*data)
    if streams:
        monkeypatch.setattr(_batches, "has_room", lambda device, n_bytes: False)
    on_gpu = clone(model).set_params(dtype="float64", device="cuda").fit(*data)
    assert on_gpu.device_ == "cuda:0"
    np.testing.assert_allclose(on_gpu.predict(X), on_cpu.predict(X), rtol=1e-6, atol=1e-6)
    pytest.importorskip("skops", reason='the extra "safe" is not installed')
    save(on_gpu, tmp_path / "model.skops")
    np.testing.assert_array_equal(load(tmp_path / "model.skops").predict(X), on_gpu.predict(X))


LISTS = [RNG.normal(size=(n, 2)) for n in RNG.integers(5, 30, 64)]
CLASSIFIER = RNNClassifier(**TINY, early_stopping=False)
WITHOUT_WAITING = {
    "windows": (RNNRegressor(**TINY, cell="lstm", bidirectional=True, early_stopping=False), (X, Y)),
    "weighted classes": (clone(CLASSIFIER).set_params(class_weight="balanced"), (LISTS, RNG.integers(0, 3, 64))),
    "attention": (clone(CLASSIFIER).set_params(pooling="attention"), (LISTS, RNG.integers(0, 3, 64))),
    "segments": (clone(CLASSIFIER).set_params(segment_size=4, pooling="mean"), (LISTS, RNG.integers(0, 3, 64))),
    "steps": (clone(CLASSIFIER).set_params(per_step=True), (LISTS, [RNG.integers(0, 3, len(x)) for x in LISTS])),
    "forecasts": (clone(FORECASTER).set_params(early_stopping=False), (X,)),
}


@needs_gpu
@pytest.mark.parametrize("case", WITHOUT_WAITING)
def test_no_batch_waits_for_the_gpu(case):
    model, data = WITHOUT_WAITING[case]

    def waits(batch_size):
        fitted = clone(model).set_params(batch_size=batch_size, device="cuda").fit(*data)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                fitted.fit(*data)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)

    assert waits(4) == waits(8) > 0


@needs_gpu
def test_a_full_gpu_halves_the_batch():
    X = np.random.default_rng(0).normal(size=(2048, 100, 8)).astype(np.float32)
    model = RNNRegressor(hidden_size=256, batch_size=2048, max_epochs=1, early_stopping=False, device="cuda")

    def largest_memory(batch_size):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        clone(model).set_params(batch_size=batch_size).fit(X, X[:, -1, 0])
        return torch.cuda.max_memory_reserved()

    enough = (largest_memory(1024) + largest_memory(2048)) / 2
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(enough / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.warns(UserWarning, match=r"too small for batches of 2048 sequences.*anew with batch_size=1024"):
            model.fit(X, X[:, -1, 0])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@needs_gpu
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_gpu_predicts_alike_alone_and_in_company(cell):
    X = np.random.default_rng(0).normal(size=(5000, 24, 2))
    model = RNNRegressor(cell=cell, max_epochs=1, device="cuda").fit(X, X[:, -1, 0])
    together = model.predict(X)
    for part in (slice(0, 1), slice(4990, 5000), slice(7, 4107)):
        np.testing.assert_allclose(model.predict(X[part]), together[part], rtol=0, atol=1e-5)
