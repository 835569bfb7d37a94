"""Milliseconds of onnxruntime with the exported model and of predict, for one window and for 1,000, one thread each.

Both start from arrays in memory and give the prediction in the units of y; predict runs the compiled cells where numba
is installed. The last column is the largest difference of the two in standard deviations of y.
"""

import statistics

import numpy as np
import onnxruntime
from _report import benchmark_arguments, interleaved_seconds, median_ratio, print_table

from sklearn_rnn import RNNRegressor, to_onnx
from sklearn_rnn.nets.recurrent import CELLS

N_CHANNELS, N_EPOCHS = 8, 2


def open_session(model: RNNRegressor) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), options, providers=["CPUExecutionProvider"])


def compare(cell: str, hidden_size: int, n_steps: int, n_repeats: int) -> list[dict]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1_000, n_steps, N_CHANNELS)).astype(np.float32)
    y = X[:, -1, 0] + X[:, -2, 1]
    model = RNNRegressor(cell=cell, hidden_size=hidden_size, max_epochs=N_EPOCHS, n_threads=1, device="cpu")
    session = open_session(model.fit(X, y))
    rows = []
    for n_windows, calls in ((1, 20), (1_000, 1)):
        windows, lengths = X[:n_windows], np.full(n_windows, n_steps)
        feed = {"X": windows, "lengths": lengths}

        def exported(feed: dict = feed, calls: int = calls) -> np.ndarray:
            return [session.run(["prediction"], feed)[0] for _ in range(calls)][0]

        def predicted(windows: np.ndarray = windows, calls: int = calls) -> np.ndarray:
            return [model.predict(windows) for _ in range(calls)][0]

        seconds = interleaved_seconds({"onnx": exported, "predict": predicted}, n_repeats)
        rows.append(
            {
                "cell": cell,
                "hidden": hidden_size,
                "steps": n_steps,
                "windows": n_windows,
                "onnx_ms": 1000 * statistics.median(seconds["onnx"]) / calls,
                "predict_ms": 1000 * statistics.median(seconds["predict"]) / calls,
                "onnx/predict": median_ratio(seconds["onnx"], seconds["predict"]),
                "difference": float(np.abs(exported() - predicted()).max() / y.std()),
            }
        )
    return rows


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=15, steps=48)
    print("onnxruntime", onnxruntime.__version__)
    print_table(
        [
            row
            for cell in CELLS
            for hidden_size in (32, 128)
            for row in compare(cell, hidden_size, arguments.steps, arguments.repeats)
        ],
        arguments.json,
    )
