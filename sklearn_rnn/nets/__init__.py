"""Torch modules: arrays in, arrays out, nothing of scikit-learn."""

from sklearn_rnn.nets.network import RecurrentNet

__all__ = ["RecurrentNet"]
