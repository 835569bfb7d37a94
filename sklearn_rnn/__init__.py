"""Recurrent networks as scikit-learn estimators.

A name is imported when it is first used, so that `import sklearn_rnn` is quick and does not bring in torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sklearn_rnn.classifier import RNNClassifier
    from sklearn_rnn.export import to_onnx
    from sklearn_rnn.forecaster import RNNForecaster
    from sklearn_rnn.inspection import channel_importance
    from sklearn_rnn.persistence import load, save
    from sklearn_rnn.plots import BacktestDisplay, ForecastDisplay, HistoryDisplay, ImportanceDisplay
    from sklearn_rnn.regressor import RNNRegressor
    from sklearn_rnn.search import search_space
    from sklearn_rnn.sequences import Sequences, as_sequences
    from sklearn_rnn.splits import WindowSplit
    from sklearn_rnn.text import SequenceVectorizer
    from sklearn_rnn.windows import SlidingWindow

# Where each public name is defined.
_MODULES = {
    "BacktestDisplay": "plots",
    "ForecastDisplay": "plots",
    "HistoryDisplay": "plots",
    "ImportanceDisplay": "plots",
    "RNNClassifier": "classifier",
    "RNNForecaster": "forecaster",
    "RNNRegressor": "regressor",
    "SequenceVectorizer": "text",
    "Sequences": "sequences",
    "SlidingWindow": "windows",
    "WindowSplit": "splits",
    "as_sequences": "sequences",
    "channel_importance": "inspection",
    "load": "persistence",
    "save": "persistence",
    "search_space": "search",
    "to_onnx": "export",
}

__all__ = [
    "BacktestDisplay",
    "ForecastDisplay",
    "HistoryDisplay",
    "ImportanceDisplay",
    "RNNClassifier",
    "RNNForecaster",
    "RNNRegressor",
    "SequenceVectorizer",
    "Sequences",
    "SlidingWindow",
    "WindowSplit",
    "as_sequences",
    "channel_importance",
    "load",
    "save",
    "search_space",
    "to_onnx",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
