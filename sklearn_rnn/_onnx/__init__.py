"""The nets of `nets` in ONNX's operators, module by module.

They are written by hand because torch's exporters fix the lengths that they see: of this package's nets both made
models that failed at others, while ONNX's own GRU, LSTM and RNN read unequal lengths in both directions.
"""

from sklearn_rnn._onnx.forecast import forecast_net
from sklearn_rnn._onnx.graph import GraphBuilder
from sklearn_rnn._onnx.network import recurrent_net
from sklearn_rnn._onnx.parts import valid_steps

__all__ = ["GraphBuilder", "forecast_net", "recurrent_net", "valid_steps"]
