"""Recurrent networks as scikit-learn estimators."""

from sklearn_rnn.classifier import RNNClassifier
from sklearn_rnn.forecaster import RNNForecaster
from sklearn_rnn.regressor import RNNRegressor
from sklearn_rnn.sequences import Sequences, as_sequences
from sklearn_rnn.splits import WindowSplit
from sklearn_rnn.text import SequenceVectorizer
from sklearn_rnn.windows import SlidingWindow

__all__ = [
    "RNNClassifier",
    "RNNForecaster",
    "RNNRegressor",
    "SequenceVectorizer",
    "Sequences",
    "SlidingWindow",
    "WindowSplit",
    "as_sequences",
]
