"""Torch modules: arrays in, arrays out, nothing of scikit-learn."""

from sklearn_rnn.nets.forecast import ForecastNet
from sklearn_rnn.nets.network import RecurrentNet

__all__ = ["ForecastNet", "RecurrentNet"]
