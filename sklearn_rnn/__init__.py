"""Recurrent networks as scikit-learn estimators."""

from sklearn_rnn.sequences import Sequences, as_sequences

__all__ = ["Sequences", "as_sequences"]
